#include "glibc/parts.h"

#include <stdio.h>
#include <string.h>

/* The figures of one arena in numbers; the process's are their sums, but for the largest.
 */
struct totals {
	uint64_t system_bytes;
	uint64_t free_bytes;
	uint64_t free_chunks;
	uint64_t binned_chunks;
	uint64_t largest_free_bytes;
	uint64_t largest_hole_bytes;
	uint64_t top_bytes;
	uint64_t main_top_bytes;
	uint64_t fast_chunks;
	uint64_t fast_bytes;
	uint64_t foreign_bytes;
	uint64_t foreign_resident_bytes;
	uint64_t free_resident_bytes;
	uint64_t trimmable_bytes;
	uint64_t pinned_bytes;
	uint64_t retained_bytes;
	uint64_t resident_bytes;
	uint64_t own_resident_bytes;
	uint64_t fence_bytes; /* of these, what is walked over */
	uint64_t unusable_bytes;
	uint64_t attached_threads;
	uint64_t in_doubt_bytes;
	uint64_t unread_bytes;
	uint64_t unread; /* arenas that were not read whole */
	uint64_t skew_bytes;
};

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void arena_totals(const struct heap *heap, unsigned i, struct totals *totals)
{
	const struct arena *arena = &heap->arena[i];
	const struct arena_work *work = &heap->work[i];
	const struct walk_totals *walked = &work->totals;

	*totals = (struct totals){
		.system_bytes = arena_system_bytes(arena),
		.free_bytes = walked->free_bytes + work->fast_bytes + walked->top_bytes,
		.free_chunks = walked->free_chunks + work->fast_chunks,
		.binned_chunks = walked->free_chunks,
		.largest_free_bytes = most(walked->largest_bytes, walked->top_bytes),
		.largest_hole_bytes = walked->largest_bytes,
		.top_bytes = walked->top_bytes,
		.main_top_bytes = arena->is_main ? walked->top_bytes : 0,
		.fast_chunks = work->fast_chunks,
		.fast_bytes = work->fast_bytes,
		.foreign_bytes = walked->foreign_bytes,
		.foreign_resident_bytes = walked->foreign_resident_bytes,
		.free_resident_bytes = walked->free_resident_bytes,
		.trimmable_bytes = walked->trimmable_bytes,
		.pinned_bytes = walked->pinned_bytes,
		.retained_bytes = walked->retained_bytes,
		.resident_bytes = walked->resident_bytes,
		.own_resident_bytes = work->own_resident_bytes + walked->fence_bytes,
		.fence_bytes = walked->fence_bytes,
		.unusable_bytes = walked->unusable_bytes,
		.attached_threads = arena_attached_threads(arena),
		.in_doubt_bytes = walked->in_doubt_bytes + work->fast_in_doubt_bytes +
				  work->sum_in_doubt_bytes,
		.unread_bytes = walked->unread_bytes,
		.unread = work->lacks || walked->unread_bytes,
		.skew_bytes = work->skew_bytes,
	};
	if (walked->top_bytes && walked->top_bytes < heap->options.unusable_for_bytes)
		totals->unusable_bytes += walked->top_bytes;
}

