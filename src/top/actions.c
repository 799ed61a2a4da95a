#include "top/actions.h"

#include "analysis/prediction.h"
#include "base/text.h"
#include "base/units.h"
#include "top/seek.h"
#include "top/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	WHEEL_ROWS = 3,
	PAGE_ROWS = 10,
	MANY_READINGS = 10,
	ALL_ROWS = INT32_MAX,
};

/* ---- time ---- */

static void hold_at(struct top *top, int64_t time_ns)
{
	const struct top_target *target = top_target(top);

	if (!target || timeline_pause(&top->time, target->history, time_ns))
		top_message(top, false, "no reading of that time is kept whole");
	else
		session_hold(top, true);
}

static void go_live(struct top *top, int argument)
{
	(void)argument;
	timeline_live(&top->time);
	session_hold(top, false);
}

static void pause(struct top *top, int argument)
{
	if (top->time.paused_ns)
		go_live(top, argument);
	else
		hold_at(top, INT64_MAX);
}

static void earlier(struct top *top, int readings)
{
	const struct top_target *target = top_target(top);
	enum timeline_step step =
		target ? timeline_back(&top->time, target->history, (size_t)readings)
		       : TIMELINE_NO_READING;

	if (step == TIMELINE_NO_READING) {
		top_message(top, false, "no reading of that time is kept whole");
		return;
	}
	session_hold(top, true);
	if (step != TIMELINE_AT_END)
		return;
	if (seek_can(top))
		seek_back(top);
	else
		top_message(top, false,
			    "this is the earliest reading that is kept whole");
}

/* A recording goes on by a reading at a time. */
static bool later_by_one(struct top *top, const struct history *history)
{
	if (timeline_on(&top->time, history) == TIMELINE_MOVED)
		return true;
	return session_step(top) && timeline_on(&top->time, history) == TIMELINE_MOVED;
}

static void later(struct top *top, int readings)
{
	const struct top_target *target = top_target(top);

	if (!target || !top->time.paused_ns)
		return;
	for (; readings; readings--)
		if (!later_by_one(top, target->history)) {
			top_message(top, false, "this is the latest reading");
			return;
		}
}

/* THOUSANDTHS of what the graphs span, from their left end. */
static void to_instant(struct top *top, int thousandths)
{
	const struct screen *screen = &top->screen;
	int64_t left_ns = screen->now_ns - screen->zoom_ns;

	hold_at(top, left_ns + screen->zoom_ns / 1000 * thousandths);
}

/* In is 1, out is -1. */
static void zoom_time(struct top *top, int step)
{
	const struct top_target *target = top_target(top);

	if (target)
		timeline_zoom(&top->time, target->history, -step);
	if (target && seek_can(top))
		seek_zoomed(top);
}

/* By a whole graph. */
static void leap(struct top *top, int graphs)
{
	if (seek_can(top))
		seek_by(top, graphs);
	else
		top_message(top, false,
			    "only a file of 'fragscope record' has more time");
}

/* To the beginning (-1) or the end of a recording of days. */
static void leap_to_end(struct top *top, int which)
{
	if (seek_can(top))
		seek_to(top, which < 0 ? INT64_MIN : INT64_MAX);
	else
		leap(top, which);
}

static void switch_scale(struct top *top, int argument)
{
	(void)argument;
	top->time.is_log = !top->time.is_log;
}

/* ---- the map ---- */

static void zoom_map(struct top *top, int step)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map)
		inspection_zoom(&top->inspection, map, step);
}

static void move_cursor(struct top *top, int cells)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map)
		inspection_move(&top->inspection, map, cells);
}

static void put_cursor(struct top *top, int cell)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map)
		inspection_put(&top->inspection, map, (unsigned)cell);
}

static void show_changes(struct top *top, int argument)
{
	(void)argument;
	top->inspection.show_changed = !top->inspection.show_changed;
}

static void step_arena(struct top *top, int by)
{
	const struct sample *sample = top_sample(top);

	if (sample)
		top_select_arena(top, selection_arena_step(&top->selection, sample, by));
}

/* ---- lists: what a pane's rows do ---- */

