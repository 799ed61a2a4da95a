/* alert_sink.c: where alerts go: standard output, the system log, a command. */
#include "base/output.h"
#include "engine/alert.h"

#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define FINISH_NS INT64_C(60000000000)

int alert_sink_open(struct alert_sink *sink, const struct alert_request *request,
		    struct fault *fault)
{
	sink->request = request;
	text_init(&sink->text, sink->buf, sizeof(sink->buf));
	if (request->to_syslog)
		openlog("fragscope", LOG_NDELAY | LOG_PID, LOG_DAEMON);
	return request->command
		       ? hook_new(&sink->hook, request->command, request->frontend, fault)
		       : 0;
}

static void to_syslog(struct alert_sink *sink, const struct alert *alert)
{
	static const int priorities[] = {
		[SEVERITY_NOTE] = LOG_NOTICE,
		[SEVERITY_WARNING] = LOG_WARNING,
		[SEVERITY_CRITICAL] = LOG_CRIT,
	};

	text_clear(&sink->text);
	text_printable(&sink->text, alert->comm, SIZE_MAX);
	text_char(&sink->text, '[');
	text_i64(&sink->text, alert->pid);
	text_string(&sink->text, "] ");
	text_string(&sink->text, alert->rule->name);
	text_string(&sink->text, ": ");
	alert_sentence(&sink->text, alert);
	syslog(priorities[alert->rule->severity], "alert %s: %s",
	       alert_kind_name(alert->kind), sink->buf);
}

static void to_output(struct alert_sink *sink, const struct alert *alert)
{
	text_clear(&sink->text);
	if (sink->request->json)
		alert_json(&sink->text, alert);
	else
		alert_text(&sink->text, alert);
	sink->error = output_write(STDOUT_FILENO, sink->buf, sink->text.length);
}

static void count(struct alert_tally *tally, const struct alert *alert)
{
	int64_t held_ns = alert->time_ns - alert->since_ns;

	tally->count += alert->kind == ALERT_BEGIN;
	if (alert->kind == ALERT_BEGIN || held_ns <= 0)
		return;
	tally->held_ns += held_ns;
	if (held_ns > tally->longest_ns)
		tally->longest_ns = held_ns;
}

void alert_sink_take(const struct alert *alert, void *context)
{
	struct alert_sink *sink = context;

	/* What begins in the same reading as the first is told by none. */
	if (alert_sink_done(sink))
		return;
	to_output(sink, alert);
	count(&sink->tally[alert->rule_index], alert);
	sink->fired |= alert->kind == ALERT_BEGIN;
	if (sink->request->to_syslog)
		to_syslog(sink, alert);
	if (!sink->hook)
		return;
	text_clear(&sink->text);
	alert_json(&sink->text, alert);
	hook_add(sink->hook, alert, sink->buf);
}

bool alert_sink_done(const struct alert_sink *sink)
{
	return sink->error || (sink->fired && sink->request->once);
}

int alert_sink_close(struct alert_sink *sink, struct fault *fault)
{
	if (sink->hook)
		hook_finish(sink->hook, FINISH_NS);
	if (sink->request->to_syslog)
		closelog();
	if (!sink->error)
		return 0;
	return fault_set(fault, EXIT_FAILED, sink->error,
			 "cannot write alerts to standard output: %s",
			 strerror(-sink->error));
}
