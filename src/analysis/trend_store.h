/* trend_store.h: how a process's figures, and what it uses of each limit, moved over the
 * readings of a report: the values, thinned where they are many, and their trends. */
#ifndef FRAGSCOPE_TREND_STORE_H
#define FRAGSCOPE_TREND_STORE_H

#include "analysis/arena_peaks.h"
#include "analysis/headroom.h"
#include "analysis/verdict.h"
#include "sample/sample.h"
#include "series/track.h"

#include <stddef.h>

enum { TREND_STORE_FIGURES = 9, TREND_STORE_POINTS = 512 };

/* The figures that are followed, in the order in which they are told. */
extern const enum figure trend_store_figure[TREND_STORE_FIGURES];

struct trend_store;

/* Takes all memory that is ever needed. 0 or -ENOMEM. */
int trend_store_new(struct trend_store **store);

/* The same for trend_store_arenas, trend_store_reach and trend_store_span_s alone, in
 * half of the memory.
 */
int trend_store_new_limits(struct trend_store **store);
void trend_store_free(struct trend_store *store);

/* Adds a reading; figures that it does not have are gaps. HEADROOM, of the same instant,
 * may be null. */
void trend_store_add(struct trend_store *store, const struct sample *sample,
		     const struct headroom *headroom);

/* The trend of trend_store_figure[I]; of live_bytes and mmapped_bytes together. */
void trend_store_trend(struct trend_store *store, unsigned i,
		       struct verdict_trend *trend);
/* Whether a reading had it from a random sample of the heap. */
bool trend_store_is_estimated(const struct trend_store *store, unsigned i);
void trend_store_held(struct trend_store *store, struct verdict_trend *trend);

/* The points of trend_store_figure[I], TREND_STORE_POINTS at most, into OUT; how many. */
size_t trend_store_points(const struct trend_store *store, unsigned i,
			  struct track_point *out);

/* What the arenas held, each and together. */
void trend_store_arenas(const struct trend_store *store, struct arena_peaks *peaks);

/* When each limit of HEADROOM is reached at the rate of the readings; OUT has
 * HEADROOM_KINDS. */
void trend_store_reach(struct trend_store *store, const struct headroom *headroom,
		       struct headroom_reach *out);

/* Seconds from the first reading to the last. */
double trend_store_span_s(const struct trend_store *store);

#endif