/* A reading that came after the last drawing may have fewer arenas. */
static bool is_order_of(const struct screen_arenas *arenas, const struct sample *sample)
{
	for (unsigned i = 0; sample && i < arenas->count; i++)
		if (arenas->order[i] >= sample->arena_count)
			return false;
	return sample != NULL;
}

static void move_in_arenas(struct top *top, int64_t by)
{
	const struct screen_arenas *arenas = &top->screen.arenas;
	const struct sample *sample = top_sample(top);

	if (is_order_of(arenas, sample))
		top_select_arena(top,
				 selection_arena_by(&top->selection, sample,
						    arenas->order, arenas->count, by));
}

static void go_to_arena(struct top *top, unsigned row)
{
	const struct screen_arenas *arenas = &top->screen.arenas;
	const struct sample *sample = top_sample(top);

	if (is_order_of(arenas, sample) && row < arenas->count)
		top_select_arena(top, sample->arena[arenas->order[row]].index);
}

static void enter_arena(struct top *top)
{
	if (top->screen.arenas.count)
		top->selection.pane = PANE_MAP;
}

static void move_in_map(struct top *top, int64_t by)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map)
		inspection_move(&top->inspection, map, by * top_map_columns(top));
}

static void enter_cell(struct top *top)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map)
		inspection_enter(&top->inspection, map);
}

static void move_in_events(struct top *top, int64_t by)
{
	top->selection.event = moved(top->selection.event, by, top->screen.events.count);
}

static void go_to_event(struct top *top, unsigned row)
{
	top->selection.event = moved(row, 0, top->screen.events.count);
}

static void move_in_advice(struct top *top, int64_t by)
{
	top->selection.verdict =
		moved(top->selection.verdict, by, top->screen.verdict_count);
}

static void go_to_process(struct top *top, unsigned row)
{
	if (row < top->screen.processes.count)
		top_show_target(top, top->screen.processes.order[row]);
}

static void move_in_processes(struct top *top, int64_t by)
{
	const struct screen_processes *processes = &top->screen.processes;
	unsigned at = 0;

	while (at < processes->count && processes->order[at] != top->targets.shown)
		at++;
	go_to_process(top, moved(at < processes->count ? at : 0, by, processes->count));
}

static void enter_process(struct top *top)
{
	top->selection.pane = PANE_OVERVIEW;
}

/* What the keys and clicks that many panes have in common do in each: one row a pane, and
 * null for what it does not have. */
static const struct list {
	void (*move)(struct top *top, int64_t rows);
	void (*go_to)(struct top *top, unsigned row);
	void (*enter)(struct top *top);
} lists[PANE_COUNT] = {
	[PANE_ARENAS] = {move_in_arenas, go_to_arena, enter_arena},
	[PANE_MAP] = {move_in_map, NULL, enter_cell},
	[PANE_EVENTS] = {move_in_events, go_to_event, NULL},
	[PANE_ADVICE] = {move_in_advice, NULL, NULL},
	[PANE_PROCESSES] = {move_in_processes, go_to_process, enter_process},
};

static void move(struct top *top, int rows)
{
	const struct list *list = &lists[top->selection.pane];

	if (list->move)
		list->move(top, rows);
}

static void go_to_row(struct top *top, int row)
{
	const struct list *list = &lists[top->selection.pane];

	if (list->go_to)
		list->go_to(top, (unsigned)row);
}

static void enter(struct top *top, int argument)
{
	const struct list *list = &lists[top->selection.pane];

	(void)argument;
	if (list->enter)
		list->enter(top);
}

/* ---- tables ---- */

static void sort_arenas(struct top *top, int column)
{
	if (column < ARENA_COLUMNS)
		sorting_by(&top->selection.arenas, (unsigned)column,
			   column == ARENA_INDEX);
}

static void sort_processes(struct top *top, int column)
{
	if (column < PROCESSES_COLUMNS)
		sorting_by(&top->selection.processes, (unsigned)column,
			   column <= PROCESSES_COMM);
}

static void sort_next(struct top *top, int argument)
{
	(void)argument;
	if (top->selection.pane == PANE_ARENAS)
		sort_arenas(top, (int)(top->selection.arenas.column + 1) % ARENA_COLUMNS);
	else
		sort_processes(top, (int)(top->selection.processes.column + 1) %
					    PROCESSES_COLUMNS);
}

