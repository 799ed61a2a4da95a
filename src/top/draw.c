#include "top/draw.h"

#include "base/clock.h"
#include "top/actions.h"
#include "top/seek.h"
#include "tui/frame.h"

#include <string.h>

enum { SLOWED_PARTS = 10 }; /* of the interval: by less it is not slowed */

/* The right end of the graphs. What has ended does not move on. */
static int64_t right_end(struct top *top, const struct top_target *target)
{
	const struct sample *latest = history_at(target->history, 0);

	if (top->time.paused_ns)
		return top->time.right_ns;
	if (latest && (top->replay || target->over))
		return latest->time_ns;
	return clock_realtime_ns();
}

static const char *filter_of(const struct top *top, enum pane pane)
{
	return top->selection.pane == pane ? top->selection.filter : "";
}

/* ---- processes ---- */

static void fill_targets(struct top *top, struct screen *screen)
{
	struct targets *targets = &top->targets;

	for (unsigned i = 0; i < targets->count; i++) {
		struct top_target *target = &targets->target[i];

		top->shown.target[i] = (struct screen_target){
			.pid = target->pid,
			.comm = target->comm,
			.ended = target->over && !top->replay,
			.sample = timeline_sample(&top->time, target->history),
			.since = timeline_since(&top->time, target->history,
						right_end(top, target)),
		};
	}
	screen->target = top->shown.target;
	screen->target_count = targets->count;
	screen->target_shown = targets->shown;
}

static void fill_processes(struct top *top, struct screen *screen)
{
	struct screen_processes *processes = &screen->processes;

	*processes = (struct screen_processes){
		.sort = top->selection.processes.column,
		.ascending = top->selection.processes.ascending,
		.filter = filter_of(top, PANE_PROCESSES),
		.order = top->shown.process_order,
	};
	processes->count = processes_order(screen, processes, top->shown.process_order);
}

static void fill_picker(struct top *top, struct screen *screen)
{
	struct screen_picker *list = &screen->picker;
	unsigned rows = top->canvas->rows, first;

	screen->picking = true;
	screen->ended = NULL;
	screen->prompt = "filter: ";
	screen->typed = top->picking.filter;
	list->sort = top->picking.sorting.column;
	list->ascending = top->picking.sorting.ascending;
	picker_list(top->picker, top->picking.filter, list);
	list->selected = picking_row(&top->picking, list);
	/* The page that the selected one is on, wherever on it that stands. */
	first = list->selected > rows ? list->selected - rows : 0;
	picker_show(top->picker, first, list->selected - first + rows);
}

/* ---- one process ---- */

/* The arena that is selected may be gone, or hidden by the filter: then it is the first.
 */
static void keep_selected(struct top *top, const struct screen_arenas *arenas,
			  const struct sample *sample)
{
	for (unsigned i = 0; i < arenas->count; i++)
		if (sample->arena[arenas->order[i]].index == top->selection.arena)
			return;
	if (arenas->count)
		top_select_arena(top, sample->arena[arenas->order[0]].index);
}

static void fill_arenas(struct top *top, struct screen *screen)
{
	struct screen_arenas *arenas = &screen->arenas;
	const struct sample *sample = screen->sample;

	*arenas = (struct screen_arenas){
		.sort = top->selection.arenas.column,
		.ascending = top->selection.arenas.ascending,
		.filter = filter_of(top, PANE_ARENAS),
		.order = top->shown.order,
	};
	if (sample && sample->arena_count <= top->shown.order_capacity) {
		arenas->since = screen->target[screen->target_shown].since;
		arenas->count = arenas_order(sample, arenas, top->shown.order);
		keep_selected(top, arenas, sample);
	}
	arenas->selected = top->selection.arena;
}

static bool passes(const struct top *top, const struct event_row *row)
{
	const char *filter = filter_of(top, PANE_EVENTS);

	if (top->time.paused_ns && row->time_ns > top->time.paused_ns)
		return false;
	return !*filter || strstr(row->line, filter) || strstr(row->detail, filter);
}

/* Why no event comes from probes; null: they are at work. */
static const char *events_why(struct top *top)
{
	if (top->days_have_events)
		return NULL;
	if (top->replay)
		return "a recording has no events but alerts";
	if (!top->events)
		return "--no-events was given";
	return events_missing(top->events, (int)top->targets.shown, top->shown.events_why)
		       ? top->shown.events_why
		       : NULL;
}

static void fill_events(struct top *top, struct screen *screen)
{
	const struct top_target *target = top_target(top);
	unsigned count = 0;

	for (size_t i = 0; i < target->event_count; i++) {
		const struct event_row *row = target_event(target, i);

		if (!passes(top, row))
			continue;
		top->shown.event[count++] = (struct screen_event){
			.time_ns = row->time_ns,
			.kind = row->mark,
			.line = row->line,
			.detail = *row->detail ? row->detail : NULL,
		};
	}
	top->selection.event = moved(top->selection.event, 0, count);
	screen->events = (struct screen_events){
		.event = top->shown.event,
		.count = count,
		.selected = top->selection.event,
		.filter = filter_of(top, PANE_EVENTS),
		.missing = events_why(top),
	};
}

