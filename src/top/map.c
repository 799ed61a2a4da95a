/* map.c: the heap map of `top`: which range of which arena is looked at, and where
 * the cursor stands. */
#include "top/top.h"

#include <string.h>

enum {
	ZOOM_FACTOR = 4,
	LEAST_CHUNK = 32, /* bytes of the smallest chunk: no cell need be smaller */
};

/* What is looked at for the pane that is shown; nothing while the past is. */
static void wish_for(struct top *top, struct feed_wish *wish)
{
	const struct top_target *target = top_shown(top);
	struct layout layout;
	unsigned cells;

	*wish = (struct feed_wish){.target = -1};
	if (!target || target->over || top->time.paused_ns || top->picking ||
	    (top->pane != PANE_MAP && top->pane != PANE_ADVICE))
		return;
	layout_of(top->canvas->rows, top->canvas->columns, PANE_MAP, &layout);
	cells = layout_map_rows(&layout) * layout_map_columns(&layout);
	wish->target = (int)top->shown;
	wish->pins = true;
	wish->around = top->pane == PANE_ADVICE;
	wish->map = top->pane == PANE_MAP && cells;
	wish->arena = top->arena;
	wish->from = top->map.from;
	wish->to = top->map.to;
	wish->cells = cells < FEED_CELLS ? cells : FEED_CELLS;
}

void top_wish(struct top *top)
{
	struct feed_wish wish;

	if (!top->feed)
		return;
	wish_for(top, &wish);
	if (feed_same_wish(&wish, &top->map.wish))
		return;
	top->map.wish = wish;
	feed_want(top->feed, &wish);
}

/* Whether LOOK shows the target at the instant that is looked at. */
static bool is_of_instant(struct top *top, const struct feed_look *look, int64_t time_ns)
{
	const struct top_target *target = top_shown(top);

	if (!look || look->wish.target != (int)top->shown)
		return false;
	return !top->time.paused_ns ||
	       history_when(target->history, time_ns) == top_sample(top);
}

const struct heap_map *top_map(struct top *top, const struct heap_map **before)
{
	const struct feed_look *look = top->map.look;

	*before = NULL;
	if (!look || !look->has_map || look->wish.arena != top->arena ||
	    !is_of_instant(top, look, look->map->time_ns))
		return NULL;
	if (top->map.before && top->map.before->has_map)
		*before = top->map.before->map;
	return look->map;
}

const struct pins *top_pins(struct top *top)
{
	const struct feed_look *look = top->map.look;

	return look && look->has_pins && is_of_instant(top, look, look->pins.time_ns)
		       ? &look->pins
		       : NULL;
}

const struct feed_look *top_around(struct top *top)
{
	const struct feed_look *look = top->map.look;

	return look && look->wish.around && !top->time.paused_ns &&
			       look->wish.target == (int)top->shown
		       ? look
		       : NULL;
}

/* Why there is no map; null: it is being read. */
static const char *why_none(struct top *top)
{
	const struct feed_look *look = top->map.look;

	if (top->replay)
		return "a recording has no map of the heap";
	if (top->time.paused_ns)
		return "the map is of the present alone; 'l' goes there";
	if (top_shown(top)->over)
		return "the process has ended";
	if (look && !look->has_map && feed_same_wish(&look->wish, &top->map.wish))
		return look->why_no_map.text;
	return NULL;
}

static unsigned cursor_cell(const struct top *top, const struct heap_map *map)
{
	const struct map_cell *cell = heap_map_at(map, top->map.cursor_addr);

	return cell ? (unsigned)(cell - map->cell) : 0;
}

void top_fill_map(struct top *top, struct screen_map *shown)
{
	*shown = (struct screen_map){
		.arena = top->arena,
		.show_changed = top->map.show_changed,
	};
	shown->map = top_map(top, &shown->before);
	if (shown->map)
		shown->cursor = cursor_cell(top, shown->map);
	else
		shown->why = why_none(top);
}

/* ---- the range ---- */

/* A range of BYTES around ADDR, within the arena; all of it when it has no more. */
static void look_at(struct top *top, const struct heap_map *map, uint64_t addr,
		    uint64_t bytes)
{
	uint64_t least = (uint64_t)map->cell_count * LEAST_CHUNK, from;

	if (bytes < least)
		bytes = least;
	if (bytes >= map->arena_to - map->arena_from) {
		top->map.from = top->map.to = 0;
		return;
	}
	from = addr - map->arena_from > bytes / 2 ? addr - bytes / 2 : map->arena_from;
	if (from > map->arena_to - bytes)
		from = map->arena_to - bytes;
	top->map.from = from & ~UINT64_C(15);
	top->map.to = (from + bytes + 15) & ~UINT64_C(15);
}

/* The same many bytes, half of them further on. */
static bool shift(struct top *top, const struct heap_map *map, int step)
{
	uint64_t bytes = map->total.to - map->total.from;
	uint64_t edge = step < 0 ? map->total.from : map->total.to;

	if (step < 0 ? edge <= map->arena_from : edge >= map->arena_to)
		return false;
	top->map.cursor_addr = step < 0 ? edge - 1 : edge;
	look_at(top, map, edge, bytes);
	return true;
}

void top_map_move(struct top *top, int64_t cells)
{
	const struct heap_map *before, *map = top_map(top, &before);
	int64_t to;

	if (!map || !map->cell_count)
		return;
	to = (int64_t)cursor_cell(top, map) + cells;
	if (to < 0 && shift(top, map, -1))
		return;
	if (to >= map->cell_count && shift(top, map, 1))
		return;
	if (to < 0)
		to = 0;
	if (to >= map->cell_count)
		to = map->cell_count - 1;
	top->map.cursor_addr = map->cell[to].from;
}

void top_map_zoom(struct top *top, int step)
{
	const struct heap_map *before, *map = top_map(top, &before);
	uint64_t bytes;

	if (!map || !map->cell_count)
		return;
	top->map.cursor_addr = map->cell[cursor_cell(top, map)].from;
	/* Of what is asked for: that may not have been looked at yet. */
	bytes = top->map.to ? top->map.to - top->map.from
			    : map->arena_to - map->arena_from;
	look_at(top, map, top->map.cursor_addr,
		step > 0 ? bytes / ZOOM_FACTOR : bytes * ZOOM_FACTOR);
}

void top_map_enter(struct top *top)
{
	const struct heap_map *before, *map = top_map(top, &before);
	const struct map_cell *cell;

	if (!map || !map->cell_count)
		return;
	cell = &map->cell[cursor_cell(top, map)];
	top->map.cursor_addr = cell->from;
	look_at(top, map, cell->from + (cell->to - cell->from) / 2,
		cell->to - cell->from);
}

void top_map_set_arena(struct top *top, unsigned arena)
{
	if (top->arena == arena)
		return;
	top->arena = arena;
	top->map.from = top->map.to = top->map.cursor_addr = 0;
}

unsigned top_map_across(const struct top *top)
{
	struct layout layout;

	layout_of(top->canvas->rows, top->canvas->columns, PANE_MAP, &layout);
	return layout_map_columns(&layout);
}

void top_map_put_cursor(struct top *top, unsigned cell)
{
	const struct heap_map *before, *map = top_map(top, &before);

	if (map && cell < map->cell_count)
		top->map.cursor_addr = map->cell[cell].from;
}
