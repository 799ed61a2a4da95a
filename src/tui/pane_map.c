/* pane_map.c: the address space of one arena as a grid of cells, each marked and coloured
 * by what it holds most of, and what is under the cursor. */
#include "base/units.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "tui/pane.h"
#include "tui/table.h"

#include <string.h>

enum { LIVE_BLOCK = 0x2588, LIVE_SHADE = '#' };

struct map_look {
	enum ink ink;
	uint32_t mark;
};

/* The marks of enum memory, where the kinds are the same. */
static const struct map_look looks[MAP_KINDS] = {
	[MAP_LIVE] = {INK_LIVE, LIVE_BLOCK},
	[MAP_CACHED] = {INK_TCACHE, 'c'},
	[MAP_PINNED] = {INK_PINNED, 'x'},
	[MAP_TRIMMABLE] = {INK_TRIMMABLE, 0x2591},
	[MAP_RETAINED] = {INK_RETAINED, 0x2592},
	[MAP_RETURNED] = {INK_RETURNED, 0xb7},
	[MAP_OWN] = {INK_ALLOCATOR, '+'},
	[MAP_FOREIGN] = {INK_OTHER, 'f'},
	[MAP_DOUBT] = {INK_WARNING, '?'},
	[MAP_UNREAD] = {INK_OTHER, 's'},
};

static const struct map_look top_look = {INK_TOP, 'T'};

/* A top whose pages were given back, or never touched, costs nothing. */
static const struct map_look top_returned_look = {INK_RETURNED, 't'};

static const struct map_look *look_of(const struct map_cell *cell)
{
	bool is_top = cell->top_bytes > (cell->to - cell->from) / 2;

	if (is_top && map_cell_most(cell) == MAP_RETURNED)
		return &top_returned_look;
	return is_top ? &top_look : &looks[map_cell_most(cell)];
}

/* ---- what changed ---- */

static bool has_changed(const struct screen_map *map, const struct map_cell *cell)
{
	const struct map_cell *before;

	if (!map->before)
		return false;
	before = heap_map_at(map->before, cell->from);
	return !before || before->from != cell->from || before->to != cell->to ||
	       before->fingerprint != cell->fingerprint ||
	       memcmp(before->bytes, cell->bytes, sizeof(cell->bytes)) != 0;
}

static unsigned changed_cells(const struct screen_map *map)
{
	unsigned count = 0;

	for (unsigned i = 0; i < map->map->cell_count; i++)
		count += has_changed(map, &map->map->cell[i]);
	return count;
}

/* With colours, what is resident is a field of its colour with its mark in it. */
static void mark_draw(const struct area *area, unsigned row, unsigned column,
		      enum palette palette, const struct map_look *look)
{
	bool is_field = look->mark == LIVE_BLOCK && !area->canvas->ascii;

	area_put(area, row, column, look->mark, look->ink);
	if (palette != PALETTE_MONO && look->ink != INK_RETURNED && !is_field)
		area_style(area, row, column, 1, STYLE_REVERSE);
}

/* ---- above the grid ---- */

/* ": 6.25M in 400 cells of 16.0K, part of 1.00G" */
static void range_text(struct text *text, const struct heap_map *map)
{
	text_string(text, ": ");
	units_bytes(text, map->total.to - map->total.from);
	text_string(text, " in ");
	text_u64(text, map->cell_count);
	text_string(text, map->cell_count == 1 ? " cell" : " cells");
	if (map->cell_count > 1) {
		text_string(text, " of ");
		units_bytes(text, map->cell_bytes);
	}
	if (map->total.from > map->arena_from || map->total.to < map->arena_to) {
		text_string(text, ", part of ");
		units_bytes(text, map->arena_to - map->arena_from);
	}
}

static void changes_text(struct text *text, const struct screen_map *map)
{
	text_string(text, "; ");
	if (map->before) {
		text_u64(text, changed_cells(map));
		text_string(text, " changed since the reading before");
	} else {
		text_string(text, "changes show with the next reading");
	}
}

