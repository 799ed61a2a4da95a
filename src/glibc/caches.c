#include "glibc/caches.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/machine.h"
#include "base/sort.h"

#include <string.h>

enum {
	PAGE = 4096,
	HEADER = 16,
	STRUCT_MAX = 0x310,
	TLS_PAGES = 4,	  /* of a stack's end that are looked at */
	SMALL = 64 << 10, /* a mapping up to this size is looked at whole */
	WORD = 8,
	STACK = 8 << 20, /* as large are stacks, unless one was met */
};

struct cache_search {
	struct caches *caches;
	struct heap *heap;
	struct pages *pages;
	uint64_t low, high; /* where the arenas' memory lies */
	int64_t deadline_ns;
};

/* Whether a tcache may lie at AT: behind the header of a chunk of its size, with heads of
 * lists that can be such. One without any chunk is one, too. */
static bool is_cache(const struct cache_search *search, uint64_t at)
{
	const struct heap *heap = search->heap;
	const struct malloc_layout *layout = heap->instance[0].layout;
	uint32_t bytes = layout->tcache.chunk_bytes;
	uint8_t raw[STRUCT_MAX + HEADER];
	uint64_t more;

	if (at & (GLIBC_ALIGN - 1) || at < search->low || at >= search->high ||
	    heap_owner(at - HEADER, search->heap) < 0 ||
	    memory_fetch(heap->memory, search->pages, at - HEADER, raw, HEADER))
		return false;
	more = (bytes_u64(raw + WORD) & ~(uint64_t)CHUNK_FLAGS) - bytes;
	if ((more != 0 && more != GLIBC_ALIGN) ||
	    memory_fetch(heap->memory, search->pages, at, raw, bytes - HEADER))
		return false;
	for (unsigned i = 0; i < layout->tcache.bins; i++) {
		uint64_t head = bytes_u64(raw + layout->tcache.entries + WORD * i);

		if (head & (GLIBC_ALIGN - 1) || head >> ADDRESS_BITS)
			return false;
	}
	return true;
}

static void keep(struct caches *caches, uint64_t at)
{
	for (unsigned i = 0; i < caches->count; i++)
		if (caches->address[i] == at)
			return;
	if (caches->count < CACHES)
		caches->address[caches->count++] = at;
}

static void forget_dead(struct cache_search *search)
{
	struct caches *caches = search->caches;
	unsigned count = 0;

	for (unsigned i = 0; i < caches->count; i++)
		if (is_cache(search, caches->address[i]))
			caches->address[count++] = caches->address[i];
	caches->count = count;
}

static void look_at_first_chunks(struct cache_search *search)
{
	const struct heap *heap = search->heap;

	for (unsigned i = 0; i < heap->segment_count; i++) {
		uint64_t at = heap->segment[i].segment.start + HEADER;

		if (is_cache(search, at))
			keep(search->caches, at);
	}
}

/* Looks at each word of [START, END), which is on one page. */
static bool look_at_words(struct cache_search *search, uint64_t start, uint64_t end,
			  uint64_t *found)
{
	unsigned before = search->caches->count;
	uint8_t page[PAGE];

	if (memory_fetch(search->heap->memory, search->pages, start, page,
			 (uint32_t)(end - start)))
		return false;
	for (uint64_t at = start; at + WORD <= end; at += WORD) {
		uint64_t word = bytes_u64(page + (at - start));

		if (word < search->low || word >= search->high || !is_cache(search, word))
			continue;
		keep(search->caches, word);
		if (search->caches->count > before)
			*found = at;
	}
	return search->caches->count > before;
}

static bool look_at_slot(struct cache_search *search, uint64_t end)
{
	unsigned before = search->caches->count;
	uint64_t at = end - search->caches->offset, word;

	if (search->caches->offset &&
	    !memory_fetch(search->heap->memory, search->pages, at, &word, sizeof(word)) &&
	    is_cache(search, word))
		keep(search->caches, word);
	return search->caches->count > before;
}

/* The words before END, where a stack that begins at START may end; all of a small
 * mapping, where the program's first thread has its TLS. */
static bool look_at_end(struct cache_search *search, uint64_t start, uint64_t end)
{
	struct caches *caches = search->caches;
	bool is_small = end - start <= SMALL;
	uint64_t most = is_small ? SMALL : (uint64_t)TLS_PAGES * PAGE, found;

	if (look_at_slot(search, end))
		return true;
	for (uint64_t to = end; to > start && end - to < most;) {
		uint64_t from = (to - 1) & -(uint64_t)PAGE;

		from = from > start ? from : start;
		if (look_at_words(search, from, to, &found)) {
			caches->offset = is_small ? caches->offset : end - found;
			caches->stack_bytes =
				is_small ? caches->stack_bytes : end - start;
			return true;
		}
		to = from;
	}
	return false;
}

