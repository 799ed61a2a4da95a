#include "glibc/parts.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/sort.h"

#include <errno.h>
#include <string.h>

enum {
	SEGMENT_MIN_BYTES = 2 << 20,
	SEGMENT_MAX_BYTES = 256 << 20,
	LIST_ATTEMPTS = 4,
	RESTARTS = 3,
	LOCK_WAITS = 100, /* for all segments together */
	LOCK_WAIT_NS = 200 * 1000,
	FAST_MAX_BYTES = 0xb0, /* the largest chunk that mallopt lets into a fastbin */
	SEARCH_SHARE = 8,      /* of a budget, a part, for mmapped chunks */
};

struct listing {
	struct heap *heap;
	unsigned arena;
};

static int add_segment(struct heap *heap, const struct walk_segment *segment,
		       uint64_t front, unsigned arena)
{
	if (heap->segment_count == heap->segment_capacity)
		return -ENOSPC;
	heap->segment[heap->segment_count++] =
		(struct owned_segment){*segment, arena, front, segment->end};
	heap->work[arena].heap_segment_bytes += segment->end - front;
	heap->work[arena].segment_count++;
	return 0;
}

static int add_heap(uint64_t addr, const struct walk_segment *segment, void *context)
{
	const struct listing *listing = context;
	struct heap *heap = listing->heap;
	struct arena_work *work = &heap->work[listing->arena];
	int error;

	/* A list of heaps that runs in a circle. */
	if (work->heap_segment_bytes >
	    arena_system_bytes(&heap->arena[listing->arena]) + HEAP_GROWTH)
		return -EUCLEAN;
	error = add_segment(heap, segment, addr, listing->arena);
	if (error)
		return error;
	heap->heaps[heap->heap_count++] = addr;
	work->own_resident_bytes +=
		pages_resident_bytes(heap->pages, addr, segment->start);
	return 0;
}

/* The part of a main arena that lies at the program break. Before the first chunk there
 * may be some bytes of padding (malloc.c, front_misalign). */
