/* input.c: what keys and the mouse do to the state of `top`. */
#include "analysis/prediction.h"
#include "base/text.h"
#include "base/units.h"
#include "top/top.h"

#include <stdio.h>
#include <string.h>

enum {
	WHEEL_STEPS = 3,
	MANY_READINGS = 10,
	PAGE_ROWS = 10,
};

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* What the graphs can span. */
static const int64_t zooms[] = {
	MINUTE,	  2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR,
	2 * HOUR, 6 * HOUR,   12 * HOUR,  24 * HOUR,   48 * HOUR,
};

enum { ZOOMS = sizeof(zooms) / sizeof(zooms[0]) };

/* ---- time ---- */

/* Keeps the instant that is looked at within the graphs. */
static void keep_in_view(struct top *top)
{
	struct top_time *time = &top->time;
	const struct sample *latest = history_at(top_shown(top)->history, 0);

	if (time->paused_ns > time->right_ns - time->zoom_ns &&
	    time->paused_ns <= time->right_ns)
		return;
	time->right_ns = time->paused_ns + time->zoom_ns / 2;
	if (latest && time->right_ns > latest->time_ns)
		time->right_ns = latest->time_ns;
}

static bool pause_at(struct top *top, int64_t time_ns)
{
	const struct top_target *target = top_shown(top);
	const struct sample *sample =
		target ? history_when(target->history, time_ns) : NULL;

	if (!sample) {
		top_say(top, false, "no reading of that time is kept whole");
		return false;
	}
	if (!top->time.paused_ns)
		top->time.right_ns = history_at(target->history, 0)->time_ns;
	top->time.paused_ns = sample->time_ns;
	keep_in_view(top);
	return true;
}

static void go_live(struct top *top)
{
	top->time.paused_ns = 0;
	if (top->replay)
		replayer_hold(top->replay, false);
}

static void hold(struct top *top)
{
	if (pause_at(top, INT64_MAX) && top->replay)
		replayer_hold(top->replay, true);
}

static void toggle_pause(struct top *top)
{
	if (top->time.paused_ns)
		go_live(top);
	else
		hold(top);
}

static void go_back(struct top *top, size_t steps)
{
	const struct top_target *target = top_shown(top);
	size_t count, back;

	if (!top->time.paused_ns)
		hold(top);
	if (!top->time.paused_ns)
		return;
	count = history_count(target->history);
	back = history_back(target->history, top->time.paused_ns);
	if (back + 1 >= count) {
		top_say(top, false, "this is the earliest reading that is kept whole");
		return;
	}
	back = back + steps < count ? back + steps : count - 1;
	pause_at(top, history_at(target->history, back)->time_ns);
}

/* A recording goes on by a reading at a time. */
static bool step_replay(struct top *top)
{
	const struct sample *sample;
	unsigned index;

	do {
		sample = replayer_step(top->replay, &index);
		if (!sample)
			return false;
		top_keep(top, index, sample, NULL);
	} while (index != top->shown);
	return true;
}

static void go_on(struct top *top, size_t steps)
{
	const struct top_target *target = top_shown(top);

	if (!top->time.paused_ns)
		return;
	for (; steps; steps--) {
		size_t back = history_back(target->history, top->time.paused_ns);

		if (!back && (!top->replay || !step_replay(top))) {
			top_say(top, false, "this is the latest reading");
			return;
		}
		pause_at(top, history_at(target->history, back ? back - 1 : 0)->time_ns);
	}
}

static void zoom_time(struct top *top, int step)
{
	int i = 0;

	while (i < ZOOMS - 1 && zooms[i] < top->time.zoom_ns)
		i++;
	i += step;
	if (i < 0 || i >= ZOOMS)
		return;
	top->time.zoom_ns = zooms[i];
	if (top->time.paused_ns)
		keep_in_view(top);
}

/* In is 1, out is -1. */
static void zoom(struct top *top, int step)
{
	if (top->pane == PANE_MAP)
		top_map_zoom(top, step);
	else
		zoom_time(top, -step);
}

