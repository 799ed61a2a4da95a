/* alert.h: the parts of `fragscope alert`: what was asked, where alerts go, and the two
 * ways to see samples: live, and in a recording. */
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
	const char *replay, *check, *record, *command;
	unsigned source; /* enum sample_source */
	int64_t interval_ns;
	uint64_t count; /* of readings; 0: no end */
};

/* Where alerts go. TEXT is over BUF. */
struct teller {
	const struct alert_request *request;
	struct hook *hook; /* null without --exec */
	bool fired;	   /* an alert began */
	int error;	   /* of a write to standard output: -errno */
	struct text text;
	char buf[ALERT_TEXT_BYTES];
};

/* 0, or -errno and FAULT. */
int teller_open(struct teller *teller, const struct alert_request *request,
		struct fault *fault);

/* Tells ALERT; the context is the teller. A watch_fn. */
void teller_alert(const struct alert *alert, void *context);

/* Whether there is no more to do: --once and an alert began, or nothing can be written.
 */
bool teller_done(const struct teller *teller);

/* Waits for commands that were not started yet. 0, or -errno and FAULT: an alert could
 * not be written. */
int teller_close(struct teller *teller, struct fault *fault);

/* The rules of REQUEST, or the default ones for readings every INTERVAL_NS, into RULES.
 * 0, or -errno and FAULT. */
int alert_rules(const struct alert_request *request, int64_t interval_ns,
		struct rules *rules, struct fault *fault);

/* Both return 0, or -errno and FAULT; *STATUS is then what to exit with. */
int alert_live(const struct alert_request *request, int *status, struct fault *fault);
int alert_replay(const struct alert_request *request, int *status, struct fault *fault);

#endif
