/* pick.c: the list of processes in place of the panes: typed into, moved in, and what
 * is chosen is attached to. */
#include "top/top.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

int top_pick(struct top *top, struct fault *fault)
{
	int error = top->picker ? 0 : picker_new(&top->picker, fault);

	if (error)
		return error;
	picker_search(top->picker, true);
	top->picking = true;
	top->pick_filter[0] = '\0';
	top->picked_pid = 0;
	return 0;
}

static void leave(struct top *top)
{
	picker_search(top->picker, false);
	top->picking = false;
}

/* Where the process stands that was moved to; it may be gone, or filtered out. */
static unsigned selected(const struct top *top, const struct screen_picker *list)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->candidate[i].pid == top->picked_pid)
			return i;
	return 0;
}

void top_fill_picker(struct top *top, struct screen *screen)
{
	struct screen_picker *list = &screen->picker;
	unsigned rows = top->canvas->rows, first;

	screen->picking = true;
	screen->ended = NULL;
	screen->prompt = "filter: ";
	screen->typed = top->pick_filter;
	picker_list(top->picker, top->pick_filter, list);
	list->selected = selected(top, list);
	/* The page that the selected one is on, wherever on it that stands. */
	first = list->selected > rows ? list->selected - rows : 0;
	picker_show(top->picker, first, list->selected - first + rows);
}

void top_pick_move(struct top *top, int64_t by)
{
	const struct screen_picker *list = &top->screen.picker;
	int64_t to = (int64_t)selected(top, list) + by;

	if (!list->count)
		return;
	if (to < 0)
		to = 0;
	if (to >= list->count)
		to = list->count - 1;
	top->picked_pid = list->candidate[to].pid;
}

/* A process that is watched already is brought to the front. */
static void attach(struct top *top, int pid)
{
	struct fault fault;

	for (unsigned i = 0; i < top->target_count; i++) {
		if (top->target[i].pid != pid || top->target[i].over)
			continue;
		top_show_target(top, i);
		leave(top);
		return;
	}
	if (top_attach(top, pid, &fault)) {
		top_say(top, true, "%s", fault.text);
		return;
	}
	top_show_target(top, top->target_count - 1);
	leave(top);
}

static void choose(struct top *top)
{
	const struct screen_picker *list = &top->screen.picker;

	if (list->count)
		attach(top, list->candidate[selected(top, list)].pid);
}

void top_pick_click(struct top *top, unsigned index)
{
	const struct screen_picker *list = &top->screen.picker;

	if (index >= list->count)
		return;
	if (top->picked_pid == list->candidate[index].pid)
		choose(top);
	else
		top->picked_pid = list->candidate[index].pid;
}

/* Clears the filter; with none, goes back to what was shown before; there was nothing:
 * ends. */
static void back(struct top *top)
{
	if (*top->pick_filter)
		top->pick_filter[0] = '\0';
	else if (top->target_count)
		leave(top);
	else
		top->quit = true;
}

void top_pick_press(struct top *top, uint32_t code)
{
	const struct key_binding *binding = key_find(code, PLACE_PICKER);

	top->message[0] = '\0';
	switch (binding ? binding->action : ACTION_NONE) {
	case ACTION_UP:
		top_pick_move(top, -1);
		break;
	case ACTION_DOWN:
		top_pick_move(top, 1);
		break;
	case ACTION_PAGE_UP:
		top_pick_move(top, -(int64_t)top->canvas->rows / 2);
		break;
	case ACTION_PAGE_DOWN:
		top_pick_move(top, top->canvas->rows / 2);
		break;
	case ACTION_FIRST:
		top_pick_move(top, INT_MIN);
		break;
	case ACTION_LAST:
		top_pick_move(top, INT_MAX);
		break;
	case ACTION_ENTER:
		choose(top);
		break;
	case ACTION_LEAVE:
		back(top);
		break;
	case ACTION_QUIT:
		top->quit = true;
		break;
	default:
		top_type(top->pick_filter, code);
		top->picked_pid = 0;
	}
}
