#include "top/seek.h"

#include "engine/days.h"

#include <stdio.h>
#include <string.h>

enum { EVENTS = 1000 }; /* that are read at most at once */

bool seek_can(const struct top *top)
{
	return top->replay && replayer_days(top->replay);
}

static int keep_sample(const struct days_sample *given, void *context)
{
	struct top *top = context;
	struct top_target *target = &top->targets.target[given->target];
	const struct history_span span = {given->low, given->high, given->mean};

	/* What is too large to be kept whole is kept as figures. */
	(void)history_add_span(target->history, given->sample, given->low ? &span : NULL);
	return 0;
}

static enum mark_kind mark_of(const char *kind)
{
	static const struct {
		const char *kind;
		enum mark_kind mark;
	} marks[] = {
		{"failure", MARK_FAILURE}, {"threshold", MARK_THRESHOLD},
		{"kill", MARK_KILL},	   {"alert", MARK_ALERT},
		{"alert_end", MARK_ALERT},
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (!strcmp(kind, marks[i].kind))
			return marks[i].mark;
	return MARK_GROWTH;
}

static int keep_event(const struct days_event *event, void *context)
{
	struct top *top = context;
	struct event_row *row = &top->event_taken;

	*row = (struct event_row){
		.time_ns = event->time_ns,
		.mark = mark_of(event->kind),
		.target = (int)event->target,
		.bytes = event->bytes,
	};
	snprintf(row->line, sizeof(row->line), "%s", event->line);
	snprintf(row->detail, sizeof(row->detail), "%s", event->detail);
	target_keep_event(&top->targets.target[event->target], row);
	return 0;
}

/* The events in the file, in (FROM_NS, TO_NS]. A recording without any has the alerts of
 * the default rules instead, of what is played. */
static void take_events(struct top *top, int64_t from_ns, int64_t to_ns)
{
	struct fault fault;

	if (days_events(replayer_days(top->replay), from_ns + 1, to_ns, EVENTS,
			keep_event, top, &fault) < 0)
		top_message(top, true, "%s", fault.text);
}

/* Reads what the graphs show when they end at RIGHT_NS. */
static void load(struct top *top, int64_t right_ns, bool keeps_events)
{
	struct days *days = replayer_days(top->replay);
	int64_t from_ns = right_ns - top->time.zoom_ns;
	struct fault fault;
	int error = 0;

	for (unsigned i = 0; i < top->targets.count && !error; i++)
		error = target_renew(&top->targets, &top->targets.target[i],
				     keeps_events);
	if (error) {
		top_message(top, true, "out of memory");
		return;
	}
	error = days_load(days, from_ns, right_ns, keep_sample, top, &fault);
	if (error)
		top_message(top, true, "%s", fault.text);
	if (!keeps_events)
		take_events(top, from_ns - 1, right_ns);
	replayer_moved(top->replay, right_ns);
	top->played_ns = right_ns;
	top->played = 0;
	top->dirty = true;
}

void seek_to(struct top *top, int64_t right_ns)
{
	const struct days *days = replayer_days(top->replay);
	const struct top_target *target;

	if (right_ns < days_first_ns(days) + top->time.zoom_ns)
		right_ns = days_first_ns(days) + top->time.zoom_ns;
	if (right_ns > days_last_ns(days))
		right_ns = days_last_ns(days);
	load(top, right_ns, !top->days_have_events);
	target = top_target(top);
	replayer_hold(top->replay, true);
	if (timeline_pause(&top->time, target->history, right_ns))
		top_message(top, false, "there is no reading of this process then");
	else
		top->time.right_ns = right_ns;
}

/* The right end of the graphs. */
static int64_t right_ns(const struct top *top)
{
	return top->time.paused_ns ? top->time.right_ns : top->played_ns;
}

void seek_by(struct top *top, int graphs)
{
	seek_to(top, right_ns(top) + graphs * top->time.zoom_ns);
}

void seek_back(struct top *top)
{
	seek_to(top, top->time.paused_ns - 1);
}

void seek_zoomed(struct top *top)
{
	int64_t at_ns = right_ns(top), paused_ns = top->time.paused_ns;

	load(top, at_ns, !top->days_have_events);
	if (paused_ns && timeline_pause(&top->time, top_target(top)->history, paused_ns))
		timeline_live(&top->time);
}

void seek_played(struct top *top)
{
	int64_t from_ns = top->played_ns;

	if (!top->played)
		return;
	top->played_ns = replayer_taken_ns(top->replay);
	if (top->days_have_events)
		take_events(top, from_ns, top->played_ns);
	/* The oldest would go now. */
	if (top->played >= DAYS_POINTS / 2 && !top->time.paused_ns)
		load(top, top->played_ns, true);
}

void seek_look(struct top *top)
{
	const struct sample *sample = top_sample(top);
	struct days_map *of = &top->days_map;
	struct fault fault;
	int result;

	if (top->selection.pane != PANE_MAP || !sample ||
	    (of->target == top->targets.shown && of->arena == top->selection.arena &&
	     of->sample_ns == sample->time_ns))
		return;
	of->target = top->targets.shown;
	of->arena = top->selection.arena;
	of->sample_ns = sample->time_ns;
	of->has = false;
	top->dirty = true;
	if (!of->map)
		of->map = heap_map_new(DAYS_CELLS, 0);
	if (!of->map) {
		top_message(top, true, "out of memory");
		return;
	}
	of->map->arena = of->arena;
	result = days_map(replayer_days(top->replay), of->target, of->sample_ns, of->map,
			  &fault);
	of->has = !result;
	if (result < 0)
		top_message(top, true, "%s", fault.text);
}
