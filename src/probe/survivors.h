/* survivors.h: short bursts of probes on the returns of one process's malloc and on its
 * free: a random share of the calls is sampled with address, size and stack, and which of
 * those addresses are freed or handed out again later. Between bursts nothing is
 * attached. A burst ends when its calls have cost what they may: what one costs is
 * measured on a child of our own before the target is touched. */
#ifndef FRAGSCOPE_SURVIVORS_H
#define FRAGSCOPE_SURVIVORS_H

#include "bpf/survivors.h"

#include "base/fault.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

struct survivors_options {
	double share;	      /* of its time that the process may lose */
	int64_t period_ns;    /* from one burst's start to the next's; longer where SHARE
				 demands it */
	uint32_t stack_bytes; /* of the stack's top; whole pages */
	uint32_t followed;    /* chunks that are followed at a time */
};

enum { SURVIVORS_SAMPLES = 256 }; /* of a burst, at most, on average */

struct survivors;

/* What a burst reports; EVENT and STACK are valid during the call only. */
struct survivors_listener {
	void (*chosen)(const struct survivor_event *event, const uint8_t *stack,
		       void *context);
	/* CHUNK, which was followed, is freed; else it was, and is handed out again. */
	void (*ended)(uint64_t chunk, bool is_free, void *context);
	void *context;
};

/* One burst. */
struct survivors_watch {
	int64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t watched_ns;
	uint64_t calls;
	uint64_t sent; /* to the listener: each stands for CALLS / SENT */
	uint64_t lost;
	/* It lasted much longer than it may: the machine did not run meanwhile, so that
	 * calls and time do not belong together. */
	bool stood_still;
};

/* Checks what is needed, measures (some 0.4 s; longer on a busy machine), and loads the
 * probe for PROCESS, which must stay open; does not attach it. Takes all memory that is
 * ever needed. 0, or -errno and FAULT: what is missing, and the cure. */
int survivors_open(struct survivors **survivors, const struct process *process,
		   const struct survivors_options *options, struct fault *fault);
void survivors_close(struct survivors *survivors);

/* The price as a line for the user. Owned by SURVIVORS. */
const char *survivors_describe(const struct survivors *survivors);
int64_t survivors_period_ns(const struct survivors *survivors);

/* Whether free can be probed at a price that the share bears. */
bool survivors_watches_free(const struct survivors *survivors);

/* A burst that samples some SAMPLES calls, each of which is followed from then on until
 * it ends. 0; -ESRCH and FAULT when the process has ended or executed
 * another program; -errno and FAULT. */
int survivors_burst(struct survivors *survivors, unsigned samples,
		    const struct survivors_listener *listener,
		    struct survivors_watch *watch, struct fault *fault);

/* The instant of CLOCK_MONOTONIC until which the bursts so far have used up the share:
 * the next is not to come before. On a busy machine a burst ends late. */
int64_t survivors_due_ns(const struct survivors *survivors);

/* CHUNK is not to be followed any longer. */
void survivors_forget(struct survivors *survivors, uint64_t chunk);

/* How many times as many calls the process would have made in the bursts' time without
 * the probe, 1 at least: by what the probe takes of its threads' time, as if they all
 * allocated alike. */
double survivors_dilation(const struct survivors *survivors);

#endif
