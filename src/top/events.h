/* events.h: the events of the targets of `top`, read from the probes in a thread of
 * its own: following a stack takes memory and time, which the screen must not wait for.
 */
#ifndef FRAGSCOPE_TOP_EVENTS_H
#define FRAGSCOPE_TOP_EVENTS_H

#include "base/fault.h"
#include "sample/event.h"
#include "series/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EVENTS_LINE = 200,
	EVENTS_DETAIL = 4096,
};

/* One event as text. */
struct events_row {
	int64_t time_ns;     /* CLOCK_REALTIME */
	enum mark_kind mark; /* how it stands on the axis of time */
	int target;
	uint64_t bytes; /* 0: it has none */
	char line[EVENTS_LINE];
	char detail[EVENTS_DETAIL]; /* lines; empty: nothing more is known */
};

struct events;
struct feed;

/* A thread that watches nothing yet. FEED excuses what it takes to put probes in place;
 * what else the events take is kept below SHARE of a core. 0, or -errno and FAULT. */
int events_new(struct events **events, struct feed *feed, double share,
	       struct fault *fault);

/* Ends the thread, which takes the probes away, and frees all. */
void events_free(struct events *events);

/* Has the thread put PID under probes; its events come with TARGET, below
 * FEED_TARGETS. */
void events_watch(struct events *events, int target, int pid);

/* The oldest event that was not taken yet. False: there is none. */
bool events_take(struct events *events, struct events_row *row);

/* Why TARGET has no events, into WHY of FAULT_TEXT bytes. False: probes are at work. */
bool events_missing(struct events *events, int target, char *why);

/* How many were thrown away since the start because nobody took them in time. */
uint64_t events_lost(struct events *events);

/* Readable when there is something to take. */
int events_fd(const struct events *events);
void events_heard(struct events *events);

#endif