static void sort_other_way(struct top *top, int argument)
{
	struct sorting *sorting = top->selection.pane == PANE_ARENAS
					  ? &top->selection.arenas
					  : &top->selection.processes;

	(void)argument;
	sorting->ascending = !sorting->ascending;
}

static void filter(struct top *top, int argument)
{
	(void)argument;
	top->selection.is_typing = true;
}

/* ---- processes ---- */

static void next_process(struct top *top, int by)
{
	unsigned count = top->targets.count;

	if (count)
		top_show_target(top, (top->targets.shown + (unsigned)((int)count + by)) %
					     count);
}

static void show_process(struct top *top, int index)
{
	top_show_target(top, (unsigned)index);
}

static void pick(struct top *top, int argument)
{
	struct fault fault;

	(void)argument;
	if (top->replay)
		top_message(top, false,
			    "a recording is shown: its processes are under Tab");
	else if (session_pick(top, &fault))
		top_message(top, true, "%s", fault.text);
}

/* A process that is watched already is brought to the front. */
static void attach(struct top *top, int pid)
{
	struct targets *targets = &top->targets;
	struct fault fault;
	unsigned i = 0;
	int index;

	while (i < targets->count &&
	       (targets->target[i].pid != pid || targets->target[i].over))
		i++;
	index = i < targets->count ? (int)i : session_attach(top, pid, &fault);
	if (index < 0) {
		top_message(top, true, "%s", fault.text);
		return;
	}
	top_show_target(top, (unsigned)index);
	session_pick_no_more(top);
}

static void choose(struct top *top, int argument)
{
	const struct screen_picker *list = &top->screen.picker;

	(void)argument;
	if (list->count)
		attach(top, list->candidate[picking_row(&top->picking, list)].pid);
}

/* The second click on a row chooses it. */
static void click_candidate(struct top *top, int row)
{
	const struct screen_picker *list = &top->screen.picker;

	if ((unsigned)row >= list->count)
		return;
	if (top->picking.pid == list->candidate[row].pid)
		choose(top, 0);
	else
		top->picking.pid = list->candidate[row].pid;
}

static void move_candidate(struct top *top, int rows)
{
	picking_move(&top->picking, &top->screen.picker, rows);
}

static void sort_candidates(struct top *top, int column)
{
	picking_sort(&top->picking, (unsigned)column);
}

static void sort_candidates_next(struct top *top, int by)
{
	picking_sort_next(&top->picking, by);
}

/* Clears the filter; with none, goes back to what was shown before; there was nothing:
 * ends. */
static void leave_picker(struct top *top, int argument)
{
	(void)argument;
	if (*top->picking.filter)
		top->picking.filter[0] = '\0';
	else if (top->targets.count)
		session_pick_no_more(top);
	else
		top->quit = true;
}

/* ---- all the rest ---- */

static void show_pane(struct top *top, int pane)
{
	top->selection.pane = (enum pane)pane;
}

static void say_prediction(const struct sample *sample,
			   const struct prediction *prediction, struct text *text)
{
	units_bytes(text, prediction->bytes);
	text_string(text, " would be returned");
	if (figure_has(&sample->fig, FIG_RSS_BYTES)) {
		text_string(text, " of ");
		units_bytes(text, sample->fig.v[FIG_RSS_BYTES].u);
		text_string(text, " that are resident");
	}
	text_string(text, ".\nTo take them back would be ");
	units_count(text, prediction->faults);
	text_string(text,
		    " page faults at most.\n\nNothing was touched. With a sampler in "
		    "it (fragscope run),\n'fragscope trim -p ");
	text_u64(text, (uint64_t)sample->pid);
	text_string(text, "' does it and reports the result.");
}

static void predict(struct top *top, int argument)
{
	const struct sample *sample = top_sample(top);
	struct prediction prediction;
	struct text text;

	(void)argument;
	if (!sample || !predict_trim(sample, &prediction)) {
		top_message(top, false,
			    "what a trim would give back is not known from here");
		return;
	}
	snprintf(top->said.title, sizeof(top->said.title),
		 "If malloc_trim(0) were called");
	text_init(&text, top->said.popup, sizeof(top->said.popup));
	say_prediction(sample, &prediction, &text);
}

