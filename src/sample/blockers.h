/* blockers.h: what keeps free memory from being given back to the kernel: how many chunks
 * in use share pages with free bytes, the few whose going would free most, and what lies
 * between the top and the holes below it. */
#ifndef FRAGSCOPE_BLOCKERS_H
#define FRAGSCOPE_BLOCKERS_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	BLOCKERS_BEST = 16,
	BLOCKERS_STEPS = 20,
	BLOCKERS_ALL_ARENAS = -1,
	CHUNK_IDENTITY = 128,
};

/* CHUNKS chunks in use side by side, from ADDR on: one, or a whole run of them between
 * two free stretches. */
struct blocker {
	uint64_t
		addr; /* of the first chunk: its header; user data begin 16 bytes later */
	uint64_t bytes; /* of all, headers included */
	uint64_t chunks;
	uint64_t cached_chunks; /* of them, in threads' caches: free to the program */
	unsigned arena;
	/* What malloc_trim could give back more if they were freed (and were in no
	 * cache): of their own pages too. The change of trimmable_bytes, to the byte. */
	uint64_t unlocked_bytes;
	uint64_t unlocked_free_bytes; /* of these, such as were free already */
};

/* The chunks of the first so many runs below the top: with all of them gone the top,
 * which free() itself gives back, would begin at FROM. */
struct blockers_step {
	uint64_t from;
	uint64_t chunks;
	uint64_t bytes; /* of these chunks */
	/* Free below the first of these runs, and then part of the top; not what lies
	 * above it, which fastbin chunks before the top keep. */
	uint64_t hole_bytes;
	uint64_t hole_resident_bytes; /* of these, on resident pages */
};

/* The caller sets ARENA; a reading fills in the rest. */
struct blockers {
	int arena; /* as arena_row.index, or BLOCKERS_ALL_ARENAS */

	int64_t time_ns; /* CLOCK_REALTIME, when the reading began */
	int64_t read_ns;
	enum sample_status status;
	char missing[SAMPLE_TEXT]; /* empty unless STATUS_PARTIAL */
	uint64_t in_doubt_bytes;

	/* The chunks in use that share a page with pinned bytes. */
	uint64_t pinning_chunks;
	uint64_t pinning_bytes;
	uint64_t pinned_bytes; /* pinned_bytes of the same arenas */

	/* Those whose going would free most for each chunk that has to go, best first. */
	unsigned best_count;
	struct blocker best[BLOCKERS_BEST];

	/* Below the top of TAIL_ARENA, the arena where most would come free: each step
	 * frees twice as much as the one before, or is the last. Empty: no hole of 64 KB
	 * is within the next 4096 runs of chunks in use. */
	unsigned tail_arena;
	uint64_t tail_top_bytes;
	unsigned step_count;
	struct blockers_step step[BLOCKERS_STEPS];
	/* The runs next to the top, nearest first; what they alone would unlock. */
	unsigned tail_count;
	struct blocker tail[BLOCKERS_BEST];
};

#endif
