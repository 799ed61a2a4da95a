/* clock.h: instants in nanoseconds, how they are written, and waiting for one. */
#ifndef FRAGSCOPE_CLOCK_H
#define FRAGSCOPE_CLOCK_H

#include "base/text.h"

#include <signal.h>
#include <stdint.h>

int64_t clock_realtime_ns(void);
int64_t clock_monotonic_ns(void);
int64_t clock_boottime_ns(void);

/* Processor time of the calling thread, and of all threads of this process. */
int64_t clock_thread_ns(void);
int64_t clock_process_ns(void);

/* Of its children that have ended and were waited for. */
int64_t clock_children_ns(void);

/* An instant of CLOCK_REALTIME as RFC 3339 in UTC with milliseconds, cut and not rounded:
 * "2026-11-21T05:17:43.123Z". Years 0 to 9999. */
void clock_rfc3339(struct text *text, int64_t realtime_ns);

/* The same instant as the local "HH:MM:SS". */
void clock_local(struct text *text, int64_t realtime_ns);

/* The same with the date before it: "YYYY-MM-DD HH:MM:SS". */
void clock_local_date(struct text *text, int64_t realtime_ns);

/* Waits until MONOTONIC_NS; at once when it is past. MASK, when it is not null, is the
 * signal mask while waiting: a caller that keeps a signal blocked otherwise cannot lose
 * one that comes just before the wait. 0, or -EINTR after a signal's handler ran. */
int clock_wait_until(int64_t monotonic_ns, const sigset_t *mask);

#endif
