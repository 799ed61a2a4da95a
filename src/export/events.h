/* events.h: counts growths, failed allocations and kills of the population by eBPF
 * probes, a group at a time. One thread steps; what is counted is read under the
 * population's lock. */
#ifndef FRAGSCOPE_EXPORT_EVENTS_H
#define FRAGSCOPE_EXPORT_EVENTS_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "export/population.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many processes can be under probes at a time, the largest. */
enum { EXPORT_PROBED_MAX = 32 };

/* Since the group was first seen. */
struct event_counts {
	uint64_t growths, growth_bytes, failures, kills;
};

struct export_events;

/* Attaches the probe for kills. SHARE of one processor is for the whole exporter. 0, or
 * -errno and FAULT: probes cannot be used, and why. */
int export_events_new(struct export_events **events, struct population *population,
		      double share, const struct frontend *frontend, struct fault *fault);
void export_events_free(struct export_events *events);

/* Of what may be spent, the part for putting processes under probes and for taking them
 * off, and the part for reading what the probes counted. Those that are there at the
 * start are free, as many as there are places. */
#define EXPORT_PROBING_SHARE  0.25
#define EXPORT_COUNTING_SHARE 0.125

/* Processor time that these have taken. */
int64_t export_events_probing_ns(const struct export_events *events);
int64_t export_events_counting_ns(const struct export_events *events);

/* Each second: takes what was counted since, as often as its part allows, and puts
 * processes under probes that are not yet. */
void export_events_step(struct export_events *events);

/* Population is locked. Null: nothing is counted of that group. */
const struct event_counts *export_events_of(const struct export_events *events,
					    enum group_kind kind, const char *name);

/* Processes that are under probes now. Population is locked. */
size_t export_events_probed(const struct export_events *events);

#endif