static int add_break(struct heap *heap, unsigned number, const struct regions *regions)
{
	const struct arena *arena = &heap->arena[number];
	const struct malloc_par *par = &heap->par[arena->instance];
	const struct region *region = regions_find(regions, par->sbrk_base);
	uint64_t start = (par->sbrk_base + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;
	uint64_t top = arena_top(arena);
	struct arena_work *work = &heap->work[number];
	struct walk_segment segment;

	if (!region || (!region->is_break && !arena_is_contiguous(arena)))
		return 0;
	segment = (struct walk_segment){.start = start,
					.stop = region->end,
					.end = region->end,
					.ends = SEGMENT_BREAK};
	/* A top behind the region as it was is believed as far as one can have grown
	 * since. */
	if (top >= start && (top < region->end || (arena_is_contiguous(arena) &&
						   top - region->end < HEAP_GROWTH))) {
		segment.stop = segment.top = top;
		segment.ends = SEGMENT_TOP;
	}
	work->own_resident_bytes +=
		pages_resident_bytes(heap->pages, par->sbrk_base, start);
	return add_segment(heap, &segment, par->sbrk_base, number);
}

static int list_arena(struct heap *heap, unsigned number, const struct regions *regions)
{
	struct listing listing = {heap, number};
	const struct arena *arena = &heap->arena[number];

	if (!arena->used)
		return 0;
	if (arena->is_main)
		return add_break(heap, number, regions);
	return arena_each_heap(heap->memory, heap->pages, arena,
			       &heap->par[arena->instance], add_heap, &listing);
}

/* An arena that got a heap, or gave one back, while it was read does not hold together:
 * it is read again. */
static int list_arena_again(struct heap *heap, unsigned number,
			    const struct regions *regions)
{
	const struct arena_work before = heap->work[number];
	unsigned segments = heap->segment_count, heaps = heap->heap_count;
	int error = list_arena(heap, number, regions);

	for (unsigned i = 0;
	     i < LIST_ATTEMPTS && (error == -EUCLEAN || error == -ENODATA); i++) {
		pages_forget(heap->pages);
		if (arena_refresh(heap->memory, heap->pages, &heap->arena[number]))
			break;
		heap->segment_count = segments;
		heap->heap_count = heaps;
		heap->work[number] = before;
		error = list_arena(heap, number, regions);
	}
	return error;
}

int heap_find_segments(struct heap *heap, const struct regions *regions)
{
	heap->segment_count = heap->heap_count = 0;
	for (unsigned i = 0; i < heap->arena_count; i++) {
		int error;

		pages_swap_in(heap->pages, heap->options.swap_in);
		error = list_arena_again(heap, i, regions);
		pages_swap_in(heap->pages, false);

		heap->work[i].lacks = error != 0;
		if (error == -ENODATA || error == -EFAULT)
			heap_miss(heap, "the heaps of arena %u are swapped out", i);
		else if (error == -EUCLEAN)
			heap_miss(heap, "the heaps of arena %u are inconsistent", i);
		else if (error == -ENOSPC)
			heap_miss(heap, "there are more than %u heaps",
				  heap->segment_capacity);
		else if (error)
			return error;
	}
	sort_addresses(heap->heaps, heap->heap_count);
	return 0;
}

/* ---- cutting segments at known chunks, for several walks at once ---- */

static void add_seed(struct heap *heap, uint64_t chunk, uint64_t self)
{
	if (chunk != self && !(chunk & (GLIBC_ALIGN - 1)) &&
	    heap->seed_count < heap->seed_capacity)
		heap->seed[heap->seed_count++] = chunk;
}

/* The chunks at the ends of the bins are known to be chunks, and lie all over the heap.
 */
static void collect_seeds(struct heap *heap)
{
	for (unsigned n = 0; n < heap->arena_count; n++) {
		const struct arena *arena = &heap->arena[n];

		for (unsigned i = 0; arena->used && i < GLIBC_BINS; i++) {
			uint64_t self = arena_bin_self(arena, i);

			add_seed(heap, arena_bin_forward(arena, i), self);
			add_seed(heap, arena_bin_backward(arena, i), self);
		}
	}
	sort_addresses(heap->seed, heap->seed_count);
	heap->seed_count = sort_unique(heap->seed, heap->seed_count);
}

/* Whether a chunk that ends at SEED looks like one of a fastbin of ARENA. */
static bool follows_fast(struct heap *heap, const struct walk_arena *arena, uint64_t seed)
{
	uint8_t before[FAST_MAX_BYTES];
	uint64_t page = UINT64_C(1) << heap->memory->page_shift;
	uint64_t start = seed - sizeof(before);

	/* On pages that are not resident nothing is in a fastbin. */
	if (!pages_all_resident(heap->pages, start, sizeof(before)))
		start = seed & -page;
	if (start == seed || memory_fetch(heap->memory, heap->pages, start, before,
					  (uint32_t)(seed - start)))
		return false;
	for (uint64_t at = start; at + GLIBC_MIN_CHUNK <= seed; at += GLIBC_ALIGN) {
		const uint8_t *chunk = before + (at - start);
		uint64_t bytes = bytes_u64(chunk + 8) & ~(uint64_t)CHUNK_FLAGS;

		if (bytes == seed - at &&
		    walk_may_be_fast(arena, at, bytes, bytes_u64(chunk + 16)))
			return true;
	}
	return false;
}

/* A walk cannot begin where a fastbin chunk lies before: both belong to one run. */
static bool is_good_seed(struct heap *heap, const struct walk_arena *arena, uint64_t seed)
{
	size_t i;

	if (arena->links)
		return !follows_fast(heap, arena, seed);
	i = sort_lower_bound(arena->fast, arena->fast_count, seed);
	return i == 0 || seed - arena->fast[i - 1] > FAST_MAX_BYTES;
}

uint64_t heap_seed_before(struct heap *heap, const struct walk_arena *arena,
			  const struct walk_segment *segment, uint64_t addr)
{
	size_t i = sort_lower_bound(heap->seed, heap->seed_count, addr + 1);

	while (i-- > 0 && heap->seed[i] > segment->start)
		if (heap->seed[i] < segment->stop &&
		    is_good_seed(heap, arena, heap->seed[i]))
			return heap->seed[i];
	return segment->start;
}

struct cutter {
	struct heap *heap;
	uint64_t segment_bytes;
	unsigned segment;
	uint64_t from; /* in that segment; 0: at its start */
};

static uint64_t next_cut(const struct cutter *cutter, const struct owned_segment *owned,
			 uint64_t from)
{
	struct heap *heap = cutter->heap;
	const struct walk_segment *segment = &owned->segment;
	const struct walk_arena *arena = &heap->work[owned->arena].walk;
	size_t i = sort_lower_bound(heap->seed, heap->seed_count,
				    from + cutter->segment_bytes);

	for (; i < heap->seed_count && heap->seed[i] < segment->stop; i++)
		if (is_good_seed(heap, arena, heap->seed[i]))
			return heap->seed[i];
	return segment->stop;
}

static bool next_walk(struct cutter *cutter, struct walk *walk)
{
	struct heap *heap = cutter->heap;
	const struct owned_segment *owned;
	const struct walk_segment *segment;
	uint64_t from, until;

	if (cutter->segment == heap->segment_count)
		return false;
	owned = &heap->segment[cutter->segment];
	segment = &owned->segment;
	from = cutter->from ? cutter->from : segment->start;
	until = next_cut(cutter, owned, from);
	walk_begin(walk, &heap->work[owned->arena].walk, heap->memory, segment, from,
		   until);
	walk->list = gather_begin(heap->gather);
	walk->may_give_up = true;
	walk->is_last = until == segment->stop;
	cutter->from = until;
	if (walk->is_last) {
		cutter->segment++;
		cutter->from = 0;
	}
	return true;
}

static uint64_t segment_bytes(const struct heap *heap)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < heap->segment_count; i++)
		bytes += heap->segment[i].segment.stop - heap->segment[i].segment.start;
	bytes /= heap->jobs;
	if (bytes < SEGMENT_MIN_BYTES)
		return SEGMENT_MIN_BYTES;
	return bytes > SEGMENT_MAX_BYTES ? SEGMENT_MAX_BYTES : bytes;
}

