/* burst.h: short bursts of a probe on the target's malloc: in each, every call is counted
 * by size and, if asked for, by how long it took. Between bursts nothing is attached. A
 * burst costs each call a trap: what that is here is measured on a child of our own
 * before the target is touched. Whatever ends this process, the kernel takes the probe
 * away. */
#ifndef FRAGSCOPE_BURST_H
#define FRAGSCOPE_BURST_H

#include "base/fault.h"
#include "sample/bursts.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

#define BURST_PERIOD_NS INT64_C(5000000000)
#define BURST_LENGTH_NS INT64_C(20000000)

struct burst_options {
	bool latency;	   /* costs another trap a call, at its return */
	int64_t period_ns; /* from one burst's start to the next's */
	int64_t length_ns;
};

struct burst;

/* What the probe costs here: measured for the kind of instruction that the target's
 * malloc is probed at. */
struct burst_price {
	double hit_ns; /* a call, while a burst lasts */
	uint64_t
		effective_ns; /* for how long calls pay it, removing the probe included */
	uint64_t pause_ns;    /* for which a thread stands still as the probe comes and
				 goes, both together */
	uint64_t worst_pause_ns; /* the longest that was seen */
};

/* Checks what is needed, measures (some 0.4 s; longer on a busy machine), and loads the
 * probe for PROCESS, which must stay open; does not attach it. Takes all memory that is
 * ever needed. 0, or -errno and FAULT: what is missing, and the cure. */
int burst_open(struct burst **burst, const struct process *process,
	       const struct burst_options *options, struct fault *fault);
void burst_close(struct burst *burst);

const struct burst_price *burst_price(const struct burst *burst);

/* The share of its time, on average, that bursts take from a program which calls malloc
 * CALLS_PER_SECOND times a second. */
double burst_slowdown(const struct burst *burst, double calls_per_second);

/* The price as a line for the user. Owned by BURST. */
const char *burst_describe(const struct burst *burst);

/* The instant of CLOCK_MONOTONIC at which the next burst is due. */
int64_t burst_due_ns(const struct burst *burst);

/* Runs a burst if one is due at NOW_NS: blocks for its length and what detaching takes,
 * some 20 to 60 ms more. Else returns at once. Bursts that were missed are not made up
 * for. 0; -ESRCH and FAULT when the process has ended or executed another program (the
 * sums stay); -errno and FAULT. */
int burst_tick(struct burst *burst, int64_t now_ns, struct fault *fault);

/* The sums since the start. 0 or -errno. */
int burst_total(struct burst *burst, struct bursts *total);

#endif
