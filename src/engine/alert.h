/* alert.h: what `fragscope alert` does: what was asked, and where alerts go. */
#ifndef FRAGSCOPE_ALERT_H
#define FRAGSCOPE_ALERT_H

#include "analysis/rule.h"
#include "analysis/watch.h"
#include "engine/frontend.h"
#include "engine/hook.h"
#include "engine/targets.h"
#include "view/alerts.h"

#include <stdbool.h>
#include <stdint.h>

/* The command line. */
struct alert_request {
	const struct frontend *frontend;
	atomic_bool *reload; /* set when rules shall be read again; null: never */
	struct pid_list pids;
	struct name_list names, rules, files;
	bool follow, json, once, to_syslog, quick, events, or_preload, swap_in;
	int64_t budget_ns; /* see source.h */
	const char *replay, *check, *record, *command;
	unsigned source; /* enum sample_source */
	int64_t interval_ns;
	uint64_t count; /* of readings; 0: no end */
};

/* Where alerts go. TEXT is over BUF. */
/* How often a rule fired, and for how long. */
struct alert_tally {
	uint64_t count;
	int64_t held_ns, longest_ns;
};

struct alert_sink {
	const struct alert_request *request;
	struct hook *hook;		     /* null without --exec */
	bool fired;			     /* an alert began */
	int error;			     /* of a write to standard output: -errno */
	struct alert_tally tally[RULES_MAX]; /* by rule */
	struct text text;
	char buf[ALERT_TEXT_BYTES];
};

/* 0, or -errno and FAULT. */
int alert_sink_open(struct alert_sink *sink, const struct alert_request *request,
		    struct fault *fault);

/* Hands ALERT out; the context is the sink. A watch_fn. */
void alert_sink_take(const struct alert *alert, void *context);

/* Whether there is no more to do: --once and an alert began, or nothing can be written.
 */
bool alert_sink_done(const struct alert_sink *sink);

/* Waits for commands that were not started yet. 0, or -errno and FAULT: an alert could
 * not be written. */
int alert_sink_close(struct alert_sink *sink, struct fault *fault);

/* The rules of REQUEST, or the default ones for readings every INTERVAL_NS, into RULES.
 * 0, or -errno and FAULT. */
int alert_rules(const struct alert_request *request, int64_t interval_ns,
		struct rules *rules, struct fault *fault);

/* Adds the rules in FILE. 0, or -errno and FAULT. */
int alert_rules_add_file(struct rules *rules, const char *file, struct fault *fault);

/* Until all targets have ended, the recording has, or an end is asked for. 0 and *STATUS,
 * what to exit with; or -errno and FAULT. */
int alert_run(const struct alert_request *request, int *status, struct fault *fault);

#endif
