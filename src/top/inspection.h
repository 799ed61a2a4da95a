/* inspection.h: what is looked at besides the readings: which range of which arena the
 * heap map shows, where its cursor stands, and what the feed is asked for. Cursor and
 * range are addresses: they stay where they are when the cells become others. */
#ifndef FRAGSCOPE_INSPECTION_H
#define FRAGSCOPE_INSPECTION_H

#include "sample/heap_map.h"
#include "top/feed.h"

#include <stdbool.h>
#include <stdint.h>

/* INSPECTED and BEFORE are the feed's. */
struct inspection {
	struct inspection_request request; /* that the feed knows of */
	const struct inspection_result *inspected, *before;
	uint64_t from, to; /* both 0: the whole arena */
	uint64_t cursor_addr;
	bool show_changed;
};

void inspection_open(struct inspection *inspection);

/* Another heap, or arena, is looked at from now on: all of it. */
void inspection_reset(struct inspection *inspection);

/* What to ask the feed for so that the map of ARENA of TARGET has CELLS cells; no map for
 * 0. */
struct inspection_request inspection_ask(const struct inspection *inspection, int target,
					 unsigned arena, unsigned cells);

/* The map of ARENA of TARGET in the latest look, and in the one BEFORE; or null. */
const struct heap_map *inspection_map(const struct inspection *inspection, int target,
				      unsigned arena, const struct heap_map **before);

/* The cell of MAP that the cursor is in; the first when it is outside. */
unsigned inspection_cell(const struct inspection *inspection, const struct heap_map *map);

/* The cursor by CELLS of MAP, beyond its ends into what lies there of the arena; to one
 * cell. */
void inspection_move(struct inspection *inspection, const struct heap_map *map,
		     int64_t cells);
void inspection_put(struct inspection *inspection, const struct heap_map *map,
		    unsigned cell);

/* The range by a step in (1) or out (-1), or to what is under the cursor. */
void inspection_zoom(struct inspection *inspection, const struct heap_map *map, int step);
void inspection_enter(struct inspection *inspection, const struct heap_map *map);

#endif
