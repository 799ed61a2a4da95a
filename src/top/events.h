/* events.h: the events of the targets of `top`, read from the probes in a thread of
 * its own: following a stack takes memory and time, which the screen must not wait for.
 */
#ifndef FRAGSCOPE_TOP_EVENTS_H
#define FRAGSCOPE_TOP_EVENTS_H

#include "base/fault.h"
#include "top/event_row.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
bool events_take(struct events *events, struct event_row *row);

/* Why TARGET has no events, into WHY of FAULT_TEXT bytes. False: probes are at work. */
bool events_missing(struct events *events, int target, char *why);

/* Readable when there is something to take. */
int events_fd(const struct events *events);
void events_heard(struct events *events);

#endif