/* The price is said before it is paid. */
static void who_holds(struct top *top, int argument)
{
	const struct top_target *target = top_target(top);
	int error;

	(void)argument;
	if (!target || top->replay || target->over) {
		top_message(top, false, "only a live process can be searched");
		return;
	}
	error = holders_ask(&top->holders, target->pid);
	if (error == -EBUSY)
		top_message(top, false, "still looking through process %d",
			    top->holders.pid);
	else if (error)
		top_message(top, true, "cannot run fragscope owners: %s",
			    strerror(-error));
	else
		top_message(
			top, false,
			"looking through process %d for who holds what pins: up to 2s of "
			"a processor and 250M a GB",
			target->pid);
}

/* The loop writes behind the next drawing: what was pressed just before is on it. */
static void write_files(struct top *top, int argument)
{
	(void)argument;
	top->write_asked = true;
}

static void help(struct top *top, int argument)
{
	(void)argument;
	top->help = true;
}

void top_leave(struct top *top)
{
	if (*top->said.title)
		top->said.title[0] = '\0';
	else if (top->help)
		top->help = false;
	else
		top->selection.filter[0] = '\0';
}

static void leave(struct top *top, int argument)
{
	(void)argument;
	top_leave(top);
}

static void quit(struct top *top, int argument)
{
	(void)argument;
	top->quit = true;
}

/* ---- the table ---- */

#define TABLES	 (PLACE(PANE_ARENAS) | PLACE(PANE_PROCESSES))
#define FILTERED (TABLES | PLACE(PANE_EVENTS))
#define ARENA	 (PLACE(PANE_MAP) | PLACE(PANE_SIZES))
#define NO_MAP	 (PLACE_PANES & ~PLACE(PANE_MAP))
#define LISTS	 (FILTERED | PLACE(PANE_ADVICE) | PLACE(PANE_MAP))

_Static_assert(PANE_COUNT == 7, "the name of the keys of the panes says how many");

/* In the footer's order: what is needed most stands first, since narrow screens cut it.
 */
