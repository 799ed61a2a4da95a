/* watch.h: rules over the samples of one target: which alerts begin and end, and on what
 * evidence. A pure function of the samples and their times: a recording gives what the
 * live readings gave. All memory is taken at the start. */
#ifndef FRAGSCOPE_WATCH_H
#define FRAGSCOPE_WATCH_H

#include "analysis/headroom.h"
#include "analysis/rule.h"
#include "analysis/trend.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* What one term of a rule saw. */
struct evidence {
	const struct term *term;
	double now;
	bool is_last;	    /* NOW is all that is known: the rest means nothing */
	const char *limit;  /* of the nearest limit: which it is; else null */
	double was;	    /* of drops and rises: the extreme in the window */
	int64_t was_ns;	    /* when that was */
	struct trend trend; /* of trends */
	double median;	    /* of trends: what the values were about */
};

enum alert_kind {
	ALERT_BEGIN,
	ALERT_END,
};

enum alert_reason {
	ALERT_HOLDS,	 /* of a begin: the condition holds, and did for long enough */
	ALERT_HOLDS_NOT, /* the condition ceased to hold */
	ALERT_UNTIL,	 /* the rule's until holds */
	ALERT_PROCESS_ENDED,
	ALERT_READINGS_FAILED, /* the process can no longer be read */
	ALERT_WATCH_ENDED,     /* by its user: a signal, the count, the window */
	ALERT_NO_READINGS,     /* of the process in this recording */
	ALERT_RULES,	       /* the rule was changed or taken away */
};

/* SAMPLE is the one that decided; null when there is none. EVIDENCE are the terms that
 * held, of a begin and of ALERT_UNTIL; of other ends all terms of the rule's condition
 * that have a value, with the last one. SINCE_NS is when the alert began. */
struct alert {
	enum alert_kind kind;
	enum alert_reason reason;
	const struct rule *rule;
	unsigned rule_index;
	int64_t time_ns, since_ns;
	int64_t gap_ns; /* of that time, without readings */
	int pid;
	const char *comm;
	const struct origin *origin; /* null: not known */
	const struct sample *sample; /* null: there is none */
	unsigned evidence_count;
	struct evidence evidence[RULE_TERMS];
};

/* What is valid in an alert is valid until the call ends. */
typedef void watch_fn(const struct alert *alert, void *context);

struct watch;

/* Watches by RULES, which must stay. 0 or -ENOMEM. */
int watch_new(struct watch **watch, const struct rules *rules);
void watch_free(struct watch *watch);

/* What the next SAMPLE, and HEADROOM (null: not known) at that time, begins and ends.
 * Another PID than before ends all alerts and starts anew. Allocates nothing. */
void watch_sample(struct watch *watch, const struct sample *sample,
		  const struct headroom *headroom, watch_fn *fn, void *context);

/* The target's readings end for REASON: so do its alerts, at the time of the last
 * reading.
 */
void watch_end(struct watch *watch, enum alert_reason reason, watch_fn *fn,
	       void *context);

/* WATCH goes on where OLD is with each rule that is the same in both; the alerts of the
 * others end. OLD is good for watch_free only after that. */
void watch_adopt(struct watch *watch, struct watch *old, watch_fn *fn, void *context);

/* How many alerts there are now: begun and not ended. */
unsigned watch_active(const struct watch *watch);

#endif