static void add_totals(struct totals *sum, const struct totals *one)
{
	uint64_t largest_free = most(sum->largest_free_bytes, one->largest_free_bytes);
	uint64_t largest_hole = most(sum->largest_hole_bytes, one->largest_hole_bytes);
	uint64_t *into = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)one;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*into); i++)
		into[i] += from[i];
	sum->largest_free_bytes = largest_free;
	sum->largest_hole_bytes = largest_hole;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static void set_heap(struct figures *fig, const struct totals *totals)
{
	const struct {
		enum figure figure;
		uint64_t value;
	} table[] = {
		{FIG_SYSTEM_BYTES, totals->system_bytes},
		{FIG_FREE_BYTES, totals->free_bytes},
		{FIG_FREE_CHUNKS, totals->free_chunks},
		{FIG_LARGEST_FREE_BYTES, totals->largest_free_bytes},
		{FIG_LARGEST_HOLE_BYTES, totals->largest_hole_bytes},
		{FIG_TOP_BYTES, totals->top_bytes},
		{FIG_FAST_CHUNKS, totals->fast_chunks},
		{FIG_FAST_BYTES, totals->fast_bytes},
		{FIG_FOREIGN_BYTES, totals->foreign_bytes},
		{FIG_FREE_RESIDENT_BYTES, totals->free_resident_bytes},
		{FIG_TRIMMABLE_BYTES, totals->trimmable_bytes},
		{FIG_PINNED_BYTES, totals->pinned_bytes},
		{FIG_RETAINED_BYTES, totals->retained_bytes},
		{FIG_ALLOCATOR_RESIDENT_BYTES, totals->own_resident_bytes},
		{FIG_ATTACHED_THREADS, totals->attached_threads},
		{FIG_IN_DOUBT_BYTES, totals->in_doubt_bytes},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		figure_set(fig, table[i].figure, table[i].value);
}

/* The headers in front of the chunks are not walked over, fenceposts are. */
static uint64_t resident_of(const struct totals *totals)
{
	return totals->resident_bytes + totals->own_resident_bytes - totals->fence_bytes;
}

/* What the sums leave over; on a target that moves they may not, and then the figure is
 * absent. */
static void set_live(struct figures *fig, const struct totals *totals,
		     const struct tcache_totals *tcache, uint64_t unusable_for_bytes)
{
	uint64_t not_live = totals->free_bytes + tcache->bytes;
	uint64_t not_live_resident = totals->free_resident_bytes +
				     totals->own_resident_bytes +
				     totals->foreign_resident_bytes;
	uint64_t resident = resident_of(totals);

	figure_set(fig, FIG_TCACHE_CHUNKS, tcache->chunks);
	figure_set(fig, FIG_TCACHE_BYTES, tcache->bytes);
	figure_set(fig, FIG_UNUSABLE_FOR_BYTES, unusable_for_bytes);
	if (totals->system_bytes >= not_live)
		figure_set(fig, FIG_LIVE_BYTES, totals->system_bytes - not_live);
	if (resident < not_live_resident)
		return;
	figure_set(fig, FIG_LIVE_RESIDENT_BYTES, resident - not_live_resident);
	if (totals->unusable_bytes <= totals->free_bytes)
		figure_set_ratio(fig, FIG_UNUSABLE,
				 share(totals->unusable_bytes, totals->free_bytes));
	figures_derive(fig);
}

static void set_mallinfo2(struct figures *fig, const struct totals *totals,
			  uint64_t arenas, uint64_t mmaps, uint64_t mmapped_bytes)
{
	figure_set(fig, FIG_MALLINFO2_ARENA, totals->system_bytes);
	figure_set(fig, FIG_MALLINFO2_ORDBLKS, totals->binned_chunks + arenas);
	figure_set(fig, FIG_MALLINFO2_SMBLKS, totals->fast_chunks);
	figure_set(fig, FIG_MALLINFO2_HBLKS, mmaps);
	figure_set(fig, FIG_MALLINFO2_HBLKHD, mmapped_bytes);
	figure_set(fig, FIG_MALLINFO2_USMBLKS, 0);
	figure_set(fig, FIG_MALLINFO2_FSMBLKS, totals->fast_bytes);
	if (totals->free_bytes <= totals->system_bytes)
		figure_set(fig, FIG_MALLINFO2_UORDBLKS,
			   totals->system_bytes - totals->free_bytes);
	figure_set(fig, FIG_MALLINFO2_FORDBLKS, totals->free_bytes);
	figure_set(fig, FIG_MALLINFO2_KEEPCOST, totals->main_top_bytes);
}

/* Any of what was not read could be free, or a thread's cache: of the heap's figures
 * these stay, which malloc counts itself. */
static void drop_unread(struct figures *fig)
{
	static const enum figure known[] = {
		FIG_SYSTEM_BYTES,	  FIG_ARENAS,
		FIG_ATTACHED_THREADS,	  FIG_MMAPPED_CHUNKS,
		FIG_MMAPPED_BYTES,	  FIG_MMAPPED_RESIDENT_BYTES,
		FIG_TRIM_THRESHOLD_BYTES, FIG_MMAP_THRESHOLD_BYTES,
		FIG_HUGE_PAGE_BYTES,	  FIG_UNUSABLE_FOR_BYTES,
		FIG_IN_DOUBT_BYTES,	  FIG_MALLINFO2_ARENA,
		FIG_MALLINFO2_HBLKS,	  FIG_MALLINFO2_HBLKHD,
		FIG_MALLINFO2_USMBLKS,
	};
	struct figures all = *fig;

	figures_clear(fig);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (figure_has(&all, known[i]))
			fig->have[known[i] / 64] |= UINT64_C(1) << known[i] % 64;
}

static void drop_unread_row(struct arena_row *row)
{
	drop_unread(&row->fig);
	if (row->bins)
		row->bins->split = row->bins->sized = false;
}

/* A cache that was not read may hold chunks of every arena. */
static void drop_cached(struct sample *sample)
{
	static const enum figure of_caches[] = {FIG_TCACHE_CHUNKS, FIG_TCACHE_BYTES,
						FIG_LIVE_BYTES, FIG_SLACK};

	drop_unread(&sample->fig);
	for (unsigned i = 0; i < sample->arena_count; i++) {
		struct arena_row *row = &sample->arena[i];

		if (figure_has(&row->fig, FIG_LIVE_BYTES))
			row->status = STATUS_PARTIAL;
		for (size_t k = 0; k < sizeof(of_caches) / sizeof(*of_caches); k++)
			figure_drop(&row->fig, of_caches[k]);
	}
}

/* By how much parts exceed their wholes, at the most: read one after the other, they may
 * on a target that moves. */
static uint64_t excess_of(const struct totals *totals, const struct tcache_totals *tcache)
{
	uint64_t resident = resident_of(totals);
	uint64_t not_live = totals->free_resident_bytes + totals->own_resident_bytes +
			    totals->foreign_resident_bytes;
	const struct {
		uint64_t part, whole;
	} table[] = {
		{totals->free_bytes + tcache->bytes, totals->system_bytes},
		{totals->foreign_bytes, totals->system_bytes},
		{totals->largest_free_bytes, totals->free_bytes},
		{totals->top_bytes + totals->fast_bytes, totals->free_bytes},
		{totals->unusable_bytes, totals->free_bytes},
		{totals->free_resident_bytes, totals->free_bytes},
		{not_live, resident},
		/* What is live and resident is live. */
		{resident + totals->free_bytes, totals->system_bytes + not_live},
	};
	uint64_t excess = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].part > table[i].whole)
			excess = most(excess, table[i].part - table[i].whole);
	return excess;
}

