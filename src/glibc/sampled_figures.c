/* sampled_figures.c: the figures of a reading at a bounded cost: what is known for sure,
 * and to it or from it the totals of the drawn cells, each with its interval. */
#include "base/machine.h"
#include "glibc/caches.h"
#include "glibc/sampled.h"

#include <math.h>
#include <string.h>

/* The most that one cell can hold of something that none of the drawn cells had. */
#define CELL_BYTES  ((double)SAMPLED_CELL)
#define CELL_CHUNKS 16.0
#define PAGE_BYTES  ((double)machine_page_bytes())

/* Of one arena or all of them: what is known for sure. */
struct sure {
	uint64_t system_bytes;
	uint64_t chunks, bytes;		  /* binned */
	uint64_t fast_chunks, fast_bytes; /* of fastbins */
	uint64_t top_bytes, main_top_bytes;
	uint64_t unusable_bytes;
	uint64_t trimmable_bytes, pinned_bytes, retained_bytes;
	uint64_t cell_bytes; /* that are drawn from */
	uint64_t own_bytes, fence_bytes;
	uint64_t largest_free_bytes, largest_hole_bytes;
	uint64_t attached_threads;
	uint64_t unlisted_bytes; /* of a chunk, at most */
	bool has_largest;
	bool has_fast;		  /* chunks of fastbins in cells, too */
	bool has_binned;	  /* or binned ones */
	bool has_dark;		  /* or large ones that no list told of */
	bool has_unlisted_pages;  /* or ones that are large enough for whole pages */
	bool has_unlisted_usable; /* or for `unusable` */
	bool has_pages;		  /* or pages of known ones */
	bool has_pieces;	  /* large free chunks of which parts are drawn */
	uint64_t top_piece_bytes; /* what a trim leaves, among these */
	bool lacks;
	uint64_t swapped_bytes;
	uint64_t tops_near_fast; /* tops of arenas that have fastbin chunks */
};

/* A figure that is SURE and what the cells say of SUMS, or SURE less that. */
struct linear {
	enum figure figure;
	double sure;
	bool is_less;
	struct estimate_weights weights;
	double cell_most;
};

static const struct estimate_weights free_bytes_of = {
	.of = {[SUM_BYTES] = 1, [SUM_FAST_BYTES] = 1}};

static const struct estimate_weights free_resident_of = {
	.of = {[SUM_TRIMMABLE_BYTES] = 1,
	       [SUM_PINNED_BYTES] = 1,
	       [SUM_RETAINED_BYTES] = 1}};

static const struct estimate_weights absent = {.of = {[SUM_ABSENT_BYTES] = 1}};

static const struct estimate_weights resident = {.of = {[SUM_RESIDENT_BYTES] = 1}};

static double most(double a, double b)
{
	return a > b ? a : b;
}

/* All cells are known, or none of them can hold any. */
static bool is_sure(const struct cell_estimate *estimate, double cell_most)
{
	return !estimate->drawn || (estimate->deviation <= 0 && cell_most <= 0);
}

/* By how much the total of WEIGHTS can be more than it seems when no drawn cell had any
 * of it. */
static double unseen(const struct estimate_draw *draw, int group,
		     const struct estimate_weights *weights, double cell_most)
{
	struct cell_estimate estimate = estimate_total(draw, group, weights);

	if (estimate.deviation > 0)
		return 0;
	return estimate_positive(&estimate, cell_most).high - estimate.total;
}

static void set_linear(struct figures *fig, const struct estimate_draw *draw, int group,
		       const struct linear *linear)
{
	struct cell_estimate estimate = estimate_total(draw, group, &linear->weights);
	struct range range = estimate_positive(&estimate, linear->cell_most);
	double value = linear->sure + range.value, low = linear->sure + range.low,
	       high = linear->sure + range.high;

	if (linear->is_less) {
		value = linear->sure - range.value;
		low = linear->sure - range.high;
		high = linear->sure - range.low;
	}
	figure_set(fig, linear->figure, (uint64_t)(most(value, 0) + 0.5));
	if (!is_sure(&estimate, linear->cell_most))
		figure_set_range(fig, linear->figure, most(low, 0), most(high, 0));
}

/* ---- what is sure ---- */

