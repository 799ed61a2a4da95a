#include "top/targets.h"

#include "analysis/watch.h"
#include "base/alloc_touched.h"
#include "tui/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the whole samples of all targets. */
#define HISTORY_BYTES	((size_t)5 << 20)
#define HISTORY_LEAST	((size_t)2 << 20)
#define HISTORY_MOST	((size_t)1 << 30)
#define HISTORY_KEPT_NS INT64_C(172800000000000)

/* A process with thousands of arenas needs more than its share, and gets it. */
static int take_history(const struct targets *targets, struct history **history,
			unsigned arenas)
{
	size_t asked = targets->expected, there = targets->count + 1;
	size_t share = HISTORY_BYTES / (asked > there ? asked : there);
	struct history_options wanted = {
		.budget_bytes = share > HISTORY_LEAST ? share : HISTORY_LEAST,
		.arenas = arenas,
		.bins = true,
		.keep_ns = HISTORY_KEPT_NS,
		.tracked = screen_shows,
		.spans = targets->spans,
	};
	int error = history_new(history, &wanted);

	while (error == -ENOSPC && wanted.budget_bytes < HISTORY_MOST) {
		wanted.budget_bytes *= 2;
		error = history_new(history, &wanted);
	}
	return error;
}

static void free_target(struct top_target *target)
{
	history_free(target->history);
	trend_store_free(target->limits);
	watch_free(target->watch);
	free(target->event);
	*target = (struct top_target){0};
}

int targets_add(struct targets *targets, unsigned index, int pid, const char *comm,
		unsigned arenas, bool live)
{
	struct top_target *target = &targets->target[index];

	free_target(target);
	target->pid = pid;
	target->arenas = arenas;
	snprintf(target->comm, sizeof(target->comm), "%s", comm);
	target->event = alloc_touched(TARGET_EVENTS * sizeof(*target->event));
	if (!target->event || take_history(targets, &target->history, arenas) ||
	    watch_new(&target->watch, &targets->rules) ||
	    (live && trend_store_new_limits(&target->limits))) {
		free_target(target);
		return -ENOMEM;
	}
	if (index == targets->count)
		targets->count++;
	return 0;
}

void targets_close(struct targets *targets)
{
	for (unsigned i = 0; i < targets->count; i++)
		free_target(&targets->target[i]);
	targets->count = 0;
}

int target_renew(struct targets *targets, struct top_target *target, bool keeps_events)
{
	struct history *history = NULL;
	struct watch *watch = NULL;

	if (take_history(targets, &history, target->arenas) ||
	    (!keeps_events && watch_new(&watch, &targets->rules))) {
		history_free(history);
		return -ENOMEM;
	}
	history_free(target->history);
	target->history = history;
	if (!keeps_events) {
		watch_free(target->watch);
		target->watch = watch;
		target->event_first = target->event_count = 0;
	}
	for (size_t i = target->event_count; i-- > 0;) {
		const struct event_row *row = target_event(target, i);

		history_mark(history, row->time_ns, row->mark, row->bytes);
	}
	return 0;
}

struct top_target *targets_shown(struct targets *targets)
{
	return targets->count ? &targets->target[targets->shown] : NULL;
}

/* ---- events ---- */

void target_keep_event(struct top_target *target, const struct event_row *row)
{
	if (target->event_count == TARGET_EVENTS) {
		target->event_first = (target->event_first + 1) % TARGET_EVENTS;
		target->event_count--;
	}
	target->event[(target->event_first + target->event_count++) % TARGET_EVENTS] =
		*row;
	history_mark(target->history, row->time_ns, row->mark, row->bytes);
}

const struct event_row *target_event(const struct top_target *target, size_t i)
{
	size_t newest = target->event_first + target->event_count - 1;

	return &target->event[(newest - i) % TARGET_EVENTS];
}

uint64_t target_failures(const struct top_target *target, int64_t until_ns)
{
	uint64_t count = 0;

	for (size_t i = 0; i < target->event_count; i++) {
		const struct event_row *row = target_event(target, i);

		count += row->mark == MARK_FAILURE && row->time_ns <= until_ns;
	}
	return count;
}

static void on_alert(const struct alert *alert, void *context)
{
	struct event_row row;

	event_row_of_alert(alert, &row);
	target_keep_event(context, &row);
}

/* ---- readings ---- */

void target_keep(struct top_target *target, const struct sample *sample,
		 const struct bounds *bounds)
{
	memcpy(target->comm, sample->comm, sizeof(target->comm));
	/* What is too large to be kept whole is kept as figures. */
	(void)history_add(target->history, sample);
	target->has_room = bounds != NULL;
	if (bounds) {
		headroom_of(bounds, &sample->fig, &target->headroom);
		trend_store_add(target->limits, sample, &target->headroom);
	}
	/* No default rule is about a limit: no room is needed. */
	watch_sample(target->watch, sample, NULL, on_alert, target);
}

void target_end_alerts(struct top_target *target)
{
	watch_end(target->watch, ALERT_NO_READINGS, on_alert, target);
}

void target_end(struct top_target *target, const char *why)
{
	if (target->over)
		return;
	target->over = true;
	snprintf(target->why_over, sizeof(target->why_over), "%s", why);
	target_end_alerts(target);
}
