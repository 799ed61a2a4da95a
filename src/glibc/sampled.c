#include "glibc/sampled.h"

#include "base/alloc_touched.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "glibc/caches.h"
#include "glibc/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* However much the target maps: less would be no sample. */
#define EASE_LEAST 0.1
#define EASE_RISE  1.5

enum {
	PAGE_BLOCKS = 128,
	KNOWN_CHUNKS = 1 << 12,
	CELLS = 1 << 12, /* drawn, at most */
	CELLS_SPARE = 512,
	CELL_LEAST_NS = 12000, /* what one costs at the least */
	LARGES = 1 << 10,      /* free chunks, and tops */
	CELLS_LEAST = 64,      /* whatever the budget */
	NODES_LEAST = 256,     /* of lists */
	SHARE_OF_LISTS = 5,    /* of the budget, a part */
	DRAWN_OF_STRATUM = 2,
	CELLS_OF_GROUP = 8,	  /* fewer, and arenas are not told apart */
	CENSUS = 6,		  /* an arena of so few cells is read whole */
	LARGE = 4 * SAMPLED_CELL, /* a known chunk from this size on is no cell's */
	LEAD = 8 << 10,		  /* before a cell, where a chain may begin */
	TAIL = 1 << 10,		  /* read behind a cell, for what begins in it */
	WINDOWS = 4,		  /* cells that are looked into side by side */
	CELL_PAGES = SAMPLED_CELL >> 12,
	FLAGS = CELL_PAGES + 4,
	FAST = 512, /* chunks that may be in a fastbin, before they are looked at */
	FENCE = 16,

	/* What things cost before it is known, in ns: a cell, a call for flags, a chunk
	 * of a tcache, the flags of 2 MB, a megabyte that is read whole. */
	CELL_NS = 45000,
	LOOK_NS = 1500,
	/* That this thread had to sleep for the target's lock, which costs the target as
	 * much; and how much of the time between readings all of it may take. */
	WAIT_NS = 10000,
	WAITS_SHARE = 400,
	FIRST_INTERVAL_NS = 1000000000,
	LISTED_NS = 700,
	BLOCK_NS = 12000,
	WALK_MB_NS = 250000,
};

/* A part of an arena's memory of which cells are drawn; FIRST is its first cell. */
struct sampled_segment {
	uint64_t start, end;
	uint64_t stop; /* where its segment's chunks end */
	uint64_t first;
	uint32_t arena;
};

/* A large free chunk, or a top. */
struct large {
	uint64_t start, end;
	struct free_parts parts;
	uint64_t first; /* of its pieces */
	uint32_t arena;
	bool is_top;
};

/* What may be a chunk of a fastbin. */
struct fast {
	uint64_t to;
	uint32_t bytes;
	uint32_t cell;
	uint32_t arena;
	bool is_loose; /* nothing says that it is a chunk at all */
};

/* One cell that is being looked into. */
struct sample_slot {
	struct window window;
	struct sampler *sampler;
	uint32_t cell; /* in the draw */
	uint32_t arena;
	double weight;
	uint64_t page; /* of the first of FLAG */
	uint8_t flag[FLAGS];
	uint8_t *buffer; /* LEAD + SAMPLED_CELL + TAIL */
};

struct sampler {
	struct heap *heap; /* during a reading */
	struct memory *memory;
	struct pages *pages;
	struct known known;
	struct sampled_arena *arena;
	struct window_arena *window_arena;
	struct known_habit *habit; /* of each arena's lists */
	unsigned arena_capacity;
	struct sampled_segment *segment;
	unsigned segments, segment_capacity;
	struct large *large;
	unsigned larges;
	uint64_t cells, pieces;
	bool by_arena;
	bool overflowed;  /* there was no room for all draws */
	bool knows_pages; /* of all known chunks that may have whole pages */
	uint64_t *number; /* of the cells that were drawn */
	struct estimate_draw draw;
	struct sample_slot slot[WINDOWS];
	struct fast *fast;
	unsigned fasts;
	struct caches caches;
	uint64_t random;
	int64_t cell_ns;
	int64_t walk_mb_ns;
	double ease; /* the part of a budget that is used */
	int64_t begun_ns;
	unsigned page_shift;
	int error;
};

/* ---- what it takes ---- */

/* For twice as many cells as the budget is enough for. */
static uint32_t cells_room(const struct heap *heap)
{
	uint64_t cells = 2 * (uint64_t)heap->options.budget_ns / CELL_LEAST_NS +
			 2 * (uint64_t)heap->options.cells_least + CELLS_SPARE;

	return cells < CELLS ? (uint32_t)cells : CELLS;
}

static int take_draw(struct sampler *sampler, uint32_t cells)
{
	struct estimate_draw *draw = &sampler->draw;

	draw->cell_capacity = draw->strata_capacity = cells;
	draw->cell = alloc_touched(cells * sizeof(*draw->cell));
	draw->stratum = alloc_touched(cells * sizeof(*draw->stratum));
	sampler->number = alloc_touched(cells * sizeof(*sampler->number));
	return draw->cell && draw->stratum && sampler->number ? 0 : -ENOMEM;
}

