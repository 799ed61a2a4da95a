#include "glibc/walk.h"

#include "base/bytes.h"
#include "base/sort.h"
#include "glibc/tcache.h"
#include "glibc/walk_parts.h"

#include <string.h>

enum {
	JUMP = 64,	 /* bytes read of a chunk that is jumped to */
	FAST_MAX = 0xb0, /* the largest chunk that mallopt lets into a fastbin */
};

/* ---- the chain ---- */

/* Notes the chunk at AT, whole in the window, if it looks like a thread's tcache, whole
 * or just being changed: whoever reads the noted ones looks again. */
static void note_tcache(struct walk *walk, uint64_t at)
{
	const struct walk_arena *arena = walk->arena;
	const uint8_t *raw = walk->buffer + (at - walk->window) + WALK_HEADER;
	struct address_list *list = arena->tcaches;
	unsigned odd = tcache_odd_lists(arena->layout, arena->tcache_count_max, raw);
	uint32_t slot;

	if (odd == TCACHE_NONE)
		return;
	if (odd <= TCACHE_ODD)
		walk->totals.tcache_bytes +=
			tcache_counted_bytes(arena->layout, arena->tcache_count_max, raw);
	slot = atomic_fetch_add_explicit(&list->count, 1, memory_order_relaxed);
	if (slot < list->capacity)
		list->address[slot] = at + WALK_HEADER;
}

/* Whether BYTES from AT are in the window; else the next window will begin at AT. */
static bool in_window(struct walk *walk, uint64_t at, uint32_t bytes)
{
	if (at + bytes <= walk->window + walk->window_bytes)
		return true;
	if (at == walk->window || !pages_all_resident(walk->pages, at, bytes))
		return false;
	walk->need = bytes;
	return false;
}

static bool is_tcache_size(const struct walk *walk, uint64_t bytes)
{
	uint64_t more = bytes - walk->arena->layout->tcache.chunk_bytes;

	return more == 0 || more == 16;
}

/* Whether TO, where a chunk's link leads, may be the next one of a list, or its end. */
static inline bool leads_on(const struct walk_arena *arena, uint64_t to)
{
	return (to == 0) |
	       (!(to & (GLIBC_ALIGN - 1)) & (to - arena->low < arena->high - arena->low));
}

static inline bool may_be_fast(const struct walk_arena *arena, uint64_t at,
			       uint64_t bytes, uint64_t link)
{
	return bytes <= FAST_MAX && arena->fast_sizes >> (bytes / GLIBC_ALIGN) & 1 &&
	       leads_on(arena, walk_reveal(at, link));
}

bool walk_may_be_fast(const struct walk_arena *arena, uint64_t at, uint64_t bytes,
		      uint64_t link)
{
	return may_be_fast(arena, at, bytes, link);
}

/* Takes the chunk at AT for the fastbins' next, passing over those that are no chunk. */
static bool take_fast(struct walk *walk, uint64_t at, uint64_t bytes)
{
	const struct walk_arena *arena = walk->arena;
	struct walk_place *place = &walk->place;

	if (arena->links) {
		place->has_before_to = walk_read_link(walk, at, &place->before_to);
		return place->has_before_to &&
		       may_be_fast(arena, at, bytes, place->before_to);
	}
	while (place->next_fast < arena->fast_count && arena->fast[place->next_fast] < at)
		place->next_fast++;
	if (place->next_fast == arena->fast_count || arena->fast[place->next_fast] != at)
		return false;
	place->next_fast++;
	return true;
}

/* Whether the chunk at AT may lie on a list that its own header does not tell of. */
static void take_listed(struct walk *walk, uint64_t at, uint64_t bytes)
{
	const struct walk_arena *arena = walk->arena;
	struct walk_place *place = &walk->place;

	place->before_is_fast = take_fast(walk, at, bytes);
	place->before_is_cached = !place->before_is_fast && arena->note_cached &&
				  bytes <= arena->listed_max_bytes &&
				  place->has_before_to &&
				  leads_on(arena, walk_reveal(at, place->before_to));
}

static void take_fence(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;

	walk->totals.fence_bytes += WALK_FENCE;
	place->before = at;
	place->before_is_fast = place->before_is_cached = place->has_before_to = false;
	place->at = at + WALK_FENCE;
	place->fences++;
	if (place->fences < 2 || walk->arena->non_main ||
	    place->at & (walk_page_bytes(walk) - 1))
		return;
	/* Behind two fenceposts (three, where the old top was no larger) and a page's end
	 * lies nothing, or memory that the program got by sbrk. */
	if (place->run)
		walk_close_run(walk, at);
	walk_note(walk, PIECE_OWN, at, place->at);
	place->before = 0;
	if (place->at >= walk->segment.end || walk->segment.ends == SEGMENT_FENCES) {
		walk->until = place->at;
		walk_finish(walk);
		return;
	}
	walk_seek(walk, false);
	walk_save_here(walk);
}

