#include "engine/report_events.h"

#include <errno.h>
#include <stdio.h>

enum {
	STACKS = 1024,
	STACK_BYTES = 16384,
	EVENTS_PER_SECOND = 100, /* as 'trace --fold' */
};

int report_events_open(struct report_events *events, int pid,
		       const struct frontend *frontend, struct fault *fault)
{
	const struct tracer_options wanted = {
		.events_per_second = EVENTS_PER_SECOND,
		.stack_bytes = STACK_BYTES,
		.kinds = (1U << EVENT_KILL) - 1,
		.frontend = frontend,
	};
	struct fault why;

	if (fold_new(&events->fold, STACKS))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	if (tracer_open(&events->tracer, pid, &wanted, &why)) {
		events->tracer = NULL;
		snprintf(events->missing, sizeof(events->missing), "%s", why.text);
	}
	return 0;
}

static int take_event(struct event *event, void *context)
{
	struct report_events *events = context;

	events->events++;
	fold_add(events->fold, event);
	return 0;
}

/* The probes may end before the process does: the report says so. */
void report_events_poll(struct report_events *events)
{
	struct fault why = {0};
	int result;

	if (!events->tracer || events->missing[0])
		return;
	result = tracer_poll(events->tracer, take_event, events, &why);
	if (result < 0 || (result == TRACER_ENDED && why.status != EXIT_DONE))
		snprintf(events->missing, sizeof(events->missing), "%s", why.text);
}

void report_events_count(struct report_events *events, const struct figures *fig)
{
	struct probe_counts *total = &events->total;

	if (!figure_has(fig, FIG_GROWTH_EVENTS) || !figure_has(fig, FIG_GROWTH_BYTES) ||
	    !figure_has(fig, FIG_FAILED_ALLOCATIONS))
		return;
	events->has_counts = true;
	total->events[0] += fig->v[FIG_GROWTH_EVENTS].u;
	total->bytes[0] += fig->v[FIG_GROWTH_BYTES].u;
	total->events[PROBE_FAILURE] += fig->v[FIG_FAILED_ALLOCATIONS].u;
}

static uint64_t sum(const uint64_t *values, unsigned from, unsigned to)
{
	uint64_t all = 0;

	for (unsigned i = from; i < to; i++)
		all += values[i];
	return all;
}

void report_events_fill(struct report_events *events, struct report *report)
{
	struct report_growth *growth = &report->growth;
	const struct probe_counts *total = &events->total;

	if (events->tracer &&
	    tracer_finish(events->tracer, take_event, events, &events->total) &&
	    !events->missing[0])
		snprintf(events->missing, sizeof(events->missing),
			 "the probes' counts could not be read");
	report->cost.events = events->events;
	if (events->missing[0]) {
		growth->missing = events->missing;
		return;
	}
	growth->growths = sum(total->events, 0, PROBE_FAILURE);
	growth->bytes = sum(total->bytes, 0, PROBE_FAILURE);
	growth->failures = total->events[PROBE_FAILURE];
	growth->skipped = total->skipped;
	if (!events->fold)
		return;
	fold_add_unseen(events->fold, growth->growths, growth->bytes, growth->failures);
	growth->row = events->row;
	growth->rows = fold_best(events->fold, events->row, REPORT_STACKS);
}

void report_events_close(struct report_events *events)
{
	if (events->tracer)
		tracer_close(events->tracer);
	fold_free(events->fold);
}
