#include "top/top.h"

#include <stdarg.h>
#include <stdio.h>

void top_message(struct top *top, bool is_bad, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(top->said.message, sizeof(top->said.message), format, args);
	va_end(args);
	top->said.is_bad = is_bad;
	top->dirty = true;
}

struct top_target *top_target(struct top *top)
{
	return targets_shown(&top->targets);
}

const struct sample *top_sample(struct top *top)
{
	const struct top_target *target = top_target(top);

	return target ? timeline_sample(&top->time, target->history) : NULL;
}

void top_show_target(struct top *top, unsigned index)
{
	if (index == top->targets.shown || index >= top->targets.count)
		return;
	top->targets.shown = index;
	top->selection.event = top->selection.verdict = 0;
	inspection_reset(&top->inspection);
}

void top_select_arena(struct top *top, unsigned arena)
{
	if (top->selection.arena == arena)
		return;
	top->selection.arena = arena;
	inspection_reset(&top->inspection);
}

/* ---- what was looked at ---- */

/* Whether what was looked at in the target that is shown is of the instant that is:
 * TIME_NS is when it was. */
static bool is_of_instant(struct top *top, int64_t time_ns)
{
	const struct top_target *target = top_target(top);
	const struct inspection_result *inspected = top->inspection.inspected;

	if (!target || !inspected || inspected->request.target != (int)top->targets.shown)
		return false;
	return !top->time.paused_ns ||
	       history_when(target->history, time_ns) == top_sample(top);
}

const struct heap_map *top_map(struct top *top, const struct heap_map **before)
{
	const struct heap_map *map;

	if (top->replay) {
		*before = NULL;
		return top->days_map.has ? top->days_map.map : NULL;
	}
	map = inspection_map(&top->inspection, (int)top->targets.shown,
			     top->selection.arena, before);

	return map && is_of_instant(top, map->time_ns) ? map : NULL;
}

const struct blockers *top_blockers(struct top *top)
{
	const struct inspection_result *inspected = top->inspection.inspected;

	return inspected && inspected->has_blockers &&
			       is_of_instant(top, inspected->blockers.time_ns)
		       ? &inspected->blockers
		       : NULL;
}

const struct inspection_result *top_around(struct top *top)
{
	const struct inspection_result *inspected = top->inspection.inspected;

	return inspected && inspected->request.around && !top->time.paused_ns &&
			       inspected->request.target == (int)top->targets.shown
		       ? inspected
		       : NULL;
}

static void map_layout(const struct top *top, struct layout *layout)
{
	layout_of(top->canvas->rows, top->canvas->columns, PANE_MAP, layout);
}

unsigned top_map_columns(const struct top *top)
{
	struct layout layout;

	map_layout(top, &layout);
	return layout_map_columns(&layout);
}

unsigned top_map_cells(const struct top *top)
{
	struct layout layout;

	map_layout(top, &layout);
	return layout_map_rows(&layout) * layout_map_columns(&layout);
}