/* The walks of one segment, joined: each must have begun where the one before it came
 * out. One that did not began at what is no chunk by now; then the one before goes on in
 * its place, so that it can go back to where its own chain was good. When that fails too,
 * the segment is walked again from its start, which is a chunk always. */
struct joiner {
	struct heap *heap;
	unsigned segment;
	struct walk *last;	  /* what came before, or null at a segment's start */
	struct walk_totals sum;	  /* of the segment, without LAST */
	struct link_chain linked; /* the same */
	unsigned waits;		  /* for locks that were held */
};

static void drop_links(struct joiner *joiner, struct link_chain *linked)
{
	links_drop(joiner->heap->links, *linked);
	*linked = (struct link_chain){0};
}

static void drop_list(struct walk *walk)
{
	gather_drop(walk->list);
	walk->list = NULL;
}

static int run(struct joiner *joiner, struct walk *walk)
{
	return walk_pool_run(joiner->heap->pool, walk, 1);
}

/* A thread that lost its processor in the middle of a change leaves the chain broken
 * until it gets one again, and what is read before will not be whole. It holds the
 * arena's lock: wait for an instant at which nobody does. */
static void let_finish(struct joiner *joiner)
{
	struct heap *heap = joiner->heap;
	struct arena now = heap->arena[heap->segment[joiner->segment].arena];

	while (!arena_refresh(heap->memory, heap->pages, &now) && arena_is_locked(&now) &&
	       joiner->waits++ < LOCK_WAITS)
		clock_wait_until(clock_monotonic_ns() + LOCK_WAIT_NS, NULL);
}