static int take_tables(struct sampler *sampler)
{
	sampler->fast = alloc_touched(FAST * sizeof(*sampler->fast));
	sampler->large = alloc_touched(LARGES * sizeof(*sampler->large));
	for (unsigned i = 0; i < WINDOWS; i++) {
		sampler->slot[i].sampler = sampler;
		sampler->slot[i].buffer = alloc_touched(LEAD + SAMPLED_CELL + TAIL);
		if (!sampler->slot[i].buffer)
			return -ENOMEM;
	}
	if (!sampler->fast || !sampler->large)
		return -ENOMEM;
	return known_new(&sampler->known, KNOWN_CHUNKS);
}

/* For as many arenas and segments as HEAP has room for. */
static int fit(struct sampler *sampler, const struct heap *heap)
{
	unsigned segments = heap->segment_capacity + KNOWN_CHUNKS;

	if (sampler->arena_capacity >= heap->arena_capacity &&
	    sampler->segment_capacity >= segments)
		return 0;
	free(sampler->arena);
	free(sampler->window_arena);
	free(sampler->habit);
	free(sampler->segment);
	sampler->arena_capacity = sampler->segment_capacity = 0;
	sampler->arena = alloc_touched(heap->arena_capacity * sizeof(*sampler->arena));
	sampler->window_arena =
		alloc_touched(heap->arena_capacity * sizeof(*sampler->window_arena));
	sampler->habit = alloc_touched(heap->arena_capacity * sizeof(*sampler->habit));
	sampler->segment = alloc_touched(segments * sizeof(*sampler->segment));
	if (!sampler->arena || !sampler->window_arena || !sampler->habit ||
	    !sampler->segment)
		return -ENOMEM;
	sampler->arena_capacity = heap->arena_capacity;
	sampler->segment_capacity = segments;
	return 0;
}

int sampler_new(struct sampler **sampler, struct heap *heap)
{
	struct sampler *new = alloc_touched(sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->memory = heap->memory;
	new->page_shift = heap->memory->page_shift;
	new->pages = pages_new(heap->memory, PAGE_BLOCKS);
	new->cell_ns = CELL_NS;
	new->walk_mb_ns = WALK_MB_NS;
	new->ease = 1;
	new->random =
		heap->options.seed ? heap->options.seed : (uint64_t)clock_monotonic_ns();
	if (!new->pages || take_tables(new) || take_draw(new, cells_room(heap)) ||
	    fit(new, heap)) {
		sampler_free(new);
		return -ENOMEM;
	}
	pages_narrow(new->pages);
	*sampler = new;
	return 0;
}

void sampler_free(struct sampler *sampler)
{
	if (!sampler)
		return;
	for (unsigned i = 0; i < WINDOWS; i++)
		free(sampler->slot[i].buffer);
	known_free(&sampler->known);
	pages_free(sampler->pages);
	free(sampler->draw.cell);
	free(sampler->draw.stratum);
	free(sampler->number);
	free(sampler->fast);
	free(sampler->large);
	free(sampler->arena);
	free(sampler->window_arena);
	free(sampler->habit);
	free(sampler->segment);
	free(sampler);
}

static uint64_t system_bytes(const struct heap *heap)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		bytes += arena_system_bytes(&heap->arena[i]);
	return bytes;
}

bool sampler_pays(const struct sampler *sampler, const struct heap *heap,
		  int64_t budget_ns)
{
	return (double)system_bytes(heap) / (1 << 20) * (double)sampler->walk_mb_ns >
	       (double)budget_ns;
}

void sampler_note_walk(struct sampler *sampler, const struct heap *heap, int64_t cost_ns)
{
	double mb = (double)system_bytes(heap) / (1 << 20);

	if (mb >= 1)
		sampler->walk_mb_ns = (int64_t)((double)cost_ns / mb);
}

/* ---- pages ---- */

/* Of [START, END), what lies on pages with FLAG; the flags are those from PAGE on. */
static uint64_t flagged(const struct sampler *sampler, const uint8_t *flag, uint64_t page,
			uint64_t start, uint64_t end, uint8_t wanted)
{
	uint64_t bytes = 0, size = UINT64_C(1) << sampler->page_shift;

	for (uint64_t at = start; at < end;) {
		uint64_t next = (at & -size) + size;

		next = next < end ? next : end;
		if (flag[(at - page) >> sampler->page_shift] & wanted)
			bytes += next - at;
		at = next;
	}
	return bytes;
}

/* The overlap of [START, END) and [FROM, TO), as a range that may be empty. */
static void clip(uint64_t *start, uint64_t *end, uint64_t from, uint64_t to)
{
	*start = *start > from ? *start : from;
	*end = *end < to ? *end : to;
	if (*start > *end)
		*end = *start;
}

static uint64_t flagged_of(const struct sample_slot *slot, uint64_t start, uint64_t end)
{
	clip(&start, &end, slot->window.from, slot->window.to);
	return flagged(slot->sampler, slot->flag, slot->page, start, end, PAGE_RESIDENT);
}

/* ---- the exact part ---- */

/* Of arena I, whose own are in its last heap. */
static uint64_t top_bytes(struct sampler *sampler, unsigned i)
{
	const struct arena *arena = &sampler->heap->arena[i];
	uint64_t header[2];

	if (memory_fetch(sampler->memory, sampler->pages, arena_top(arena), header,
			 sizeof(header)))
		return 0;
	return header[1] & ~(uint64_t)CHUNK_FLAGS;
}

/* The fenceposts that close a heap which is not the arena's last (malloc.c, sysmalloc):
 * one of size 0, and one before it unless the old top was too small. */
