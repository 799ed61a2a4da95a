/* walk_lost.c: the way on where the chain of chunks breaks: it is read again from places
 * noted before, then a chunk is looked for behind the break. */
#include "base/bytes.h"
#include "base/sort.h"
#include "glibc/walk_parts.h"

#include <string.h>

enum {
	SEEK_STEPS = 16,      /* chunks in a row that must hold before one is believed */
	BELIEVED = 256 << 10, /* how far the chain of a chunk that was sought must hold */
	LOSSES = 4096,	      /* breaks of the chain, before it is no longer read again */
	CANDIDATES = 256,
	TOP_MOVES = 4096, /* how often a top may move while it is walked to */
};

/* ---- where a walk begins again ---- */

static void copy_totals(const struct walk *walk, struct walk_totals *to,
			const struct walk_totals *from)
{
	size_t bytes =
		walk->arena->bins ? sizeof(*to) : offsetof(struct walk_totals, bins);

	memcpy(to, from, bytes);
}

void walk_save(struct walk *walk, struct walk_saved *saved)
{
	saved->place = walk->place;
	copy_totals(walk, &saved->totals, &walk->totals);
}

void walk_save_here(struct walk *walk)
{
	walk_save(walk, &walk->saved[walk->saves++ % WALK_SAVES]);
	if (walk->place.at - walk->candidate.place.at > BELIEVED)
		walk->has_candidate = false;
}

static void restore(struct walk *walk, const struct walk_saved *saved)
{
	walk->place = saved->place;
	copy_totals(walk, &walk->totals, &saved->totals);
	walk->window_bytes = 0;
	walk->need = 0;
}

void walk_finish(struct walk *walk)
{
	walk_count_resident(walk, walk->place.at);
	walk->done = true;
}

void walk_seek(struct walk *walk, bool is_doubt)
{
	struct walk_place *place = &walk->place;
	uint64_t before = place->before ? place->before : place->at;

	/* Whether the chunk before AT is free stands behind it; but next to a free one it
	 * is in use, or in a fastbin. */
	if (place->run && place->before_is_fast && walk->arena->links)
		place->before_is_fast = walk_note_fast(walk, place->at);
	if (place->run) {
		walk_note(walk, place->before_is_fast ? PIECE_FAST : PIECE_USED, before,
			  place->at);
		walk_close_run(walk, place->before_is_fast ? place->at : before);
	}
	walk_count_resident(walk, place->at);
	place->before = 0;
	place->before_is_fast = place->before_is_cached = false;
	place->fences = 0;
	place->seeking = true;
	place->seek_is_doubt = is_doubt;
	place->seek_from = place->at;
	place->seek_unread_bytes = 0;
	walk->window_bytes = 0;
	walk->ahead = WALK_WINDOW;
}

/* A chunk was found at AT, or the end of the segment: what was passed over is in doubt,
 * or the program's own, unless it lies behind all of the arena's memory. */
static void end_seek(struct walk *walk)
{
	struct walk_place *place = &walk->place;
	uint64_t bytes = place->at > place->seek_from ? place->at - place->seek_from : 0;

	place->seeking = false;
	/* Swapped-out chunks may lie behind memory of the program's own, too. */
	walk->totals.unread_bytes += place->seek_unread_bytes;
	if (place->seek_is_doubt) {
		walk_note(walk, PIECE_DOUBT, place->seek_from, place->at);
		walk->totals.in_doubt_bytes += bytes - place->seek_unread_bytes;
	} else if (walk->segment.ends == SEGMENT_BREAK &&
		   place->at >= walk->segment.end) {
		place->at = place->seek_from;
	} else {
		walk_note(walk, PIECE_FOREIGN, place->seek_from, place->at);
		walk->totals.foreign_bytes += bytes;
		walk->totals.foreign_resident_bytes +=
			pages_resident_bytes(walk->pages, place->seek_from, place->at);
	}
}

bool walk_top_moved(struct walk *walk)
{
	const struct walk_arena *arena = walk->arena;
	uint64_t top;

	if (!walk->segment.top || walk->tops == TOP_MOVES)
		return false;
	if (memory_fetch(walk->memory, walk->pages,
			 arena->state + arena->layout->arena.top, &top, sizeof(top)))
		return false;
	if (top == walk->segment.top || top < walk->segment.start ||
	    top & (GLIBC_ALIGN - 1) || top > walk->segment.end + WALK_TOP_GROWTH)
		return false;
	if (walk->until == walk->segment.stop || walk->until > top)
		walk->until = top;
	walk->segment.top = walk->segment.stop = top;
	walk->tops++;
	return true;
}

/* The chunk that a seek found was none. A few of them are looked at again one by one; in
 * memory made to mislead, all up to the break is given up. */
static void drop_candidate(struct walk *walk)
{
	uint64_t at = walk->place.at;

	restore(walk, &walk->candidate);
	walk->has_candidate = false;
	if (walk->candidates++ < CANDIDATES || at <= walk->place.at)
		at = walk->place.at + GLIBC_ALIGN;
	walk->place.at = at < walk->until ? at : walk->until;
	walk->ahead = WALK_WINDOW;
}

void walk_reach_end(struct walk *walk)
{
	bool is_chunk =
		walk->until != walk->segment.stop || walk->until == walk->segment.top;

	walk->place.at = walk->until;
	if (walk->place.seeking)
		end_seek(walk);
	walk->window_bytes = 0;
	/* A top or a seed is a chunk for sure: the chain goes on with it. But once only.
	 */
	if (!is_chunk || walk->at_end)
		walk_finish(walk);
	walk->at_end = true;
}

