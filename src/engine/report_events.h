/* report_events.h: who made the heap grow while a report watched: by probes, or as far as
 * the rows of a recording count it. */
#ifndef FRAGSCOPE_REPORT_EVENTS_H
#define FRAGSCOPE_REPORT_EVENTS_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/tracer.h"
#include "view/report.h"

#include <stdbool.h>
#include <stdint.h>

enum { REPORT_STACKS = 5 };

/* Zero before the first. MISSING says why nothing is known of events; empty: it is. */
struct report_events {
	struct tracer *tracer; /* null: no probes */
	struct fold *fold;
	struct probe_counts total;
	uint64_t events;
	bool has_counts; /* rows counted events */
	char missing[FAULT_TEXT];
	struct fold_row row[REPORT_STACKS];
};

/* Puts probes on the process PID. Where that cannot be, MISSING says so. 0, or -ENOMEM
 * and FAULT. */
int report_events_open(struct report_events *events, int pid,
		       const struct frontend *frontend, struct fault *fault);

/* Takes what the probes have, so that their buffers do not fill. */
void report_events_poll(struct report_events *events);

/* Adds what a row with FIG counted since the row before. */
void report_events_count(struct report_events *events, const struct figures *fig);

/* Takes the probes away, and fills in REPORT's part. */
void report_events_fill(struct report_events *events, struct report *report);

void report_events_close(struct report_events *events);

#endif
