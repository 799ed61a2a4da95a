/* quick.c: the largest free chunk without a walk: the tops, the head of each arena's
 * highest bin that is not empty, and the unsorted lists. The target runs on: what is read
 * must fit where it was found, or all that belongs to the arena is read again. */
#include "glibc/parts.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* How long a quick look may try, in our own processor time: it is to end within a
 * millisecond. */
#define QUICK_NS 450000

enum {
	HEADER = 16,
	NODE = 24, /* prev_size, size and the link */
	TRIES = 8, /* at each arena, whatever the time */
	WAITS = 5, /* of all arenas together */
	WAIT_NS = 100 * 1000,
	LONG = 4096,   /* chunks of an unsorted list: more is long */
	WINDOW = 4096, /* neighbours on a list often are neighbours in memory */
	CLOCK_EVERY = 64,
};

/* How a try to read an arena ended. */
enum quick_outcome {
	READ,
	CHANGED,
	UNREADABLE,
	TOO_LONG,
};

/* One arena, and what is found of it. */
struct quick_scan {
	struct heap *heap;
	struct arena *arena;
	const struct malloc_par *par;
	uint64_t top_bytes;
	uint64_t largest_bytes;
	uint64_t end; /* of the top, as the try before had it */
	int64_t deadline_ns;
	uint64_t window; /* 0: nothing is in DATA */
	uint8_t data[WINDOW];
};

/* ---- what fits ---- */

static uint64_t bytes_of(uint64_t field)
{
	return field & ~(uint64_t)CHUNK_FLAGS;
}

/* Whether [AT, AT + BYTES) can be a chunk of the arena: a secondary one's lie in heaps, a
 * contiguous main one's between the first sbrk and what the arena has from there on. */
static bool fits(const struct quick_scan *scan, uint64_t at, uint64_t bytes)
{
	const struct arena *arena = scan->arena;
	uint64_t system = arena_system_bytes(arena);
	uint64_t max_bytes = arena_heap_max_bytes(arena->layout, scan->par);

	if (bytes < GLIBC_MIN_CHUNK || bytes > system || at & (GLIBC_ALIGN - 1))
		return false;
	if (!arena->is_main)
		return (at & (max_bytes - 1)) + bytes <= max_bytes;
	return !arena_is_contiguous(arena) ||
	       (at >= scan->par->sbrk_base &&
		at - scan->par->sbrk_base <= system - bytes);
}

/* A chunk in a bin: no flag but that of the chunk in use before it. */
static bool is_free_chunk(const struct quick_scan *scan, uint64_t at, uint64_t field)
{
	return (field & (GLIBC_ALIGN - 1)) == CHUNK_PREV_INUSE &&
	       fits(scan, at, bytes_of(field));
}

/* ---- the top and the highest bin ---- */

/* The highest bin that is not empty, or 0: the unsorted list is not meant. */
static unsigned highest_bin(const struct arena *arena)
{
	for (unsigned i = GLIBC_BINS - 1; i > 0; i--)
		if (arena_bin_forward(arena, i) != arena_bin_self(arena, i))
			return i;
	return 0;
}

static uint64_t highest_fast_bytes(const struct arena *arena)
{
	for (unsigned i = GLIBC_FASTBINS; i-- > 0;)
		if (arena_fastbin(arena, i))
			return layout_fastbin_bytes(i);
	return 0;
}

static void take(struct quick_scan *scan, uint64_t bytes)
{
	if (bytes > scan->largest_bytes)
		scan->largest_bytes = bytes;
}

/* The top of a non-main arena ends where its heap does (arena.c, grow_heap). */
static bool take_heap_top(struct quick_scan *scan, uint64_t top, const uint64_t info[3])
{
	uint64_t max_bytes = arena_heap_max_bytes(scan->arena->layout, scan->par);
	uint64_t offset = top & (max_bytes - 1);

	scan->top_bytes = info[2] - offset;
	return info[0] == scan->arena->addr && info[2] <= max_bytes && offset < info[2] &&
	       scan->top_bytes <= arena_system_bytes(scan->arena);
}

/* The main arena's top was where its header was read, if it still is, or if the header
 * leads to the end that is known otherwise. */
static bool take_main_top(struct quick_scan *scan, uint64_t top, uint64_t field,
			  uint64_t now)
{
	uint64_t bytes = bytes_of(field), before = scan->end;

	scan->top_bytes = bytes;
	scan->end = top + bytes;
	return (field & (GLIBC_ALIGN - 1)) == CHUNK_PREV_INUSE &&
	       fits(scan, top, bytes) && (now == top || scan->end == before);
}

/* What the arena points to is read in one go, and behind it the arena once more. A bin is
 * sorted and holds sizes of its own range, so its head is its largest. */
