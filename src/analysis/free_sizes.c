#include "analysis/free_sizes.h"

enum { FIRST_END = 64 };

/* ---- the bins and the top of an arena, one by one ---- */

struct visitor {
	void (*bin)(struct visitor *visitor, const struct bin_total *bin);
	void (*top)(struct visitor *visitor, uint64_t bytes);
};

static void visit_arena(struct visitor *visitor, const struct arena_row *row)
{
	for (unsigned i = 0; i < SAMPLE_FASTBINS; i++)
		if (row->bins->fast[i].count)
			visitor->bin(visitor, &row->bins->fast[i]);
	for (unsigned i = 0; i < SAMPLE_BINS; i++)
		if (row->bins->bins[i].count)
			visitor->bin(visitor, &row->bins->bins[i]);
	if (figure_has(&row->fig, FIG_TOP_BYTES) && row->fig.v[FIG_TOP_BYTES].u)
		visitor->top(visitor, row->fig.v[FIG_TOP_BYTES].u);
}

static bool is_asked(const struct arena_row *row, int arena)
{
	return arena == FREE_SIZES_ALL || row->index == (unsigned)arena;
}

static bool has_bins(const struct arena_row *row)
{
	return row->bins && (row->bins->split || row->bins->sized);
}

/* Calls VISITOR for what was asked for and is there; how many arenas that were. */
static unsigned visit(const struct sample *sample, int arena, struct visitor *visitor)
{
	unsigned visited = 0;

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];

		if (!is_asked(row, arena) || !has_bins(row))
			continue;
		visit_arena(visitor, row);
		visited++;
	}
	return visited;
}

/* ---- classes ---- */

struct classifier {
	struct visitor visitor;
	struct free_sizes *sizes;
};

static struct size_class *class_of(struct free_sizes *sizes, const struct bin_total *bin)
{
	for (unsigned i = 0; i < FREE_SIZES; i++)
		if (bin->from_bytes >= sizes->size[i].from_bytes &&
		    bin->to_bytes <= sizes->size[i].to_bytes)
			return &sizes->size[i];
	return &sizes->mixed;
}

static void classify_bin(struct visitor *visitor, const struct bin_total *bin)
{
	struct free_sizes *sizes = ((struct classifier *)visitor)->sizes;
	struct size_class *size = class_of(sizes, bin);

	if (size == &sizes->mixed) {
		if (!size->chunks || bin->from_bytes < size->from_bytes)
			size->from_bytes = bin->from_bytes;
		if (bin->to_bytes > size->to_bytes)
			size->to_bytes = bin->to_bytes;
	}
	size->chunks += bin->count;
	size->bytes += bin->total_bytes;
	sizes->chunks += bin->count;
	sizes->bytes += bin->total_bytes;
	if (bin->to_bytes > sizes->largest_bytes)
		sizes->largest_bytes = bin->to_bytes;
}

static void classify_top(struct visitor *visitor, uint64_t bytes)
{
	struct free_sizes *sizes = ((struct classifier *)visitor)->sizes;

	sizes->tops++;
	sizes->top_bytes += bytes;
	if (bytes > sizes->largest_top_bytes)
		sizes->largest_top_bytes = bytes;
	if (bytes > sizes->largest_bytes)
		sizes->largest_bytes = bytes;
}

bool free_sizes_of(const struct sample *sample, int arena, struct free_sizes *sizes)
{
	struct classifier classifier = {.visitor = {classify_bin, classify_top}};
	uint64_t from = 0;

	*sizes = (struct free_sizes){0};
	classifier.sizes = sizes;
	for (unsigned i = 0; i < FREE_SIZES; i++) {
		uint64_t end = (uint64_t)FIRST_END << i;

		sizes->size[i].from_bytes = from;
		sizes->size[i].to_bytes = i == FREE_SIZES - 1 ? UINT64_MAX : end - 1;
		from = end;
	}
	sizes->arenas = visit(sample, arena, &classifier.visitor);
	for (unsigned i = 0; i < sample->arena_count; i++)
		sizes->arenas_missing += is_asked(&sample->arena[i], arena) &&
					 !has_bins(&sample->arena[i]);
	return sizes->arenas > 0;
}

/* ---- what is too small, and what is not ---- */

/* Below: bytes of chunks that are too small; serving: how many chunks are not. */
struct sieve {
	struct visitor visitor;
	uint64_t request_bytes;
	uint64_t total_bytes, low_bytes, high_bytes;
	uint64_t low_serving, high_serving;
};

/* Of a bin that has chunks on both sides its least is too small and its largest is not;
 * of the others nothing is known. */
static void sift_bin(struct visitor *visitor, const struct bin_total *bin)
{
	struct sieve *sieve = (struct sieve *)visitor;

	sieve->total_bytes += bin->total_bytes;
	if (bin->to_bytes < sieve->request_bytes) {
		sieve->low_bytes += bin->total_bytes;
		sieve->high_bytes += bin->total_bytes;
	} else if (bin->from_bytes >= sieve->request_bytes) {
		sieve->low_serving += bin->count;
		sieve->high_serving += bin->count;
	} else {
		sieve->low_bytes += bin->from_bytes;
		sieve->high_bytes += bin->total_bytes - bin->to_bytes;
		sieve->low_serving += 1;
		sieve->high_serving += bin->count - 1;
	}
}

static void sift_top(struct visitor *visitor, uint64_t bytes)
{
	struct sieve *sieve = (struct sieve *)visitor;
	bool serves = bytes >= sieve->request_bytes;

	sieve->total_bytes += bytes;
	sieve->low_bytes += serves ? 0 : bytes;
	sieve->high_bytes += serves ? 0 : bytes;
	sieve->low_serving += serves;
	sieve->high_serving += serves;
}

static bool sift(const struct sample *sample, int arena, uint64_t request_bytes,
		 struct sieve *sieve)
{
	*sieve = (struct sieve){.visitor = {sift_bin, sift_top},
				.request_bytes = request_bytes};
	return visit(sample, arena, &sieve->visitor) > 0;
}

bool free_sizes_unusable(const struct sample *sample, int arena, uint64_t request_bytes,
			 double *low, double *high)
{
	struct sieve sieve;

	*low = *high = 0;
	if (!sift(sample, arena, request_bytes, &sieve))
		return false;
	if (sieve.total_bytes) {
		*low = (double)sieve.low_bytes / (double)sieve.total_bytes;
		*high = (double)sieve.high_bytes / (double)sieve.total_bytes;
	}
	return true;
}

bool free_sizes_serving(const struct sample *sample, int arena, uint64_t request_bytes,
			uint64_t *low, uint64_t *high)
{
	struct sieve sieve;
	bool known = sift(sample, arena, request_bytes, &sieve);

	*low = known ? sieve.low_serving : 0;
	*high = known ? sieve.high_serving : 0;
	return known;
}
