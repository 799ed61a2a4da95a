/* probe.h: eBPF probes on one process's heap: growth, failures and thresholds, counted in
 * the kernel and reported with registers and stack. Attaching changes nothing in the
 * process; whatever ends this one, the kernel takes its probes away. */
#ifndef FRAGSCOPE_PROBE_H
#define FRAGSCOPE_PROBE_H

#include "bpf/probe.h"

#include "base/fault.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

struct probe_options {
	uint64_t events_per_second; /* full ones; beyond that they are counted only */
	uint32_t stack_bytes;	    /* of the stack's top; whole pages */
	uint32_t kinds; /* bits of enum probe_kind: what is sent; 0: counts only */
};

struct probe;

/* Called for each full event; STACK has the options' stack_bytes. Both are only valid
 * during the call. */
typedef void probe_fn(const struct probe_event *event, const uint8_t *stack,
		      void *context);

/* Loads the probes for PROCESS, which must stay open, and attaches them. Takes all memory
 * that is ever needed. 0, or -errno and FAULT: what is missing, and the cure. */
int probe_open(struct probe **probe, const struct process *process,
	       const struct probe_options *options, struct fault *fault);
void probe_close(struct probe *probe);

/* Hands every full event that has come since to FN. 0 or -errno. */
int probe_poll(struct probe *probe, probe_fn *fn, void *context);

/* What was seen since the start, over all CPUs. 0 or -errno. */
int probe_total(struct probe *probe, struct probe_counts *total);

/* Whether the probes stopped by themselves; then they are detached, the totals stay. */
enum probe_stop probe_stopped(struct probe *probe);

/* Detaches the probes: the totals do not move any more. */
void probe_detach(struct probe *probe);

/* Whether calls of mmap by the program itself are distinguished from malloc's. */
bool probe_knows_callers(const struct probe *probe);

#endif
