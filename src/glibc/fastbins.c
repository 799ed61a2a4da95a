/* fastbins.c: which chunks are in fastbins, and what that does to the runs of free
 * memory. Nothing at such a chunk says so: its list has to be followed. */
#include "glibc/parts.h"

#include "base/machine.h"
#include "base/sort.h"
#include "glibc/tcache.h"

#include <errno.h>
#include <string.h>

enum {
	FAST_ATTEMPTS = 64,
	FAST_MAX_BYTES = GLIBC_MIN_CHUNK + (GLIBC_FASTBINS - 1) * GLIBC_ALIGN,
	NOT_NOTED = 1 << 17, /* what may be put on a list while the walks go by */
};

struct fast_search {
	struct heap *heap;
	unsigned arena;
	unsigned bin;
	uint64_t limit; /* chunks of a list */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool next_fastbin(struct chain *chain, void *context)
{
	struct fast_search *search = context;
	struct heap *heap = search->heap;

	while (search->arena < heap->arena_count) {
		const struct arena *arena = &heap->arena[search->arena];
		unsigned bin = search->bin++;

		if (bin == GLIBC_FASTBINS || !arena->layout->arena.fastbins) {
			search->arena++;
			search->bin = 0;
			continue;
		}
		if (!arena_fastbin(arena, bin))
			continue;
		*chain = (struct chain){
			.at = arena_fastbin(arena, bin),
			.left = least(search->limit,
				      arena_system_bytes(arena) / GLIBC_MIN_CHUNK),
			.safe_linking = arena->layout->safe_linking,
			.arena = search->arena,
			.bin = bin,
		};
		return true;
	}
	return false;
}

/* malloc.c, fastbin_index: bin 0 holds the smallest chunk. */
static bool fits(const struct chain *chain, uint64_t size_field)
{
	return (size_field & ~(uint64_t)CHUNK_FLAGS) / GLIBC_ALIGN == chain->bin + 2;
}

/* The next reading has room for more. */
static void lack_links(struct heap *heap, unsigned room)
{
	heap->needs_links = true;
	heap_miss(heap, "more than %u fastbin chunks: trimmable_bytes is too low", room);
}

static bool visit_address(struct chain *chain, uint64_t size_field, void *context)
{
	struct heap *heap = ((struct fast_search *)context)->heap;

	if (!fits(chain, size_field))
		return false;
	if (heap->fast_count < heap->fast_capacity)
		heap->fast[heap->fast_count++] = chain->at;
	else
		lack_links(heap, heap->fast_capacity);
	return true;
}

/* Takes the list up again from its head: it was being changed. */
static bool again(struct heap *heap, struct chain *chain)
{
	const struct arena *arena = &heap->arena[chain->arena];
	uint64_t head,
		place = arena->addr + arena->layout->arena.fastbins + 8 * chain->bin;

	pages_forget(heap->pages);
	if (chain->attempts++ == FAST_ATTEMPTS ||
	    memory_fetch(heap->memory, heap->pages, place, &head, sizeof(head)))
		return false;
	chain->at = head;
	chain->from = 0;
	chain->left += chain->visited;
	chain->visited = 0;
	chain->broken = false;
	return true;
}

static void count_chunks(struct arena_work *work, unsigned bin, uint64_t chunks)
{
	work->fast_bin[bin] += chunks;
	work->fast_chunks += chunks;
	work->fast_bytes += chunks * layout_fastbin_bytes(bin);
}

/* How much more a broken list holds cannot be known: one chunk is in doubt, at least. */
static void count_list(struct heap *heap, const struct chain *chain)
{
	struct arena_work *work = &heap->work[chain->arena];

	count_chunks(work, chain->bin, chain->visited);
	if (chain->broken)
		work->fast_in_doubt_bytes += layout_fastbin_bytes(chain->bin);
}

static bool end_addresses(struct chain *chain, void *context)
{
	struct heap *heap = ((struct fast_search *)context)->heap;

	if (chain->broken && again(heap, chain))
		return true;
	count_list(heap, chain);
	return false;
}

/* The walks go by the addresses. */
static void tell_walks(struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct walk_arena *walk = &heap->work[i].walk;

		walk->links = NULL;
		walk->fast_sizes = 0;
		walk->note_binned = walk->note_cached = false;
		walk->listed_max_bytes = 0;
		walk->fast = heap->fast;
		walk->fast_count = heap->fast_count;
	}
}