/* A header that is no ordinary chunk's: a fencepost, the end of a heap, or damage. */
static void take_odd(struct walk *walk, uint64_t at, uint64_t field)
{
	uint64_t bytes = field & ~(uint64_t)CHUNK_FLAGS;

	if (bytes == WALK_FENCE && !(field & CHUNK_MMAPPED)) {
		walk_settle(walk, at, field);
		take_fence(walk, at);
	} else if (field == CHUNK_PREV_INUSE && walk->segment.ends == SEGMENT_FENCE &&
		   walk->segment.end - at <= 2 * GLIBC_MIN_CHUNK) {
		walk_settle(walk, at, field);
		if (walk->place.run)
			walk_close_run(walk, at);
		walk_note(walk, PIECE_OWN, at, walk->segment.end);
		walk->totals.fence_bytes += walk->segment.end - at;
		walk->place.at = walk->segment.end;
		walk_finish(walk);
	} else {
		walk_lose(walk);
	}
}

/* The chain has come to the chunk at which it ends. */
static void take_end(struct walk *walk, uint64_t at, const struct walk_header *header)
{
	uint64_t bytes = header->field & ~(uint64_t)CHUNK_FLAGS;

	if (at == walk->segment.top && walk_top_moved(walk)) {
		walk->window_bytes = 0;
		if (at > walk->until)
			walk_lose(walk);
		return;
	}
	if (at == walk->segment.top &&
	    at + bytes - walk->segment.start >
		    walk->segment.end + WALK_TOP_GROWTH - walk->segment.start) {
		walk_lose(walk);
		return;
	}
	walk_settle(walk, at, header->field);
	if (at != walk->segment.top) {
		if (walk->place.run)
			walk_close_run(walk, at);
		/* Settled: a walk that goes on from here must not do it again. */
		walk->place.before = 0;
		walk_finish(walk);
		return;
	}
	if (!walk->place.before_is_fast && walk->place.run) {
		/* A binned chunk cannot border the top: the top moved meanwhile. */
		walk_close_run(walk, at);
	}
	walk_close_top(walk, at, at + bytes);
	walk_note(walk, PIECE_TOP, at, at + bytes);
	walk->totals.top_bytes = bytes;
	walk->has_top = true;
	walk->place.at = at + bytes;
	walk_finish(walk);
}

static bool breaks(const struct walk *walk, uint64_t at, const struct walk_header *header)
{
	return !(header->field & CHUNK_PREV_INUSE) && walk->place.before &&
	       header->prev_size != at - walk->place.before;
}

/* Follows the chain through the window. */
static void follow(struct walk *walk)
{
	const uint64_t end = walk->window + walk->window_bytes;
	const uint64_t forbidden = walk_forbidden(walk->arena);
	struct walk_place *place = &walk->place;
	struct walk_header header;

	for (;;) {
		uint64_t at, bytes;

		walk_pass_plain(walk, end);
		at = place->at;
		if (at + WALK_HEADER > end)
			return;
		memcpy(&header, walk->buffer + (at - walk->window), WALK_HEADER);
		if (breaks(walk, at, &header)) {
			walk_lose(walk);
			return;
		}
		if (at >= walk->until) {
			take_end(walk, at, &header);
			return;
		}
		bytes = header.field & ~(uint64_t)CHUNK_FLAGS;
		if (header.field & forbidden || bytes < GLIBC_MIN_CHUNK ||
		    bytes > walk->segment.stop - at) {
			take_odd(walk, at, header.field);
			if (walk->done || place->seeking || !walk->window_bytes)
				return;
			continue;
		}
		if (is_tcache_size(walk, bytes)) {
			if (in_window(walk, at, bytes))
				note_tcache(walk, at);
			else if (walk->need)
				return;
		}
		if (walk->arena->links && !in_window(walk, at, WALK_LINKED) && walk->need)
			return;
		if (at - walk_last_saved(walk) >= WALK_SAVE_EVERY)
			walk_save_here(walk);
		walk_settle(walk, at, header.field);
		place->before = at;
		take_listed(walk, at, bytes);
		place->fences = 0;
		place->at = at + bytes;
		walk->totals.chunks++;
	}
}

/* ---- windows ---- */

void walk_begin(struct walk *walk, const struct walk_arena *arena, struct memory *memory,
		const struct walk_segment *segment, uint64_t from, uint64_t until)
{
	memset(walk, 0, sizeof(*walk));
	walk->arena = arena;
	walk->memory = memory;
	walk->segment = *segment;
	walk->until = until;
	walk->ahead = walk_page_bytes(walk);
	walk->place.at = walk->place.counted = walk->place.listed = from;
	walk->place.next_fast = sort_lower_bound(arena->fast, arena->fast_count, from);
	walk_save(walk, &walk->origin);
}