static uint64_t fence_bytes(struct sampler *sampler, const struct walk_segment *segment)
{
	uint64_t field;

	if (segment->ends != SEGMENT_FENCE ||
	    memory_fetch(sampler->memory, sampler->pages, segment->end - 2 * FENCE + 8,
			 &field, sizeof(field)))
		return 0;
	return (field & ~(uint64_t)CHUNK_FLAGS) == FENCE ? 2 * FENCE : FENCE;
}

static void add_large(struct sampler *sampler, uint64_t start, uint64_t end,
		      const struct owned_segment *owned, bool is_top)
{
	const struct walk_arena *arena = &sampler->heap->work[owned->arena].walk;
	struct large *large = &sampler->large[sampler->larges];

	if (sampler->larges == LARGES) {
		sampler->arena[owned->arena].lacks = true;
		return;
	}
	sampler->larges++;
	*large = (struct large){
		.start = start, .end = end, .arena = owned->arena, .is_top = is_top};
	large->parts =
		is_top ? walk_top_parts(sampler->page_shift,
					end < owned->segment.end ? 0
								 : arena->trim_unit_bytes,
					start, end)
		       : walk_run_parts(sampler->page_shift, start, end);
	large->first = sampler->pieces;
	sampler->pieces += (end - start + SAMPLED_PIECE - 1) / SAMPLED_PIECE;
}

static void add_segment(struct sampler *sampler, uint64_t start, uint64_t end,
			const struct owned_segment *owned)
{
	struct sampled_segment *segment = &sampler->segment[sampler->segments];
	uint64_t cells;

	if (start >= end)
		return;
	cells = (end - 1) / SAMPLED_CELL - start / SAMPLED_CELL + 1;
	*segment = (struct sampled_segment){start, end, owned->segment.stop,
					    sampler->cells, owned->arena};
	sampler->segments++;
	sampler->cells += cells;
	sampler->arena[owned->arena].cells += cells;
	sampler->arena[owned->arena].cell_bytes += end - start;
}

/* Parts one segment into what cells are drawn of and large free chunks. */
static void part_segment(struct sampler *sampler, const struct owned_segment *owned)
{
	const struct known *known = &sampler->known;
	struct sampled_arena *arena = &sampler->arena[owned->arena];
	uint64_t at = owned->segment.start, top = owned->segment.top;

	for (uint32_t i = known_find(known, at);
	     i < known->count && known->chunk[i].at < owned->segment.stop; i++) {
		const struct known_chunk *chunk = &known->chunk[i];

		if (chunk->bytes < LARGE || chunk->at < at ||
		    chunk->bytes > owned->segment.stop - chunk->at)
			continue;
		add_segment(sampler, at, chunk->at, owned);
		add_large(sampler, chunk->at, chunk->at + chunk->bytes, owned, false);
		at = chunk->at + chunk->bytes;
	}
	add_segment(sampler, at, owned->segment.stop, owned);
	arena->fences += fence_bytes(sampler, &owned->segment);
	if (top && arena->top)
		add_large(sampler, top, top + arena->top, owned, true);
}

static void set_window_arena(struct sampler *sampler, unsigned i)
{
	const struct arena *arena = &sampler->heap->arena[i];

	sampler->window_arena[i] = (struct window_arena){
		.non_main = !arena->is_main,
		.safe_linking = arena->layout->safe_linking,
		.fast_sizes = sampler->arena[i].known.fast_open,
		.low = UINT64_MAX,
	};
}

static void widen(struct window_arena *arena, const struct walk_segment *segment)
{
	arena->low = segment->start < arena->low ? segment->start : arena->low;
	arena->high = segment->end > arena->high ? segment->end : arena->high;
}

/* Of what the lists told, the chunks that are too small. */
static void sum_unusable(struct sampler *sampler)
{
	uint64_t for_bytes = sampler->heap->options.unusable_for_bytes;

	for (uint32_t i = 0; i < sampler->known.count; i++) {
		const struct known_chunk *chunk = &sampler->known.chunk[i];

		if (chunk->bytes < for_bytes)
			sampler->arena[chunk->arena].unusable += chunk->bytes;
	}
	for (unsigned i = 0; i < sampler->heap->arena_count; i++)
		for (unsigned k = 0; k < GLIBC_FASTBINS; k++) {
			uint64_t bytes = layout_fastbin_bytes(k);

			if (bytes < for_bytes)
				sampler->arena[i].unusable +=
					bytes * sampler->arena[i].known.fast_bin[k];
		}
}

static int read_lists(struct sampler *sampler, int64_t budget_ns)
{
	struct heap *heap = sampler->heap;
	int64_t end_ns = clock_thread_ns() + budget_ns / SHARE_OF_LISTS;
	uint32_t least = NODES_LEAST / (heap->arena_count + 1) + 8;

	if (least < heap->options.cells_least)
		least = heap->options.cells_least;
	sampler->known.count = 0;
	for (unsigned i = 0; i < heap->arena_count; i++) {
		int error;

		sampler->arena[i] = (struct sampled_arena){0};
		if (!heap->arena[i].used)
			continue;
		error = known_read(
			&sampler->known, &sampler->arena[i].known, &sampler->habit[i],
			sampler->memory, sampler->pages, &heap->arena[i], i, least,
			(end_ns - clock_thread_ns()) / (heap->arena_count - i));
		if (error)
			return error;
		set_window_arena(sampler, i);
		sampler->arena[i].top = top_bytes(sampler, i);
	}
	known_sort(&sampler->known);
	sum_unusable(sampler);
	return 0;
}