static void summary_line(const struct screen_map *shown, const struct area *area)
{
	const struct heap_map *map = shown->map;
	struct line line;
	struct text *text = line_start(&line);
	unsigned column;

	text_string(text, "arena #");
	text_u64(text, map->arena);
	column = area_text(area, 0, 0, line.buf, INK_TITLE);
	text = line_start(&line);
	range_text(text, map);
	if (shown->show_changed)
		changes_text(text, shown);
	if (map->status != STATUS_COMPLETE) {
		text_string(text, "; ");
		text_string(text, *map->missing ? map->missing
						: sample_status_name(map->status));
	}
	area_cut(area, 0, column, area->rect.columns - column, line.buf, INK_LABEL);
}

static bool legend_entry(const struct area *area, enum palette palette, unsigned *row,
			 unsigned *column, const struct map_look *look, const char *label,
			 uint64_t bytes)
{
	struct line line;
	struct text *text = line_start(&line);
	unsigned width;

	text_char(text, ' ');
	text_string(text, label);
	text_char(text, ' ');
	units_bytes(text, bytes);
	width = 1 + canvas_width(line.buf);
	if (*column && *column + width > area->rect.columns) {
		(*row)++;
		*column = 0;
	}
	if (*row >= area->rect.rows)
		return false;
	mark_draw(area, *row, *column, palette, look);
	*column = area_text(area, *row, *column + 1, line.buf, INK_LABEL) + 2;
	return true;
}

/* Only what there is. */
static void legend(const struct heap_map *map, const struct area *area,
		   enum palette palette)
{
	unsigned row = 1, column = 0;

	for (unsigned kind = 0; kind < MAP_KINDS; kind++)
		if (map->total.bytes[kind] &&
		    !legend_entry(area, palette, &row, &column, &looks[kind],
				  map_kind_name((enum map_kind)kind),
				  map->total.bytes[kind]))
			return;
	if (map->total.top_bytes)
		legend_entry(area, palette, &row, &column, &top_look,
			     "top (t: not resident)", map->total.top_bytes);
}

/* ---- the grid ---- */

/* A block would hide the ground that this ink is known by. */
static void mark_cell(const struct area *area, unsigned row, unsigned column,
		      uint32_t mark, enum ink ink)
{
	area_put(area, row, column, mark == LIVE_BLOCK ? LIVE_SHADE : mark, ink);
}

static void cell_draw(const struct screen *screen, const struct area *area, unsigned row,
		      unsigned column, unsigned i)
{
	const struct screen_map *map = &screen->map;
	const struct map_cell *cell = &map->map->cell[i];
	const struct map_look *look = look_of(cell);

	mark_draw(area, row, column, screen->palette, look);
	if (map->show_changed && has_changed(map, cell))
		mark_cell(area, row, column, look->mark, INK_CHANGED);
	if (i == map->cursor)
		mark_cell(area, row, column, look->mark, INK_CURSOR);
	area_spot(area, row, column, 1, SPOT_CELL, i);
}

static void grid(const struct drawing *drawing)
{
	const struct screen_map *map = &drawing->screen->map;
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	unsigned across = layout_map_columns(&drawing->layout);
	unsigned rows = (map->map->cell_count + across - 1) / across;
	unsigned first = pane_first(rows, map->cursor / across, area.rect.rows);

	for (unsigned row = 0; row < area.rect.rows && first + row < rows; row++) {
		unsigned from = (first + row) * across;
		struct line line;

		text_hex(line_start(&line), map->map->cell[from].from);
		area_right(&area, row, LAYOUT_ADDRESS_COLUMNS - 1, line.buf, INK_FAINT);
		for (unsigned i = 0; i < across && from + i < map->map->cell_count; i++)
			cell_draw(drawing->screen, &area, row, LAYOUT_ADDRESS_COLUMNS + i,
				  from + i);
	}
}

/* ---- under the cursor ---- */

static void count_of(struct text *text, uint32_t count, const char *what)
{
	if (!count)
		return;
	text_string(text, ", ");
	text_u64(text, count);
	text_char(text, ' ');
	text_string(text, what);
}

static void cell_line(const struct map_cell *cell, struct text *text)
{
	text_hex(text, cell->from);
	text_string(text, " to ");
	text_hex(text, cell->to);
	text_string(text, ": ");
	units_bytes(text, cell->to - cell->from);
	text_string(text, ", resident ");
	units_bytes(text, cell->resident_bytes);
}

