#include "glibc/sampled.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "glibc/sampled_state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* However much the target maps: less would be no sample. */
#define EASE_LEAST 0.1
#define EASE_RISE  1.5

enum {
	PAGE_BLOCKS = 512,
	CELLS = 5 << 9, /* drawn, at most */
	CELLS_SPARE = 512,
	CELL_LEAST_NS = 20000, /* what one costs at the least */
	CELLS_LEAST = 48,      /* whatever the budget */
	CELLS_EASED = 32,      /* and of a program that maps a lot */
	NODES_LEAST = 256,     /* of lists */
	SHARE_OF_LISTS = 5,    /* of the budget, a part */
	FENCE = 16,

	/* What things cost before it is known, in ns: a cell, a chunk of a tcache, a
	 * megabyte that is read whole. */
	CELL_NS = 60000,
	LISTED_NS = 700,
	WALK_MB_NS = 250000,
	/* That this thread had to sleep for the target's lock, which costs the target as
	 * much; and how much of the time between readings all of it may take. */
	WAIT_NS = 20000,
	WAITS_SHARE = 400,
	WAITS_LEAST = 16,   /* are none, however soon one reading follows another */
	WAITS_OF_LISTS = 4, /* in so many of a reading one is at its lists */
	FIRST_INTERVAL_NS = 1000000000,
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
	unsigned segments = heap->segment_capacity + KNOWN_CHUNKS + REGIONS;

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
	new->pages = pages_new_narrow(heap->memory, PAGE_BLOCKS);
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

/* A part of OWNED with cells of one size. */
static void add_part(struct sampler *sampler, uint64_t start, uint64_t end,
		     unsigned shift, const struct owned_segment *owned)
{
	struct sampled_segment *segment = &sampler->segment[sampler->segments];
	uint64_t bytes = (uint64_t)SAMPLED_CELL << shift, cells;

	/* In a damaged heap segments may overlap, and a chunk parts several. */
	if (sampler->segments == sampler->segment_capacity) {
		sampler->arena[owned->arena].lacks = true;
		return;
	}
	cells = (end - 1) / bytes - start / bytes + 1;
	*segment = (struct sampled_segment){
		start, end, owned->segment.stop, sampler->cells, owned->arena, shift};
	sampler->segments++;
	sampler->cells += cells;
	sampler->wide += cells * bytes;
	sampler->arena[owned->arena].cells += cells;
	sampler->arena[owned->arena].cell_bytes += end - start;
}

static void add_segment(struct sampler *sampler, uint64_t start, uint64_t end,
			const struct owned_segment *owned)
{
	for (uint64_t stop, bytes; start < end; start = stop) {
		uint64_t offset = sampler->owned_offset + start - owned->segment.start;
		unsigned shift = sampler_cell_shift(sampler, offset, &bytes);

		stop = bytes < end - start ? start + bytes : end;
		add_part(sampler, start, stop, shift, owned);
	}
}

/* A top goes on no further than its segment can have grown since it was found. */
static void add_top(struct sampler *sampler, const struct owned_segment *owned)
{
	struct sampled_arena *arena = &sampler->arena[owned->arena];
	uint64_t top = owned->segment.top;

	if (arena->top > owned->segment.end + HEAP_GROWTH - top)
		arena->lacks = true;
	else
		sampler_add_large(sampler, top, top + arena->top, owned, true);
}

/* Parts one segment into what cells are drawn of and large free chunks. */
static void part_segment(struct sampler *sampler, const struct owned_segment *owned)
{
	const struct known *known = &sampler->known;
	struct sampled_arena *arena = &sampler->arena[owned->arena];
	uint64_t at = owned->segment.start;

	for (uint32_t i = known_find(known, at);
	     i < known->count && known->chunk[i].at < owned->segment.stop; i++) {
		const struct known_chunk *chunk = &known->chunk[i];

		if (chunk->bytes < LARGE || chunk->at < at ||
		    chunk->bytes > owned->segment.stop - chunk->at)
			continue;
		add_segment(sampler, at, chunk->at, owned);
		sampler_add_large(sampler, chunk->at, chunk->at + chunk->bytes, owned,
				  false);
		at = chunk->at + chunk->bytes;
	}
	add_segment(sampler, at, owned->segment.stop, owned);
	arena->fences += fence_bytes(sampler, &owned->segment);
	if (owned->segment.top && arena->top)
		add_top(sampler, owned);
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
	uint32_t nodes = NODES_LEAST / (heap->arena_count + 1) + 8;
	struct known_least least;

	if (nodes < heap->options.cells_least)
		nodes = heap->options.cells_least;
	least = (struct known_least){nodes, (uint32_t)(nodes * sampler->ease)};
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
	sampler->cells = sampler->wide = sampler->owned_offset = 0;
	for (unsigned i = 0; i < heap->segment_count; i++) {
		widen(&sampler->window_arena[heap->segment[i].arena],
		      &heap->segment[i].segment);
		part_segment(sampler, &heap->segment[i]);
		sampler->owned_offset += sampler_segment_bytes(&heap->segment[i]);
	}
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

static void begin_waits(struct sampler *sampler)
{
	int64_t now_ns = clock_monotonic_ns();
	bool is_first = !sampler->begun_ns;
	int64_t interval_ns = is_first ? FIRST_INTERVAL_NS : now_ns - sampler->begun_ns;
	double allowed = (double)interval_ns / WAITS_SHARE / WAIT_NS;

	sampler->begun_ns = now_ns;
	sampler->sleeps = sleeps();
	sampler->waits_allowed = allowed > WAITS_LEAST ? allowed : WAITS_LEAST;
	sampler->lists_waits_allowed =
		is_first ? INFINITY : sampler->waits_allowed / WAITS_OF_LISTS;
}

/* The part of the cells that may be drawn, by how often the lists had to wait. One
 * reading, if no other follows, is as large as it was to be. */
static double ease_of_cells(const struct sampler *sampler)
{
	double waits = (double)(sleeps() - sampler->sleeps);

	return waits > sampler->lists_waits_allowed ? sampler->lists_waits_allowed / waits
						    : 1;
}

/* A program that maps memory all the time waits for who reads it, and is waited for: the
 * next reading is so much smaller that both is rare. How many cells are drawn does not
 * hang on what is in them. */
static void settle_ease(struct sampler *sampler)
{
	uint64_t waits = sleeps() - sampler->sleeps;
	double change = sampler->waits_allowed / ((double)waits + 1);

	sampler->ease *= change < EASE_RISE ? change : EASE_RISE;
	sampler->ease = sampler->ease > 1 ? 1 : sampler->ease;
	sampler->ease = sampler->ease < EASE_LEAST ? EASE_LEAST : sampler->ease;
}

static uint64_t more(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How many cells LEFT_NS are enough for. */
static uint64_t cells_wanted(const struct sampler *sampler, int64_t left_ns)
{
	double ease = ease_of_cells(sampler), left = left_ns > 0 ? (double)left_ns : 0;
	uint64_t wanted = (uint64_t)(left * ease / (double)sampler->cell_ns);
	uint64_t room = sampler->draw.cell_capacity / 2;

	wanted = more(wanted, (uint64_t)(CELLS_LEAST * sampler->ease * ease));
	wanted = more(wanted, CELLS_EASED);
	wanted = more(wanted, sampler->heap->options.cells_least);
	return wanted < room ? wanted : room;
}

static int read_some(struct sampler *sampler, struct heap *heap, int64_t budget_ns)
{
	int64_t start_ns = clock_thread_ns(), left_ns, cells_ns;
	uint32_t strata, cells;
	int error = fit(sampler, heap);

	if (error)
		return error;
	begin(sampler, heap);
	error = read_lists(sampler, budget_ns);
	if (error)
		return error;
	sampler_size_cells(sampler, budget_ns);
	part_all(sampler);
	sampler_take_known(sampler, budget_ns);
	left_ns = budget_ns - (clock_thread_ns() - start_ns) - budget_ns / 8;
	sampler_draw_cells(sampler, cells_wanted(sampler, left_ns));
	strata = sampler->draw.strata;
	cells = sampler->draw.cells;
	sampler_draw_large(sampler, budget_ns);
	cells_ns = clock_thread_ns();
	sampler_read_cells(sampler, strata);
	cells_ns = clock_thread_ns() - cells_ns;
	if (cells)
		sampler->cell_ns = (sampler->cell_ns + cells_ns / cells) / 2;
	for (unsigned i = 0; sampler->overflowed && i < heap->arena_count; i++)
		sampler->arena[i].lacks = true;
	return sampler->error;
}

int sampler_read(struct sampler *sampler, struct heap *heap, int64_t budget_ns)
{
	int error;

	begin_waits(sampler);
	error = read_some(sampler, heap, (int64_t)((double)budget_ns * sampler->ease));
	settle_ease(sampler);
	return error;
}

uint64_t sampler_find_caches(struct sampler *sampler, struct heap *heap,
			     const struct regions *regions, int64_t budget_ns,
			     bool *follow)
{
	struct caches *caches = &sampler->caches;
	uint64_t wanted = 0;
	bool is_counted;

	for (unsigned i = 0; i < heap->arena_count; i++)
		wanted += arena_attached_threads(&heap->arena[i]);
	caches_find(caches, heap, sampler->pages, regions, wanted,
		    (int64_t)((double)budget_ns / 8 * sampler->ease));
	memcpy(heap->tcaches.address, caches->address,
	       caches->count * sizeof(*caches->address));
	heap->tcaches.count = caches->count;
	is_counted = caches_count(caches, heap, sampler->pages, &heap->tcache,
				  heap->tcache_by_arena);
	/* A chunk takes the target's lock twice, to say which arena's it is. */
	*follow = !is_counted || (heap->arena_count > 1 &&
				  (double)heap->tcache.chunks * LISTED_NS <=
					  (double)budget_ns / 8 * sampler->ease);
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
