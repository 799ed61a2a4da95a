/* tracer.h: one process under the probes: its events with stack, request, cause, and what
 * the last full reading of its heap said. */
#ifndef FRAGSCOPE_TRACER_H
#define FRAGSCOPE_TRACER_H

#include "base/fault.h"
#include "bpf/probe.h"
#include "engine/frontend.h"
#include "sample/bursts.h"
#include "sample/event.h"

#include <stdbool.h>
#include <stdint.h>

struct tracer_options {
	uint64_t events_per_second; /* full ones */
	uint64_t stack_bytes;
	uint32_t kinds;	    /* bits of enum event_kind: what is handed over */
	int64_t reading_ns; /* between two full readings of the heap; 0: none */
	bool bursts;	    /* count the calls of malloc in short bursts */
	bool latency;	    /* and time them */
	const struct frontend *frontend; /* null: nobody */
};

enum {
	TRACER_RUNS = 0,
	TRACER_ENDED = 1, /* nothing more comes; the fault's text says why */
};

struct tracer;

/* Called for each full event. 0, or -errno to end the poll. */
typedef int tracer_fn(struct event *event, void *context);

/* Puts the process PID under probes. One that has called malloc never before has a heap
 * to read when it does: see tracer_waits. 0, or -errno and FAULT. */
int tracer_open(struct tracer **tracer, int pid, const struct tracer_options *options,
		struct fault *fault);
void tracer_close(struct tracer *tracer);

/* Hands the events since the last call to FN. TRACER_RUNS, TRACER_ENDED with FAULT, or
 * -errno: FN's own, or with FAULT. */
int tracer_poll(struct tracer *tracer, tracer_fn *fn, void *context, struct fault *fault);

/* Takes the probes away, hands what they still held to FN, and fills TOTAL with what was
 * seen since the start. 0 or -errno; FN's own too. */
int tracer_finish(struct tracer *tracer, tracer_fn *fn, void *context,
		  struct probe_counts *total);

/* What the bursts counted since the start; COMM is TRACER's. 0, -ENODATA without bursts,
 * or -errno. */
int tracer_bursts(const struct tracer *tracer, struct bursts *bursts);

/* What the bursts cost, as a line; null without bursts. Owned by TRACER. */
const char *tracer_price(const struct tracer *tracer);

/* That the heap is waited for, and its readings with it, as a line; null: it is there, or
 * is not to be read. Owned by TRACER. */
const char *tracer_waits(const struct tracer *tracer);

/* Whether KILL is of the process, or of one in the same memory cgroup. */
bool tracer_concerns(const struct tracer *tracer, const struct kill_event *kill);

/* If EVENT is of the process: adds what its last full reading said. */
void tracer_add_reading(const struct tracer *tracer, struct event *event);

/* A line about the process and the probes. Owned by TRACER. */
const char *tracer_describe(const struct tracer *tracer);

#endif