static void arena_sure(const struct heap *heap, const struct sampler *sampler, unsigned i,
		       struct sure *sure)
{
	const struct sampled_arena *arena = sampler_arena(sampler, i);
	const struct known_arena *known = &arena->known;
	uint64_t large_fast = 0;

	for (unsigned k = 0; k < GLIBC_FASTBINS; k++)
		if (known->fast_bin[k])
			large_fast = layout_fastbin_bytes(k);
	*sure = (struct sure){
		.system_bytes = arena_system_bytes(&heap->arena[i]),
		.chunks = known->chunks,
		.bytes = known->bytes,
		.fast_chunks = known->fast_chunks,
		.fast_bytes = known->fast_bytes,
		.top_bytes = arena->top,
		.main_top_bytes = heap->arena[i].is_main ? arena->top : 0,
		.unusable_bytes = arena->unusable,
		.trimmable_bytes = arena->trimmable,
		.pinned_bytes = arena->pinned + known->fast_bytes,
		.retained_bytes = arena->retained,
		.cell_bytes = arena->cell_bytes,
		.own_bytes = heap->work[i].own_resident_bytes + arena->fences,
		.fence_bytes = arena->fences,
		.largest_hole_bytes = known->largest_bytes > large_fast
					      ? known->largest_bytes
					      : large_fast,
		.attached_threads = arena_attached_threads(&heap->arena[i]),
		.unlisted_bytes = known->unlisted_bytes,
		.has_largest = known->has_largest,
		.has_fast = known->fast_open != 0,
		.has_binned = known->open_bin != 0,
		.has_dark = !known->has_unsorted,
		.has_unlisted_pages = !known_holds(known, (uint64_t)PAGE_BYTES),
		.has_unlisted_usable =
			!known_holds(known, heap->options.unusable_for_bytes),
		.has_pages = arena->pages,
		.has_pieces = arena->pieces,
		.top_piece_bytes = arena->top_piece_bytes,
		.lacks = arena->lacks || arena->spoilt || heap->work[i].lacks,
		.swapped_bytes = arena->swapped,
		.tops_near_fast = known->fast_chunks != 0,
	};
	sure->largest_free_bytes = sure->largest_hole_bytes > arena->top
					   ? sure->largest_hole_bytes
					   : arena->top;
	if (arena->top < heap->options.unusable_for_bytes)
		sure->unusable_bytes += arena->top;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_sure(struct sure *sum, const struct sure *one)
{
	sum->system_bytes += one->system_bytes;
	sum->chunks += one->chunks;
	sum->bytes += one->bytes;
	sum->fast_chunks += one->fast_chunks;
	sum->fast_bytes += one->fast_bytes;
	sum->top_bytes += one->top_bytes;
	sum->main_top_bytes += one->main_top_bytes;
	sum->unusable_bytes += one->unusable_bytes;
	sum->trimmable_bytes += one->trimmable_bytes;
	sum->pinned_bytes += one->pinned_bytes;
	sum->retained_bytes += one->retained_bytes;
	sum->cell_bytes += one->cell_bytes;
	sum->own_bytes += one->own_bytes;
	sum->fence_bytes += one->fence_bytes;
	sum->attached_threads += one->attached_threads;
	sum->tops_near_fast += one->tops_near_fast;
	sum->swapped_bytes += one->swapped_bytes;
	sum->largest_free_bytes =
		larger(sum->largest_free_bytes, one->largest_free_bytes);
	sum->largest_hole_bytes =
		larger(sum->largest_hole_bytes, one->largest_hole_bytes);
	sum->unlisted_bytes = larger(sum->unlisted_bytes, one->unlisted_bytes);
	sum->has_largest &= one->has_largest;
	sum->has_fast |= one->has_fast;
	sum->has_binned |= one->has_binned;
	sum->has_dark |= one->has_dark;
	sum->has_unlisted_pages |= one->has_unlisted_pages;
	sum->has_unlisted_usable |= one->has_unlisted_usable;
	sum->has_pages |= one->has_pages;
	sum->has_pieces |= one->has_pieces;
	sum->top_piece_bytes += one->top_piece_bytes;
	sum->lacks |= one->lacks;
}

/* ---- figures ---- */

static void set_sure(struct figures *fig, const struct sure *sure)
{
	figure_set(fig, FIG_SYSTEM_BYTES, sure->system_bytes);
	figure_set(fig, FIG_TOP_BYTES, sure->top_bytes);
	figure_set(fig, FIG_ATTACHED_THREADS, sure->attached_threads);
	figure_set(fig, FIG_ALLOCATOR_RESIDENT_BYTES, sure->own_bytes);
	if (!sure->has_largest)
		return;
	figure_set(fig, FIG_LARGEST_FREE_BYTES, sure->largest_free_bytes);
	figure_set(fig, FIG_LARGEST_HOLE_BYTES, sure->largest_hole_bytes);
}

static double total_of(const struct estimate_draw *draw, int group, enum estimate_sum sum)
{
	struct estimate_weights weights = {{0}};

	weights.of[sum] = 1;
	return estimate_total(draw, group, &weights).total;
}

/* No more is retained than there is of tops to be so. */
static void bound_retained(struct figures *fig, const struct sure *sure)
{
	double most_bytes = (double)(sure->retained_bytes + sure->top_piece_bytes);
	double low, high;

	if (!figure_range(fig, FIG_RETAINED_BYTES, &low, &high) || high <= most_bytes)
		return;
	if (figure_number(fig, FIG_RETAINED_BYTES) > most_bytes)
		figure_set(fig, FIG_RETAINED_BYTES, (uint64_t)most_bytes);
	figure_set_range(fig, FIG_RETAINED_BYTES, low < most_bytes ? low : most_bytes,
			 most_bytes);
}

/* Some of the fastbins' chunks in the cells may be none; and before a top they merge with
 * it, so that a page more of that may be retained. */
static void widen_fast(struct figures *fig, const struct estimate_draw *draw, int group,
		       const struct sure *sure)
{
	static const enum figure figures[] = {FIG_FAST_CHUNKS, FIG_FAST_BYTES};
	double chunks = total_of(draw, group, SUM_FAST_CHUNKS), low, high;
	double loose = total_of(draw, group, SUM_LOOSE_CHUNKS);

	for (unsigned i = 0; chunks > 0 && i < 2; i++)
		if (figure_range(fig, figures[i], &low, &high))
			figure_set_range(fig, figures[i], low * (1 - loose / chunks),
					 high);
	figure_range(fig, FIG_RETAINED_BYTES, &low, &high);
	if (sure->tops_near_fast)
		figure_set_range(fig, FIG_RETAINED_BYTES, low,
				 high + (double)sure->tops_near_fast *
						 (double)machine_page_bytes());
}

/* The most that is free of the chunks that begin in a cell of the smallest: a chunk is no
 * larger where cells are. */
static double free_most(const struct estimate_draw *draw, int group,
			const struct sure *sure)
{
	double size = estimate_total(draw, group, &absent).size;

	return most(CELL_BYTES, (double)sure->unlisted_bytes / size);
}

/* What of the heap is free, and where its pages are. */
static void set_free(struct figures *fig, const struct estimate_draw *draw, int group,
		     const struct sure *sure)
{
	bool has_free = sure->has_fast || sure->has_binned;
	double chunks_most = has_free ? CELL_CHUNKS : 0;
	double bytes_most = has_free ? free_most(draw, group, sure) : 0;
	double page_most = sure->has_pieces  ? most(SAMPLED_PIECE, bytes_most)
			   : has_free	     ? bytes_most
			   : sure->has_pages ? CELL_BYTES
					     : 0;
	double whole_most =
		sure->has_unlisted_pages || sure->has_pages || sure->has_pieces
			? page_most
			: 0;
	const struct linear table[] = {
		{FIG_FREE_BYTES,
		 (double)(sure->bytes + sure->fast_bytes + sure->top_bytes), false,
		 free_bytes_of, bytes_most},
		{FIG_FREE_CHUNKS,
		 (double)(sure->chunks + sure->fast_chunks),
		 false,
		 {.of = {[SUM_CHUNKS] = 1, [SUM_FAST_CHUNKS] = 1}},
		 chunks_most},
		{FIG_FAST_CHUNKS,
		 (double)sure->fast_chunks,
		 false,
		 {.of = {[SUM_FAST_CHUNKS] = 1}},
		 sure->has_fast ? CELL_CHUNKS : 0},
		{FIG_FAST_BYTES,
		 (double)sure->fast_bytes,
		 false,
		 {.of = {[SUM_FAST_BYTES] = 1}},
		 sure->has_fast ? CELL_BYTES : 0},
		{FIG_TRIMMABLE_BYTES,
		 (double)sure->trimmable_bytes,
		 false,
		 {.of = {[SUM_TRIMMABLE_BYTES] = 1}},
		 whole_most},
		{FIG_PINNED_BYTES,
		 (double)sure->pinned_bytes,
		 false,
		 {.of = {[SUM_PINNED_BYTES] = 1}},
		 page_most},
		{FIG_RETAINED_BYTES,
		 (double)sure->retained_bytes,
		 false,
		 {.of = {[SUM_RETAINED_BYTES] = 1}},
		 sure->top_piece_bytes ? page_most : 0},
		{FIG_FREE_RESIDENT_BYTES,
		 (double)(sure->trimmable_bytes + sure->pinned_bytes +
			  sure->retained_bytes),
		 false, free_resident_of, page_most},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		set_linear(fig, draw, group, &table[i]);
	bound_retained(fig, sure);
	widen_fast(fig, draw, group, sure);
}

/* What the program holds, by what is left. */
static void set_live(struct figures *fig, const struct estimate_draw *draw, int group,
		     const struct sure *sure, uint64_t cached_bytes)
{
	uint64_t not_live =
		sure->bytes + sure->fast_bytes + sure->top_bytes + cached_bytes;
	const struct linear live = {
		FIG_LIVE_BYTES, (double)sure->system_bytes - (double)not_live, true,
		free_bytes_of,
		sure->has_fast || sure->has_binned ? free_most(draw, group, sure) : 0};

	set_linear(fig, draw, group, &live);
}

/* Most programs have touched all that they hold but for a few places, of which no drawn
 * cell may have any. */
static void set_most_resident(struct figures *fig, const struct estimate_draw *draw,
			      int group, const struct sure *sure)
{
	const struct linear live = {
		FIG_LIVE_RESIDENT_BYTES,
		(double)sure->cell_bytes - (double)(sure->fence_bytes + sure->fast_bytes),
		true,
		{.of = {[SUM_ABSENT_BYTES] = 1,
			[SUM_TRIMMABLE_BYTES] = 1,
			[SUM_PINNED_BYTES] = 1,
			[SUM_RETAINED_BYTES] = 1}},
		CELL_BYTES};
	struct range range;

	set_linear(fig, draw, group, &live);
	if (!figure_range(fig, FIG_LIVE_RESIDENT_BYTES, &range.low, &range.high))
		return;
	range.value = figure_number(fig, FIG_LIVE_RESIDENT_BYTES);
	range = estimate_less_missed(range, unseen(draw, group, &absent, CELL_BYTES));
	figure_set_range(fig, FIG_LIVE_RESIDENT_BYTES, most(range.low, 0), range.high);
}

/* Others have touched little of it: then that is what is summed up, since what was not
 * touched of a cell is as much as its size. */
static bool is_sparse(const struct estimate_draw *draw, int group)
{
	return estimate_total(draw, group, &absent).total >
	       estimate_total(draw, group, &resident).total;
}

static void set_live_resident(struct figures *fig, const struct estimate_draw *draw,
			      int group, const struct sure *sure)
{
	const struct linear few = {FIG_LIVE_RESIDENT_BYTES,
				   -(double)(sure->fence_bytes + sure->fast_bytes),
				   false,
				   {.of = {[SUM_RESIDENT_BYTES] = 1,
					   [SUM_TRIMMABLE_BYTES] = -1,
					   [SUM_PINNED_BYTES] = -1,
					   [SUM_RETAINED_BYTES] = -1}},
				   CELL_BYTES};

	if (is_sparse(draw, group))
		set_linear(fig, draw, group, &few);
	else
		set_most_resident(fig, draw, group, sure);
}

static double clamp(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

/* Of the top or of the rest of the bottom, a cell that was not drawn can hold TOP_MOST or
 * REST_MOST. */
static void set_share(struct figures *fig, enum figure f,
		      const struct estimate_draw *draw, int group,
		      const struct estimate_ratio *ratio, double top_most,
		      double rest_most)
{
	struct estimate_weights smaller = ratio->of_top;
	struct cell_estimate part;
	double bottom = estimate_ratio(draw, group, ratio, 1, &part), value = part.total;
	bool is_most = value > 0.5;
	struct range range;

	if (bottom <= 0)
		return;
	/* The smaller of the share and the rest cannot be negative, and may be of few. */
	part.total = is_most ? 1 - value : value;
	range = estimate_positive(&part, 0);
	for (unsigned i = 0; is_most && i < ESTIMATE_SUMS; i++)
		smaller.of[i] = ratio->of_bottom.of[i] - ratio->of_top.of[i];
	range = estimate_more_missed(
		range,
		unseen(draw, group, &smaller, is_most ? rest_most : top_most) / bottom);
	figure_set_ratio(fig, f, value);
	if (!is_sure(&part, most(top_most, rest_most)))
		figure_set_range(fig, f,
				 clamp(is_most ? 1 - range.high : range.low, 0, 1),
				 clamp(is_most ? 1 - range.low : range.high, 0, 1));
}

/* What is live, at the bottom, is what is not free: a sample that met too little that is
 * free says slack too small, and too well. */
static void set_slack(struct figures *fig, const struct estimate_draw *draw, int group,
		      const struct estimate_ratio *ratio)
{
	struct cell_estimate slack;
	double bottom = estimate_ratio(draw, group, ratio, INFINITY, &slack);
	struct range range;

	if (bottom <= 0)
		return;
	range = estimate_quotient(&slack);
	range = estimate_less_missed(range,
				     unseen(draw, group, &absent, CELL_BYTES) / bottom);
	figure_set_ratio(fig, FIG_SLACK, slack.total);
	if (!is_sure(&slack, 1))
		figure_set_range(fig, FIG_SLACK, most(range.low, 0), range.high);
}

/* The catalogue's formula, were FREE_BYTES free. */
static bool frag_of(const struct figures *fig, double free_bytes, double *ratio)
{
	struct figures at = *fig;

	figure_set(&at, FIG_FREE_BYTES, (uint64_t)free_bytes);
	return figure_info[FIG_FRAG].derive(&at, ratio);
}

/* Less cannot be free than the largest: there frag is 0. */
static void set_frag(struct figures *fig)
{
	double value, low, high, least = 0, greatest = 0;
	bool is_estimated = figure_range(fig, FIG_FREE_BYTES, &low, &high);

	if (!frag_of(fig, figure_number(fig, FIG_FREE_BYTES), &value))
		return;
	figure_set_ratio(fig, FIG_FRAG, value);
	if (!is_estimated)
		return;
	frag_of(fig, low, &least);
	frag_of(fig, high, &greatest);
	figure_set_range(fig, FIG_FRAG, least, greatest);
}

static void set_shares(struct figures *fig, const struct estimate_draw *draw, int group,
		       const struct sure *sure)
{
	const struct estimate_ratio unusable = {
		.top = (double)sure->unusable_bytes,
		.bottom = (double)(sure->bytes + sure->fast_bytes + sure->top_bytes),
		.of_top = {.of = {[SUM_UNUSABLE_BYTES] = 1}},
		.of_bottom = free_bytes_of,
	};

	set_share(fig, FIG_UNUSABLE, draw, group, &unusable,
		  sure->has_fast || sure->has_binned ? CELL_BYTES : 0,
		  sure->has_unlisted_usable ? free_most(draw, group, sure) : 0);
	set_frag(fig);
}

static void set_heap_slack(struct figures *fig, const struct estimate_draw *draw,
			   int group, const struct sure *sure, uint64_t cached_bytes)
{
	double free_bytes = (double)(sure->bytes + sure->fast_bytes + sure->top_bytes);
	struct estimate_ratio slack = {
		.top = (double)(sure->cell_bytes + sure->trimmable_bytes +
				sure->pinned_bytes + sure->retained_bytes) -
		       (double)(sure->fence_bytes + sure->fast_bytes),
		.bottom = (double)sure->system_bytes - free_bytes - (double)cached_bytes,
		.of_top = {.of = {[SUM_ABSENT_BYTES] = -1}},
		.of_bottom = {.of = {[SUM_BYTES] = -1, [SUM_FAST_BYTES] = -1}},
	};

	if (is_sparse(draw, group)) {
		slack.top -= (double)sure->cell_bytes;
		slack.of_top = resident;
	}
	set_slack(fig, draw, group, &slack);
}

/* What may be free, and that no list told of, where no chunk was found: SEEN bytes in the
 * drawn cells' stead, and MISSED more that is by chance in none of these. */
struct dark {
	double seen, missed;
};

static struct dark dark_of(const struct estimate_draw *draw, int group,
			   enum estimate_sum sum, double cell_most)
{
	struct estimate_weights weights = {{0}};
	struct cell_estimate estimate;

	weights.of[sum] = 1;
	estimate = estimate_total(draw, group, &weights);
	return (struct dark){estimate.total,
			     estimate_positive(&estimate, cell_most).high -
				     estimate.total};
}

/* FROM, the distance of an interval's end from its value, if all of DARK counts. What is
 * missed is an error apart from the others: its square adds. */
static double farther(double from, double seen, double missed)
{
	return seen + hypot(from, missed);
}

/* The ratios, were what is dark free and not live. */
static void widen_ratios(struct figures *fig, const struct dark *dark)
{
	double low, high, value, rest;

	if (figure_has(fig, FIG_UNUSABLE) && dark->seen + dark->missed > 0) {
		rest = figure_number(fig, FIG_FREE_BYTES);
		value = figure_number(fig, FIG_UNUSABLE);
		figure_range(fig, FIG_UNUSABLE, &low, &high);
		low = value - farther(value - low,
				      value * dark->seen / (rest + dark->seen),
				      value * dark->missed / (rest + dark->missed));
		figure_set_range(fig, FIG_UNUSABLE, most(low, 0), high);
	}
	rest = figure_number(fig, FIG_LIVE_BYTES) - dark->seen - dark->missed;
	if (figure_has(fig, FIG_SLACK) && dark->seen + dark->missed > 0 && rest > 0) {
		value = figure_number(fig, FIG_SLACK);
		figure_range(fig, FIG_SLACK, &low, &high);
		high = value + farther(high - value, high * dark->seen / rest,
				       high * dark->missed / rest);
		figure_set_range(fig, FIG_SLACK, low, high);
	}
}

/* Of the cells, what is resident. */
static double resident_share(const struct estimate_draw *draw, int group)
{
	double pages = estimate_total(draw, group, &resident).total;
	double all = pages + estimate_total(draw, group, &absent).total;

	return all > 0 ? clamp(pages / all, 0, 1) : 1;
}

/* Figure F may be LESS less or MORE more. */
static void widen(struct figures *fig, enum figure f, double less, double more)
{
	double low, high;

	figure_range(fig, f, &low, &high);
	if (less > 0 || more > 0)
		figure_set_range(fig, f, most(low - less, 0), high + more);
}

/* Figure F may be more by what is dark; IS_LESS: or less. */
static void widen_by(struct figures *fig, enum figure f, bool is_less,
		     const struct dark *dark)
{
	double low, high, value;

	if (!figure_has(fig, f) || dark->seen + dark->missed <= 0)
		return;
	value = figure_number(fig, f);
	figure_range(fig, f, &low, &high);
	if (is_less)
		low = value - farther(value - low, dark->seen, dark->missed);
	else
		high = value + farther(high - value, dark->seen, dark->missed);
	figure_set_range(fig, f, most(low, 0), high);
}

/* Large free chunks that no list told of may lie where no chunk was found. */
static void widen_dark(struct figures *fig, const struct estimate_draw *draw, int group)
{
	struct dark dark = dark_of(draw, group, SUM_DARK_BYTES, CELL_BYTES);
	struct dark pages = dark_of(draw, group, SUM_DARK_RESIDENT_BYTES,
				    CELL_BYTES * resident_share(draw, group));

	widen_by(fig, FIG_FREE_BYTES, false, &dark);
	widen_by(fig, FIG_FREE_RESIDENT_BYTES, false, &pages);
	widen_by(fig, FIG_TRIMMABLE_BYTES, false, &pages);
	widen_by(fig, FIG_LIVE_BYTES, true, &dark);
	widen_by(fig, FIG_LIVE_RESIDENT_BYTES, true, &pages);
	widen_ratios(fig, &dark);
	/* What of the ratios would be left is no figure any more. */
	if (dark.seen > 0.02 * figure_number(fig, FIG_SYSTEM_BYTES)) {
		figure_drop(fig, FIG_UNUSABLE);
		figure_drop(fig, FIG_SLACK);
	}
}

static void drop_estimated(struct figures *fig)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_can_be_estimated(f) && f != FIG_MMAPPED_RESIDENT_BYTES)
			figure_drop(fig, f);
	fig->estimated = 0;
}

/* What threads have in their caches: of LOST ones it is not known; each holds something
 * from nothing to the most that there can be, and as much as the others on the average.
 */
struct cached {
	const struct tcache_totals *totals;
	uint64_t lost, found;
	uint64_t most_bytes, most_chunks; /* of one; 0 bytes: there is no telling */
	/* Of an arena: these may be any arena's; TOTALS are of the caches that lie in it.
	 */
	uint64_t elsewhere_bytes, elsewhere_chunks;
};

static double of_lost(const struct cached *cached, uint64_t of_found,
		      uint64_t most_of_one)
{
	double mean = cached->found ? (double)of_found / (double)cached->found : 0;

	return clamp(mean, 0, (double)most_of_one) * (double)cached->lost;
}

static void set_cached(struct figures *fig, const struct cached *cached,
		       double lost_bytes)
{
	const struct tcache_totals *totals = cached->totals;
	double lost_chunks = of_lost(cached, totals->chunks, cached->most_chunks);

	figure_set(fig, FIG_TCACHE_CHUNKS, totals->chunks + (uint64_t)lost_chunks);
	figure_set(fig, FIG_TCACHE_BYTES, totals->bytes + (uint64_t)lost_bytes);
	if (cached->elsewhere_bytes) {
		figure_set_range(fig, FIG_TCACHE_CHUNKS, 0,
				 (double)cached->elsewhere_chunks);
		figure_set_range(fig, FIG_TCACHE_BYTES, 0,
				 (double)cached->elsewhere_bytes);
	}
	if (!cached->lost)
		return;
	figure_set_range(fig, FIG_TCACHE_CHUNKS, (double)totals->chunks,
			 (double)(totals->chunks + cached->lost * cached->most_chunks));
	figure_set_range(fig, FIG_TCACHE_BYTES, (double)totals->bytes,
			 (double)(totals->bytes + cached->lost * cached->most_bytes));
}

static void set_held(struct figures *fig, const struct estimate_draw *draw, int group,
		     const struct sure *sure, const struct cached *cached)
{
	double lost = of_lost(cached, cached->totals->bytes, cached->most_bytes);
	double less, more;
	uint64_t bytes = cached->totals->bytes + (uint64_t)lost;
	double live;

	if (cached->lost && !cached->most_bytes)
		return;
	less = (double)(cached->lost * cached->most_bytes) - lost;
	more = lost;
	if (cached->elsewhere_bytes) {
		less = (double)(cached->elsewhere_bytes - cached->totals->bytes);
		more = (double)cached->totals->bytes;
	}
	set_cached(fig, cached, lost);
	set_live(fig, draw, group, sure, bytes);
	set_heap_slack(fig, draw, group, sure, bytes);
	widen(fig, FIG_LIVE_BYTES, less, more);
	live = figure_number(fig, FIG_LIVE_BYTES);
	if (live > less && figure_has(fig, FIG_SLACK))
		widen(fig, FIG_SLACK, fig->v[FIG_SLACK].d * more / live,
		      fig->v[FIG_SLACK].d * less / (live - less));
}

/* No part of the heap is more than all of it. */
static void bound_by_system(struct figures *fig)
{
	const double whole = figure_number(fig, FIG_SYSTEM_BYTES);
	double low, high;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!figure_can_be_estimated(f) || figure_info[f].unit != UNIT_BYTES ||
		    !figure_range(fig, f, &low, &high) || high <= whole)
			continue;
		if (figure_number(fig, f) > whole)
			figure_set(fig, f, (uint64_t)whole);
		figure_set_range(fig, f, low < whole ? low : whole, whole);
	}
}