/* clang-format off */
static const struct action table[] = {
	{.keys = {'?', 'h', PRESS_F1}, .places = PLACE_PANES, .act = help,
	 .name = "?", .label = "help", .help = "this help (also h and F1)"},
	{.keys = {'q', PRESS_F10}, .places = PLACE_PANES, .always = true, .act = quit,
	 .name = "q", .label = "quit", .help = "quit (also F10)"},
	{.keys = {'1'}, .span = PANE_COUNT, .spot = SPOT_TAB, .places = PLACE_PANES, .act = show_pane,
	 .name = "1-7", .label = "panes", .help = "overview, arenas, heap map, free sizes, events, advice, processes (also F2 to F7 for all but the first)"},
	{.keys = {PRESS_F2}, .span = PANE_COUNT - 1, .places = PLACE_PANES, .act = show_pane, .argument = 1},
	{.keys = {'p', ' '}, .places = PLACE_PANES, .act = pause,
	 .name = "p", .label = "pause", .help = "hold the screen, and let it go on (also Space)"},

	/* The map needs the arrows itself: comma and full stop walk through time everywhere. */
	{.keys = {PRESS_LEFT}, .places = NO_MAP, .act = earlier, .argument = 1,
	 .name = "arrows", .label = "time", .help = "left and right: one reading back or on; all panes show that instant (in the heap map: , and .)"},
	{.keys = {PRESS_RIGHT}, .places = NO_MAP, .act = later, .argument = 1},
	{.keys = {','}, .places = PLACE_PANES, .act = earlier, .argument = 1},
	{.keys = {'.'}, .places = PLACE_PANES, .act = later, .argument = 1},
	{.keys = {'<'}, .places = PLACE_PANES, .act = earlier, .argument = MANY_READINGS,
	 .name = "< >", .help = "ten readings back or on"},
	{.keys = {'>'}, .places = PLACE_PANES, .act = later, .argument = MANY_READINGS},
	{.keys = {'l'}, .places = PLACE_PANES, .act = go_live,
	 .name = "l", .help = "to the latest reading"},
	{.keys = {'+', '='}, .places = NO_MAP, .act = zoom_time, .argument = 1,
	 .name = "+ -", .label = "zoom", .help = "less or more time in the graphs"},
	{.keys = {'-', '_'}, .places = NO_MAP, .act = zoom_time, .argument = -1},
	{.keys = {'+', '='}, .places = PLACE(PANE_MAP), .act = zoom_map, .argument = 1,
	 .name = "+ -", .label = "zoom", .help = "fewer or more addresses in the heap map"},
	{.keys = {'-', '_'}, .places = PLACE(PANE_MAP), .act = zoom_map, .argument = -1},
	{.keys = {'['}, .places = PLACE_PANES, .act = leap, .argument = -1,
	 .name = "[ ]", .help = "of a file of record: what is before the graphs, and behind them"},
	{.keys = {']'}, .places = PLACE_PANES, .act = leap, .argument = 1},
	{.keys = {'{'}, .places = PLACE_PANES, .act = leap_to_end, .argument = -1,
	 .name = "{ }", .help = "its beginning and its end"},
	{.keys = {'}'}, .places = PLACE_PANES, .act = leap_to_end, .argument = 1},
	{.keys = {'L'}, .places = PLACE(PANE_OVERVIEW), .act = switch_scale,
	 .name = "L", .label = "log", .help = "graphs on logarithmic scales, and back"},
	{.keys = {'s'}, .places = TABLES, .act = sort_next,
	 .name = "s", .label = "sort", .help = "sort by the next column"},
	{.keys = {'S'}, .places = TABLES, .act = sort_other_way,
	 .name = "S", .help = "sort the other way round"},
	{.keys = {'/'}, .places = FILTERED, .act = filter,
	 .name = "/", .label = "filter", .help = "show only the rows with a text; Enter keeps it, Esc drops it"},
	{.keys = {'a'}, .places = ARENA, .act = step_arena, .argument = 1,
	 .name = "a A", .label = "arena", .help = "the next arena, the one before"},
	{.keys = {'A'}, .places = ARENA, .act = step_arena, .argument = -1},
	{.keys = {'c'}, .places = PLACE(PANE_MAP), .act = show_changes,
	 .name = "c", .label = "changes", .help = "mark the cells that changed since the reading before"},
	{.keys = {PRESS_ENTER}, .places = PLACE_PANES, .act = enter,
	 .name = "Enter", .help = "of an arena: its heap map; of a cell: what is in it; of a process: its overview"},
	{.keys = {PRESS_TAB}, .places = PLACE_PANES, .act = next_process, .argument = 1,
	 .name = "Tab", .label = "next", .help = "the next process"},
	{.keys = {PRESS_BACK_TAB}, .places = PLACE_PANES, .act = next_process, .argument = -1},
	{.keys = {'P'}, .places = PLACE_PANES, .act = pick,
	 .name = "P", .help = "the list of processes to attach to"},
	{.keys = {'t'}, .places = PLACE_PANES, .act = predict,
	 .name = "t", .label = "trim?", .help = "what malloc_trim(0) would give back; nothing is touched"},
	{.keys = {'o'}, .places = PLACE_PANES, .act = who_holds,
	 .name = "o", .help = "who holds what pins memory: all memory is searched once, in a process of its own"},
	{.keys = {'w'}, .places = PLACE_PANES, .act = write_files,
	 .name = "w", .label = "write", .help = "write the screen, the figures and the graphs to files"},
	{.keys = {PRESS_ESCAPE}, .places = PLACE_PANES, .act = leave,
	 .name = "Esc", .help = "close what is open, drop the filter"},

	/* What any reader of a screen knows. */
	{.keys = {PRESS_UP, 'k'}, .places = LISTS, .act = move, .argument = -1},
	{.keys = {PRESS_DOWN, 'j'}, .places = LISTS, .act = move, .argument = 1},
	{.keys = {PRESS_PAGE_UP}, .places = LISTS, .act = move, .argument = -PAGE_ROWS},
	{.keys = {PRESS_PAGE_DOWN}, .places = LISTS, .act = move, .argument = PAGE_ROWS},
	{.keys = {PRESS_HOME}, .places = LISTS, .act = move, .argument = -ALL_ROWS},
	{.keys = {PRESS_END}, .places = LISTS, .act = move, .argument = ALL_ROWS},
	{.keys = {PRESS_WHEEL_UP}, .places = PLACE_PANES, .act = move, .argument = -WHEEL_ROWS},
	{.keys = {PRESS_WHEEL_DOWN}, .places = PLACE_PANES, .act = move, .argument = WHEEL_ROWS},
	{.keys = {PRESS_LEFT}, .places = PLACE(PANE_MAP), .act = move_cursor, .argument = -1},
	{.keys = {PRESS_RIGHT}, .places = PLACE(PANE_MAP), .act = move_cursor, .argument = 1},

	/* The mouse alone. */
	{.spot = SPOT_TARGET, .places = PLACE_PANES, .act = show_process,
	 .name = "mouse", .help = "tabs, keys, headings, rows, cells and instants of graphs can be clicked on"},
	{.spot = SPOT_HEADING, .places = PLACE(PANE_ARENAS), .act = sort_arenas},
	{.spot = SPOT_HEADING, .places = PLACE(PANE_PROCESSES), .act = sort_processes},
	{.spot = SPOT_ROW, .places = PLACE_PANES, .act = go_to_row},
	{.spot = SPOT_CELL, .places = PLACE(PANE_MAP), .act = put_cursor},
	{.spot = SPOT_INSTANT, .places = PLACE_PANES, .act = to_instant},

	/* The list of processes, where every character is typed into the filter. */
	{.keys = {PRESS_ENTER}, .places = PLACE_PICKER, .act = choose,
	 .name = "Enter", .label = "attach", .help = "attach to the process that is selected"},
	{.keys = {PRESS_TAB}, .places = PLACE_PICKER, .act = sort_candidates_next, .argument = 1,
	 .name = "Tab", .label = "sort", .help = "sort by the next column: PID, name, allocator, resident memory"},
	{.keys = {PRESS_BACK_TAB}, .places = PLACE_PICKER, .act = sort_candidates_next, .argument = -1},
	{.keys = {PRESS_ESCAPE}, .places = PLACE_PICKER, .act = leave_picker,
	 .name = "Esc", .label = "leave", .help = "drop the filter; without one, leave the list"},
	{.keys = {PRESS_F1}, .places = PLACE_PICKER, .act = help,
	 .name = "F1", .label = "help", .help = "this help"},
	{.keys = {PRESS_F10}, .places = PLACE_PICKER, .always = true, .act = quit,
	 .name = "F10", .label = "quit", .help = "quit"},
	{.keys = {PRESS_UP}, .places = PLACE_PICKER, .act = move_candidate, .argument = -1},
	{.keys = {PRESS_DOWN}, .places = PLACE_PICKER, .act = move_candidate, .argument = 1},
	{.keys = {PRESS_PAGE_UP}, .places = PLACE_PICKER, .act = move_candidate, .argument = -PAGE_ROWS},
	{.keys = {PRESS_PAGE_DOWN}, .places = PLACE_PICKER, .act = move_candidate, .argument = PAGE_ROWS},
	{.keys = {PRESS_HOME}, .places = PLACE_PICKER, .act = move_candidate, .argument = -ALL_ROWS},
	{.keys = {PRESS_END}, .places = PLACE_PICKER, .act = move_candidate, .argument = ALL_ROWS},
	{.keys = {PRESS_WHEEL_UP}, .places = PLACE_PICKER, .act = move_candidate, .argument = -WHEEL_ROWS},
	{.keys = {PRESS_WHEEL_DOWN}, .places = PLACE_PICKER, .act = move_candidate, .argument = WHEEL_ROWS},
	{.spot = SPOT_ROW, .places = PLACE_PICKER, .act = click_candidate},
	{.spot = SPOT_HEADING, .places = PLACE_PICKER, .act = sort_candidates},
};
/* clang-format on */

const struct actions top_actions = {table, sizeof(table) / sizeof(table[0])};