static void part_all(struct sampler *sampler)
{
	struct heap *heap = sampler->heap;

	sampler->segments = sampler->larges = 0;
	sampler->cells = sampler->pieces = 0;
	for (unsigned i = 0; i < heap->segment_count; i++) {
		widen(&sampler->window_arena[heap->segment[i].arena],
		      &heap->segment[i].segment);
		part_segment(sampler, &heap->segment[i]);
	}
}

/* ---- pages of large free chunks ---- */

/* What of [START, END) of LARGE is given back, pinned or retained, if resident. */
static void sort_pages(const struct sampler *sampler, const struct large *large,
		       const uint8_t *flag, uint64_t start, uint64_t end,
		       float sum[ESTIMATE_SUMS])
{
	const struct {
		uint64_t from, to;
		enum estimate_sum sum;
	} part[] = {
		{large->start, large->parts.shared, SUM_PINNED_BYTES},
		{large->parts.shared, large->parts.from,
		 large->is_top ? SUM_RETAINED_BYTES : SUM_PINNED_BYTES},
		{large->parts.from, large->parts.to, SUM_TRIMMABLE_BYTES},
		{large->parts.to, large->end,
		 large->is_top ? SUM_RETAINED_BYTES : SUM_PINNED_BYTES},
	};
	uint64_t page = start & -(UINT64_C(1) << sampler->page_shift);

	for (unsigned i = 0; i < sizeof(part) / sizeof(*part); i++) {
		uint64_t from = part[i].from, to = part[i].to;

		clip(&from, &to, start, end);
		sum[part[i].sum] +=
			(float)flagged(sampler, flag, page, from, to, PAGE_RESIDENT);
	}
}

/* Looks at the pages of [START, END), PAGES_BLOCK - 1 of them at most. */
static void look_at(struct sampler *sampler, const struct large *large, uint64_t start,
		    uint64_t end, float sum[ESTIMATE_SUMS])
{
	uint64_t size = UINT64_C(1) << sampler->page_shift, page = start & -size;
	uint8_t flag[PAGES_BLOCK];
	unsigned count = (unsigned)((end - page + size - 1) >> sampler->page_shift);

	if (sampler->memory->pages(sampler->memory, page, count, flag) < 0)
		memset(flag, 0, sizeof(flag));
	sampler->arena[large->arena].swapped +=
		flagged(sampler, flag, page, start, end, PAGE_SWAPPED);
	sort_pages(sampler, large, flag, start, end, sum);
	sum[SUM_ABSENT_BYTES] +=
		(float)(end - start -
			flagged(sampler, flag, page, start, end, PAGE_RESIDENT));
}

static void look_at_all(struct sampler *sampler, const struct large *large)
{
	struct sampled_arena *arena = &sampler->arena[large->arena];
	uint64_t step = (uint64_t)(PAGES_BLOCK / 2) << sampler->page_shift;

	for (uint64_t at = large->start; at < large->end; at += step) {
		uint64_t end = large->end - at < step ? large->end : at + step;
		float sum[ESTIMATE_SUMS] = {0};

		look_at(sampler, large, at, end, sum);
		arena->trimmable += (uint64_t)sum[SUM_TRIMMABLE_BYTES];
		arena->pinned += (uint64_t)sum[SUM_PINNED_BYTES];
		arena->retained += (uint64_t)sum[SUM_RETAINED_BYTES];
	}
}

/* ---- pages of other known chunks ---- */

static bool has_pages(const struct sampler *sampler, const struct known_chunk *chunk)
{
	struct free_parts parts =
		walk_run_parts(sampler->page_shift, chunk->at, chunk->at + chunk->bytes);

	return parts.from < parts.to;
}

/* All pages of a chunk without whole pages of its own have been touched. */
static void take_known(struct sampler *sampler, const struct known_chunk *chunk)
{
	struct sampled_arena *arena = &sampler->arena[chunk->arena];
	uint64_t end = chunk->at + chunk->bytes;
	struct large large = {.start = chunk->at, .end = end, .arena = chunk->arena};
	float sum[ESTIMATE_SUMS] = {0};

	/* One that its list leads to, but that lies in none of its segments. */
	if (chunk->bytes > arena->cell_bytes) {
		arena->lacks = true;
		return;
	}
	arena->cell_bytes -= chunk->bytes;
	large.parts = walk_run_parts(sampler->page_shift, chunk->at, end);
	if (large.parts.from == large.parts.to) {
		arena->pinned += chunk->bytes;
		return;
	}
	look_at(sampler, &large, chunk->at, end, sum);
	arena->trimmable += (uint64_t)sum[SUM_TRIMMABLE_BYTES];
	arena->pinned += (uint64_t)sum[SUM_PINNED_BYTES];
}

static void take_all_known(struct sampler *sampler, int64_t budget_ns)
{
	const struct known *known = &sampler->known;
	uint64_t looks = 0;

	for (uint32_t i = 0; i < known->count; i++)
		looks += known->chunk[i].bytes < LARGE &&
			 has_pages(sampler, &known->chunk[i]);
	sampler->knows_pages = looks <= (uint64_t)budget_ns / 8 / LOOK_NS;
	for (uint32_t i = 0; i < known->count; i++) {
		const struct known_chunk *chunk = &known->chunk[i];

		if (chunk->bytes >= LARGE)
			continue;
		if (sampler->knows_pages || !has_pages(sampler, chunk))
			take_known(sampler, chunk);
		else
			sampler->arena[chunk->arena].pages = true;
	}
}