/* ---- lists ---- */

static unsigned moved(unsigned at, int64_t by, unsigned count)
{
	int64_t to = (int64_t)at + by;

	if (!count || to < 0)
		return 0;
	return to < count ? (unsigned)to : count - 1;
}

static void move_arena(struct top *top, int64_t by)
{
	const struct sample *sample = top_sample(top);
	unsigned at = 0;

	if (!sample || !top->order_count)
		return;
	while (at < top->order_count - 1 &&
	       sample->arena[top->order[at]].index != top->arena)
		at++;
	at = moved(at, by, top->order_count);
	top_map_set_arena(top, sample->arena[top->order[at]].index);
}

static void move(struct top *top, int64_t by)
{
	switch (top->pane) {
	case PANE_ARENAS:
		move_arena(top, by);
		break;
	case PANE_MAP:
		top_map_move(top, by * top_map_across(top));
		break;
	case PANE_EVENTS:
		top->event_selected =
			moved(top->event_selected, by, top->event_row_count);
		break;
	case PANE_ADVICE:
		top->verdict_selected =
			moved(top->verdict_selected, by, top->screen.verdict_count);
		break;
	default:
		break;
	}
}

/* In the order of the sample; the free sizes of all arenas stand before the first. */
static void step_arena(struct top *top, int by)
{
	const struct sample *sample = top_sample(top);
	int at = 0, lowest = top->pane == PANE_SIZES ? -1 : 0, count;

	if (!sample || !sample->arena_count)
		return;
	count = (int)sample->arena_count;
	while (at < count - 1 && sample->arena[at].index != top->arena)
		at++;
	if (lowest < 0 && top->all_sizes)
		at = -1;
	at += by;
	if (at < lowest)
		at = count - 1;
	if (at >= count)
		at = lowest;
	top->all_sizes = at < 0;
	if (at >= 0)
		top_map_set_arena(top, sample->arena[at].index);
}

static void sort_by(struct top *top, enum arena_column column)
{
	if (top->sort == column)
		top->ascending = !top->ascending;
	else
		top->ascending = column == ARENA_INDEX;
	top->sort = column;
}

/* ---- typing ---- */

static void drop_last(char *typed)
{
	size_t length = strlen(typed);

	while (length && (typed[length - 1] & 0xc0) == 0x80)
		length--;
	typed[length ? length - 1 : 0] = '\0';
}

/* CODE as UTF-8 behind TYPED, if it is a character and fits. */
static void add_typed(char *typed, uint32_t code)
{
	size_t length = strlen(typed);

	/* Names of programs and addresses are what is looked for. */
	if (code < ' ' || code > '~' || length + 1 >= TOP_TYPED)
		return;
	typed[length] = (char)code;
	typed[length + 1] = '\0';
}

void top_type(char *typed, uint32_t code)
{
	if (code == PRESS_BACKSPACE)
		drop_last(typed);
	else
		add_typed(typed, code);
}

/* The rows follow while the text is typed. */
static void type(struct top *top, uint32_t code)
{
	if (code == PRESS_ENTER || code == PRESS_ESCAPE) {
		if (code == PRESS_ESCAPE)
			top->filter[0] = '\0';
		top->prompt = PROMPT_NONE;
		return;
	}
	top_type(top->typed, code);
	memcpy(top->filter, top->typed, sizeof(top->filter));
}

static void begin_filter(struct top *top)
{
	memcpy(top->typed, top->filter, sizeof(top->typed));
	top->prompt = PROMPT_FILTER;
}

/* ---- what a trim would do ---- */

