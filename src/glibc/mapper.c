/* mapper.c: puts what lies in one arena into the cells of a map. */
#include "glibc/free_parts.h"
#include "glibc/survey.h"

#include <errno.h>
#include <string.h>

/* Pieces side by side that count alike are spread over the cells together: a heap has far
 * more chunks than cells. A run of free chunks can only be sorted at its end. */
struct mapper {
	struct heap *heap;
	struct heap_map *map;
	const struct owned_segment *segment;
	uint64_t from; /* the range */
	uint64_t to;
	unsigned cell;	/* the first that does not end before START */
	unsigned begin; /* or before where the next piece begins */
	enum map_chunk_kind kind;
	uint64_t start; /* of the pieces not spread yet, END when there are none */
	uint64_t end;
	unsigned first_chunk; /* of them, in the map's list */
	bool has_chunks;
	bool is_beside; /* the segment is of the map's arena */
};

/* ---- the cells ---- */

/* The part of SEGMENT, from its headers on, that lies in the range. */
static bool clip(const struct mapper *mapper, const struct owned_segment *segment,
		 uint64_t *from, uint64_t *to)
{
	*from = segment->front > mapper->from ? segment->front : mapper->from;
	*to = segment->end < mapper->to ? segment->end : mapper->to;
	return *from < *to;
}

static uint64_t count_cells(const struct mapper *mapper, unsigned segments,
			    uint64_t cell_bytes)
{
	const struct heap *heap = mapper->heap;
	uint64_t cells = 0, from, to;

	for (unsigned i = 0; i < segments; i++)
		if (clip(mapper, &heap->segment[heap->survey->segment[i]], &from, &to))
			cells += (to - from + cell_bytes - 1) / cell_bytes;
	return cells;
}

/* The least size of a cell with which all segments have room, a cell beginning with each
 * of them; 0: there are more segments than cells. */
static uint64_t fit_cells(const struct mapper *mapper, unsigned segments)
{
	uint64_t low = 1, high = UINT64_C(1) << (47 - 4);
	unsigned capacity = mapper->map->cell_capacity;

	if (count_cells(mapper, segments, high * GLIBC_ALIGN) > capacity)
		return 0;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (count_cells(mapper, segments, middle * GLIBC_ALIGN) > capacity)
			low = middle + 1;
		else
			high = middle;
	}
	return low * GLIBC_ALIGN;
}

static void lay_cells(struct mapper *mapper, unsigned segments)
{
	const struct heap *heap = mapper->heap;
	struct heap_map *map = mapper->map;
	uint64_t from, to;

	for (unsigned i = 0; i < segments; i++) {
		if (!clip(mapper, &heap->segment[heap->survey->segment[i]], &from, &to))
			continue;
		for (; from < to && map->cell_count < map->cell_capacity;
		     from += map->cell_bytes) {
			uint64_t end = from + map->cell_bytes;

			map->cell[map->cell_count++] = (struct map_cell){
				.from = from, .to = end < to ? end : to};
		}
	}
}

/* Cells that would be finer than this help nobody: the map of a small heap is of round
 * sizes. */
static uint64_t round_cell(uint64_t bytes)
{
	uint64_t round = GLIBC_ALIGN;

	while (round < bytes)
		round *= 2;
	return round;
}

static int make_cells(struct mapper *mapper, unsigned segments, struct fault *fault)
{
	struct heap_map *map = mapper->map;
	uint64_t bytes = fit_cells(mapper, segments);

	if (!bytes)
		return fault_set(fault, EXIT_FAILED, -ENOSPC,
				 "arena %u lies in more segments than a map of %u cells "
				 "can show",
				 map->arena, map->cell_capacity);
	map->cell_bytes = round_cell(bytes);
	lay_cells(mapper, segments);
	return 0;
}

/* ---- spreading bytes over them ---- */

struct map_part {
	uint64_t from;
	uint64_t to;
	enum map_kind kind;
	bool is_resident;
};