static int restart(struct joiner *joiner, struct walk *walk)
{
	const struct walk_segment segment =
		joiner->heap->segment[joiner->segment].segment;
	bool is_last = walk->is_last;
	uint64_t until = is_last ? segment.stop : walk->until;
	int error = 0;

	memset(&joiner->sum, 0, sizeof(joiner->sum));
	drop_links(joiner, &joiner->linked);
	gather_drop_segment(joiner->heap->gather, joiner->segment);
	if (joiner->last && joiner->last != walk) {
		drop_links(joiner, &joiner->last->place.linked);
		drop_list(joiner->last);
	}
	joiner->last = walk;
	for (unsigned i = 0; i <= RESTARTS && !error; i++) {
		let_finish(joiner);
		drop_links(joiner, &walk->place.linked);
		drop_list(walk);
		walk_begin(walk, walk->arena, walk->memory, &segment, segment.start,
			   until);
		walk->list = gather_begin(joiner->heap->gather);
		walk->is_last = is_last;
		walk->may_give_up = i < RESTARTS;
		error = run(joiner, walk);
		if (!walk->failed)
			break;
	}
	return error;
}

static int extend(struct joiner *joiner, struct walk *walk)
{
	struct walk *last = joiner->last;
	int error;

	drop_links(joiner, &walk->place.linked);
	drop_list(walk);
	walk_extend(last, walk->is_last ? last->segment.stop : walk->until);
	error = run(joiner, last);
	return error || !last->failed ? error : restart(joiner, walk);
}

/* The last walk of a segment has come out: where it ended is how much there is of it. */
static void end_segment(struct joiner *joiner)
{
	struct heap *heap = joiner->heap;
	struct owned_segment *owned = &heap->segment[joiner->segment];
	struct arena_work *work = &heap->work[owned->arena];

	walk_keep_list(joiner->last, joiner->segment++);
	walk_add(&joiner->sum, &joiner->last->totals, heap->options.sizes);
	walk_add(&work->totals, &joiner->sum, heap->options.sizes);
	memset(&joiner->sum, 0, sizeof(joiner->sum));
	links_join(heap->links, &joiner->linked, joiner->last->place.linked);
	links_keep(heap->links, joiner->linked);
	joiner->linked = (struct link_chain){0};
	work->heap_segment_bytes += joiner->last->place.at - owned->end;
	owned->end = joiner->last->place.at;
	joiner->last = NULL;
}

static int join(struct joiner *joiner, struct walk *walk)
{
	bool is_last = walk->is_last;
	int error = 0;

	if (!joiner->last && walk->failed) {
		error = restart(joiner, walk);
	} else if (!joiner->last) {
		joiner->last = walk;
	} else if (!walk->failed && joiner->last->place.at == walk->origin.place.at) {
		walk_keep_list(joiner->last, joiner->segment);
		walk_add(&joiner->sum, &joiner->last->totals,
			 joiner->heap->options.sizes);
		links_join(joiner->heap->links, &joiner->linked,
			   joiner->last->place.linked);
		joiner->last = walk;
	} else {
		error = extend(joiner, walk);
	}
	if (is_last && !error)
		end_segment(joiner);
	return error;
}

static int walk_once(struct heap *heap)
{
	struct cutter cutter = {heap, segment_bytes(heap), 0, 0};
	struct walk *carried = &heap->walks[heap->jobs];
	struct joiner joiner = {.heap = heap};

	for (;;) {
		unsigned count = 0;
		int error;

		while (count < heap->jobs && next_walk(&cutter, &heap->walks[count]))
			count++;
		if (!count)
			return 0;
		error = walk_pool_run(heap->pool, heap->walks, count);
		for (unsigned i = 0; i < count && !error; i++)
			error = join(&joiner, &heap->walks[i]);
		if (error)
			return error;
		if (joiner.last && joiner.last != carried) {
			*carried = *joiner.last;
			joiner.last = carried;
		}
	}
}

static bool has_foreign(const struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->work[i].totals.foreign_bytes)
			return true;
	return false;
}

static void forget_walk(struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct arena_work *work = &heap->work[i];

		memset(&work->totals, 0, sizeof(work->totals));
		work->walk.known = heap->seed;
		work->walk.known_count = heap->seed_count;
	}
	heap->tcaches.count = 0;
	gather_drop_all(heap->gather);
}

/* Where the program's own sbrk memory lies among the chunks, what it holds may look like
 * chunks too. Then all free chunks are learned from the lists, one by one, and the walk
 * is done again with them as its witnesses. */