static void show_prediction(struct top *top)
{
	const struct sample *sample = top_sample(top);
	struct prediction prediction;
	struct text text;

	if (!sample || !predict_trim(sample, &prediction)) {
		top_say(top, false, "what a trim would give back is not known from here");
		return;
	}
	snprintf(top->popup_title, sizeof(top->popup_title),
		 "If malloc_trim(0) were called");
	text_init(&text, top->popup, sizeof(top->popup));
	units_bytes(&text, prediction.bytes);
	text_string(&text, " would be given back");
	if (figure_has(&sample->fig, FIG_RSS_BYTES)) {
		text_string(&text, " of ");
		units_bytes(&text, sample->fig.v[FIG_RSS_BYTES].u);
		text_string(&text, " that are resident");
	}
	text_string(&text, ".\nTo take them back would be ");
	units_count(&text, prediction.faults);
	text_string(&text,
		    " page faults at most.\n\nNothing was touched. With a sampler in "
		    "it (fragscope run),\n'fragscope trim ");
	text_u64(&text, (uint64_t)sample->pid);
	text_string(&text, "' does it and tells what came of it.");
}

/* ---- keys ---- */

/* Closes the topmost of what is open; drops the filter when nothing is. */
static void leave(struct top *top)
{
	if (*top->popup_title)
		top->popup_title[0] = '\0';
	else if (top->help)
		top->help = false;
	else if (*top->filter)
		top->filter[0] = '\0';
	else
		top->message[0] = '\0';
}

static void step_target(struct top *top, int by)
{
	if (!top->target_count)
		return;
	top_show_target(top, (top->shown + (unsigned)((int)top->target_count + by)) %
				     top->target_count);
}

static void pick(struct top *top)
{
	struct fault fault;

	if (top->replay)
		top_say(top, false, "a recording is shown: its processes are under Tab");
	else if (top_pick(top, &fault))
		top_say(top, true, "%s", fault.text);
}

static void enter(struct top *top)
{
	if (top->pane == PANE_ARENAS && top->order_count)
		top->pane = PANE_MAP;
	else if (top->pane == PANE_MAP)
		top_map_enter(top);
}

static void do_time(struct top *top, enum action action)
{
	switch (action) {
	case ACTION_PAUSE:
		toggle_pause(top);
		break;
	case ACTION_EARLIER:
		go_back(top, 1);
		break;
	case ACTION_LATER:
		go_on(top, 1);
		break;
	case ACTION_MUCH_EARLIER:
		go_back(top, MANY_READINGS);
		break;
	case ACTION_MUCH_LATER:
		go_on(top, MANY_READINGS);
		break;
	case ACTION_LIVE:
		go_live(top);
		break;
	case ACTION_ZOOM_IN:
		zoom(top, 1);
		break;
	case ACTION_ZOOM_OUT:
		zoom(top, -1);
		break;
	default:
		break;
	}
}

static void do_move(struct top *top, enum action action)
{
	switch (action) {
	case ACTION_UP:
		move(top, -1);
		break;
	case ACTION_DOWN:
		move(top, 1);
		break;
	case ACTION_PAGE_UP:
		move(top, -PAGE_ROWS);
		break;
	case ACTION_PAGE_DOWN:
		move(top, PAGE_ROWS);
		break;
	case ACTION_FIRST:
		move(top, INT32_MIN);
		break;
	case ACTION_LAST:
		move(top, INT32_MAX);
		break;
	case ACTION_LEFT:
		top_map_move(top, -1);
		break;
	case ACTION_RIGHT:
		top_map_move(top, 1);
		break;
	case ACTION_CHANGES:
		top->map.show_changed = !top->map.show_changed;
		break;
	case ACTION_NEXT_ARENA:
		step_arena(top, 1);
		break;
	case ACTION_PREVIOUS_ARENA:
		step_arena(top, -1);
		break;
	default:
		do_time(top, action);
	}
}