int heap_read_fastbins(struct heap *heap)
{
	struct fast_search search = {.heap = heap, .limit = UINT64_MAX};
	int error;

	heap->fast = links_room(heap->links, &heap->fast_capacity);
	heap->fast_count = 0;
	error = chain_follow(heap->chains, next_fastbin, visit_address, end_addresses,
			     NULL, &search);
	if (error)
		return error;
	sort_addresses(heap->fast, heap->fast_count);
	heap->fast_count = sort_unique(heap->fast, heap->fast_count);
	tell_walks(heap);
	return 0;
}

/* ---- noted by the walks ---- */

/* Bit N: the fastbin of chunks of 16 N bytes holds some. */
static uint32_t fast_sizes(const struct arena *arena)
{
	uint32_t sizes = 0;

	for (unsigned i = 0; arena->layout->arena.fastbins && i < GLIBC_FASTBINS; i++)
		if (arena_fastbin(arena, i))
			sizes |= UINT32_C(1) << (i + GLIBC_MIN_CHUNK / GLIBC_ALIGN);
	return sizes;
}

/* Between what addresses ARENA's chunks lie; a main arena may have mapped segments,
 * which are not known yet. */
static void set_bounds(struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct walk_arena *walk = &heap->work[i].walk;
		bool anywhere =
			heap->arena[i].is_main && !arena_is_contiguous(&heap->arena[i]);

		walk->low = anywhere ? 0 : UINT64_MAX;
		walk->high = anywhere ? UINT64_C(1) << ADDRESS_BITS : 0;
	}
	for (unsigned i = 0; i < heap->segment_count; i++) {
		const struct owned_segment *owned = &heap->segment[i];
		struct walk_arena *walk = &heap->work[owned->arena].walk;

		if (owned->segment.start < walk->low)
			walk->low = owned->segment.start;
		if (owned->segment.end > walk->high)
			walk->high = owned->segment.end;
	}
}

static bool has_unsorted(const struct arena *arena)
{
	return arena->used && arena_bin_forward(arena, 0) != arena_bin_self(arena, 0);
}

/* The largest chunk that a list may hold of which its header does not say so. Where an
 * arena's chunks may lie anywhere, too much looks like a cached one. */
static void set_listed(struct walk_arena *walk)
{
	walk->note_cached = walk->layout->safe_linking && walk->low;
	walk->listed_max_bytes = walk->note_cached  ? tcache_small_max(walk->layout)
				 : walk->fast_sizes ? FAST_MAX_BYTES
						    : 0;
}

/* Without safe-linking, links are plain pointers as a program's own data has them: too
 * much would look like a fastbin's chunk. */
bool heap_note_fastbins(struct heap *heap)
{
	for (unsigned i = 0; i < heap->instance_count; i++)
		if (heap->instance[i].layout->arena.fastbins &&
		    !heap->instance[i].layout->safe_linking)
			return false;
	links_reset(heap->links);
	heap->fast_count = 0;
	set_bounds(heap);
	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct walk_arena *walk = &heap->work[i].walk;

		walk->links = heap->links;
		walk->number = i;
		walk->fast = NULL;
		walk->fast_count = 0;
		walk->fast_sizes = fast_sizes(&heap->arena[i]);
		walk->note_binned = heap->options.bins && has_unsorted(&heap->arena[i]);
		set_listed(walk);
	}
	return true;
}

/* ---- without following them ---- */

/* Of the chunks of one list each is led to once, by another or by the head: what leads
 * and what is led to balance, each address taken for a number that no sum of others makes
 * up for. They do not, if a chunk was noted that is in no fastbin. */
