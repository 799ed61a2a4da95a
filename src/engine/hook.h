/* hook.h: runs a command for each alert, within bounds: so many at a time, so many a
 * minute, never two of one rule, none for longer than a minute. */
#ifndef FRAGSCOPE_HOOK_H
#define FRAGSCOPE_HOOK_H

#include "analysis/watch.h"
#include "base/fault.h"
#include "engine/frontend.h"

#include <stdbool.h>
#include <stdint.h>

struct hook;

/* COMMAND is for /bin/sh; both stay the caller's. Takes all memory that will be needed.
 * 0, or -errno and FAULT. */
int hook_new(struct hook **hook, const char *command, const struct frontend *frontend,
	     struct fault *fault);

/* Queues a run for ALERT with JSON as its input. What does not fit is told and left
 * out. */
void hook_add(struct hook *hook, const struct alert *alert, const char *json);

/* Reaps what ended, stops what takes too long, starts what may start at NOW_NS of a clock
 * that only goes on (clock_monotonic_ns). */
void hook_poll(struct hook *hook, int64_t now_ns);

/* Whether something runs or waits. */
bool hook_busy(const struct hook *hook);

/* Tends by clock_monotonic_ns until nothing waits or runs any more, for WAIT_NS at most,
 * and frees HOOK; commands that still run then go on by themselves. */
void hook_finish(struct hook *hook, int64_t wait_ns);

#endif