static void act(struct top *top, enum action action, unsigned argument)
{
	switch (action) {
	case ACTION_QUIT:
		top->quit = true;
		break;
	case ACTION_PANE:
		top->pane = argument < PANE_COUNT ? (enum pane)argument : top->pane;
		break;
	case ACTION_NEXT_TARGET:
		step_target(top, 1);
		break;
	case ACTION_PREVIOUS_TARGET:
		step_target(top, -1);
		break;
	case ACTION_SORT:
		sort_by(top, (top->sort + 1) % ARENA_COLUMNS);
		break;
	case ACTION_REVERSE:
		top->ascending = !top->ascending;
		break;
	case ACTION_FILTER:
		begin_filter(top);
		break;
	case ACTION_PICK:
		pick(top);
		break;
	case ACTION_TRIM:
		show_prediction(top);
		break;
	case ACTION_WRITE:
		top_write(top);
		break;
	case ACTION_HELP:
		top->help = true;
		break;
	case ACTION_ENTER:
		enter(top);
		break;
	case ACTION_LEAVE:
		leave(top);
		break;
	default:
		do_move(top, action);
	}
}

static void press_key(struct top *top, uint32_t code)
{
	const struct key_binding *binding;

	if (top->picking) {
		top_pick_press(top, code);
		return;
	}
	if (top->prompt != PROMPT_NONE) {
		type(top, code);
		return;
	}
	binding = key_find(code, 1U << top->pane);
	/* What stands over everything goes with any key, which does nothing else;
	 * quitting is quitting. */
	if ((top->help || *top->popup_title) &&
	    !(binding && binding->action == ACTION_QUIT)) {
		leave(top);
		return;
	}
	top->message[0] = '\0';
	if (binding)
		act(top, binding->action, binding->argument);
}

/* ---- the mouse ---- */

static void click_row(struct top *top, unsigned index)
{
	const struct sample *sample = top_sample(top);

	if (top->pane == PANE_ARENAS && sample && index < top->order_count)
		top_map_set_arena(top, sample->arena[top->order[index]].index);
	else if (top->pane == PANE_EVENTS && index < top->event_row_count)
		top->event_selected = index;
	else if (top->pane == PANE_ADVICE && index < top->screen.verdict_count)
		top->verdict_selected = index;
}

static void click_instant(struct top *top, unsigned thousandths)
{
	int64_t left_ns = top->screen.now_ns - top->screen.zoom_ns;

	if (pause_at(top, left_ns + top->screen.zoom_ns / 1000 * thousandths) &&
	    top->replay)
		replayer_hold(top->replay, true);
}

static void click(struct top *top, unsigned row, unsigned column)
{
	const struct cell *cell = canvas_at(top->canvas, row, column);

	if (!cell)
		return;
	if (top->help || *top->popup_title) {
		leave(top);
		return;
	}
	switch ((enum spot)cell->spot) {
	case SPOT_TAB:
		act(top, ACTION_PANE, cell->index);
		break;
	case SPOT_TARGET:
		if (cell->index < top->target_count)
			top_show_target(top, cell->index);
		break;
	case SPOT_KEY:
		if (cell->index < key_binding_count)
			press_key(top, key_bindings[cell->index].code);
		break;
	case SPOT_HEADING:
		if (top->pane == PANE_ARENAS && cell->index < ARENA_COLUMNS)
			sort_by(top, (enum arena_column)cell->index);
		break;
	case SPOT_ROW:
		if (top->picking)
			top_pick_click(top, cell->index);
		else
			click_row(top, cell->index);
		break;
	case SPOT_CELL:
		top_map_put_cursor(top, cell->index);
		break;
	case SPOT_INSTANT:
		click_instant(top, cell->index);
		break;
	default:
		break;
	}
}

void top_press(struct top *top, const struct term_input *input)
{
	top->dirty = true;
	switch (input->kind) {
	case TERM_KEY:
		press_key(top, input->code);
		break;
	case TERM_CLICK:
		click(top, input->row, input->column);
		break;
	case TERM_WHEEL:
		if (top->picking)
			top_pick_move(top, (int64_t)input->step * WHEEL_STEPS);
		else
			move(top, (int64_t)input->step * WHEEL_STEPS);
		break;
	default:
		break;
	}
}
