/* alert_sink.c: where alerts go: standard output, the system log, a command. */
#include "base/output.h"
#include "engine/alert.h"

#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define FINISH_NS INT64_C(60000000000)

int teller_open(struct teller *teller, const struct alert_request *request,
		struct fault *fault)
{
	teller->request = request;
	text_init(&teller->text, teller->buf, sizeof(teller->buf));
	if (request->to_syslog)
		openlog("fragscope", LOG_NDELAY | LOG_PID, LOG_DAEMON);
	return request->command ? hook_new(&teller->hook, request->command,
					   request->frontend, fault)
				: 0;
}

static void to_syslog(struct teller *teller, const struct alert *alert)
{
	static const int priorities[] = {
		[SEVERITY_NOTE] = LOG_NOTICE,
		[SEVERITY_WARNING] = LOG_WARNING,
		[SEVERITY_CRITICAL] = LOG_CRIT,
	};

	text_clear(&teller->text);
	text_printable(&teller->text, alert->comm, SIZE_MAX);
	text_char(&teller->text, '[');
	text_i64(&teller->text, alert->pid);
	text_string(&teller->text, "] ");
	text_string(&teller->text, alert->rule->name);
	text_string(&teller->text, ": ");
	alert_sentence(&teller->text, alert);
	syslog(priorities[alert->rule->severity], "alert %s: %s",
	       alert_kind_name(alert->kind), teller->buf);
}

static void to_output(struct teller *teller, const struct alert *alert)
{
	text_clear(&teller->text);
	if (teller->request->json)
		alert_json(&teller->text, alert);
	else
		alert_text(&teller->text, alert);
	teller->error = output_write(STDOUT_FILENO, teller->buf, teller->text.length);
}

void teller_alert(const struct alert *alert, void *context)
{
	struct teller *teller = context;

	/* What begins in the same reading as the first is told by none. */
	if (teller_done(teller))
		return;
	to_output(teller, alert);
	teller->fired |= alert->kind == ALERT_BEGIN;
	if (teller->request->to_syslog)
		to_syslog(teller, alert);
	if (!teller->hook)
		return;
	text_clear(&teller->text);
	alert_json(&teller->text, alert);
	hook_add(teller->hook, alert, teller->buf);
}

bool teller_done(const struct teller *teller)
{
	return teller->error || (teller->fired && teller->request->once);
}

int teller_close(struct teller *teller, struct fault *fault)
{
	if (teller->hook)
		hook_finish(teller->hook, FINISH_NS);
	if (teller->request->to_syslog)
		closelog();
	if (!teller->error)
		return 0;
	return fault_set(fault, EXIT_FAILED, teller->error,
			 "cannot write alerts to standard output: %s",
			 strerror(-teller->error));
}
