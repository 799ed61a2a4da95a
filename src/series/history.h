/* history.h: what was seen of one target: its samples whole, and every figure of the
 * process, both over a day or more at falling resolution, and the instants that are
 * marked on the axis of time. All memory is taken at the start. No locks: one thread at a
 * time. */
#ifndef FRAGSCOPE_HISTORY_H
#define FRAGSCOPE_HISTORY_H

#include "sample/sample.h"
#include "series/track.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole samples: half of the budget holds the latest of them, each; the other half those
 * that are older, 10 s apart at first, and as far as it takes for them to reach back for
 * KEEP_NS.
 * The figures of the process that have a rank in the catalogue, and of these the ones
 * that are TRACKED, have a track each: see track_days. That takes 140 KB a figure for 48
 * h, besides BUDGET_BYTES. */
struct history_options {
	size_t budget_bytes; /* for whole samples; each takes what its arenas need */
	unsigned arenas;     /* a sample with so many must fit four times */
	bool bins;	     /* keep the arenas' bins, where samples have them */
	int64_t keep_ns;     /* 0: 48 hours; 24 hours at least */
	bool (*tracked)(enum figure f); /* null: all */
	uint32_t spans; /* not 0: the tracks have so many points, see track_spans */
};

enum mark_kind {
	MARK_GROWTH,
	MARK_FAILURE,
	MARK_KILL,
	MARK_THRESHOLD,
	MARK_ALERT,
	MARK_KINDS
};

/* COUNT marks of one kind within the same second. */
struct history_mark {
	int64_t time_ns; /* of the first */
	enum mark_kind kind;
	uint32_t count;
	uint64_t bytes; /* of all of them */
};

struct history;

/* 0, -ENOMEM, or -ENOSPC: a sample with ARENAS does not fit four times into the budget.
 */
int history_new(struct history **history, const struct history_options *options);
void history_free(struct history *history);

/* Appends SAMPLE, which stays the caller's; what it does not have is a gap in that
 * figure's track, and another PID or a clock that was set back are handled (track.h). 0,
 * or -ENOSPC when it is too large to be kept whole: its figures are kept all the same. */
int history_add(struct history *history, const struct sample *sample);

/* The same of a span that begins at SAMPLE's time and ends with its values: what each
 * figure was at least, at most and on average. */
struct history_span {
	const struct figures *low, *high;
	const double *mean;
};

int history_add_span(struct history *history, const struct sample *sample,
		     const struct history_span *span);

/* At TIME_NS nothing could be read: a gap in all tracks. */
void history_gap(struct history *history, int64_t time_ns);

/* How many whole samples are kept; and the one of these that is BACK before the latest
 * (0), null when there is none. It stays valid until the next history_add. */
size_t history_count(const struct history *history);
const struct sample *history_at(const struct history *history, size_t back);

/* How far back the latest whole sample not after TIME_NS is, or history_count when there
 * is none; and that sample, or null. */
size_t history_back(const struct history *history, int64_t time_ns);
const struct sample *history_when(const struct history *history, int64_t time_ns);

/* Figure F as track_points, track_columns and track_span tell it; nothing for a figure
 * without a track. */
size_t history_points(const struct history *history, enum figure f, int64_t from_ns,
		      int64_t to_ns, struct track_point *out, size_t max);
void history_columns(const struct history *history, enum figure f, int64_t from_ns,
		     int64_t to_ns, struct track_point *out, size_t columns);
bool history_span(const struct history *history, int64_t *from_ns, int64_t *to_ns);

/* Marks TIME_NS; BYTES is 0 where the kind has none. The latest 1024 of each kind are
 * kept, so that many growths do not push a failure out. */
void history_mark(struct history *history, int64_t time_ns, enum mark_kind kind,
		  uint64_t bytes);

/* The marks in [FROM_NS, TO_NS], oldest first; the latest MAX of them. How many. */
size_t history_marks(const struct history *history, int64_t from_ns, int64_t to_ns,
		     struct history_mark *out, size_t max);

#endif
