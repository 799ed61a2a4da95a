#include "glibc/parts.h"

#include "base/machine.h"
#include "base/sort.h"

#include <errno.h>
#include <string.h>

/* ---- all bins ---- */

struct free_search {
	struct heap *heap;
	unsigned arena;
	unsigned bin;
};

static bool next_bin(struct chain *chain, void *context)
{
	struct free_search *search = context;
	struct heap *heap = search->heap;

	while (search->arena < heap->arena_count) {
		const struct arena *arena = &heap->arena[search->arena];
		unsigned bin = search->bin++;

		if (bin == GLIBC_BINS || !arena->used) {
			search->arena++;
			search->bin = 0;
			continue;
		}
		if (arena_bin_forward(arena, bin) == arena_bin_self(arena, bin))
			continue;
		*chain = (struct chain){
			.at = arena_bin_forward(arena, bin),
			.end = arena_bin_self(arena, bin),
			.left = HEAP_SEEDS,
		};
		return true;
	}
	return false;
}

static bool visit_free(struct chain *chain, uint64_t size_field, void *context)
{
	struct heap *heap = ((struct free_search *)context)->heap;

	(void)size_field;
	if (heap->seed_count == heap->seed_capacity)
		return false;
	heap->seed[heap->seed_count++] = chain->at;
	return true;
}

static bool end_free(struct chain *chain, void *context)
{
	(void)chain;
	(void)context;
	return false;
}

int heap_collect_free(struct heap *heap)
{
	struct free_search search = {.heap = heap};

	heap->seed_count = 0;
	return chain_follow(heap->chains, next_bin, visit_free, end_free, NULL, &search);
}

/* ---- the unsorted list ---- */

struct unsorted_search {
	struct heap *heap;
	unsigned arena;
	uint64_t limit;
	struct sample *sample;
};

static bool next_unsorted(struct chain *chain, void *context)
{
	struct unsorted_search *search = context;
	struct heap *heap = search->heap;

	while (search->arena < heap->arena_count) {
		unsigned number = search->arena++;
		const struct arena *arena = &heap->arena[number];

		if (!arena->used ||
		    arena_bin_forward(arena, 0) == arena_bin_self(arena, 0))
			continue;
		*chain = (struct chain){
			.at = arena_bin_forward(arena, 0),
			.end = arena_bin_self(arena, 0),
			.left = search->limit,
			.arena = number,
		};
		return true;
	}
	return false;
}

/* Moves one chunk from the bin of its size, where the walk counted it, to the unsorted.
 */
static bool visit_unsorted(struct chain *chain, uint64_t size_field, void *context)
{
	struct unsorted_search *search = context;
	struct arena_bins *bins = search->sample->arena[chain->arena].bins;
	uint64_t bytes = size_field & ~(uint64_t)CHUNK_FLAGS;
	struct bin_total *sorted;

	if (bytes < GLIBC_MIN_CHUNK || bytes >> ADDRESS_BITS)
		return false;
	sorted = &bins->bins[layout_bin_index(bytes) - 1];
	if (!sorted->count || sorted->total_bytes < bytes)
		return false;
	sorted->count--;
	sorted->total_bytes -= bytes;
	bin_total_add(&bins->bins[0], bytes);
	return true;
}

/* What the walks noted of the chunk. */
static bool known_unsorted(struct chain *chain, uint64_t *size_field, uint64_t *next,
			   void *context)
{
	const struct unsorted_search *search = context;
	const struct links *links = search->heap->links;
	uint32_t number = chain_find_note(links, chain);
	struct link link;

	if (number == LINKS_NONE)
		return false;
	links_get(links, number, &link);
	*size_field = link.bytes;
	*next = link.to;
	chain_guess_note(links, chain, *next);
	return link.kind == LINK_BINNED && link.way == LINK_NEXT && link.bytes;
}

static bool end_unsorted(struct chain *chain, void *context)
{
	struct unsorted_search *search = context;

	if (chain->broken)
		search->sample->arena[chain->arena].bins->split = false;
	return false;
}

/* The sizes at the ends of a sorted bin: chunks lie in order of size, largest first. */
static bool end_sizes(struct heap *heap, const struct arena *arena, unsigned i,
		      struct bin_total *bin)
{
	uint64_t first, last;

	if (memory_fetch(heap->memory, heap->pages, arena_bin_forward(arena, i) + 8,
			 &first, 8) ||
	    memory_fetch(heap->memory, heap->pages, arena_bin_backward(arena, i) + 8,
			 &last, 8))
		return false;
	bin->to_bytes = first & ~(uint64_t)CHUNK_FLAGS;
	bin->from_bytes = last & ~(uint64_t)CHUNK_FLAGS;
	return true;
}

static void mend_ends(struct heap *heap, unsigned number, struct arena_bins *bins)
{
	const struct arena *arena = &heap->arena[number];

	for (unsigned i = 1; i < GLIBC_BINS; i++) {
		struct bin_total *bin = &bins->bins[i];
		bool is_empty = !arena->used ||
				arena_bin_forward(arena, i) == arena_bin_self(arena, i);

		if (is_empty != !bin->count)
			bins->split = false;
		else if (is_empty)
			*bin = (struct bin_total){0};
		else if (!end_sizes(heap, arena, i, bin))
			bins->split = false;
	}
}

static struct bin_total fast_bin(const struct arena_work *work, unsigned i)
{
	uint64_t bytes = layout_fastbin_bytes(i);

	if (!work->fast_bin[i])
		return (struct bin_total){0};
	return (struct bin_total){bytes, bytes, work->fast_bin[i] * bytes,
				  work->fast_bin[i]};
}

static void copy_bins(struct heap *heap, unsigned number, struct arena_bins *bins)
{
	memset(bins, 0, sizeof(*bins));
	bins->split = heap->options.bins;
	bins->sized = true;
	memcpy(bins->bins, heap->work[number].totals.bins, sizeof(bins->bins));
	for (unsigned i = 0; i < GLIBC_FASTBINS; i++)
		bins->fast[i] = fast_bin(&heap->work[number], i);
	if (heap->work[number].fast_in_doubt_bytes)
		bins->split = bins->sized = false;
}

/* What was taken for unsorted goes back to the bin of its size. */
static void unsplit(struct heap *heap, unsigned number, struct arena_bins *bins)
{
	if (!bins->split)
		memcpy(bins->bins, heap->work[number].totals.bins, sizeof(bins->bins));
}

static int split_bins(struct unsorted_search *search)
{
	struct heap *heap = search->heap;
	int error = chain_follow(heap->chains, next_unsorted, visit_unsorted,
				 end_unsorted, known_unsorted, search);

	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct arena_bins *bins = search->sample->arena[i].bins;

		mend_ends(heap, i, bins);
		unsplit(heap, i, bins);
	}
	return error;
}

int heap_tell_bins(struct heap *heap, struct sample *sample)
{
	struct unsorted_search search = {
		.heap = heap,
		.limit = HEAP_UNSORTED + links_count(heap->links),
		.sample = sample,
	};

	for (unsigned i = 0; i < heap->arena_count; i++)
		copy_bins(heap, i, sample->arena[i].bins);
	return heap->options.bins ? split_bins(&search) : 0;
}