static void cell_chunks(const struct map_cell *cell, struct text *text)
{
	if (!cell->live_chunks && !cell->free_chunks && !cell->cached_chunks) {
		text_string(text, "no chunk begins here");
	} else {
		text_string(text, "chunks that begin here");
		count_of(text, cell->live_chunks, "live");
		count_of(text, cell->free_chunks, "free");
		count_of(text, cell->cached_chunks, "tcache");
	}
	if (cell->largest_free_bytes) {
		text_string(text, "; largest free one ");
		units_bytes(text, cell->largest_free_bytes);
	}
}

static void cell_kinds(const struct map_cell *cell, struct text *text)
{
	for (unsigned kind = 0; kind < MAP_KINDS; kind++) {
		if (!cell->bytes[kind])
			continue;
		if (text->length)
			text_string(text, ", ");
		text_string(text, map_kind_name((enum map_kind)kind));
		text_char(text, ' ');
		units_bytes(text, cell->bytes[kind]);
	}
}

/* The best known pin that lies in the cell, if any. */
static void cell_blocker(const struct screen *screen, const struct map_cell *cell,
			 struct text *text)
{
	for (unsigned i = 0; screen->blockers && i < screen->blockers->best_count; i++) {
		const struct blocker *blocker = &screen->blockers->best[i];

		if (blocker->addr + blocker->bytes <= cell->from ||
		    blocker->addr >= cell->to)
			continue;
		text_string(text, "pin: ");
		text_u64(text, blocker->chunks);
		text_string(text, blocker->chunks == 1 ? " live chunk at "
						       : " live chunks at ");
		text_hex(text, blocker->addr);
		text_string(text, " of ");
		units_bytes(text, blocker->bytes);
		text_string(text, blocker->chunks == 1 ? " holds " : " hold ");
		units_bytes(text, blocker->unlocked_bytes);
		text_string(text, " back");
		return;
	}
}

enum { CHUNK_COLUMNS = 4, BLOCKER_COLUMNS = 4, BLOCKERS_FROM_ROWS = 16 };

static const struct table_column chunk_columns[] = {
	{"address", 14, 1, false},
	{"size", 5, 1, false},
	{"is", 12, 1, true},
	{"resident", 8, 2, false},
};

static void chunk_draw(const struct area *area, unsigned row, const struct table *table,
		       const struct map_chunk *chunk)
{
	static const enum map_kind kinds[MAP_CHUNK_KINDS] = {
		[MAP_CHUNK_LIVE] = MAP_LIVE,	   [MAP_CHUNK_CACHED] = MAP_CACHED,
		[MAP_CHUNK_FREE] = MAP_PINNED,	   [MAP_CHUNK_FAST] = MAP_PINNED,
		[MAP_CHUNK_TOP] = MAP_TRIMMABLE,   [MAP_CHUNK_OWN] = MAP_OWN,
		[MAP_CHUNK_FOREIGN] = MAP_FOREIGN, [MAP_CHUNK_DOUBT] = MAP_DOUBT,
	};
	enum ink ink = looks[kinds[chunk->kind]].ink;
	struct line line;

	text_hex(line_start(&line), chunk->addr);
	table_cell(area, row, table, chunk_columns, 0, line.buf, INK_TEXT);
	units_bytes(line_start(&line), chunk->bytes);
	table_cell(area, row, table, chunk_columns, 1, line.buf, INK_VALUE);
	table_cell(area, row, table, chunk_columns, 2, map_chunk_kind_name(chunk->kind),
		   ink);
	units_bytes(line_start(&line), chunk->resident_bytes);
	table_cell(area, row, table, chunk_columns, 3, line.buf, INK_TEXT);
}

/* The chunks that touch CELL, in rows FROM to END; returns the row behind them. */
static unsigned chunk_list(const struct area *area, unsigned from, unsigned end,
			   const struct heap_map *map, const struct map_cell *cell)
{
	struct table table = table_of(chunk_columns, CHUNK_COLUMNS, area->rect.columns,
				      CHUNK_COLUMNS, 0);
	const struct map_chunk *last = map->chunk + map->chunk_count;
	const struct map_chunk *chunk;

	if (from + 1 >= end)
		return from;
	if (!map->has_chunks)
		return pane_wrap(area, from, 0,
				 "a part that is small enough shows chunk by chunk: +",
				 INK_FAINT);
	table_headings(area, from++, &table, chunk_columns, CHUNK_COLUMNS);
	for (chunk = heap_map_chunk(map, cell->from);
	     chunk && chunk < last && chunk->addr < cell->to && from < end; chunk++)
		chunk_draw(area, from++, &table, chunk);
	return from;
}

