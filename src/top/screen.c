/* screen.c: what the state of `top` looks like: fills in the model of the screen. */
#include "base/clock.h"
#include "top/top.h"

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

static void fill_targets(struct top *top, struct screen *screen)
{
	for (unsigned i = 0; i < top->target_count; i++)
		top->screen_target[i] = (struct screen_target){
			.pid = top->target[i].pid,
			.comm = top->target[i].comm,
			.ended = top->target[i].over && !top->replay,
		};
	screen->target = top->screen_target;
	screen->target_count = top->target_count;
	screen->target_shown = top->shown;
}

/* The sample that changes are told against: from the left end of the graphs, or the
 * earliest there is. */
static const struct sample *earlier(const struct top_target *target, int64_t left_ns)
{
	const struct sample *sample = history_when(target->history, left_ns);
	size_t count = history_count(target->history);

	return sample || !count ? sample : history_at(target->history, count - 1);
}

/* The arena that is selected may be gone, or hidden by the filter: then it is the first.
 */
static void keep_selected(struct top *top, const struct sample *sample)
{
	for (unsigned i = 0; i < top->order_count; i++)
		if (sample->arena[top->order[i]].index == top->arena)
			return;
	if (top->order_count)
		top_map_set_arena(top, sample->arena[top->order[0]].index);
}

static void fill_arenas(struct top *top, struct screen *screen)
{
	struct screen_arenas *arenas = &screen->arenas;
	const struct sample *sample = screen->sample;

	*arenas = (struct screen_arenas){
		.sort = top->sort,
		.ascending = top->ascending,
		.filter = top->pane == PANE_ARENAS ? top->filter : "",
	};
	top->order_count = 0;
	if (sample && sample->arena_count <= top->order_capacity) {
		arenas->since = earlier(top_shown(top), screen->now_ns - screen->zoom_ns);
		top->order_count = arenas_order(sample, arenas, top->order);
		keep_selected(top, sample);
	}
	arenas->order = top->order;
	arenas->count = top->order_count;
	arenas->selected = top->arena;
}

static bool passes(const struct top *top, const struct events_row *row)
{
	const struct top_time *time = &top->time;

	if (time->paused_ns && row->time_ns > time->paused_ns)
		return false;
	return top->pane != PANE_EVENTS || !*top->filter ||
	       strstr(row->line, top->filter) || strstr(row->detail, top->filter);
}

static void fill_events(struct top *top, struct screen *screen)
{
	struct screen_events *events = &screen->events;
	const struct top_target *target = top_shown(top);
	unsigned count = 0;

	for (size_t i = 0; i < target->event_count; i++) {
		const struct events_row *row = top_event(target, i);

		if (!passes(top, row))
			continue;
		top->event_row[count++] = (struct screen_event){
			.time_ns = row->time_ns,
			.kind = row->mark,
			.line = row->line,
			.detail = *row->detail ? row->detail : NULL,
		};
	}
	top->event_row_count = count;
	if (top->event_selected >= count)
		top->event_selected = count ? count - 1 : 0;
	*events = (struct screen_events){
		.event = top->event_row,
		.count = count,
		.selected = top->event_selected,
		.filter = top->pane == PANE_EVENTS ? top->filter : "",
	};
	if (top->replay)
		events->missing = "a recording has no events but alerts";
	else if (!top->events)
		events->missing = "--no-events was given";
	else if (events_missing(top->events, (int)top->shown, top->events_why))
		events->missing = top->events_why;
}

static void fill_facts(struct top *top, struct screen *screen)
{
	const struct top_target *target = top_shown(top);
	struct screen_facts *facts = &screen->facts;

	*facts = (struct screen_facts){
		.has_own_cpu = top->cpu.known,
		.own_cpu = top->cpu.share,
		.replay = top->replay != NULL,
	};
	if (top->replay) {
		facts->source = replayer_describe(top->replay);
		facts->speed = replayer_speed(top->replay);
		facts->has_own_cpu = false;
	} else if (target) {
		facts->source = feed_describe(top->feed, (int)top->shown);
		facts->interval_ns = target->interval_ns;
		if (target->interval_ns >
		    top->options->interval_ns + top->options->interval_ns / SLOWED_PARTS)
			facts->slowed_by = (unsigned)top->options->max_cost_percent;
		facts->reading = target->reading;
	}
}

/* They take some time: they are made anew when a reading came, or other ones are asked
 * for. */
static void fill_trends(struct top *top, struct screen *screen)
{
	const struct top_trend_key key = {
		.target = top->shown,
		.zoom_ns = screen->zoom_ns,
		.sample_ns = screen->sample ? screen->sample->time_ns : 0,
	};

	if (!screen->sample)
		return;
	if (memcmp(&key, &top->trend_key, sizeof(key)) != 0)
		screen_trends(screen->history, key.sample_ns - key.zoom_ns, key.sample_ns,
			      top->trend);
	top->trend_key = key;
	screen->trend = top->trend;
}

static void fill_advice(struct top *top, struct screen *screen)
{
	top_advise(top);
	screen->verdict = top->advice.known ? top->advice.verdict : NULL;
	screen->verdict_count = top->advice.count;
	screen->answer = top->advice.answer;
	if (top->verdict_selected >= screen->verdict_count)
		top->verdict_selected =
			screen->verdict_count ? screen->verdict_count - 1 : 0;
	screen->verdict_selected = top->verdict_selected;
}

static void fill_target(struct top *top, struct screen *screen)
{
	const struct top_target *target = top_shown(top);

	screen->history = target->history;
	screen->sample = top_sample(top);
	screen->now_ns = right_end(top, target);
	fill_trends(top, screen);
	screen->ended = target->over && !top->replay ? target->why_over : NULL;
	screen->sizes_arena = top->all_sizes ? -1 : (int)top->arena;
	fill_arenas(top, screen);
	fill_events(top, screen);
	top_fill_map(top, &screen->map);
	screen->pins = top_pins(top);
	if (top->pane == PANE_ADVICE)
		fill_advice(top, screen);
}

void top_draw(struct top *top)
{
	struct screen *screen = &top->screen;

	*screen = (struct screen){
		.palette = term_palette(top->term),
		.pane = top->pane,
		.help = top->help,
		.paused_ns = top->time.paused_ns,
		.zoom_ns = top->time.zoom_ns,
		.prompt = top->prompt == PROMPT_FILTER ? "filter: " : NULL,
		.typed = top->typed,
		.message = *top->message ? top->message : NULL,
		.message_bad = top->message_bad,
		.popup_title = *top->popup_title ? top->popup_title : NULL,
		.popup = *top->popup_title ? top->popup : NULL,
	};
	fill_targets(top, screen);
	if (top->target_count)
		fill_target(top, screen);
	fill_facts(top, screen);
	if (top->picking)
		top_fill_picker(top, screen);
	screen_draw(top->canvas, screen);
	term_show(top->term, top->canvas);
	top->dirty = false;
}