void walk_keep_list(struct walk *walk, unsigned segment)
{
	if (walk->list && walk->place.listed < walk->place.at)
		walk_list(walk, PIECE_DOUBT, walk->place.listed, walk->place.at);
	gather_keep(walk->list, segment, walk->place.noted, walk->place.listed);
	walk->list = NULL;
}

void walk_extend(struct walk *walk, uint64_t until)
{
	walk->until = until;
	walk->attempts = 0;
	walk->at_end = false;
	walk->window_bytes = 0;
	walk->failed = false;
	walk->done = walk->has_top || walk->place.at >= until;
}

/* AT is on a page that is not resident. Swapped out, it must not be read: go on behind
 * it; otherwise no chunk can be there. */
static void not_resident(struct walk *walk)
{
	struct walk_place *place = &walk->place;
	uint64_t next = pages_next_resident(walk->pages, place->at, walk->until);
	uint64_t swapped =
		next > place->at ? pages_swapped_bytes(walk->pages, place->at, next) : 0;

	if (place->at >= walk->until && !walk->strict &&
	    pages_swapped_bytes(walk->pages, place->at, place->at + WALK_HEADER)) {
		/* The chunk at which it ends, which would tell of the one before. */
		walk->totals.unread_bytes += WALK_HEADER;
		walk_finish(walk);
		return;
	}
	if (!place->seeking) {
		if (!swapped || walk->strict) {
			walk_lose(walk);
			return;
		}
		walk_seek(walk, true);
	}
	place->seek_unread_bytes += swapped;
	place->at = next;
	walk_save_here(walk);
	if (place->at >= walk->until)
		walk_reach_end(walk);
}

/* Where the window that has AT begins. */
static uint64_t window_start(const struct walk *walk)
{
	uint64_t at = walk->place.at;
	uint64_t from = walk->list ? gather_next(walk->list, at) : at;

	return from < at && pages_all_resident(walk->pages, from, at - from) ? from : at;
}

/* The window to read: from FROM over AT on, as long as pages are resident. */
static uint32_t window_bytes(struct walk *walk, uint64_t from)
{
	uint64_t page = walk_page_bytes(walk), at = walk->place.at;
	uint64_t ahead = walk->need > walk->ahead ? walk->need : walk->ahead;
	uint64_t end = ahead < page ? at + ahead : walk_round_up(at + ahead, page);

	if (end - (from & -page) > WALK_WINDOW)
		end = (from & -page) + WALK_WINDOW;
	/* The last header wanted is that of the segment's end. */
	if (end > walk_round_up(walk->segment.stop + WALK_HEADER, page))
		end = walk_round_up(walk->segment.stop + WALK_HEADER, page);
	return pages_run_end(walk->pages, from, end) - from;
}

bool walk_wants(struct walk *walk, struct span *span)
{
	while (!walk->done) {
		uint64_t from = window_start(walk);
		uint32_t bytes = window_bytes(walk, from);

		if (bytes < walk->place.at - from + WALK_LINKED) {
			from = walk->place.at;
			bytes = window_bytes(walk, from);
		}
		if (bytes >= WALK_HEADER) {
			walk->window = from;
			walk->window_bytes = bytes;
			*span = (struct span){walk->window, walk->buffer, bytes};
			return true;
		}
		not_resident(walk);
	}
	return false;
}

/* Chunks larger than the windows are jumped from header to header, with hardly more read
 * than those; small ones are read in segments that grow. */
static void adapt(struct walk *walk)
{
	uint64_t end = walk->window + walk->window_bytes;
	uint32_t page = walk_page_bytes(walk);

	if (walk->place.at >= end + page)
		walk->ahead = JUMP;
	else if (walk->ahead < page)
		walk->ahead = page;
	else if (walk->ahead < WALK_WINDOW)
		walk->ahead *= 2;
}

void walk_feed(struct walk *walk, bool got)
{
	walk->need = 0;
	if (walk->list && !gather_is_whole(walk->list->gather))
		walk->list = NULL;
	if (!got) {
		walk->window_bytes = 0;
		walk_lose(walk);
		return;
	}
	if (walk->list)
		gather_words(walk->list, walk->window, walk->buffer, walk->window_bytes,
			     walk->until);
	if (walk->place.seeking)
		walk_seek_in_window(walk);
	if (!walk->done && !walk->place.seeking && walk->window_bytes)
		follow(walk);
	if (!walk->done && walk->window_bytes) {
		walk_keep_link(walk);
		adapt(walk);
	}
}

int walk_all(struct walk *walk)
{
	struct span span;

	while (walk_wants(walk, &span)) {
		int got = walk->memory->read(walk->memory, &span, 1);

		if (got < 0)
			return got;
		walk_feed(walk, got == 1);
	}
	return 0;
}