/* The large chunk that piece NUMBER is of. */
static const struct large *large_of(const struct sampler *sampler, uint64_t number)
{
	unsigned low = 0, high = sampler->larges;

	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		if (sampler->large[middle].first <= number)
			low = middle;
		else
			high = middle;
	}
	return &sampler->large[low];
}

/* ---- drawing ---- */

static struct estimate_stratum *add_stratum(struct sampler *sampler, uint64_t from,
					    uint64_t cells, uint32_t drawn,
					    uint32_t group)
{
	struct estimate_draw *draw = &sampler->draw;
	struct estimate_stratum *stratum = &draw->stratum[draw->strata++];

	*stratum = (struct estimate_stratum){cells, draw->cells, drawn, group};
	memset(&draw->cell[draw->cells], 0, drawn * sizeof(*draw->cell));
	estimate_draw_numbers(&sampler->random, from, cells, drawn,
			      &sampler->number[draw->cells]);
	draw->cells += drawn;
	return stratum;
}

/* Draws about WANTED of the CELLS from FROM on. */
static void draw_of(struct sampler *sampler, uint64_t from, uint64_t cells,
		    uint64_t wanted, uint32_t group)
{
	uint64_t room = sampler->draw.cell_capacity - sampler->draw.cells, strata;

	wanted = wanted < room ? wanted : room;
	if (room < CENSUS) {
		sampler->overflowed |= cells != 0;
		return;
	}
	if (cells <= wanted || cells <= CENSUS) {
		if (cells)
			add_stratum(sampler, from, cells, (uint32_t)cells, group);
		return;
	}
	strata = wanted / DRAWN_OF_STRATUM;
	strata = strata ? strata : 1;
	for (uint64_t i = 0; i < strata; i++) {
		uint64_t start = cells * i / strata, end = cells * (i + 1) / strata;

		add_stratum(sampler, from + start, end - start, DRAWN_OF_STRATUM, group);
	}
}

/* Of each arena where that leaves some for all of them: the cells of one lie side by
 * side.
 */
static void draw_cells(struct sampler *sampler, uint64_t wanted)
{
	unsigned arenas = 0;
	uint64_t from = 0;

	for (unsigned i = 0; i < sampler->heap->arena_count; i++)
		arenas += sampler->arena[i].cells != 0;
	sampler->by_arena = arenas * CELLS_OF_GROUP <= wanted;
	if (!sampler->by_arena) {
		draw_of(sampler, 0, sampler->cells, wanted, 0);
		return;
	}
	for (unsigned i = 0; i < sampler->heap->arena_count; i++) {
		uint64_t cells = sampler->arena[i].cells;
		uint64_t some = (uint64_t)((double)wanted * (double)cells /
					   (double)(sampler->cells + 1));

		if (!cells)
			continue;
		draw_of(sampler, from, cells, some > CENSUS ? some : CENSUS, i);
		from += cells;
	}
}

static uint32_t group_of(const struct sampler *sampler, uint32_t arena)
{
	return sampler->by_arena ? arena : 0;
}

/* Large free chunks are looked at whole where that costs little, or by pieces. */
static void draw_large(struct sampler *sampler, int64_t budget_ns)
{
	uint64_t bytes = 0, blocks = (uint64_t)budget_ns / 8 / BLOCK_NS;
	uint64_t wanted = (uint64_t)budget_ns / 8 / (4 * LOOK_NS);

	for (unsigned i = 0; i < sampler->larges; i++)
		bytes += sampler->large[i].end - sampler->large[i].start;
	if (bytes >> 21 <= blocks &&
	    sampler->larges <= (uint64_t)budget_ns / 8 / LOOK_NS) {
		for (unsigned i = 0; i < sampler->larges; i++)
			look_at_all(sampler, &sampler->large[i]);
		sampler->pieces = 0;
		return;
	}
	for (unsigned i = 0, n; i < sampler->larges; i = n) {
		uint64_t from = sampler->large[i].first, end;
		uint32_t arena = sampler->large[i].arena;

		for (n = i; n < sampler->larges && sampler->large[n].arena == arena; n++)
			;
		end = n < sampler->larges ? sampler->large[n].first : sampler->pieces;
		sampler->arena[arena].pieces = true;
		for (unsigned k = i; k < n; k++)
			sampler->arena[arena].cell_bytes +=
				sampler->large[k].end - sampler->large[k].start;
		draw_of(sampler, from, end - from,
			wanted * (end - from) / sampler->pieces + CENSUS,
			group_of(sampler, arena));
	}
}

static void look_at_piece(struct sampler *sampler, uint32_t i)
{
	uint64_t number = sampler->number[i];
	const struct large *large = large_of(sampler, number);
	uint64_t start = large->start + (number - large->first) * SAMPLED_PIECE;
	uint64_t end =
		large->end - start < SAMPLED_PIECE ? large->end : start + SAMPLED_PIECE;

	look_at(sampler, large, start, end, sampler->draw.cell[i].sum);
}