/* Why there is no map; null: it is being read. */
static const char *map_why(struct top *top)
{
	const struct inspection *inspection = &top->inspection;
	const struct inspection_result *inspected = inspection->inspected;

	if (top->replay)
		return seek_can(top)
			       ? "the recording has no map of that time: record --maps"
			       : "a recording has no map of the heap";
	if (top->time.paused_ns)
		return "the map is of the present alone; 'l' goes there";
	if (top_target(top)->over)
		return "the process has ended";
	if (inspected && !inspected->has_map &&
	    inspection_same(&inspected->request, &inspection->request))
		return inspected->why_no_map.text;
	return NULL;
}

static void fill_map(struct top *top, struct screen *screen)
{
	struct screen_map *shown = &screen->map;

	*shown = (struct screen_map){
		.arena = top->selection.arena,
		.show_changed = top->inspection.show_changed,
	};
	shown->map = top_map(top, &shown->before);
	if (shown->map)
		shown->cursor = inspection_cell(&top->inspection, shown->map);
	else
		shown->why = map_why(top);
}

/* They take some time: they are made anew when a reading came, or other ones are asked
 * for. */
static void fill_trends(struct top *top, struct screen *screen)
{
	const struct trend_of wanted = {
		.target = top->targets.shown,
		.zoom_ns = screen->zoom_ns,
		.sample_ns = screen->sample ? screen->sample->time_ns : 0,
	};

	if (!screen->sample)
		return;
	if (memcmp(&wanted, &top->shown.trend_of, sizeof(wanted)) != 0)
		screen_trends(screen->history, wanted.sample_ns - wanted.zoom_ns,
			      wanted.sample_ns, top->shown.trend);
	top->shown.trend_of = wanted;
	screen->trend = top->shown.trend;
}

static void fill_advice(struct top *top, struct screen *screen)
{
	const struct advice_input in = {
		.target = top_target(top),
		.sample = screen->sample,
		.is_past = top->time.paused_ns != 0,
		.has_events = top->events != NULL,
		.blockers = screen->blockers,
		.around = top_around(top),
	};
	const struct advice *advice = &top->advice;

	advice_judge(&top->advice, &in);
	screen->verdict = advice->known ? advice->verdict : NULL;
	screen->verdict_count = advice->count;
	screen->answer = advice->answer;
	top->selection.verdict = moved(top->selection.verdict, 0, advice->count);
	screen->verdict_selected = top->selection.verdict;
}

static void fill_target(struct top *top, struct screen *screen)
{
	const struct top_target *target = top_target(top);

	screen->history = target->history;
	screen->sample = top_sample(top);
	screen->now_ns = right_end(top, target);
	fill_trends(top, screen);
	screen->ended = target->over && !top->replay ? target->why_over : NULL;
	screen->sizes_arena = top->selection.all_sizes ? -1 : (int)top->selection.arena;
	fill_arenas(top, screen);
	fill_events(top, screen);
	fill_map(top, screen);
	screen->blockers = top_blockers(top);
	if (top->selection.pane == PANE_ADVICE)
		fill_advice(top, screen);
}

/* ---- the frame ---- */

static void fill_facts(struct top *top, struct screen *screen)
{
	const struct top_options *options = top->options;
	const struct top_target *target = top_target(top);
	struct screen_facts *facts = &screen->facts;

	*facts = (struct screen_facts){
		.has_own_cpu = top->cpu.known && !top->replay,
		.own_cpu = top->cpu.share,
		.replay = top->replay != NULL,
	};
	if (top->replay) {
		facts->source = replayer_describe(top->replay);
		facts->speed = replayer_speed(top->replay);
	} else if (target) {
		facts->source = feed_describe(top->feed, (int)top->targets.shown);
		facts->interval_ns = target->interval_ns;
		if (target->interval_ns >
		    options->interval_ns + options->interval_ns / SLOWED_PARTS)
			facts->slowed_by = (unsigned)options->max_cost_percent;
		facts->reading = target->reading;
	}
}

static void fill_said(const struct top *top, struct screen *screen)
{
	const struct top_said *said = &top->said;

	screen->message = *said->message ? said->message : NULL;
	screen->message_bad = said->is_bad;
	screen->popup_title = *said->title ? said->title : NULL;
	screen->popup = *said->title ? said->popup : NULL;
}

void top_draw(struct top *top)
{
	struct screen *screen = &top->screen;

	*screen = (struct screen){
		.palette = term_palette(top->term),
		.pane = top->selection.pane,
		.help = top->help,
		.actions = &top_actions,
		.paused_ns = top->time.paused_ns,
		.zoom_ns = top->time.zoom_ns,
		.is_log = top->time.is_log,
		.prompt = top->selection.is_typing ? "filter: " : NULL,
		.typed = top->selection.filter,
	};
	fill_said(top, screen);
	fill_targets(top, screen);
	fill_processes(top, screen);
	if (top->targets.count)
		fill_target(top, screen);
	else if (top->options->follow)
		screen->awaited = top->options->names.name[0];
	fill_facts(top, screen);
	if (top->picking.on)
		fill_picker(top, screen);
	screen_draw(top->canvas, screen);
	term_show(top->term, top->canvas);
	top->dirty = false;
}
