/* arena_peaks.h: what each arena held at most over the readings, and all of them
 * together at one time: whether they needed their memory at the same time, or in turn. */
#ifndef FRAGSCOPE_ARENA_PEAKS_H
#define FRAGSCOPE_ARENA_PEAKS_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum { ARENA_PEAKS_MOST = 1024 };

/* IS_KNOWN: there were two readings at least with every arena in them. */
struct arena_peaks {
	bool is_known;
	uint64_t peaks_bytes; /* what each held at most, summed */
	uint64_t peak_bytes;  /* what all held together at most */
	uint64_t swing_bytes; /* by how much each one's most and least differ, summed */
};

/* Empty when it is all 0. Of the live bytes of each arena, known by its address, or by
 * its index where a source does not tell that. */
struct arena_extremes {
	unsigned count;
	bool is_full; /* there were more arenas than there is room for */
	uint64_t readings, peak_bytes;
	struct {
		uint64_t key, most, least;
	} arena[ARENA_PEAKS_MOST];
};

/* A reading without every arena's figures, or that was torn by more than what it could be
 * wrong by, counts for nothing. */
void arena_peaks_add(struct arena_extremes *extremes, const struct sample *sample);

struct arena_peaks arena_peaks_of(const struct arena_extremes *extremes);

#endif
