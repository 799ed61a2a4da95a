/* timeline.h: which instant is looked at, and how much time the graphs span. Knows one
 * history at a time and nothing of the screen. */
#ifndef FRAGSCOPE_TIMELINE_H
#define FRAGSCOPE_TIMELINE_H

#include "series/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timeline {
	int64_t paused_ns; /* CLOCK_REALTIME; 0: the present */
	int64_t right_ns;  /* while paused: the right end of the graphs */
	int64_t zoom_ns;
	int64_t longest_ns; /* that the graphs may span */
	bool is_log;	    /* the scales of the graphs */
};

enum timeline_step {
	TIMELINE_MOVED,
	TIMELINE_NO_READING, /* of that time */
	TIMELINE_AT_END,     /* the earliest, or the latest, is looked at already */
};

void timeline_open(struct timeline *time);

/* Holds the latest reading of HISTORY not after TIME_NS. */
enum timeline_step timeline_pause(struct timeline *time, const struct history *history,
				  int64_t time_ns);
void timeline_live(struct timeline *time);

/* STEPS readings back, from the present or from where it stands; as far as there are
 * some. */
enum timeline_step timeline_back(struct timeline *time, const struct history *history,
				 size_t steps);

/* One reading on. The present is its own end. */
enum timeline_step timeline_on(struct timeline *time, const struct history *history);

/* The next shorter (-1) or longer (1) span. */
void timeline_zoom(struct timeline *time, const struct history *history, int step);

/* The sample of HISTORY that is looked at; null: there is none. */
const struct sample *timeline_sample(const struct timeline *time,
				     const struct history *history);

/* The one that changes are measured from: at the left end of the graphs, whose right end
 * is RIGHT_NS, or the earliest there is; null: there is none. */
const struct sample *timeline_since(const struct timeline *time,
				    const struct history *history, int64_t right_ns);

#endif