static void add_part(struct map_cell *cell, const struct map_part *part, uint64_t bytes)
{
	cell->bytes[part->kind] += bytes;
	if (part->is_resident)
		cell->resident_bytes += bytes;
}

static void put(struct mapper *mapper, const struct map_part *part)
{
	struct heap_map *map = mapper->map;

	while (mapper->cell < map->cell_count && map->cell[mapper->cell].to <= part->from)
		mapper->cell++;
	for (unsigned i = mapper->cell; i < map->cell_count; i++) {
		struct map_cell *cell = &map->cell[i];
		uint64_t from = part->from > cell->from ? part->from : cell->from;
		uint64_t to = part->to < cell->to ? part->to : cell->to;

		if (cell->from >= part->to)
			break;
		if (from < to)
			add_part(cell, part, to - from);
	}
}

/* [FROM, TO) is RESIDENT where it is on resident pages, ABSENT elsewhere. */
static void spread(struct mapper *mapper, uint64_t from, uint64_t to,
		   enum map_kind resident, enum map_kind absent)
{
	struct pages *pages = mapper->heap->pages;

	if (from < mapper->from)
		from = mapper->from;
	if (to > mapper->to)
		to = mapper->to;
	while (from < to) {
		uint64_t there = pages_next_resident(pages, from, to);
		uint64_t end = there < to ? pages_run_end(pages, there, to) : to;

		if (there > from)
			put(mapper, &(struct map_part){from, there, absent, false});
		if (end > there)
			put(mapper, &(struct map_part){there, end, resident, true});
		from = end;
	}
}

/* What is in doubt because it is swapped out is told apart, page by page. */
static void spread_doubt(struct mapper *mapper, uint64_t from, uint64_t to)
{
	uint64_t page = UINT64_C(1) << mapper->heap->memory->page_shift;

	for (uint64_t next; from < to; from = next) {
		bool swapped = pages_swapped_bytes(mapper->heap->pages, from, from + 1);

		next = (from & -page) + page < to ? (from & -page) + page : to;
		spread(mapper, from, next, MAP_DOUBT, swapped ? MAP_UNREAD : MAP_DOUBT);
	}
}

/* Only the main arena's top at the program break is ever trimmed, as in the walk. */
static struct free_parts parts_of(const struct mapper *mapper)
{
	const struct owned_segment *segment = mapper->segment;
	const struct walk_arena *arena = &mapper->heap->work[segment->arena].walk;
	unsigned shift = mapper->heap->memory->page_shift;

	if (mapper->kind != MAP_CHUNK_TOP)
		return free_parts_of_run(shift, mapper->start, mapper->end);
	return free_parts_of_top(
		shift, mapper->end < segment->segment.end ? 0 : arena->trim_unit_bytes,
		mapper->start, mapper->end);
}

static uint64_t overlap_resident(struct mapper *mapper, const struct map_chunk *chunk,
				 const struct free_parts *parts)
{
	uint64_t end = chunk->addr + chunk->bytes;
	uint64_t from = chunk->addr > parts->from ? chunk->addr : parts->from;
	uint64_t to = end < parts->to ? end : parts->to;

	return from < to ? pages_resident_bytes(mapper->heap->pages, from, to) : 0;
}

static void spread_free(struct mapper *mapper)
{
	const struct free_parts parts = parts_of(mapper);

	spread(mapper, mapper->start, parts.shared, MAP_PINNED, MAP_RETURNED);
	spread(mapper, parts.shared, parts.from, MAP_RETAINED, MAP_RETURNED);
	spread(mapper, parts.from, parts.to, MAP_TRIMMABLE, MAP_RETURNED);
	spread(mapper, parts.to, mapper->end, MAP_PINNED, MAP_RETURNED);
	for (unsigned i = mapper->first_chunk; i < mapper->map->chunk_count; i++)
		mapper->map->chunk[i].trimmable_bytes =
			overlap_resident(mapper, &mapper->map->chunk[i], &parts);
}