static void set_row(struct heap *heap, const struct sampler *sampler, int group,
		    const struct sure *sure, const struct cached *cached,
		    struct figures *fig)
{
	const struct estimate_draw *draw = sampler_draw(sampler);

	set_sure(fig, sure);
	set_free(fig, draw, group, sure);
	figure_set(fig, FIG_UNUSABLE_FOR_BYTES, heap->options.unusable_for_bytes);
	set_live_resident(fig, draw, group, sure);
	set_shares(fig, draw, group, sure);
	if (cached)
		set_held(fig, draw, group, sure, cached);
	if (sure->has_dark)
		widen_dark(fig, draw, group);
	bound_by_system(fig);
	if (sure->lacks || sure->swapped_bytes)
		drop_estimated(fig);
}

/* Which arena the chunks of a lost cache are of is not known. */
static void set_arena(struct heap *heap, const struct sampler *sampler, unsigned i,
		      const struct sure *sure, const struct sampled_rest *rest,
		      struct sample *sample)
{
	struct arena_row *row = &sample->arena[i];
	const struct cached cached = {
		.totals = &heap->tcache_by_arena[i],
		.elsewhere_bytes = rest->is_cached_by_home ? heap->tcache.bytes : 0,
		.elsewhere_chunks = rest->is_cached_by_home ? heap->tcache.chunks : 0,
	};
	int group = sampler_group(sampler, i);

