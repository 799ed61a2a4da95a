#include "top/inspection.h"

enum {
	ZOOM_FACTOR = 4,
	LEAST_CHUNK = 32, /* bytes of the smallest chunk: no cell need be smaller */
};

void inspection_open(struct inspection *inspection)
{
	*inspection = (struct inspection){.request = {.target = -1}};
}

void inspection_reset(struct inspection *inspection)
{
	inspection->from = inspection->to = inspection->cursor_addr = 0;
}

struct inspection_request inspection_ask(const struct inspection *inspection, int target,
					 unsigned arena, unsigned cells)
{
	return (struct inspection_request){
		.target = target,
		.map = cells,
		.arena = arena,
		.from = inspection->from,
		.to = inspection->to,
		.cells = cells < FEED_CELLS ? cells : FEED_CELLS,
	};
}

const struct heap_map *inspection_map(const struct inspection *inspection, int target,
				      unsigned arena, const struct heap_map **before)
{
	const struct inspection_result *inspected = inspection->inspected;

	*before = NULL;
	if (!inspected || !inspected->has_map || inspected->request.target != target ||
	    inspected->request.arena != arena)
		return NULL;
	if (inspection->before && inspection->before->has_map)
		*before = inspection->before->map;
	return inspected->map;
}

unsigned inspection_cell(const struct inspection *inspection, const struct heap_map *map)
{
	const struct map_cell *cell = heap_map_at(map, inspection->cursor_addr);

	return cell ? (unsigned)(cell - map->cell) : 0;
}

void inspection_put(struct inspection *inspection, const struct heap_map *map,
		    unsigned cell)
{
	if (cell < map->cell_count)
		inspection->cursor_addr = map->cell[cell].from;
}

/* ---- the range ---- */

/* A range of BYTES around ADDR, within the arena; all of it when it has no more. */
static void look_at(struct inspection *inspection, const struct heap_map *map,
		    uint64_t addr, uint64_t bytes)
{
	uint64_t least = (uint64_t)map->cell_count * LEAST_CHUNK, from;

	if (bytes < least)
		bytes = least;
	if (bytes >= map->arena_to - map->arena_from) {
		inspection->from = inspection->to = 0;
		return;
	}
	from = addr - map->arena_from > bytes / 2 ? addr - bytes / 2 : map->arena_from;
	if (from > map->arena_to - bytes)
		from = map->arena_to - bytes;
	inspection->from = from & ~UINT64_C(15);
	inspection->to = (from + bytes + 15) & ~UINT64_C(15);
}

/* The same many bytes, half of them further on. */
static bool shift(struct inspection *inspection, const struct heap_map *map, int step)
{
	uint64_t bytes = map->total.to - map->total.from;
	uint64_t edge = step < 0 ? map->total.from : map->total.to;

	if (step < 0 ? edge <= map->arena_from : edge >= map->arena_to)
		return false;
	inspection->cursor_addr = step < 0 ? edge - 1 : edge;
	look_at(inspection, map, edge, bytes);
	return true;
}

void inspection_move(struct inspection *inspection, const struct heap_map *map,
		     int64_t cells)
{
	int64_t to;

	if (!map->cell_count)
		return;
	to = (int64_t)inspection_cell(inspection, map) + cells;
	if (to < 0 && shift(inspection, map, -1))
		return;
	if (to >= map->cell_count && shift(inspection, map, 1))
		return;
	if (to < 0)
		to = 0;
	if (to >= map->cell_count)
		to = map->cell_count - 1;
	inspection->cursor_addr = map->cell[to].from;
}

void inspection_zoom(struct inspection *inspection, const struct heap_map *map, int step)
{
	uint64_t bytes;

	if (!map->cell_count)
		return;
	inspection->cursor_addr = map->cell[inspection_cell(inspection, map)].from;
	/* Of what is asked for: that may not have been looked at yet. */
	bytes = inspection->to ? inspection->to - inspection->from
			       : map->arena_to - map->arena_from;
	look_at(inspection, map, inspection->cursor_addr,
		step > 0 ? bytes / ZOOM_FACTOR : bytes * ZOOM_FACTOR);
}

void inspection_enter(struct inspection *inspection, const struct heap_map *map)
{
	const struct map_cell *cell;

	if (!map->cell_count)
		return;
	cell = &map->cell[inspection_cell(inspection, map)];
	inspection->cursor_addr = cell->from;
	look_at(inspection, map, cell->from + (cell->to - cell->from) / 2,
		cell->to - cell->from);
}