static void spread_pieces(struct mapper *mapper)
{
	switch (mapper->kind) {
	case MAP_CHUNK_LIVE:
		spread(mapper, mapper->start, mapper->end, MAP_LIVE, MAP_LIVE);
		break;
	case MAP_CHUNK_CACHED:
		spread(mapper, mapper->start, mapper->end, MAP_CACHED, MAP_CACHED);
		break;
	case MAP_CHUNK_OWN:
		spread(mapper, mapper->start, mapper->end, MAP_OWN, MAP_OWN);
		break;
	case MAP_CHUNK_FOREIGN:
		spread(mapper, mapper->start, mapper->end, MAP_FOREIGN, MAP_FOREIGN);
		break;
	case MAP_CHUNK_FREE:
	case MAP_CHUNK_FAST:
	case MAP_CHUNK_TOP:
		spread_free(mapper);
		break;
	default:
		spread_doubt(mapper, mapper->start, mapper->end);
	}
	mapper->start = mapper->end;
	mapper->first_chunk = mapper->map->chunk_count;
}

/* ---- pieces ---- */

static enum map_chunk_kind chunk_kind(const struct mapper *mapper,
				      const struct piece *piece)
{
	static const enum map_chunk_kind kinds[] = {
		[PIECE_USED] = MAP_CHUNK_LIVE,	 [PIECE_FREE] = MAP_CHUNK_FREE,
		[PIECE_FAST] = MAP_CHUNK_FAST,	 [PIECE_TOP] = MAP_CHUNK_TOP,
		[PIECE_OWN] = MAP_CHUNK_OWN,	 [PIECE_FOREIGN] = MAP_CHUNK_FOREIGN,
		[PIECE_DOUBT] = MAP_CHUNK_DOUBT,
	};

	if (piece->kind == PIECE_USED &&
	    survey_is_cached(mapper->heap->survey, piece->start))
		return MAP_CHUNK_CACHED;
	return kinds[piece->kind];
}

static bool is_free(enum map_chunk_kind kind)
{
	return kind == MAP_CHUNK_FREE || kind == MAP_CHUNK_FAST || kind == MAP_CHUNK_TOP;
}

/* Whether a piece of KIND goes on what was not spread yet. A trim merges fastbin chunks
 * with what is free around them; a top has no binned chunk before it. */
static bool goes_on(const struct mapper *mapper, enum map_chunk_kind kind)
{
	if (!is_free(kind))
		return mapper->kind == kind;
	return is_free(mapper->kind) && mapper->kind != MAP_CHUNK_TOP &&
	       (kind != MAP_CHUNK_TOP || mapper->kind == MAP_CHUNK_FAST);
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 31;
	value *= UINT64_C(0x9e3779b97f4a7c15);
	return value ^ value >> 29;
}

/* What the cells tell of a free chunk, wherever it begins. */
static void note_free(struct mapper *mapper, const struct piece *piece, bool is_top)
{
	struct heap_map *map = mapper->map;
	uint64_t bytes = piece->end - piece->start;

	for (unsigned i = mapper->cell;
	     i < map->cell_count && map->cell[i].from < piece->end; i++) {
		struct map_cell *cell = &map->cell[i];

		if (cell->to <= piece->start)
			continue;
		if (cell->largest_free_bytes < bytes)
			cell->largest_free_bytes = bytes;
		if (is_top)
			cell->top_bytes +=
				(cell->to < piece->end ? cell->to : piece->end) -
				(cell->from > piece->start ? cell->from : piece->start);
	}
}

/* The cell that ADDR lies in; each time an address further on. */
static struct map_cell *next_cell(struct mapper *mapper, uint64_t addr)
{
	struct heap_map *map = mapper->map;

	while (mapper->begin < map->cell_count && map->cell[mapper->begin].to <= addr)
		mapper->begin++;
	if (mapper->begin == map->cell_count || map->cell[mapper->begin].from > addr)
		return NULL;
	return &map->cell[mapper->begin];
}

/* Counts the chunk in the cell where it begins. */
static void count(struct mapper *mapper, const struct piece *piece,
		  enum map_chunk_kind kind)
{
	struct heap_map *map = mapper->map;
	struct map_cell *cell;

