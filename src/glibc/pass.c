/* pass.c: one pass over all that belongs to malloc: segments, fastbins, thread caches.
 */
#include "base/sort.h"
#include "glibc/parts.h"

#include <errno.h>
#include <string.h>

enum { TCACHE_ATTEMPTS = 3 };

/* systrim (malloc.c) gives the main arena's top back in pages, or in huge pages where the
 * hugetlb tunable set thp_pagesize, and only while top ends at the program break. */
static uint64_t trim_unit(const struct heap *heap, const struct arena *arena,
			  const struct regions *regions)
{
	const struct malloc_par *par = &heap->par[arena->instance];
	const struct region *region = regions_find(regions, arena_top(arena));

	if (!arena->is_main || !region || !region->is_break)
		return 0;
	return par->thp_page_bytes ? par->thp_page_bytes
				   : UINT64_C(1) << heap->memory->page_shift;
}

void heap_begin_arenas(struct heap *heap, const struct regions *regions)
{
	heap->heap_max_bytes =
		arena_heap_max_bytes(heap->instance[0].layout, &heap->par[0]);
	for (unsigned i = 0; i < heap->arena_count; i++) {
		const struct arena *arena = &heap->arena[i];

		memset(&heap->work[i], 0, sizeof(heap->work[i]));
		heap->work[i].walk = (struct walk_arena){
			.layout = arena->layout,
			.non_main = !arena->is_main,
			.state = arena->addr,
			.trim_unit_bytes = trim_unit(heap, arena, regions),
			.unusable_for_bytes = heap->options.unusable_for_bytes,
			.tcache_count_max = heap->par[arena->instance].tcache_count,
			.tcaches = &heap->tcaches,
			.bins = heap->options.sizes,
		};
	}
}

/* The caches were noted by walks of several threads, some of them twice. All are read by
 * the first glibc's layout: where there are several, dlmopen loads the same file again.
 */
int heap_read_tcaches(struct heap *heap, bool by_arena, bool by_notes,
		      tcache_owner_fn *owner, void *context)
{
	uint32_t count = heap->tcaches.count;
	struct tcache_search search = {
		.reader = heap->chains,
		.memory = heap->memory,
		.pages = heap->pages,
		.layout = heap->instance[0].layout,
		.par = &heap->par[0],
		.links = by_notes && heap->arena_count ? heap->work[0].walk.links : NULL,
		.address = heap->tcaches.address,
		.owner = owner,
		.context = context,
	};

	if (count > heap->tcaches.capacity) {
		heap_miss(heap, "there are more than %u thread caches",
			  heap->tcaches.capacity);
		count = heap->tcaches.capacity;
	}
	sort_addresses(heap->tcaches.address, count);
	search.count = sort_unique(heap->tcaches.address, count);
	heap->tcache = (struct tcache_totals){0};
	heap->cached.count = 0;
	if (by_arena)
		memset(heap->tcache_by_arena, 0,
		       heap->arena_count * sizeof(*heap->tcache_by_arena));
	return tcache_read(&search, &heap->tcache,
			   by_arena ? heap->tcache_by_arena : NULL, &heap->cached);
}

/* A chunk is on one list at a time. One that goes from thread to thread may be met on
 * two, but not the same one whenever it is looked: then the lists cross, and are damaged.
 */
int heap_settle_tcaches(struct heap *heap)
{
	uint64_t twice = 1, mark = 0, before = 0;
	int error = 0;

	for (unsigned i = 0; i < TCACHE_ATTEMPTS && twice && !error; i++) {
		error = heap_read_tcaches(heap, heap->options.arenas, !i, heap_owner,
					  heap);
		twice = tcache_met_twice(&heap->cached, &mark);
		if (i && mark != before)
			return error;
		before = mark;
	}
	if (heap->tcache.in_doubt_bytes < twice)
		heap->tcache.in_doubt_bytes = twice;
	return error;
}

static uint64_t apart(uint64_t one, uint64_t other)
{
	return one > other ? one - other : other - one;
}

/* Everything that an arena got from the kernel is found. If not, it got some or gave some
 * back while it was walked, which shows in its malloc_state: then that is the one which
 * the walk is of. Or else something is damaged. */
static void check_size(struct heap *heap, unsigned i)
{
	struct arena_work *work = &heap->work[i];
	struct arena now = heap->arena[i];
	uint64_t system = arena_system_bytes(&now), found = work->heap_segment_bytes;

	if (!work->segment_count) {
		work->lacks = true;
		heap_miss(heap, "the memory of arena %u was not found", i);
	}
	if (found == system || arena_refresh(heap->memory, heap->pages, &now))
		return;
	if (memcmp(now.raw, heap->arena[i].raw, now.layout->arena.size) == 0) {
		work->sum_in_doubt_bytes = apart(found, system);
		return;
	}
	if (apart(found, arena_system_bytes(&now)) < apart(found, system))
		heap->arena[i] = now;
	work->skew_bytes = apart(found, arena_system_bytes(&heap->arena[i]));
}

int heap_walk(struct heap *heap, const struct regions *regions)
{
	int error;

	heap_begin_arenas(heap, regions);
	if (regions->overflow)
		heap_miss(heap, "there are more than %u mappings", regions->capacity);
	error = heap_find_segments(heap, regions);
	if (!error)
		error = heap_note_fastbins(heap) ? 0 : heap_read_fastbins(heap);
	if (!error)
		error = heap_walk_segments(heap);
	if (error)
		return error;
	heap_find_mapped(heap, regions);
	if (heap->arena_count && heap->work[0].walk.links)
		links_sort(heap->links);
	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->arena[i].used)
			check_size(heap, i);
	return 0;
}

/* By how much the totals have moved since they were read: what lies between was read in
 * the course of that. Those of threads' caches were met by the walk. */
static void measure_skew(struct heap *heap)
{
	uint64_t cached = 0;

	heap->skew_bytes = 0;
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct arena now = heap->arena[i];

		cached += heap->work[i].totals.tcache_bytes;
		if (arena_refresh(heap->memory, heap->pages, &now))
			continue;
		heap->work[i].skew_bytes += apart(arena_system_bytes(&now),
						  arena_system_bytes(&heap->arena[i]));
		heap->skew_bytes += heap->work[i].skew_bytes;
	}
	for (unsigned i = 0; i < heap->instance_count; i++) {
		struct malloc_par now;

		if (!arena_read_par(heap->memory, heap->pages, &heap->instance[i], &now))
			heap->skew_bytes +=
				apart(now.mmapped_bytes, heap->par[i].mmapped_bytes);
	}
	heap->skew_bytes += apart(cached, heap->tcache.counted_bytes);
}

int heap_walk_whole(struct heap *heap, const struct regions *regions,
		    struct sample *sample)
{
	int error = heap_walk(heap, regions);

	if (!error)
		error = heap_settle_tcaches(heap);
	if (!error)
		error = heap_settle_fastbins(heap);
	if (!error)
		measure_skew(heap);
	if (!error && heap->options.sizes)
		error = heap_tell_bins(heap, sample);
	return error;
}
