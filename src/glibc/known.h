/* known.h: the free chunks that malloc's own lists lead to at a bounded cost: all that
 * lie on the unsorted lists, and in the bins of the largest sizes, down to the first bin
 * that is too long. */
#ifndef FRAGSCOPE_KNOWN_H
#define FRAGSCOPE_KNOWN_H

#include "glibc/arena.h"

/* One binned chunk. */
struct known_chunk {
	uint64_t at;
	uint64_t bytes;
	uint32_t arena;
};

/* What the lists of one arena told. */
struct known_arena {
	/* All binned chunks whose size falls into bins[I] with I above OPEN_BIN are
	 * known; GLIBC_BINS - 1 when the unsorted list, which has chunks of any size, is
	 * not known whole. Of the list that is too long the first are known. */
	unsigned open_bin;
	bool has_unsorted; /* the unsorted list is known whole */
	bool has_largest;  /* LARGEST_BYTES is the largest binned chunk */
	uint64_t largest_bytes;
	uint64_t unlisted_bytes; /* the largest that they did not tell of has, at most */
	uint64_t chunks;	 /* that are known, binned */
	uint64_t bytes;
	uint64_t fast_chunks; /* of the fastbins that are known whole, and one of each
				 other */
	uint64_t fast_bytes;
	uint64_t fast_bin[GLIBC_FASTBINS]; /* chunks */
	uint32_t fast_open; /* bit N: that of chunks of 16 N bytes is not */
};

/* Which lists of an arena were too long for the time when they were last followed: bit 0
 * the unsorted list, then the bins and the fastbins. All are tried again in a while. */
struct known_habit {
	uint64_t is_long[3];
	unsigned readings;
};

/* Nodes that are read whatever the time; OF_BINS of them of other lists than the unsorted
 * one: where that is not known, each cell is to be looked into for what may be on it. */
struct known_least {
	uint32_t all, of_bins;
};

struct known {
	struct known_chunk *chunk; /* ascending by address after known_sort */
	uint32_t count, capacity;
	uint64_t *key; /* of the same capacity: for sorting */
	struct known_chunk *sorted;
};

/* Takes room for CAPACITY chunks (a million at most). 0 or -ENOMEM. */
int known_new(struct known *known, uint32_t capacity);
void known_free(struct known *known);

/* Follows the lists of ARENA, which is number NUMBER, and keeps the chunks: for NS of
 * processor time at most, but LEAST in any case. Of what HABIT says to be too long
 * the first few only. A list that changes while it is followed is followed again. 0, or
 * -errno when the target is gone. */
int known_read(struct known *known, struct known_arena *result, struct known_habit *habit,
	       struct memory *memory, struct pages *pages, struct arena *arena,
	       unsigned number, struct known_least least, int64_t ns);

/* Sorts the chunks by address. */
void known_sort(struct known *known);

/* The index of the first chunk that ends behind ADDR, of sorted ones. */
uint32_t known_find(const struct known *known, uint64_t addr);

/* Whether the chunk at AT is one of them. */
bool known_has(const struct known *known, uint64_t at);

/* Whether ARENA's lists told of all binned chunks of BYTES. */
bool known_holds(const struct known_arena *arena, uint64_t bytes);

#endif