	while (mapper->cell < map->cell_count &&
	       map->cell[mapper->cell].to <= mapper->start)
		mapper->cell++;
	if (is_free(kind))
		note_free(mapper, piece, kind == MAP_CHUNK_TOP);
	cell = next_cell(mapper, piece->start);
	if (!cell)
		return;
	cell->fingerprint += mix(piece->start ^ mix(piece->end) ^ kind);
	cell->live_chunks += kind == MAP_CHUNK_LIVE;
	cell->cached_chunks += kind == MAP_CHUNK_CACHED;
	cell->free_chunks += kind == MAP_CHUNK_FREE || kind == MAP_CHUNK_FAST;
}

static void list(struct mapper *mapper, const struct piece *piece,
		 enum map_chunk_kind kind)
{
	struct heap_map *map = mapper->map;

	if (map->chunk_count == map->chunk_capacity) {
		mapper->has_chunks = false;
		return;
	}
	map->chunk[map->chunk_count++] = (struct map_chunk){
		.addr = piece->start,
		.bytes = piece->end - piece->start,
		.resident_bytes = pages_resident_bytes(mapper->heap->pages, piece->start,
						       piece->end),
		.kind = kind,
	};
}

static void begin(void *context, const struct owned_segment *segment)
{
	struct mapper *mapper = context;

	mapper->segment = segment;
	mapper->start = mapper->end = 0;
	mapper->first_chunk = mapper->map->chunk_count;
}

static bool take_piece(void *context, const struct piece *piece)
{
	struct mapper *mapper = context;
	enum map_chunk_kind kind = chunk_kind(mapper, piece);

	if (mapper->start == mapper->end) {
		mapper->start = piece->start;
	} else if (!goes_on(mapper, kind)) {
		spread_pieces(mapper);
		if (piece->start >= mapper->to)
			return false;
	}
	mapper->kind = kind;
	mapper->end = piece->end;
	if (piece->start < mapper->to && piece->end > mapper->from) {
		count(mapper, piece, kind);
		if (mapper->has_chunks)
			list(mapper, piece, kind);
	}
	return true;
}

static void end(void *context)
{
	spread_pieces(context);
}

/* ---- the map ---- */

static void set_ends(struct mapper *mapper, unsigned segments)
{
	const struct heap *heap = mapper->heap;
	struct heap_map *map = mapper->map;

	for (unsigned i = 0; i < segments; i++) {
		const struct owned_segment *segment =
			&heap->segment[heap->survey->segment[i]];

		if (!i)
			map->arena_from = segment->front;
		map->arena_to = segment->end;
	}
	mapper->from = map->from || map->to ? map->from : map->arena_from;
	mapper->to = map->from || map->to ? map->to : map->arena_to;
}

static uint64_t told_bytes(const struct map_cell *cell)
{
	uint64_t bytes = 0;

	for (unsigned k = 0; k < MAP_KINDS; k++)
		bytes += cell->bytes[k];
	return bytes;
}

/* A segment that became shorter while it was looked at ends where the look came out. */
static void cut_cells(struct heap_map *map)
{
	unsigned count = 0;

	for (unsigned i = 0; i < map->cell_count; i++) {
		struct map_cell *cell = &map->cell[i];

		cell->to = cell->from + told_bytes(cell);
		if (cell->to > cell->from)
			map->cell[count++] = *cell;
	}
	map->cell_count = count;
}

static void add_up(struct mapper *mapper)
{
	struct heap_map *map = mapper->map;
	struct map_cell *total = &map->total;

	total->from = mapper->from;
	total->to = mapper->to;
	for (unsigned i = 0; i < map->cell_count; i++) {
		const struct map_cell *cell = &map->cell[i];

		for (unsigned k = 0; k < MAP_KINDS; k++)
			total->bytes[k] += cell->bytes[k];
		total->top_bytes += cell->top_bytes;
		total->resident_bytes += cell->resident_bytes;
		total->live_chunks += cell->live_chunks;
		total->free_chunks += cell->free_chunks;
		total->cached_chunks += cell->cached_chunks;
		total->fingerprint += cell->fingerprint;
		if (cell->largest_free_bytes > total->largest_free_bytes)
			total->largest_free_bytes = cell->largest_free_bytes;
	}
}