	row->index = i;
	row->addr = heap->arena[i].addr;
	row->status =
		sure->lacks || sure->swapped_bytes ? STATUS_PARTIAL : STATUS_ESTIMATED;
	if (group != ESTIMATE_ALL)
		set_row(heap, sampler, group, sure,
			heap->options.arenas && !rest->lost_caches ? &cached : NULL,
			&row->fig);
	else
		set_sure(&row->fig, sure);
}

/* The free chunks of each size: what the lists told, and of the cells what was found
 * times what each cell stands for. */
static void set_sizes(const struct heap *heap, const struct sampler *sampler,
		      struct sample *sample)
{
	const struct known *known = sampler_known(sampler);

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct known_arena *lists = &sampler_arena(sampler, i)->known;
		struct arena_bins *bins = sample->arena[i].bins;

		if (!bins || !heap->arena[i].used)
			continue;
		memcpy(bins->bins, heap->work[i].totals.bins, sizeof(bins->bins));
		for (unsigned k = 0; k < GLIBC_FASTBINS; k++) {
			uint64_t bytes = layout_fastbin_bytes(k);

			if (lists->fast_bin[k])
				bins->fast[k] = (struct bin_total){
					bytes, bytes, bytes * lists->fast_bin[k],
					lists->fast_bin[k]};
		}
		bins->sized = !lists->fast_open && !sampler_arena(sampler, i)->lacks &&
			      !sampler_arena(sampler, i)->swapped;
	}
	for (uint32_t i = 0; i < known->count; i++) {
		const struct known_chunk *chunk = &known->chunk[i];
		struct arena_bins *bins = sample->arena[chunk->arena].bins;

		if (bins)
			bin_total_add(&bins->bins[layout_bin_index(chunk->bytes) - 1],
				      chunk->bytes);
	}
}

