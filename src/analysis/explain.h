/* explain.h: what the probes saw, as an event: the request behind a growth, the arena,
 * the limit that a failure met. Pure functions: nothing is read here. */
#ifndef FRAGSCOPE_EXPLAIN_H
#define FRAGSCOPE_EXPLAIN_H

#include "bpf/probe.h"

#include "sample/bounds.h"
#include "sample/event.h"

/* Fills EVENT but for its reading and its stack. CLOCK_OFFSET_NS is CLOCK_REALTIME minus
 * CLOCK_MONOTONIC; LIMITS are the host's, as they are just after RAW. */
void explain_event(const struct probe_event *raw, const struct limits *limits,
		   int64_t clock_offset_ns, struct event *event);

/* The same for a process that the kernel killed. */
void explain_kill(const struct kill_event *raw, int64_t clock_offset_ns,
		  struct event *event);

#endif