/* ---- cells ---- */

static const struct sampled_segment *segment_of(const struct sampler *sampler,
						uint64_t number)
{
	unsigned low = 0, high = sampler->segments;

	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		if (sampler->segment[middle].first <= number)
			low = middle;
		else
			high = middle;
	}
	return &sampler->segment[low];
}

/* Of a chunk that begins in the cell: by the flags of its pages, or by others. */
static uint64_t resident_of(struct sample_slot *slot, uint64_t start, uint64_t end)
{
	struct sampler *sampler = slot->sampler;

	if (end <= slot->page + ((uint64_t)FLAGS << sampler->page_shift))
		return flagged(sampler, slot->flag, slot->page, start, end,
			       PAGE_RESIDENT);
	return pages_resident_bytes(sampler->pages, start, end);
}

/* A chunk that ends in its cell, and on pages that were touched, is resident. */
static void add_pages(struct sample_slot *slot, float *sum, uint64_t at, uint64_t bytes)
{
	struct sampler *sampler = slot->sampler;
	struct free_parts parts = walk_run_parts(sampler->page_shift, at, at + bytes);
	uint64_t trimmable, resident;

	if (parts.from == parts.to) {
		sum[SUM_PINNED_BYTES] += (float)bytes;
		return;
	}
	trimmable = resident_of(slot, parts.from, parts.to);
	resident = resident_of(slot, at, at + bytes);
	sum[SUM_TRIMMABLE_BYTES] += (float)trimmable;
	sum[SUM_PINNED_BYTES] += (float)(resident - trimmable);
}

static void count_size(struct sample_slot *slot, uint64_t bytes)
{
	struct heap *heap = slot->sampler->heap;
	struct bin_total *bin;
	uint64_t count = (uint64_t)(slot->weight + 0.5);

	if (!heap->options.sizes)
		return;
	bin = &heap->work[slot->arena].totals.bins[layout_bin_index(bytes) - 1];
	bin_total_add(bin, bytes);
	bin->count += count - 1;
	bin->total_bytes += (count - 1) * bytes;
}

static void found(void *context, uint64_t at, uint64_t bytes)
{
	struct sample_slot *slot = context;
	struct sampler *sampler = slot->sampler;
	float *sum = sampler->draw.cell[slot->cell].sum;

	if (at < slot->window.from ||
	    known_holds(&sampler->arena[slot->arena].known, bytes) ||
	    known_has(&sampler->known, at))
		return;
	sum[SUM_CHUNKS]++;
	sum[SUM_BYTES] += (float)bytes;
	if (bytes < sampler->heap->options.unusable_for_bytes)
		sum[SUM_UNUSABLE_BYTES] += (float)bytes;
	add_pages(slot, sum, at, bytes);
	count_size(slot, bytes);
}

/* A known chunk of which not all pages were looked at is by where they lie; what of
 * another is absent counts for no cell. */
static void add_known(struct sample_slot *slot)
{
	const struct sampler *sampler = slot->sampler;
	const struct known *known = &sampler->known;
	float *sum = sampler->draw.cell[slot->cell].sum;

	for (uint32_t i = known_find(known, slot->window.from);
	     i < known->count && known->chunk[i].at < slot->window.to; i++) {
		const struct known_chunk *chunk = &known->chunk[i];
		uint64_t start = chunk->at, end = chunk->at + chunk->bytes;
		struct free_parts parts = walk_run_parts(sampler->page_shift, start, end);
		uint64_t trimmable = flagged_of(slot, parts.from, parts.to);
		uint64_t resident = flagged_of(slot, start, end);

		if (chunk->bytes >= LARGE || parts.from == parts.to)
			continue;
		clip(&start, &end, slot->window.from, slot->window.to);
		if (sampler->knows_pages) {
			sum[SUM_ABSENT_BYTES] -= (float)(end - start - resident);
			continue;
		}
		sum[SUM_TRIMMABLE_BYTES] += (float)trimmable;
		sum[SUM_PINNED_BYTES] += (float)(resident - trimmable);
	}
}

static bool is_fast(const struct fast *fast, const uint64_t header[2])
{
	return (header[1] & ~(uint64_t)CHUNK_FLAGS) == fast->bytes &&
	       !(header[1] & (CHUNK_MMAPPED | 8));
}

/* Looks at where the links of what may be fastbin chunks lead. */
static void settle_fast(struct sampler *sampler)
{
	uint64_t header[MEMORY_SPANS][2];
	struct span span[MEMORY_SPANS];
	bool ok[MEMORY_SPANS];

	for (unsigned from = 0; from < sampler->fasts; from += MEMORY_SPANS) {
		unsigned count = sampler->fasts - from;
		int error;

		count = count < MEMORY_SPANS ? count : MEMORY_SPANS;
		for (unsigned i = 0; i < count; i++)
			span[i] = (struct span){sampler->fast[from + i].to, header[i],
						sizeof(header[i])};
		error = memory_fetch_many(sampler->memory, sampler->pages, span, count,
					  ok);
		if (error)
			sampler->error = error;
		for (unsigned i = 0; !error && i < count; i++) {
			const struct fast *fast = &sampler->fast[from + i];
			float *sum = sampler->draw.cell[fast->cell].sum;

			if (!ok[i] || !is_fast(fast, header[i]))
				continue;
			sum[SUM_FAST_CHUNKS]++;
			sum[SUM_LOOSE_CHUNKS] += fast->is_loose;
			sum[SUM_FAST_BYTES] += (float)fast->bytes;
			sum[SUM_PINNED_BYTES] += (float)fast->bytes;
			if (fast->bytes < sampler->heap->options.unusable_for_bytes)
				sum[SUM_UNUSABLE_BYTES] += (float)fast->bytes;
		}
	}
	sampler->fasts = 0;
}