/* A stack that another mapping follows ends where one as large as others would: it begins
 * behind its guard. */
static void look_at_region(struct cache_search *search, uint64_t start, uint64_t end)
{
	uint64_t stack_bytes =
		search->caches->stack_bytes ? search->caches->stack_bytes : STACK;

	if (!look_at_end(search, start, end) && stack_bytes < end - start)
		look_at_end(search, start, start + stack_bytes);
}

/* Before the first chunk a static program has its TLS at the program break. */
static void look_before(struct cache_search *search, const struct regions *regions)
{
	uint64_t base = search->heap->par[0].sbrk_base;
	const struct region *region = regions_find(regions, base);

	if (region && base - region->start < SMALL && base > region->start)
		look_at_region(search, region->start, base);
}

static void set_bounds(struct cache_search *search)
{
	const struct heap *heap = search->heap;

	search->low = UINT64_MAX;
	for (unsigned i = 0; i < heap->segment_count; i++) {
		const struct owned_segment *owned = &heap->segment[i];

		search->low = owned->front < search->low ? owned->front : search->low;
		search->high = owned->end > search->high ? owned->end : search->high;
	}
}

void caches_find(struct caches *caches, struct heap *heap, struct pages *pages,
		 const struct regions *regions, uint64_t wanted, int64_t ns)
{
	struct cache_search search = {caches, heap, pages, 0, 0, clock_thread_ns() + ns};

	set_bounds(&search);
	forget_dead(&search);
	look_at_first_chunks(&search);
	if (caches->count < wanted)
		look_before(&search, regions);
	for (unsigned i = 0; i < regions->count && caches->count < wanted; i++) {
		const struct region *region;

		/* One at the least: all of them are looked at in the end. */
		if (i && clock_thread_ns() > search.deadline_ns)
			return;
		caches->next = caches->next < regions->count ? caches->next : 0;
		region = &regions->region[caches->next++];
		if (!region->is_break && heap_owner(region->start, heap) < 0)
			look_at_region(&search, region->start, region->end);
	}
}

/* Adds what the cache at RAW counts. False: not all of that has a size. */
static bool count_cache(const struct heap *heap, const uint8_t *raw,
			struct tcache_totals *totals)
{
	const struct malloc_layout *layout = heap->instance[0].layout;
	unsigned count_max = (unsigned)heap->par[0].tcache_count;
	bool is_whole = true;

	for (unsigned i = 0; i < layout->tcache.bins; i++) {
		uint64_t count = tcache_filled(layout, count_max, raw, i);
		uint64_t bytes = tcache_bin_bytes(layout, i);

		if (!bytes_u64(raw + layout->tcache.entries + WORD * i) ||
		    count > count_max)
			continue;
		is_whole &= !count || bytes;
		totals->chunks += count;
		totals->bytes += count * bytes;
	}
	return is_whole;
}

bool caches_count(const struct caches *caches, struct heap *heap, struct pages *pages,
		  struct tcache_totals *totals, struct tcache_totals *by_arena)
{
	uint32_t bytes = heap->instance[0].layout->tcache.chunk_bytes - HEADER;
	bool is_whole = true;

	*totals = (struct tcache_totals){0};
	memset(by_arena, 0, heap->arena_count * sizeof(*by_arena));
	for (unsigned i = 0; i < caches->count; i++) {
		int arena = heap_owner(caches->address[i], heap);
		struct tcache_totals one = {0};
		uint8_t raw[STRUCT_MAX];

		if (arena < 0 ||
		    memory_fetch(heap->memory, pages, caches->address[i], raw, bytes))
			continue;
		is_whole &= count_cache(heap, raw, &one);
		totals->chunks += one.chunks;
		totals->bytes += one.bytes;
		by_arena[arena].chunks += one.chunks;
		by_arena[arena].bytes += one.bytes;
	}
	return is_whole;
}

uint64_t caches_most_chunks(const struct heap *heap)
{
	const struct malloc_layout *layout = heap->instance[0].layout;

	return layout->tcache.bins * heap->par[0].tcache_count;
}

/* Lists of one size each; where there are others a cache may hold megabytes. */
uint64_t caches_most_bytes(const struct heap *heap)
{
	const struct malloc_layout *layout = heap->instance[0].layout;
	uint64_t bytes = 0;

	if (layout->tcache.small_bins < layout->tcache.bins)
		return 0;
	for (uint64_t i = 0; i < layout->tcache.small_bins; i++)
		bytes += GLIBC_MIN_CHUNK + GLIBC_ALIGN * i;
	return bytes * heap->par[0].tcache_count;
}
