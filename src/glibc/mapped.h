/* mapped.h: what malloc got by mmap and keeps no list of: the chunks with a mapping of
 * their own, and segments of a main arena that could not use the program break. They are
 * found by their headers at the beginnings of anonymous pages. Other memory may look the
 * same: those places are believed that add up to what malloc itself has counted. */
#ifndef FRAGSCOPE_MAPPED_H
#define FRAGSCOPE_MAPPED_H

#include "glibc/regions.h"
#include "glibc/walk.h"

/* A main arena whose chunks lie, wholly or in part, in mapped segments. */
struct mapped_arena {
	const struct walk_arena *arena;
	uint64_t top; /* its top chunk, if that is in a mapped segment; else 0 */
	uint64_t
		wanted_bytes; /* of its system_mem not yet found; less as more is found */
	struct walk_totals *totals;
};

/* A place that looks like an mmapped chunk. */
struct mapped_place {
	uint64_t start;
	uint64_t bytes;
	uint64_t behind; /* bytes of this place and all behind it */
	uint32_t pick;	 /* in the order of depth: the places that are chosen */
	bool is_taken;	 /* beyond doubt: such make up all of a mapping */
	bool is_chunk;	 /* of the first set that adds up */
	bool is_sure;	 /* a chunk for as long as its header stands */
};

/* What the last search came to; kept by the caller from one to the next, with the places.
 * All zero at first. */
struct mapped_last {
	uint64_t wanted_chunks, wanted_bytes;
	bool was_made, is_exact;
	bool is_sure;	  /* its chunks were the only ones that could be it */
	bool was_timed;	  /* it had a time to keep to, and may not have seen all */
	unsigned skipped; /* searches since, for which it was believed */
	/* A sweep over all pages in parts, each in its time: whether there is one, up to
	 * where it has come, and how many places it has found, at the end of the room. */
	bool is_sweeping;
	uint64_t cursor;
	unsigned swept;
};

enum { MAPPED_HEADERS = 128 };

/* Called with each segment of ARENA that was walked. */
typedef void mapped_segment_fn(const struct walk_segment *segment, unsigned arena,
			       void *context);

struct mapped_search {
	struct memory *memory;
	struct pages *pages;
	const struct regions *regions;
	const uint64_t *heap; /* non-main heaps, ascending: skipped */
	unsigned heap_count;
	uint64_t heap_max_bytes;
	bool has_trailer;	/* struct layout, mmapped_has_trailer */
	uint64_t wanted_chunks; /* mp_.n_mmaps */
	uint64_t wanted_bytes;	/* mp_.mmapped_mem */
	struct mapped_arena *arena;
	unsigned arena_count;
	uint8_t *buffer; /* WALK_WINDOW bytes */
	struct mapped_place *place;
	unsigned place_count; /* of the last search; of this one, when it is done */
	unsigned place_capacity;
	struct mapped_last *last;
	struct links *links;
	mapped_segment_fn *found;
	void *context;
	int64_t ns; /* of this thread's time that it may take; 0: whatever it takes */
	/* Filled in. IS_EXACT: the chunks are those that malloc counts, and no other set
	 * of places can be; else CHUNKS is how many places there are. */
	bool is_exact;
	uint64_t chunks;
	uint64_t bytes;
	uint64_t resident_bytes;
	/* Where there was no time for more: what is resident of the chunks is between
	 * RESIDENT_BYTES and so many more. */
	bool is_bounded;
	uint64_t unknown_bytes;
	/* Its own: */
	uint64_t header_at[MAPPED_HEADERS]; /* read ahead, in order of address */
	uint64_t header[MAPPED_HEADERS][2];
	bool has_header[MAPPED_HEADERS];
	unsigned header_count, header_next, ahead;
	int64_t end_ns; /* 0: none */
	unsigned asked; /* whether it is late */
	bool is_late;
};

/* Looks until all that is wanted is found, or nothing is left to look at. While malloc
 * counts the same as at the last search, what was found then is found again by its
 * headers, and what was unclear is looked for only now and then: of a program with much
 * anonymous memory of its own a whole search takes longer than all else.
 *
 * In a limited time: the chunks that were known before and are still there, and those
 * that make up whole mappings; the others when all pages have been looked at, a part of
 * them at each search. That begins anew, after some searches, where malloc counts other
 * chunks meanwhile. */
void mapped_find(struct mapped_search *search);

#endif
