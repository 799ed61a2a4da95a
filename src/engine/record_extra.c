#include "engine/record_extra.h"

#include "analysis/watch.h"
#include "base/alloc_touched.h"
#include "engine/headroom_now.h"
#include "engine/tracer.h"
#include "view/alerts.h"
#include "view/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	EVENTS_A_SECOND = 20, /* full ones; the rest is counted */
	STACK_BYTES = 16 << 10,
};

#define READING_NS INT64_C(10000000000)

struct record_extra {
	int pid;
	const struct rules *rules;
	struct watch *watch;   /* null without rules */
	struct tracer *tracer; /* null without events, and once they have ended */
	record_event_fn *fn;
	void *context;
	struct text text;
	char buf[(int)EVENT_TEXT_BYTES > (int)ALERT_TEXT_BYTES ? (int)EVENT_TEXT_BYTES
							       : (int)ALERT_TEXT_BYTES];
};

static const char *line_of(struct record_extra *extra)
{
	size_t length = extra->text.length;

	if (length && extra->buf[length - 1] == '\n')
		extra->buf[length - 1] = '\0';
	return extra->buf;
}

static void take_alert(const struct alert *alert, void *context)
{
	struct record_extra *extra = context;

	text_clear(&extra->text);
	alert_json(&extra->text, alert);
	extra->fn(alert->time_ns, alert->kind == ALERT_BEGIN ? "alert" : "alert_end", 0,
		  line_of(extra), extra->context);
}

static int take_event(struct event *event, void *context)
{
	struct record_extra *extra = context;

	text_clear(&extra->text);
	events_json(&extra->text, event);
	extra->fn(event->time_ns, event_kind_name(event->kind), event->bytes,
		  line_of(extra), extra->context);
	return 0;
}

int record_extra_new(struct record_extra **extra, int pid, const struct rules *rules,
		     bool events, const struct frontend *frontend, record_event_fn *fn,
		     void *context, struct fault *fault)
{
	const struct tracer_options wanted = {
		.events_per_second = EVENTS_A_SECOND,
		.stack_bytes = STACK_BYTES,
		.kinds = (1U << EVENT_KINDS) - 1,
		.reading_ns = READING_NS,
		.frontend = frontend,
	};
	struct record_extra *new = alloc_touched(sizeof(*new));
	int error = new ? 0 : -ENOMEM;

	*extra = NULL;
	if (new) {
		new->pid = pid;
		new->rules = rules;
		new->fn = fn;
		new->context = context;
		text_init(&new->text, new->buf, sizeof(new->buf));
	}
	if (!error && rules)
		error = watch_new(&new->watch, rules);
	if (error)
		fault_set(fault, EXIT_FAILED, error, "out of memory");
	if (!error && events)
		error = tracer_open(&new->tracer, pid, &wanted, fault);
	if (error)
		record_extra_free(new, ALERT_WATCH_ENDED);
	else
		*extra = new;
	return error;
}

void record_extra_sample(struct record_extra *extra, const struct sample *sample)
{
	struct headroom headroom;

	/* The limits are read right after the figures they are compared with. */
	if (extra->watch)
		watch_sample(
			extra->watch, sample,
			headroom_now(extra->pid, extra->rules, &sample->fig, &headroom),
			take_alert, extra);
}

int record_extra_poll(struct record_extra *extra, struct fault *fault)
{
	int result;

	if (!extra->tracer)
		return 0;
	result = tracer_poll(extra->tracer, take_event, extra, fault);
	if (result == TRACER_RUNS)
		return 0;
	tracer_close(extra->tracer);
	extra->tracer = NULL;
	return result == TRACER_ENDED ? 0 : result;
}

void record_extra_free(struct record_extra *extra, enum alert_reason why)
{
	struct probe_counts total;

	if (!extra)
		return;
	if (extra->tracer) {
		tracer_finish(extra->tracer, take_event, extra, &total);
		tracer_close(extra->tracer);
	}
	if (extra->watch)
		watch_end(extra->watch, why, take_alert, extra);
	watch_free(extra->watch);
	free(extra);
}
