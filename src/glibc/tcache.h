/* tcache.h: what the threads' caches hold. The counts in the structures make the sum; the
 * lists are followed to see that they hold what is counted, and which arena owns it. */
#ifndef FRAGSCOPE_TCACHE_H
#define FRAGSCOPE_TCACHE_H

#include "glibc/arena.h"
#include "glibc/chain.h"
#include "glibc/links.h"

struct tcache_totals {
	uint64_t chunks;
	uint64_t bytes;
	uint64_t counted_bytes;	 /* of these, in lists of one size each */
	uint64_t in_doubt_bytes; /* lists that do not hold what they count */
	uint64_t unread;	 /* structures that were swapped out meanwhile */
};

enum {
	TCACHE_ODD = 2, /* lists that may be odd at an instant */
	TCACHE_NONE = 1 << 16,
};

/* How many lists of the tcache at RAW count one chunk and have none, or the reverse. A
 * thread that takes a chunk from its cache, or puts one there, leaves a list so for an
 * instant (malloc.c, tcache_get, tcache_put); whether that chunk is the cache's is
 * decided just then, so that either is true. More than TCACHE_ODD: a copy that was made
 * in two parts, or no tcache: another look tells. TCACHE_NONE: it is none. */
unsigned tcache_odd_lists(const struct malloc_layout *layout, unsigned count_max,
			  const uint8_t *raw);

/* How many chunks list BIN of the tcache at RAW counts, and the size of each of them; 0:
 * of several sizes. */
unsigned tcache_filled(const struct malloc_layout *layout, unsigned count_max,
		       const uint8_t *raw, unsigned bin);
uint64_t tcache_bin_bytes(const struct malloc_layout *layout, unsigned bin);

/* The largest chunk of a list whose chunks are all of one size. */
uint64_t tcache_small_max(const struct malloc_layout *layout);

/* What the tcache at RAW counts in lists of one size each. */
uint64_t tcache_counted_bytes(const struct malloc_layout *layout, unsigned count_max,
			      const uint8_t *raw);

/* The chunks met on the lists, each of which must be met once: its address and size in
 * one number. Those beyond CAPACITY are not kept. */
struct tcache_met {
	uint64_t *chunk;
	uint32_t capacity;
	uint32_t count;
};

uint64_t tcache_met_chunk(const struct tcache_met *met, uint32_t i);
uint64_t tcache_met_bytes(const struct tcache_met *met, uint32_t i);

/* The bytes of chunks that were met more than once; MARK tells such chunks from others.
 * Sorts MET. */
uint64_t tcache_met_twice(struct tcache_met *met, uint64_t *mark);

/* Finds the arena that owns the chunk at an address; negative when none does. */
typedef int tcache_owner_fn(uint64_t chunk, void *context);

/* What is read, and by what. */
struct tcache_search {
	struct chain_reader *reader;
	struct memory *memory;
	struct pages *pages;
	const struct malloc_layout *layout;
	const struct malloc_par *par;
	const struct links *links; /* what the walks noted, in order; or null */
	const uint64_t *address;   /* of COUNT structures */
	unsigned count;
	tcache_owner_fn *owner;
	void *context;
};

/* Adds up the structures of SEARCH, all of one glibc. Lists are followed in the notes;
 * one that does not hold what is counted has changed since, and is read. A list that
 * again and again does not hold as many chunks as its structure counts is in doubt. With
 * BY_ARENA (one entry an arena, else null) what a list holds is put to the arena that
 * OWNER names; chunks that a moving list hid go to the arena of the list's head, as in
 * doubt. 0 or -errno. */
int tcache_read(const struct tcache_search *search, struct tcache_totals *totals,
		struct tcache_totals *by_arena, struct tcache_met *met);

#endif
