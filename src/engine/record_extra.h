/* record_extra.h: what `record` keeps beside samples: alerts by rules, and growths,
 * failures and kills with their stacks. */
#ifndef FRAGSCOPE_RECORD_EXTRA_H
#define FRAGSCOPE_RECORD_EXTRA_H

#include "analysis/rule.h"
#include "analysis/watch.h"
#include "base/fault.h"
#include "engine/frontend.h"
#include "sample/sample.h"

#include <stdint.h>

/* Where it goes: one event of the process that the extra is of, as a line of JSON. */
typedef void record_event_fn(int64_t time_ns, const char *kind, uint64_t bytes,
			     const char *json, void *context);

struct record_extra;

/* Of process PID. RULES, which must stay, or null; with EVENTS it is put under probes.
 * Memory for alerts is taken here; following a stack takes more. 0, or -errno and
 * FAULT. */
int record_extra_new(struct record_extra **extra, int pid, const struct rules *rules,
		     bool events, const struct frontend *frontend, record_event_fn *fn,
		     void *context, struct fault *fault);

/* Judges SAMPLE by the rules. */
void record_extra_sample(struct record_extra *extra, const struct sample *sample);

/* Takes the events since the last call. 0; or -errno and FAULT: there will be no more of
 * them. */
int record_extra_poll(struct record_extra *extra, struct fault *fault);

/* Alerts end, for the reason WHY; probes go. */
void record_extra_free(struct record_extra *extra, enum alert_reason why);

#endif