static void found_fast(void *context, uint64_t at, uint64_t bytes, uint64_t to)
{
	struct sample_slot *slot = context;
	struct sampler *sampler = slot->sampler;

	if (at < slot->window.from)
		return;
	if (sampler->fasts == FAST)
		settle_fast(sampler);
	sampler->fast[sampler->fasts++] = (struct fast){
		to, (uint32_t)bytes, slot->cell, slot->arena, !slot->window.chained};
}

/* Reads the resident pages of what WINDOW wants of memory; the rest is zero. */
static void fill(struct sample_slot *slot, uint64_t end)
{
	struct sampler *sampler = slot->sampler;
	uint64_t size = UINT64_C(1) << sampler->page_shift, at = slot->window.base;
	struct span span[FLAGS];
	unsigned count = 0;
	int got;

	memset(slot->buffer, 0, LEAD + SAMPLED_CELL + TAIL);
	for (uint64_t next; at < end; at = next) {
		next = (at & -size) + size < end ? (at & -size) + size : end;
		if (!(slot->flag[(at - slot->page) >> sampler->page_shift] &
		      PAGE_RESIDENT))
			continue;
		if (count && span[count - 1].addr + span[count - 1].len == at)
			span[count - 1].len += (uint32_t)(next - at);
		else
			span[count++] =
				(struct span){at, slot->buffer + (at - slot->window.base),
					      (uint32_t)(next - at)};
	}
	if (!count)
		return;
	got = sampler->memory->read(sampler->memory, span, count);
	if (got < 0)
		sampler->error = got;
}

/* Sets SLOT up for the drawn cell I. */
static void prepare(struct sample_slot *slot, uint32_t i, double weight)
{
	struct sampler *sampler = slot->sampler;
	uint64_t number = sampler->number[i];
	const struct sampled_segment *segment = segment_of(sampler, number);
	struct sampled_arena *arena = &sampler->arena[segment->arena];
	uint64_t block = segment->start / SAMPLED_CELL + (number - segment->first);
	uint64_t from = block * SAMPLED_CELL, to = from + SAMPLED_CELL, base, end;
	float *sum = sampler->draw.cell[i].sum;

	clip(&from, &to, segment->start, segment->end);
	end = segment->stop - to < TAIL ? segment->stop : to + TAIL;
	slot->cell = i;
	slot->arena = segment->arena;
	slot->weight = weight;
	base = arena->known.fast_open && from - segment->start > LEAD ? from - LEAD
								      : from;
	slot->page = base & -(UINT64_C(1) << sampler->page_shift);
	if (sampler->memory->pages(sampler->memory, slot->page, FLAGS, slot->flag) < 0)
		memset(slot->flag, 0, sizeof(slot->flag));
	slot->window = (struct window){
		.arena = &sampler->window_arena[segment->arena],
		.from = from,
		.to = to,
		.stop = segment->stop,
		.base = base,
		.bytes = (uint32_t)(end - base),
		.buffer = slot->buffer,
		.found = found,
		.found_fast = arena->known.fast_open ? found_fast : NULL,
		.context = slot,
	};
	arena->swapped +=
		flagged(sampler, slot->flag, slot->page, from, to, PAGE_SWAPPED);
	sum[SUM_ABSENT_BYTES] = (float)(to - from - flagged_of(slot, from, to));
	fill(slot, end);
	window_begin(&slot->window);
	add_known(slot);
}

/* A cell in which no chunk begins lies in a large one: a live one, unless there are free
 * ones of any size that no list told of. */
static void end_cell(struct sample_slot *slot)
{
	struct sampled_arena *arena = &slot->sampler->arena[slot->arena];
	const struct window *window = &slot->window;

	arena->spoilt += window->gave_up;
	if (!arena->known.has_unsorted && !window->found_any &&
	    !window_is_lit(window, slot->sampler->memory, slot->sampler->pages))
		slot->sampler->draw.cell[slot->cell].sum[SUM_DARK_BYTES] =
			(float)(window->to - window->from);
}

/* Goes on with COUNT cells side by side, so that one call reads for all of them. */
static void look_into(struct sampler *sampler, unsigned count)
{
	struct span span[WINDOWS * WINDOW_SPANS];
	bool ok[WINDOWS * WINDOW_SPANS];
	unsigned wants[WINDOWS], wanted;

	do {
		const bool *answer = ok;
		int error;

		wanted = 0;
		for (unsigned i = 0; i < count; i++) {
			wants[i] = window_wants(&sampler->slot[i].window, span + wanted);
			wanted += wants[i];
		}
		error = wanted ? memory_fetch_many(sampler->memory, sampler->pages, span,
						   wanted, ok)
			       : 0;
		if (error) {
			sampler->error = error;
			return;
		}
		for (unsigned i = 0; i < count; answer += wants[i++])
			if (wants[i])
				window_feed(&sampler->slot[i].window, answer);
	} while (wanted);
	for (unsigned i = 0; i < count; i++)
		end_cell(&sampler->slot[i]);
}