/* Whether figures of WHOLE_BYTES are torn: some parts exceed their wholes, or the totals
 * moved by more than the limit. Notes the skew in TOTALS. */
static bool is_skewed(struct totals *totals, const struct tcache_totals *tcache,
		      uint64_t whole_bytes)
{
	uint64_t excess = excess_of(totals, tcache);

	totals->skew_bytes = most(totals->skew_bytes, excess);
	return excess || totals->skew_bytes > sample_skew_limit(whole_bytes);
}

static enum sample_status status_of(const struct totals *totals, bool misses,
				    bool is_torn)
{
	if (misses)
		return STATUS_PARTIAL;
	return totals->in_doubt_bytes || is_torn ? STATUS_TORN : STATUS_COMPLETE;
}

/* mp_'s figures: of the first glibc where there are several. */
void heap_set_par(const struct heap *heap, struct figures *fig, uint64_t *mmaps,
		  uint64_t *mmapped_bytes)
{
	*mmaps = *mmapped_bytes = 0;
	for (unsigned i = 0; i < heap->instance_count; i++) {
		*mmaps += heap->par[i].n_mmaps;
		*mmapped_bytes += heap->par[i].mmapped_bytes;
	}
	figure_set(fig, FIG_ARENAS, heap->arena_count);
	figure_set(fig, FIG_MMAPPED_CHUNKS, *mmaps);
	figure_set(fig, FIG_MMAPPED_BYTES, *mmapped_bytes);
	figure_set(fig, FIG_TRIM_THRESHOLD_BYTES, heap->par[0].trim_threshold_bytes);
	figure_set(fig, FIG_MMAP_THRESHOLD_BYTES, heap->par[0].mmap_threshold_bytes);
	figure_set(fig, FIG_HUGE_PAGE_BYTES,
		   most(heap->par[0].thp_page_bytes, heap->par[0].huge_page_bytes));
}

/* The chunks that were not found may be resident or not. */
static void set_bounded(const struct heap *heap, struct figures *fig)
{
	uint64_t low = heap->mmapped_resident_bytes, more = heap->mmapped_unknown_bytes;

	figure_set(fig, FIG_MMAPPED_RESIDENT_BYTES, low + more / 2);
	figure_set_range(fig, FIG_MMAPPED_RESIDENT_BYTES, (double)low,
			 (double)(low + more));
}

void heap_set_mapped(struct heap *heap, struct figures *fig, uint64_t mmaps,
		     uint64_t mmapped_bytes)
{
	if (heap->mmapped_exact)
		figure_set(fig, FIG_MMAPPED_RESIDENT_BYTES, heap->mmapped_resident_bytes);
	else if (heap->mmapped_bounded)
		set_bounded(heap, fig);
	else if (heap->mmapped_chunks < mmaps)
		heap_miss(heap,
			  "found %llu of %llu mmapped chunks, which have %llu bytes",
			  (unsigned long long)heap->mmapped_chunks,
			  (unsigned long long)mmaps, (unsigned long long)mmapped_bytes);
	else
		heap_miss(heap,
			  "which of %llu places are the %llu mmapped chunks, of %llu "
			  "bytes, is not clear",
			  (unsigned long long)heap->mmapped_chunks,
			  (unsigned long long)mmaps, (unsigned long long)mmapped_bytes);
}