static int survey_segments(struct mapper *mapper, unsigned segments)
{
	const struct survey_visitor visitor = {begin, take_piece, end, mapper};
	struct heap *heap = mapper->heap;
	uint64_t from, to;
	int error = 0;

	for (unsigned i = 0; i < segments && !error; i++) {
		unsigned index = heap->survey->segment[i];

		if (clip(mapper, &heap->segment[index], &from, &to))
			error = survey_segment(heap, index, mapper->from, &visitor);
	}
	return error;
}

static void finish_map(struct mapper *mapper)
{
	struct heap_map *map = mapper->map;
	const uint64_t *bytes = map->total.bytes;

	map->has_chunks = mapper->has_chunks;
	if (!map->has_chunks)
		map->chunk_count = 0;
	cut_cells(map);
	add_up(mapper);
	map->status = survey_status(mapper->heap, bytes[MAP_DOUBT], bytes[MAP_UNREAD],
				    map->missing);
}

static int no_arena(const struct heap_map *map, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOENT, "there is no arena %u", map->arena);
}

static int not_walked(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -EAGAIN,
			 "the last reading does not have single chunks");
}

/* By what the survey has found. */
static int map_arena(struct heap *heap, struct heap_map *map, struct fault *fault)
{
	struct mapper mapper = {
		.heap = heap, .map = map, .has_chunks = map->chunk_capacity != 0};
	unsigned segments = survey_order(heap, (int)map->arena);
	int error;

	set_ends(&mapper, segments);
	error = make_cells(&mapper, segments, fault);
	if (error)
		return error;
	error = survey_segments(&mapper, segments);
	finish_map(&mapper);
	return error ? heap_cannot_read(heap, error, fault) : 0;
}

int heap_map(struct heap *heap, const struct regions *regions, struct heap_map *map,
	     struct fault *fault)
{
	int error;

	if (map->arena >= heap->arena_count)
		return no_arena(map, fault);
	error = survey_begin(heap, regions);
	return error ? heap_cannot_read(heap, error, fault) : map_arena(heap, map, fault);
}

int heap_map_more(struct heap *heap, struct heap_map *map, struct fault *fault)
{
	if (map->arena >= heap->arena_count)
		return no_arena(map, fault);
	if (!heap->survey->is_ready && !survey_resume(heap))
		return not_walked(fault);
	return map_arena(heap, map, fault);
}

/* ---- beside the search for blockers ---- */

static void begin_beside(void *context, const struct owned_segment *segment)
{
	struct mapper *mapper = context;

	mapper->is_beside = segment->arena == mapper->map->arena;
	if (mapper->is_beside)
		begin(context, segment);
}

static bool take_beside(void *context, const struct piece *piece)
{
	const struct mapper *mapper = context;

	return !mapper->is_beside || take_piece(context, piece);
}

static void end_beside(void *context)
{
	const struct mapper *mapper = context;

	if (mapper->is_beside)
		end(context);
}

int heap_look_closer(struct heap *heap, struct blockers *blockers, struct heap_map *map,
		     struct fault *fault)
{
	struct mapper mapper = {
		.heap = heap, .map = map, .has_chunks = map->chunk_capacity != 0};
	const struct survey_visitor beside = {begin_beside, take_beside, end_beside,
					      &mapper};
	unsigned segments;
	int error;

	if (map->arena >= heap->arena_count)
		return no_arena(map, fault);
	if (!survey_resume(heap))
		return not_walked(fault);
	segments = survey_order(heap, (int)map->arena);
	set_ends(&mapper, segments);
	error = make_cells(&mapper, segments, fault);
	if (error)
		return error;
	error = survey_blockers(heap, blockers, &beside);
	finish_map(&mapper);
	return error ? heap_cannot_read(heap, error, fault) : 0;
}