void sampled_figures(struct heap *heap, const struct sampler *sampler,
		     const struct sampled_rest *rest, struct sample *sample)
{
	const struct cached cached = {
		.totals = &heap->tcache,
		.lost = rest->lost_caches,
		.found = heap->tcaches.count,
		.most_bytes = caches_most_bytes(heap),
		.most_chunks = caches_most_chunks(heap),
	};
	struct sure sum = {.has_largest = true};
	uint64_t mmaps, mmapped_bytes;

	sample->arena_count = heap->arena_count;
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct sure one = {.has_largest = true};

		if (heap->arena[i].used)
			arena_sure(heap, sampler, i, &one);
		set_arena(heap, sampler, i, &one, rest, sample);
		add_sure(&sum, &one);
	}
	heap_set_par(heap, &sample->fig, &mmaps, &mmapped_bytes);
	if (rest->has_mapped)
		heap_set_mapped(heap, &sample->fig, mmaps, mmapped_bytes);
	set_row(heap, sampler, ESTIMATE_ALL, &sum, &cached, &sample->fig);
	figure_set(&sample->fig, FIG_MALLINFO2_HBLKS, mmaps);
	figure_set(&sample->fig, FIG_MALLINFO2_HBLKHD, mmapped_bytes);
	figure_set(&sample->fig, FIG_MALLINFO2_ARENA, sum.system_bytes);
	figure_set(&sample->fig, FIG_MALLINFO2_KEEPCOST, sum.main_top_bytes);
	if (heap->options.sizes)
		set_sizes(heap, sampler, sample);
	if (sum.swapped_bytes)
		heap_miss(heap, "part of the heap is swapped out");
	else if (sum.lacks)
		heap_miss(heap, "this heap cannot be read by a random sample");
	sample->status = heap->missing[0] ? STATUS_PARTIAL : STATUS_ESTIMATED;
	memcpy(sample->missing, heap->missing, sizeof(sample->missing));
}