static void miss_unread(struct heap *heap, const struct totals *totals)
{
	if (totals->unread_bytes)
		heap_miss(heap, "%llu bytes of the heap are swapped out",
			  (unsigned long long)totals->unread_bytes);
	if (heap->tcache.unread)
		heap_miss(heap, "%llu thread caches are swapped out",
			  (unsigned long long)heap->tcache.unread);
}

/* With more than one glibc, arenas are numbered on. */
static void arena_figures(struct heap *heap, struct sample *sample, unsigned i,
			  struct totals *totals)
{
	static const struct tcache_totals none;
	struct arena_row *row = &sample->arena[i];
	const struct tcache_totals *tcache =
		heap->options.arenas ? &heap->tcache_by_arena[i] : &none;

	arena_totals(heap, i, totals);
	row->index = i;
	row->addr = heap->arena[i].addr;
	set_heap(&row->fig, totals);
	if (heap->options.arenas) {
		totals->in_doubt_bytes += tcache->in_doubt_bytes;
		figure_set(&row->fig, FIG_IN_DOUBT_BYTES, totals->in_doubt_bytes);
		set_live(&row->fig, totals, tcache, heap->options.unusable_for_bytes);
		totals->in_doubt_bytes -= tcache->in_doubt_bytes;
	}
	if (totals->unread)
		drop_unread_row(row);
	row->status = status_of(totals, totals->unread != 0,
				is_skewed(totals, tcache, totals->system_bytes));
	totals->skew_bytes = 0;
	if (tcache->in_doubt_bytes && row->status == STATUS_COMPLETE)
		row->status = STATUS_TORN;
}

/* Without a walk: what malloc_state itself says, and the largest. */
static void quick_figures(struct heap *heap, struct sample *sample)
{
	uint64_t system = 0, top = 0, largest = 0, hole = 0, mmaps, mmapped_bytes;
	bool has_all = true;

	for (unsigned i = 0; i < heap->arena_count; i++) {
		const struct arena_work *work = &heap->work[i];

		system += arena_system_bytes(&heap->arena[i]);
		top += work->quick_top_bytes;
		hole = most(hole, work->quick_bytes);
		largest = most(largest, most(work->quick_bytes, work->quick_top_bytes));
		has_all &= work->has_quick;
	}
	heap_set_par(heap, &sample->fig, &mmaps, &mmapped_bytes);
	figure_set(&sample->fig, FIG_SYSTEM_BYTES, system);
	if (!has_all)
		return;
	figure_set(&sample->fig, FIG_TOP_BYTES, top);
	figure_set(&sample->fig, FIG_LARGEST_FREE_BYTES, largest);
	figure_set(&sample->fig, FIG_LARGEST_HOLE_BYTES, hole);
}

static void walked_figures(struct heap *heap, struct sample *sample)
{
	struct totals sum = {0};
	uint64_t mmaps, mmapped_bytes;
	bool is_torn;

	sample->arena_count = heap->arena_count;
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct totals one;

		arena_figures(heap, sample, i, &one);
		add_totals(&sum, &one);
	}
	sum.in_doubt_bytes += heap->tcache.in_doubt_bytes;
	heap_set_par(heap, &sample->fig, &mmaps, &mmapped_bytes);
	set_heap(&sample->fig, &sum);
	set_live(&sample->fig, &sum, &heap->tcache, heap->options.unusable_for_bytes);
	set_mallinfo2(&sample->fig, &sum, heap->arena_count, mmaps, mmapped_bytes);
	heap_set_mapped(heap, &sample->fig, mmaps, mmapped_bytes);
	miss_unread(heap, &sum);
	sum.skew_bytes = heap->skew_bytes;
	is_torn = is_skewed(&sum, &heap->tcache, sum.system_bytes + mmapped_bytes);
	figure_set(&sample->fig, FIG_SKEW_BYTES, sum.skew_bytes);
	if (sum.unread || heap->tcache.unread)
		drop_cached(sample);
	sample->status = status_of(&sum, heap->missing[0] != '\0', is_torn);
	if (sample->status == STATUS_COMPLETE && heap->mmapped_bounded)
		sample->status = STATUS_ESTIMATED;
}

void heap_figures(struct heap *heap, struct sample *sample)
{
	if (heap->options.quick) {
		quick_figures(heap, sample);
		sample->status = heap->missing[0] ? STATUS_PARTIAL : STATUS_COMPLETE;
	} else {
		walked_figures(heap, sample);
	}
	memcpy(sample->missing, heap->missing, sizeof(sample->missing));
}