int heap_walk_segments(struct heap *heap)
{
	int error;

	heap->seed_count = 0;
	collect_seeds(heap);
	error = walk_once(heap);
	if (error || !has_foreign(heap))
		return error;
	error = heap_collect_free(heap);
	if (error)
		return error;
	collect_seeds(heap);
	forget_walk(heap);
	if (heap->work[0].walk.links)
		error = heap_read_fastbins(heap);
	return error ? error : walk_once(heap);
}

/* ---- mapped memory ---- */

static void found_segment(const struct walk_segment *segment, unsigned number,
			  void *context)
{
	struct heap *heap = context;
	unsigned main_arena = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->arena[i].is_main && heap->arena[i].instance == number)
			main_arena = i;
	if (add_segment(heap, segment, segment->start, main_arena)) {
		heap->work[main_arena].lacks = true;
		heap_miss(heap, "there are more than %u heaps", heap->segment_capacity);
	}
}

/* What of a main arena's system_mem has not been found at the program break. */
static struct mapped_arena mapped_part(struct heap *heap, unsigned number)
{
	const struct arena *arena = &heap->arena[number];
	struct arena_work *work = &heap->work[number];
	uint64_t system = arena_system_bytes(arena), top = arena_top(arena);
	struct mapped_arena part = {.arena = &work->walk, .totals = &work->totals};

	if (!arena->used || arena_is_contiguous(arena) ||
	    system <= work->heap_segment_bytes)
		return part;
	part.wanted_bytes = system - work->heap_segment_bytes;
	if (heap_owner(top, heap) != (int)number)
		part.top = top;
	return part;
}

int64_t heap_search_ns(const struct heap *heap)
{
	const struct heap_options *options = &heap->options;
	bool is_whole = !heap->is_estimated && options->whole_ns;

	if (!options->budget_ns)
		return 0;
	return (is_whole ? options->whole_ns : options->budget_ns) / SEARCH_SHARE + 1;
}

void heap_find_mapped(struct heap *heap, const struct regions *regions)
{
	struct mapped_arena part[HEAP_INSTANCES];
	unsigned main_arena[HEAP_INSTANCES] = {0};
	struct mapped_search search = {
		.memory = heap->memory,
		.pages = heap->pages,
		.regions = regions,
		.heap = heap->heaps,
		.heap_count = heap->heap_count,
		.heap_max_bytes = heap->heap_max_bytes,
		.has_trailer = heap->instance[0].layout->mmapped_has_trailer,
		.arena = part,
		.arena_count = heap->instance_count,
		.buffer = heap->window,
		.place = heap->places,
		.place_count = heap->place_count,
		.place_capacity = heap->place_capacity,
		.last = &heap->mapped_last,
		.links = heap->links,
		.found = found_segment,
		.context = heap,
		.ns = heap_search_ns(heap),
	};

	heap_index_segments(heap);
	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->arena[i].is_main) {
			main_arena[heap->arena[i].instance] = i;
			part[heap->arena[i].instance] = mapped_part(heap, i);
		}
	for (unsigned i = 0; i < heap->instance_count; i++) {
		search.wanted_chunks += heap->par[i].n_mmaps;
		search.wanted_bytes += heap->par[i].mmapped_bytes;
	}
	mapped_find(&search);
	heap_index_segments(heap);
	for (unsigned i = 0; i < heap->instance_count; i++)
		if (part[i].wanted_bytes) {
			heap->work[main_arena[i]].lacks = true;
			heap_miss(heap, "%llu bytes of a main arena were not found",
				  (unsigned long long)part[i].wanted_bytes);
		}

	heap->place_count = search.place_count;
	heap->mmapped_exact = search.is_exact;
	heap->mmapped_chunks = search.chunks;
	heap->mmapped_bytes = search.bytes;
	heap->mmapped_resident_bytes = search.resident_bytes;
	heap->mmapped_bounded = search.is_bounded;
	heap->mmapped_unknown_bytes = search.unknown_bytes;
}

uint64_t heap_foreign_resident_bytes(const struct heap *heap)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		bytes += heap->work[i].totals.foreign_resident_bytes;
	return bytes;
}