static uint64_t weight(uint64_t addr)
{
	addr *= UINT64_C(0x9e3779b97f4a7c15);
	addr = (addr ^ addr >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
	return addr ^ addr >> 29;
}

static uint64_t balance(const struct link *link)
{
	return (link->way == LINK_END ? 0 : weight(link->to)) - weight(link->at);
}

/* What is in a thread's cache has a link as well: it does not count, and is marked. */
static void leave_out_cached(struct heap *heap)
{
	struct links *links = heap->links;
	struct link link;

	for (uint32_t i = 0; i < heap->cached.count; i++) {
		uint32_t number = LINKS_NONE;
		struct arena_work *work;

		if (tcache_met_bytes(&heap->cached, i) <= FAST_MAX_BYTES)
			number = links_find(links, tcache_met_chunk(&heap->cached, i));
		if (number == LINKS_NONE)
			continue;
		links_get(links, number, &link);
		if (link.kind != LINK_FAST || !links_mark(links, number))
			continue;
		work = &heap->work[links_arena(links, number)];
		work->fast_balance[link.bin] -= balance(&link);
		work->fast_noted[link.bin]--;
	}
}

static void weigh_lists(struct heap *heap)
{
	struct links *links = heap->links;
	struct link link;

	for (uint32_t i = LINKS_NONE; links_each(links, &i, &link);) {
		struct arena_work *work;

		if (link.kind != LINK_FAST)
			continue;
		work = &heap->work[links_arena(links, i)];
		work->fast_balance[link.bin] += balance(&link);
		work->fast_noted[link.bin]++;
	}
	leave_out_cached(heap);
	for (unsigned i = 0; i < heap->arena_count; i++)
		for (unsigned bin = 0; bin < GLIBC_FASTBINS; bin++) {
			uint64_t head = heap->arena[i].layout->arena.fastbins
						? arena_fastbin(&heap->arena[i], bin)
						: 0;

			heap->work[i].fast_balance[bin] += head ? weight(head) : 0;
		}
}

static bool is_balanced(const struct heap *heap, unsigned arena, unsigned bin)
{
	return !heap->work[arena].fast_balance[bin];
}

/* A list that balances has all that was noted, but for what is marked: turn the marks
 * round. On others nothing is marked yet. */
static void mark_balanced(struct heap *heap)
{
	struct links *links = heap->links;
	struct link link;

	for (uint32_t i = LINKS_NONE; links_each(links, &i, &link);) {
		if (link.kind != LINK_FAST)
			continue;
		if (links_is_marked(links, i))
			links_unmark(links, i);
		else if (is_balanced(heap, links_arena(links, i), link.bin))
			links_mark(links, i);
	}
	for (unsigned i = 0; i < heap->arena_count; i++)
		for (unsigned bin = 0; bin < GLIBC_FASTBINS; bin++)
			if (is_balanced(heap, i, bin))
				count_chunks(&heap->work[i], bin,
					     heap->work[i].fast_noted[bin]);
}

/* ---- following them ---- */

static bool next_unbalanced(struct chain *chain, void *context)
{
	struct fast_search *search = context;

	while (next_fastbin(chain, search))
		if (!is_balanced(search->heap, chain->arena, chain->bin))
			return true;
	return false;
}

static bool known_fast(struct chain *chain, uint64_t *size_field, uint64_t *next,
		       void *context)
{
	const struct links *links = ((struct fast_search *)context)->heap->links;
	uint32_t number = chain_find_note(links, chain);
	struct link link;

	chain->note = number;
	if (number == LINKS_NONE)
		return false;
	links_get(links, number, &link);
	*size_field = link.bytes;
	*next = link.way == LINK_END ? 0 : link.to;
	chain_guess_note(links, chain, *next);
	return link.kind == LINK_FAST && link.way != LINK_FAR;
}

static bool visit_noted(struct chain *chain, uint64_t size_field, void *context)
{
	struct heap *heap = ((struct fast_search *)context)->heap;

	if (!fits(chain, size_field))
		return false;
	if (chain->note != LINKS_NONE)
		links_mark(heap->links, chain->note);
	return true;
}

/* Takes the marks of CHAIN's list back. */
static void unmark(struct heap *heap, const struct chain *chain)
{
	struct links *links = heap->links;
	struct link link;

	for (uint32_t i = LINKS_NONE; links_each(links, &i, &link);) {
		if (link.kind == LINK_FAST && link.bin == chain->bin &&
		    links_arena(links, i) == chain->arena)
			links_unmark(links, i);
	}
}

/* What was noted of the chunk that led astray has changed since. */
static bool end_noted(struct chain *chain, void *context)
{
	struct heap *heap = ((struct fast_search *)context)->heap;
	uint32_t number = LINKS_NONE;

	if (chain->broken && chain->from)
		number = links_find(heap->links, chain->from);
	if (number != LINKS_NONE)
		links_distrust(heap->links, number);
	if (chain->broken && again(heap, chain)) {
		unmark(heap, chain);
		return true;
	}
	count_list(heap, chain);
	return false;
}

/* The lists as they are now: what was put on them before the walks came by was noted. */
static int read_heads(struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count;) {
		struct span span[MEMORY_SPANS];
		bool ok[MEMORY_SPANS];
		unsigned count = 0;
		int error;

		for (; i < heap->arena_count && count < MEMORY_SPANS; i++) {
			struct arena *arena = &heap->arena[i];
			unsigned offset = arena->layout->arena.fastbins;

			if (offset)
				span[count++] = (struct span){arena->addr + offset,
							      arena->raw + offset,
							      8 * GLIBC_FASTBINS};
		}
		error = count ? memory_fetch_many(heap->memory, heap->pages, span, count,
						  ok)
			      : 0;
		if (error)
			return error;
	}
	return 0;
}