/* How many places to go back at each attempt: the chain led astray before it broke, and
 * what was a chunk a moment ago may be none now. After the last: to where all began. */
static const unsigned back[] = {0, 1, 2, 4, 8, WALK_SAVES - 1};

enum { ATTEMPTS = sizeof(back) / sizeof(*back) + 1 };

static void go_back(struct walk *walk)
{
	unsigned attempt = walk->attempts++;

	pages_forget(walk->pages);
	walk_top_moved(walk);
	if (attempt == ATTEMPTS - 1 || walk->saves <= back[attempt]) {
		walk->attempts = ATTEMPTS;
		walk->saves = 0;
		restore(walk, &walk->origin);
	} else {
		walk->saves -= back[attempt];
		restore(walk, &walk->saved[(walk->saves - 1) % WALK_SAVES]);
	}
	walk->ahead = WALK_WINDOW;
}

/* Attempts are counted for one place; a break elsewhere is another. */
static void note_loss(struct walk *walk)
{
	uint64_t at = walk->place.at;

	if (at > walk->lost_at + WALK_WINDOW || at + WALK_WINDOW < walk->lost_at)
		walk->attempts = 0;
	walk->lost_at = at;
	if (++walk->losses > LOSSES)
		walk->attempts = ATTEMPTS;
}

void walk_lose(struct walk *walk)
{
	note_loss(walk);
	if (walk->strict || (walk->may_give_up && walk->attempts == ATTEMPTS)) {
		walk->failed = walk->done = true;
		return;
	}
	if (walk->has_candidate) {
		drop_candidate(walk);
	} else if (walk->attempts < ATTEMPTS) {
		go_back(walk);
	} else if (walk->place.at >= walk->until) {
		/* Not even the end can be read. */
		walk->totals.in_doubt_bytes += WALK_HEADER;
	} else {
		walk_seek(walk, true);
		walk->place.at += GLIBC_ALIGN;
	}
	if (walk->place.at >= walk->until)
		walk_reach_end(walk);
}

/* ---- finding a chunk where none is known ---- */

static bool field_holds(const struct walk *walk, uint64_t at, uint64_t field)
{
	uint64_t bytes = field & ~(uint64_t)CHUNK_FLAGS;

	return !(field & walk_forbidden(walk->arena)) && bytes >= GLIBC_MIN_CHUNK &&
	       at < walk->segment.stop && bytes <= walk->segment.stop - at;
}

static bool header_at(struct walk *walk, uint64_t at, struct walk_header *header)
{
	if (at >= walk->window && at - walk->window + WALK_HEADER <= walk->window_bytes) {
		memcpy(header, walk->buffer + (at - walk->window), WALK_HEADER);
		return true;
	}
	return memory_fetch(walk->memory, walk->pages, at, header, WALK_HEADER) == 0;
}

static bool is_fence(uint64_t field)
{
	return (field & ~(uint64_t)CHUNK_PREV_INUSE) == WALK_FENCE ||
	       field == CHUNK_PREV_INUSE;
}

static bool holds_one(const uint64_t *address, uint64_t count, uint64_t start,
		      uint64_t end)
{
	size_t i = sort_lower_bound(address, count, start);

	return i < count && address[i] < end;
}

/* Whether a chunk known to be free lies inside [AT, AT + BYTES). */
static bool hides_known(const struct walk_arena *arena, uint64_t at, uint64_t bytes)
{
	return arena->known_count &&
	       (holds_one(arena->known, arena->known_count, at + 1, at + bytes) ||
		holds_one(arena->fast, arena->fast_count, at + 1, at + bytes));
}

/* Whether a chain of chunks begins at AT: SEEK_STEPS of them, or as many as there are
 * before a fencepost or the end of the segment. */
static bool chain_holds(struct walk *walk, uint64_t at)
{
	struct walk_header header;
	uint64_t before = 0;

	for (unsigned step = 0; step < SEEK_STEPS; step++) {
		if (at == walk->segment.stop)
			return true;
		if (!header_at(walk, at, &header))
			return false;
		if (!before && !(header.field & CHUNK_PREV_INUSE) &&
		    !walk->place.seek_is_doubt)
			return false;
		if (before && !(header.field & CHUNK_PREV_INUSE) &&
		    header.prev_size != at - before)
			return false;
		if (before && is_fence(header.field))
			return true;
		if (!field_holds(walk, at, header.field) ||
		    hides_known(walk->arena, at, header.field & ~(uint64_t)CHUNK_FLAGS))
			return false;
		before = at;
		at += header.field & ~(uint64_t)CHUNK_FLAGS;
	}
	return true;
}

void walk_seek_in_window(struct walk *walk)
{
	uint64_t end = walk->window + walk->window_bytes, at = walk->place.at;

	for (; at + WALK_HEADER <= end && at < walk->until; at += GLIBC_ALIGN) {
		const uint8_t *header = walk->buffer + (at - walk->window);

		if (!field_holds(walk, at, bytes_u64(header + 8)) ||
		    !chain_holds(walk, at))
			continue;
		walk->place.at = at;
		walk_save(walk, &walk->candidate);
		end_seek(walk);
		walk_save_here(walk);
		walk->has_candidate = true;
		return;
	}
	walk->place.at = at;
	if (at >= walk->until)
		walk_reach_end(walk);
}