/* Looks into the drawn cells of the first STRATA strata. */
static void read_cells(struct sampler *sampler, uint32_t strata)
{
	const struct estimate_draw *draw = &sampler->draw;
	unsigned count = 0;

	for (uint32_t i = 0; i < strata && !sampler->error; i++) {
		const struct estimate_stratum *stratum = &draw->stratum[i];
		double weight = (double)stratum->cells / stratum->drawn;

		for (uint32_t k = 0; k < stratum->drawn && !sampler->error; k++) {
			prepare(&sampler->slot[count++], stratum->first + k, weight);
			if (count < WINDOWS)
				continue;
			look_into(sampler, count);
			count = 0;
		}
	}
	if (count && !sampler->error)
		look_into(sampler, count);
	settle_fast(sampler);
}

static void begin(struct sampler *sampler, struct heap *heap)
{
	sampler->heap = heap;
	sampler->error = 0;
	sampler->fasts = 0;
	sampler->draw.strata = sampler->draw.cells = 0;
	sampler->overflowed = false;
	pages_forget(sampler->pages);
}

static uint64_t sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_nvcsw;
}

/* A program that maps memory all the time waits for who reads it, and is waited for: the
 * next reading is so much smaller that both is rare. How many cells are drawn does not
 * hang on what is in them. */
static void settle_ease(struct sampler *sampler, uint64_t waits, int64_t interval_ns)
{
	double allowed = (double)interval_ns / WAITS_SHARE / WAIT_NS;
	double change = allowed / ((double)waits + 1);

	sampler->ease *= change < EASE_RISE ? change : EASE_RISE;
	sampler->ease = sampler->ease > 1 ? 1 : sampler->ease;
	sampler->ease = sampler->ease < EASE_LEAST ? EASE_LEAST : sampler->ease;
}

static int read_some(struct sampler *sampler, struct heap *heap, int64_t budget_ns)
{
	int64_t start_ns = clock_thread_ns(), left_ns, cells_ns;
	uint32_t strata, cells;
	uint64_t wanted;
	int error = fit(sampler, heap);

	if (error)
		return error;
	begin(sampler, heap);
	error = read_lists(sampler, budget_ns);
	if (error)
		return error;
	part_all(sampler);
	take_all_known(sampler, budget_ns);
	left_ns = budget_ns - (clock_thread_ns() - start_ns) - budget_ns / 8;
	wanted = left_ns > 0 ? (uint64_t)(left_ns / sampler->cell_ns) : 0;
	wanted = wanted > CELLS_LEAST ? wanted : CELLS_LEAST;
	if (wanted < heap->options.cells_least)
		wanted = heap->options.cells_least;
	if (wanted > sampler->draw.cell_capacity / 2)
		wanted = sampler->draw.cell_capacity / 2;
	draw_cells(sampler, wanted);
	strata = sampler->draw.strata;
	cells = sampler->draw.cells;
	draw_large(sampler, budget_ns);
	for (uint32_t i = cells; i < sampler->draw.cells; i++)
		look_at_piece(sampler, i);
	cells_ns = clock_thread_ns();
	read_cells(sampler, strata);
	cells_ns = clock_thread_ns() - cells_ns;
	if (cells)
		sampler->cell_ns = (sampler->cell_ns + cells_ns / cells) / 2;
	for (unsigned i = 0; sampler->overflowed && i < heap->arena_count; i++)
		sampler->arena[i].lacks = true;
	return sampler->error;
}

int sampler_read(struct sampler *sampler, struct heap *heap, int64_t budget_ns)
{
	int64_t begun_ns = clock_monotonic_ns(), interval_ns = FIRST_INTERVAL_NS;
	uint64_t before = sleeps();
	int error;

	if (sampler->begun_ns)
		interval_ns = begun_ns - sampler->begun_ns;
	sampler->begun_ns = begun_ns;
	error = read_some(sampler, heap, (int64_t)((double)budget_ns * sampler->ease));
	settle_ease(sampler, sleeps() - before, interval_ns);
	return error;
}

uint64_t sampler_find_caches(struct sampler *sampler, struct heap *heap,
			     const struct regions *regions, int64_t budget_ns,
			     bool *follow)
{
	struct caches *caches = &sampler->caches;
	uint64_t wanted = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		wanted += arena_attached_threads(&heap->arena[i]);
	caches_find(caches, heap, sampler->pages, regions, wanted, budget_ns / 8);
	memcpy(heap->tcaches.address, caches->address,
	       caches->count * sizeof(*caches->address));
	heap->tcaches.count = caches->count;
	*follow = !caches_count(caches, heap, sampler->pages, &heap->tcache,
				heap->tcache_by_arena) ||
		  (int64_t)heap->tcache.chunks * LISTED_NS <= budget_ns / 8;
	return wanted > caches->count ? wanted - caches->count : 0;
}

const struct sampled_arena *sampler_arena(const struct sampler *sampler, unsigned i)
{
	return &sampler->arena[i];
}

const struct known *sampler_known(const struct sampler *sampler)
{
	return &sampler->known;
}

const struct estimate_draw *sampler_draw(const struct sampler *sampler)
{
	return &sampler->draw;
}

int sampler_group(const struct sampler *sampler, unsigned i)
{
	return sampler->by_arena ? (int)i : ESTIMATE_ALL;
}