/* ---- the runs of free memory ---- */

/* Takes back what the marked chunk counts by itself, as one of a larger run. */
static void discount(struct walk_totals *totals, const struct link *chunk)
{
	totals->free_resident_bytes -= chunk->bytes;
	totals->pinned_bytes -= chunk->bytes;
}

static void close_top_run(struct heap *heap, unsigned number, uint64_t start,
			  uint64_t end)
{
	struct arena_work *work = &heap->work[number];
	int index = heap_segment_of(heap, start);
	uint64_t unit = index >= 0 && end >= heap->segment[index].segment.end
				? work->walk.trim_unit_bytes
				: 0;

	walk_free_top(&work->totals, heap->pages, heap->memory->page_shift, unit, start,
		      end);
}

/* RUN, note NUMBER, is free but for those chunks of it that are not in a fastbin after
 * all. */
static void settle_run(struct heap *heap, uint32_t number, const struct link *run)
{
	struct links *links = heap->links;
	unsigned arena = links_arena(links, number);
	struct walk_totals *totals = &heap->work[arena].totals;
	unsigned shift = heap->memory->page_shift;
	uint64_t start = run->at - run->bytes;
	uint32_t first = number, i;
	struct link chunk;

	while ((i = links_previous(links, first)) != LINKS_NONE) {
		links_get(links, i, &chunk);
		if (chunk.at < start || chunk.kind == LINK_RUN ||
		    chunk.kind == LINK_TOP_RUN)
			break;
		first = i;
	}
	for (i = first; i != number; i = links_next(links, i)) {
		links_get(links, i, &chunk);
		if (chunk.kind != LINK_FAST)
			continue;
		if (links_is_marked(links, i)) {
			discount(totals, &chunk);
			continue;
		}
		if (chunk.at > start)
			walk_free_run(totals, heap->pages, shift, start, chunk.at);
		start = chunk.at + chunk.bytes;
	}
	if (run->kind == LINK_TOP_RUN)
		close_top_run(heap, arena, start, run->at);
	else if (run->at > start)
		walk_free_run(totals, heap->pages, shift, start, run->at);
}

static void settle_chunk(struct heap *heap, uint32_t number, const struct link *chunk)
{
	struct arena_work *work = &heap->work[links_arena(heap->links, number)];
	struct walk_totals *totals = &work->totals;

	totals->fast_chunks++;
	totals->free_resident_bytes += chunk->bytes;
	totals->pinned_bytes += chunk->bytes;
	if (chunk->bytes > totals->largest_bytes)
		totals->largest_bytes = chunk->bytes;
	if (chunk->bytes < work->walk.unusable_for_bytes)
		totals->unusable_bytes += chunk->bytes;
}

static void settle_all(struct heap *heap)
{
	struct links *links = heap->links;
	struct link link;

	for (uint32_t i = LINKS_NONE; links_each(links, &i, &link);) {
		if (link.kind == LINK_RUN || link.kind == LINK_TOP_RUN)
			settle_run(heap, i, &link);
		else if (link.kind == LINK_FAST && links_is_marked(links, i))
			settle_chunk(heap, i, &link);
	}
}

int heap_settle_fastbins(struct heap *heap)
{
	struct fast_search search = {.heap = heap, .limit = UINT64_MAX};
	int error;

	if (!heap->arena_count || !heap->work[0].walk.links)
		return 0;
	/* A list that leads in a circle is not followed for long. */
	if (!links_overflowed(heap->links))
		search.limit = links_count(heap->links) + NOT_NOTED;
	error = read_heads(heap);
	if (error)
		return error;
	weigh_lists(heap);
	mark_balanced(heap);
	error = chain_follow(heap->chains, next_unbalanced, visit_noted, end_noted,
			     known_fast, &search);
	if (error)
		return error;
	settle_all(heap);
	if (links_overflowed(heap->links))
		lack_links(heap, heap->link_blocks * LINKS_IN_BLOCK);
	return 0;
}

void heap_list_fastbins(struct heap *heap)
{
	if (!heap->arena_count || !heap->work[0].walk.links)
		return;
	heap->fast_count = links_to_addresses(heap->links);
	heap->fast = links_room(heap->links, &heap->fast_capacity);
	tell_walks(heap);
}
