/* mapped.h: what malloc got by mmap and keeps no list of: the chunks with a mapping of
 * their own, and stretches of a main arena that could not use the program break. They are
 * found by their headers at the beginnings of anonymous memory, and believed when they
 * add up to what malloc itself has counted. */
#ifndef FRAGSCOPE_MAPPED_H
#define FRAGSCOPE_MAPPED_H

#include "glibc/regions.h"
#include "glibc/walk.h"

/* A main arena whose chunks lie, wholly or in part, in mapped stretches. */
struct mapped_arena {
	const struct walk_arena *arena;
	uint64_t top; /* its top chunk, if that is in a mapped stretch; else 0 */
	uint64_t
		wanted_bytes; /* of its system_mem not yet found; less as more is found */
	struct walk_totals *totals;
};

/* Called with each stretch of ARENA that was walked. */
typedef void mapped_area_fn(const struct walk_area *area, unsigned arena, void *context);

struct mapped_search {
	struct memory *memory;
	struct pages *pages;
	const struct regions *regions;
	const uint64_t *heap; /* secondary heaps, ascending: skipped */
	unsigned heap_count;
	uint64_t heap_max_bytes;
	bool has_trailer;	/* struct layout, mmapped_has_trailer */
	uint64_t wanted_chunks; /* mp_.n_mmaps */
	uint64_t wanted_bytes;	/* mp_.mmapped_mem */
	struct mapped_arena *arena;
	unsigned arena_count;
	uint8_t *buffer; /* WALK_WINDOW bytes */
	struct links *links;
	mapped_area_fn *found;
	void *context;
	/* Filled in: */
	uint64_t chunks;
	uint64_t bytes;
	uint64_t resident_bytes;
};

/* Looks until all that is wanted is found, or nothing is left to look at. */
void mapped_find(struct mapped_search *search);

#endif