static enum quick_outcome read_heads(struct quick_scan *scan)
{
	struct arena *arena = scan->arena, after = *arena;
	unsigned bin = highest_bin(arena);
	uint64_t head = arena_bin_forward(arena, bin), top = arena_top(arena);
	uint64_t heap = top & -arena_heap_max_bytes(arena->layout, scan->par);
	uint64_t head_chunk[2] = {0}, at_top[3];
	const struct span span[] = {
		{arena->is_main ? top : heap, at_top, arena->is_main ? HEADER : NODE},
		{arena->addr, after.raw, (uint32_t)arena->layout->arena.size},
		{head, head_chunk, HEADER},
	};
	bool ok[3] = {false, false, true}, holds;

	scan->largest_bytes = 0;
	if (memory_fetch_many(scan->heap->memory, scan->heap->pages, span, bin ? 3 : 2,
			      ok) ||
	    !ok[1])
		return UNREADABLE;
	take(scan, highest_fast_bytes(arena));
	take(scan, bytes_of(head_chunk[1]));
	holds = ok[0] && ok[2] &&
		(!bin || (is_free_chunk(scan, head, head_chunk[1]) &&
			  layout_bin_index(bytes_of(head_chunk[1])) == bin + 1)) &&
		(arena->is_main ? take_main_top(scan, top, at_top[1], arena_top(&after))
				: take_heap_top(scan, top, at_top));
	*arena = after;
	if (holds)
		return READ;
	return ok[0] && ok[2] ? CHANGED : UNREADABLE;
}

/* ---- the unsorted list ---- */

static bool read_node(struct quick_scan *scan, uint64_t at, uint64_t node[3])
{
	struct heap *heap = scan->heap;
	uint64_t page = at & -(uint64_t)WINDOW;

	if (at - page + NODE > WINDOW)
		return memory_fetch(heap->memory, heap->pages, at, node, NODE) == 0;
	if (scan->window != page) {
		scan->window = 0;
		if (memory_fetch(heap->memory, heap->pages, page, scan->data, WINDOW))
			return false;
		scan->window = page;
	}
	memcpy(node, scan->data + (at - page), NODE);
	return true;
}

static bool is_late(const struct quick_scan *scan)
{
	return clock_thread_ns() >= scan->deadline_ns;
}

static enum quick_outcome read_unsorted(struct quick_scan *scan)
{
	uint64_t at = arena_bin_forward(scan->arena, 0);
	uint64_t self = arena_bin_self(scan->arena, 0), node[3];

	scan->window = 0;
	for (unsigned visited = 0; at != self; visited++) {
		if (visited >= LONG && (visited == HEAP_UNSORTED ||
					(visited % CLOCK_EVERY == 0 && is_late(scan))))
			return TOO_LONG;
		if (!read_node(scan, at, node))
			return UNREADABLE;
		if (!is_free_chunk(scan, at, node[1]))
			return CHANGED;
		take(scan, bytes_of(node[1]));
		at = node[2];
	}
	return READ;
}

/* ---- all arenas ---- */

static enum quick_outcome try_arena(struct quick_scan *scan)
{
	enum quick_outcome outcome = READ;

	for (unsigned i = 0; i < TRIES || !is_late(scan); i++) {
		outcome = read_heads(scan);
		if (outcome == READ)
			outcome = read_unsorted(scan);
		if (outcome == READ || outcome == TOO_LONG)
			break;
		if (outcome == UNREADABLE)
			pages_forget(scan->heap->pages);
	}
	return outcome;
}

/* A thread that lost its processor in the middle of a change leaves a list broken until
 * it gets one again. */
static enum quick_outcome read_arena(struct quick_scan *scan, unsigned *waits)
{
	enum quick_outcome outcome = try_arena(scan);

	while (outcome == CHANGED && *waits) {
		--*waits;
		clock_wait_until(clock_monotonic_ns() + WAIT_NS, NULL);
		outcome = try_arena(scan);
	}
	return outcome;
}

static void settle(struct heap *heap, unsigned number, const struct quick_scan *scan,
		   enum quick_outcome outcome)
{
	static const char *const why[] = {
		[CHANGED] = "the bins of arena %u changed while they were read",
		[UNREADABLE] = "the free lists of arena %u could not be read",
		[TOO_LONG] = "the unsorted list of arena %u is too long to read quickly",
	};
	struct arena_work *work = &heap->work[number];

	work->has_quick = outcome == READ;
	work->quick_bytes = scan->largest_bytes;
	work->quick_top_bytes = scan->top_bytes;
	if (outcome != READ)
		heap_miss(heap, why[outcome], number);
}

void heap_read_quick(struct heap *heap)
{
	int64_t deadline_ns = clock_thread_ns() + QUICK_NS;
	unsigned waits = WAITS;

	for (unsigned i = 0; i < heap->arena_count; i++) {
		struct quick_scan scan = {
			.heap = heap,
			.arena = &heap->arena[i],
			.par = &heap->par[heap->arena[i].instance],
			.deadline_ns = deadline_ns,
		};

		if (scan.arena->is_main && arena_is_contiguous(scan.arena))
			scan.end = scan.par->sbrk_base + arena_system_bytes(scan.arena);
		settle(heap, i, &scan,
		       scan.arena->used ? read_arena(&scan, &waits) : READ);
	}
}
