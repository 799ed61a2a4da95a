/* targets.c: the processes that `top` watches, and what came of them so far. */
#include "analysis/course.h"
#include "analysis/watch.h"
#include "base/clock.h"
#include "base/take.h"
#include "base/text.h"
#include "target/process.h"
#include "top/top.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the whole samples of all targets. */
#define HISTORY_BYTES	((size_t)8 << 20)
#define HISTORY_LEAST	((size_t)2 << 20)
#define HISTORY_MOST	((size_t)1 << 30)
#define HISTORY_KEPT_NS INT64_C(172800000000000)

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* A process with thousands of arenas needs more than its share, and gets it. */
static int take_history(struct top *top, struct top_target *target)
{
	size_t asked = top->options->targets, there = top->target_count + 1;
	size_t share = HISTORY_BYTES / (asked > there ? asked : there);
	struct history_options wanted = {
		.budget_bytes = share > HISTORY_LEAST ? share : HISTORY_LEAST,
		.arenas = target->arenas,
		.bins = true,
		.keep_ns = HISTORY_KEPT_NS,
		.tracked = screen_tells,
	};
	int error = history_new(&target->history, &wanted);

	while (error == -ENOSPC && wanted.budget_bytes < HISTORY_MOST) {
		wanted.budget_bytes *= 2;
		error = history_new(&target->history, &wanted);
	}
	return error;
}

static int take_order(struct top *top, unsigned arenas)
{
	unsigned *order;

	if (arenas <= top->order_capacity)
		return 0;
	order = take(arenas * sizeof(*order));
	if (!order)
		return -ENOMEM;
	free(top->order);
	top->order = order;
	top->order_capacity = arenas;
	return 0;
}

static void free_target(struct top_target *target)
{
	history_free(target->history);
	course_free(target->limits);
	watch_free(target->watch);
	free(target->event);
	*target = (struct top_target){0};
}

/* All that a target needs later is taken here. */
int top_add(struct top *top, int pid, const char *comm, unsigned arenas,
	    struct fault *fault)
{
	struct top_target *target = &top->target[top->target_count];

	target->pid = pid;
	target->arenas = arenas;
	snprintf(target->comm, sizeof(target->comm), "%s", comm);
	target->event = take(TOP_EVENTS * sizeof(*target->event));
	if (!top->event_row)
		top->event_row = take(TOP_EVENTS * sizeof(*top->event_row));
	if (!target->event || !top->event_row || take_history(top, target) ||
	    take_order(top, arenas) || watch_new(&target->watch, &top->rules) ||
	    (!top->replay && course_new_limits(&target->limits))) {
		free_target(target);
		return out_of_memory(fault);
	}
	top->target_count++;
	top->dirty = true;
	return 0;
}

int top_attach(struct top *top, int pid, struct fault *fault)
{
	int64_t cpu_ns = clock_thread_ns();
	char comm[SAMPLE_TEXT];
	int index = feed_attach(top->feed, pid, fault), error;

	if (index < 0)
		return index;
	process_line(pid, "comm", comm, sizeof(comm));
	if (top->events)
		events_watch(top->events, index, pid);
	error = top_add(top, pid, comm, feed_arenas(top->feed, index), fault);
	feed_excuse(top->feed, clock_thread_ns() - cpu_ns);
	return error;
}

void top_free_targets(struct top *top)
{
	for (unsigned i = 0; i < top->target_count; i++)
		free_target(&top->target[i]);
	free(top->order);
	free(top->event_row);
}

struct top_target *top_shown(struct top *top)
{
	return top->target_count ? &top->target[top->shown] : NULL;
}

void top_show_target(struct top *top, unsigned index)
{
	if (index == top->shown)
		return;
	top->shown = index;
	top->event_selected = top->verdict_selected = 0;
	top->map.from = top->map.to = top->map.cursor_addr = 0;
}

const struct sample *top_sample(struct top *top)
{
	const struct top_target *target = top_shown(top);

	if (!target)
		return NULL;
	return top->time.paused_ns ? history_when(target->history, top->time.paused_ns)
				   : history_at(target->history, 0);
}

/* ---- events ---- */

void top_keep_event(struct top_target *target, const struct events_row *row)
{
	if (target->event_count == TOP_EVENTS) {
		target->event_first = (target->event_first + 1) % TOP_EVENTS;
		target->event_count--;
	}
	target->event[(target->event_first + target->event_count++) % TOP_EVENTS] = *row;
	history_mark(target->history, row->time_ns, row->mark, row->bytes);
}

const struct events_row *top_event(const struct top_target *target, size_t i)
{
	size_t newest = target->event_first + target->event_count - 1;

	return &target->event[(newest - i) % TOP_EVENTS];
}

static void take_events(struct top *top)
{
	events_heard(top->events);
	while (events_take(top->events, &top->event_taken)) {
		top_keep_event(&top->target[top->event_taken.target], &top->event_taken);
		top->dirty = true;
	}
}

/* ---- readings ---- */

static void end(struct top *top, struct top_target *target, const char *why)
{
	if (target->over)
		return;
	target->over = true;
	snprintf(target->why_over, sizeof(target->why_over), "%s", why);
	top_end_alerts(target);
	top->dirty = true;
}

void top_keep(struct top *top, unsigned index, const struct sample *sample,
	      const struct bounds *bounds)
{
	struct top_target *target = &top->target[index];

	/* What is too large to be kept whole is kept as figures. */
	(void)history_add(target->history, sample);
	target->has_room = bounds != NULL;
	if (bounds) {
		room_of(bounds, &sample->fig, &target->room);
		course_add(target->limits, sample, &target->room);
	}
	top_watch(target, sample);
	top->dirty = true;
}

static void take_reading(struct top *top, unsigned index)
{
	struct top_target *target = &top->target[index];
	struct feed_news news;

	feed_take(top->feed, (int)index, &news);
	target->reading = news.reading;
	target->interval_ns = news.interval_ns;
	if (news.fresh) {
		const struct sample *sample = feed_sample(top->feed, (int)index);

		memcpy(target->comm, sample->comm, sizeof(target->comm));
		/* The process may have got more arenas than it had room for at first.
		 * Without memory for them their pane stays empty. */
		(void)take_order(top, sample->arena_capacity);
		top_keep(top, index, sample, feed_bounds(top->feed, (int)index));
	}
	if (news.over)
		end(top, target, news.why.text);
}

static void take_replayed(struct top *top)
{
	const struct sample *sample;
	const char *why;
	unsigned index;
	bool is_cut;

	while ((sample = replayer_take(top->replay, &index)))
		top_keep(top, index, sample, NULL);
	if (top->replay_told || !replayer_over(top->replay, &is_cut, &why))
		return;
	top->replay_told = true;
	top_say(top, is_cut, "%s", why);
}

void top_take(struct top *top)
{
	if (top->replay) {
		take_replayed(top);
		return;
	}
	if (top->picker && top->picking) {
		picker_heard(top->picker);
		top->dirty = true;
	}
	feed_heard(top->feed);
	for (unsigned i = 0; i < top->target_count; i++)
		if (!top->target[i].over)
			take_reading(top, i);
	if (feed_looks(top->feed, &top->map.look, &top->map.before))
		top->dirty = true;
	if (top->events)
		take_events(top);
}
