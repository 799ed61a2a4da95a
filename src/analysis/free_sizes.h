/* free_sizes.h: the free memory of arenas by the size of its chunks, and which requests
 * it could still serve. Pure functions of a sample whose bins were asked for. */
#ifndef FRAGSCOPE_FREE_SIZES_H
#define FRAGSCOPE_FREE_SIZES_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FREE_SIZES = 15, /* below 64 bytes, to 128, ... and from 512 KB on */
	FREE_SIZES_ALL = -1,
};

/* The free chunks of [FROM_BYTES, TO_BYTES]; the last class has no end (UINT64_MAX). */
struct size_class {
	uint64_t from_bytes, to_bytes;
	uint64_t chunks, bytes;
};

/* Classes end where bins do, so that all chunks of a sorted bin lie in one. A bin that
 * spans several is MIXED: the unsorted list. Tops are counted apart from all of them. */
struct free_sizes {
	struct size_class size[FREE_SIZES];
	struct size_class mixed; /* FROM_BYTES and TO_BYTES bound what is in it */
	uint64_t tops, top_bytes, largest_top_bytes;
	uint64_t chunks, bytes;	 /* of all but the tops */
	uint64_t largest_bytes;	 /* of all, tops included */
	unsigned arenas;	 /* that are in the figures */
	unsigned arenas_missing; /* that are not: their bins could not be told */
};

/* The free memory of the arena with index ARENA, or of all (FREE_SIZES_ALL) whose bins
 * the sample has. False: it has none that were asked about; SIZES is then empty. The
 * functions below are about the same arenas. */
bool free_sizes_of(const struct sample *sample, int arena, struct free_sizes *sizes);

/* The share of free memory, tops included, in chunks below REQUEST_BYTES: the truth lies
 * in [LOW, HIGH], which differ where a bin holds chunks both below and above. False as
 * above. 0 and 0 when nothing is free. */
bool free_sizes_unusable(const struct sample *sample, int arena, uint64_t request_bytes,
			 double *low, double *high);

/* How many free chunks, tops included, are not below REQUEST_BYTES: at least, and at
 * most. False as above. */
bool free_sizes_serving(const struct sample *sample, int arena, uint64_t request_bytes,
			uint64_t *low, uint64_t *high);

#endif