/* ---- what pins ---- */

static const struct table_column blocker_columns[] = {
	{"pinned by", 14, 1, false},
	{"chunks", 6, 1, false},
	{"bytes", 5, 2, false},
	{"gives back", 10, 1, false},
};

static void blocker_draw(const struct area *area, unsigned row, const struct table *table,
			 const struct blocker *blocker)
{
	struct line line;

	text_hex(line_start(&line), blocker->addr);
	table_cell(area, row, table, blocker_columns, 0, line.buf, INK_TEXT);
	units_count(line_start(&line), blocker->chunks);
	table_cell(area, row, table, blocker_columns, 1, line.buf, INK_TEXT);
	units_bytes(line_start(&line), blocker->bytes);
	table_cell(area, row, table, blocker_columns, 2, line.buf, INK_TEXT);
	units_bytes(line_start(&line), blocker->unlocked_bytes);
	table_cell(area, row, table, blocker_columns, 3, line.buf, INK_VALUE);
}

/* The live chunks whose going would give most back, from ROW to the end of AREA. */
static void blocker_list(const struct area *area, unsigned row,
			 const struct screen *screen)
{
	struct table table = table_of(blocker_columns, BLOCKER_COLUMNS,
				      area->rect.columns, BLOCKER_COLUMNS, 0);
	const struct blockers *blockers = screen->blockers;
	unsigned heading = row++;

	for (unsigned i = 0;
	     blockers && i < blockers->best_count && row < area->rect.rows; i++)
		if (blockers->best[i].arena == screen->map.map->arena)
			blocker_draw(area, row++, &table, &blockers->best[i]);
	if (row > heading + 1)
		table_headings(area, heading, &table, blocker_columns, BLOCKER_COLUMNS);
}

static unsigned cell_draw_text(const struct screen *screen, const struct area *area,
			       const struct map_cell *cell)
{
	struct line line;
	unsigned row;

	cell_line(cell, line_start(&line));
	row = pane_wrap(area, 0, 0, line.buf, INK_VALUE);
	cell_kinds(cell, line_start(&line));
	row = pane_wrap(area, row, 0, line.buf, INK_TEXT);
	cell_chunks(cell, line_start(&line));
	row = pane_wrap(area, row, 0, line.buf, INK_TEXT);
	cell_blocker(screen, cell, line_start(&line));
	return pane_wrap(area, row, 0, line.buf, INK_WARNING);
}

static void detail(const struct drawing *drawing)
{
	const struct screen_map *map = &drawing->screen->map;
	struct area whole = area_of(drawing->canvas, &drawing->layout.detail);
	struct area area = area_box(&whole, "under the cursor", INK_FAINT);
	const struct map_cell *cell;
	unsigned row, end = area.rect.rows;

	if (map->cursor >= map->map->cell_count || !end)
		return;
	cell = &map->map->cell[map->cursor];
	row = cell_draw_text(drawing->screen, &area, cell);
	/* Pins have the lower part, if there are two. */
	if (drawing->screen->blockers && end >= BLOCKERS_FROM_ROWS)
		end -= end / 3;
	row = chunk_list(&area, row + 1, end, map->map, cell);
	if (area.rect.rows >= BLOCKERS_FROM_ROWS)
		blocker_list(&area, row + 1, drawing->screen);
}

void map_draw(const struct drawing *drawing)
{
	const struct screen_map *map = &drawing->screen->map;
	struct area body = area_of(drawing->canvas, &drawing->layout.body);
	struct area summary = area_of(drawing->canvas, &drawing->layout.summary);

	if (!map->map && map->why) {
		pane_nothing(&body, "no map of this heap", map->why);
	} else if (!map->map) {
		pane_nothing(&body, "the map is being read", NULL);
	} else if (!map->map->cell_count) {
		pane_nothing(&body, "this arena has no memory", NULL);
	} else {
		summary_line(map, &summary);
		legend(map->map, &summary, drawing->screen->palette);
		grid(drawing);
		detail(drawing);
	}
}
