#include "glibc/walk.h"

#include "base/bytes.h"
#include "base/sort.h"
#include "glibc/tcache.h"

#include <errno.h>
#include <string.h>

enum {
	HEADER = 16,	  /* prev_size and size */
	LIST_HEADER = 48, /* what mtrim leaves of a free chunk: struct malloc_chunk */
	FENCE = 16,	  /* the size of a fencepost */
	SEEK_STEPS = 16,  /* chunks in a row that must hold before one is believed */
	JUMP = 64,	  /* bytes read of a chunk that is jumped to */
	LINKED = 24,	  /* header and link */
	FAST_MAX = 0xb0,  /* the largest chunk that mallopt lets into a fastbin */
	SAVE_EVERY = 16 << 10, /* bytes between two places to go back to */
	BELIEVED = 256 << 10, /* how far the chain of a chunk that was sought must hold */
	LOSSES = 4096,	      /* breaks of the chain, before it is no longer read again */
	CANDIDATES = 256,
	PASS_AHEAD = 512, /* bytes fetched into the first-level cache */
	PASSED_MOST = WALK_WINDOW / GLIBC_MIN_CHUNK, /* chunks, at once */
	TOP_MOVES = 4096,	/* how often a top may move while it is walked to */
	TOP_GROWTH = 256 << 20, /* and how far */
};

struct header {
	uint64_t prev_size;
	uint64_t field; /* size and flags */
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & -unit;
}

static uint64_t page_bytes(const struct walk *walk)
{
	return UINT64_C(1) << walk->memory->page_shift;
}

/* ---- what is free, and on which pages ---- */

struct free_parts walk_run_parts(unsigned page_shift, uint64_t start, uint64_t end)
{
	uint64_t page = UINT64_C(1) << page_shift;
	uint64_t first = round_up(start + LIST_HEADER, page);

	/* The chunk must exceed a page, and so must what is left behind the first page.
	 */
	if (end - start > page - 1 + LIST_HEADER && end - first > page - 1)
		return (struct free_parts){first, first, end & -page};
	return (struct free_parts){end, end, end};
}

struct free_parts walk_top_parts(unsigned page_shift, uint64_t unit_bytes, uint64_t start,
				 uint64_t end)
{
	uint64_t shared = round_up(start + HEADER, UINT64_C(1) << page_shift);
	uint64_t kept = end;

	if (unit_bytes && end - start > GLIBC_MIN_CHUNK + 1)
		kept = end - ((end - start - GLIBC_MIN_CHUNK - 1) & -unit_bytes);
	return (struct free_parts){shared < kept ? shared : kept, kept, end};
}

void walk_free_run(struct walk_totals *totals, struct pages *pages, unsigned page_shift,
		   uint64_t start, uint64_t end)
{
	struct free_parts parts = walk_run_parts(page_shift, start, end);
	uint64_t resident = pages_resident_bytes(pages, start, end);
	uint64_t trimmable = pages_resident_bytes(pages, parts.from, parts.to);

	totals->free_resident_bytes += resident;
	totals->trimmable_bytes += trimmable;
	totals->pinned_bytes += resident - trimmable;
}

static bool note_run(struct walk *walk, enum link_kind kind, uint64_t start, uint64_t end)
{
	const struct walk_arena *arena = walk->arena;

	return links_note(arena->links, &walk->place.linked, arena->number,
			  &(struct link){.kind = kind, .at = end, .bytes = end - start});
}

/* A run of which some may be in fastbins, and is free only then. Where no page could be
 * given back of all of it, none could of a part: the chunks count one by one. They are
 * resident, as headers on all their pages have been read. */
static void close_unsure_run(struct walk *walk, uint64_t start, uint64_t end)
{
	unsigned shift = walk->memory->page_shift;
	struct free_parts parts = walk_run_parts(shift, start, end);
	uint64_t bytes = end - start - walk->place.run_fast_bytes;

	if (parts.from < parts.to && note_run(walk, LINK_RUN, start, end))
		return;
	if ((start ^ (end - 1)) >> shift)
		bytes = pages_resident_bytes(walk->pages, start, end) -
			walk->place.run_fast_bytes;
	walk->totals.free_resident_bytes += bytes;
	walk->totals.pinned_bytes += bytes;
}

static void close_run(struct walk *walk, uint64_t end)
{
	uint64_t start = walk->place.run;

	walk->place.run = 0;
	if (walk->place.run_fast_bytes) {
		close_unsure_run(walk, start, end);
		walk->place.run_fast_bytes = 0;
		return;
	}
	if ((start ^ (end - 1)) >> walk->memory->page_shift) {
		walk_free_run(&walk->totals, walk->pages, walk->memory->page_shift, start,
			      end);
		return;
	}
	/* All on one page, whose header was just read: it is resident, and shared. */
	walk->totals.free_resident_bytes += end - start;
	walk->totals.pinned_bytes += end - start;
}

void walk_free_top(struct walk_totals *totals, struct pages *pages, unsigned page_shift,
		   uint64_t unit_bytes, uint64_t start, uint64_t end)
{
	struct free_parts parts = walk_top_parts(page_shift, unit_bytes, start, end);
	uint64_t resident = pages_resident_bytes(pages, start, end);
	uint64_t trimmable = pages_resident_bytes(pages, parts.from, parts.to);
	uint64_t pinned = pages_resident_bytes(pages, start, parts.shared);

	totals->free_resident_bytes += resident;
	totals->trimmable_bytes += trimmable;
	totals->pinned_bytes += pinned;
	totals->retained_bytes += resident - trimmable - pinned;
}

/* The top chunk [TOP, END), and the fastbin chunks before it, which a trim merges with
 * it: what systrim (malloc.c) would give back of it. */
static void close_top(struct walk *walk, uint64_t top, uint64_t end)
{
	struct walk_place *place = &walk->place;
	uint64_t unit = end < walk->segment.end ? 0 : walk->arena->trim_unit_bytes;
	uint64_t start = place->run ? place->run : top;

	if (!place->run_fast_bytes || !note_run(walk, LINK_TOP_RUN, start, end))
		walk_free_top(&walk->totals, walk->pages, walk->memory->page_shift, unit,
			      start, end);
	place->run = place->run_fast_bytes = 0;
}

static void count_hole(struct walk *walk, uint64_t bytes)
{
	struct walk_totals *totals = &walk->totals;

	if (bytes > totals->largest_bytes)
		totals->largest_bytes = bytes;
	if (bytes < walk->arena->unusable_for_bytes)
		totals->unusable_bytes += bytes;
}

static void count_free(struct walk *walk, uint64_t bytes)
{
	walk->totals.free_chunks++;
	walk->totals.free_bytes += bytes;
	count_hole(walk, bytes);
	if (walk->arena->bins)
		bin_total_add(&walk->totals.bins[layout_bin_index(bytes) - 1], bytes);
}

/* What nothing was said of is in doubt. */
static void list(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end)
{
	struct walk_place *place = &walk->place;
	uint64_t *key;

	if (end <= place->listed || !gather_room(walk->list, place->noted + 2))
		return;
	key = walk->list->key;
	if (start > place->listed)
		key[place->noted++] = place->listed | PIECE_DOUBT;
	key[place->noted++] =
		start < place->listed ? place->listed | PIECE_DOUBT : start | kind;
	place->listed = end;
}

static void note(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end)
{
	struct walk_log *log = walk->log;

	if (walk->list)
		list(walk, kind, start, end);
	if (log && end > start)
		log->piece[walk->place.noted++ & log->mask] =
			(struct piece){start, end, kind};
}

/* Where the LINK of the chunk AT leads (malloc.c, REVEAL_PTR). */
static uint64_t reveal(uint64_t at, uint64_t link)
{
	return link ^ (at + HEADER) >> 12;
}

/* The chunk before AT looked like one of a fastbin, and is in use by its flag. False:
 * there is no room to note it. */
static bool note_fast(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;
	uint64_t bytes = at - place->before;
	uint64_t to = reveal(place->before, place->before_to);
	struct link link = {
		.kind = LINK_FAST,
		.at = place->before,
		.bytes = bytes,
		.bin = (unsigned)(bytes / GLIBC_ALIGN - GLIBC_MIN_CHUNK / GLIBC_ALIGN),
		.way = to ? LINK_NEXT : LINK_END,
		.to = to,
	};

	if (!links_note(walk->arena->links, &place->linked, walk->arena->number, &link))
		return false;
	place->run_fast_bytes += bytes;
	return true;
}

/* The chunk before AT looked like one of a thread's cache. What is not noted for want of
 * room is read. */
static void note_cached(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;
	uint64_t to = reveal(place->before, place->before_to);
	struct link link = {
		.kind = LINK_CACHED,
		.at = place->before,
		.bytes = at - place->before,
		.bin = (unsigned)((at - place->before) / GLIBC_ALIGN -
				  GLIBC_MIN_CHUNK / GLIBC_ALIGN),
		.way = to ? LINK_NEXT : LINK_END,
		.to = to - HEADER,
	};

	(void)links_note(walk->arena->links, &place->linked, walk->arena->number, &link);
}

static bool read_link(const struct walk *walk, uint64_t at, uint64_t *link)
{
	if (at < walk->window || at + LINKED > walk->window + walk->window_bytes)
		return false;
	*link = bytes_u64(walk->buffer + (at - walk->window) + HEADER);
	return true;
}

/* The window ends: the link of the chunk before is wanted, should it prove free. */
static void keep_link(struct walk *walk)
{
	struct walk_place *place = &walk->place;

	if (walk->arena->note_binned && !place->has_before_to)
		place->has_before_to = read_link(walk, place->before, &place->before_to);
}

static void note_binned(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;
	struct link link = {
		.kind = LINK_BINNED, .at = place->before, .bytes = at - place->before};

	keep_link(walk);
	link.way = place->has_before_to ? LINK_NEXT : LINK_FAR;
	link.to = place->before_to;
	/* What is not noted for want of room is read. */
	(void)links_note(walk->arena->links, &place->linked, walk->arena->number, &link);
}

/* The chunk before the one at AT is known now: FIELD, the header behind it, says whether
 * it is in use. */
static void settle(struct walk *walk, uint64_t at, uint64_t field)
{
	struct walk_place *place = &walk->place;
	uint64_t before = place->before;

	if (!before)
		return;
	if (!(field & CHUNK_PREV_INUSE)) {
		note(walk, PIECE_FREE, before, at);
		count_free(walk, at - before);
		if (walk->arena->note_binned)
			note_binned(walk, at);
	} else if (place->before_is_fast && walk->arena->links) {
		note(walk, PIECE_USED, before, at);
		if (!note_fast(walk, at)) {
			if (place->run)
				close_run(walk, before);
			return;
		}
	} else if (place->before_is_fast) {
		note(walk, PIECE_FAST, before, at);
		walk->totals.fast_chunks++;
		count_hole(walk, at - before);
	} else {
		note(walk, at - before == FENCE ? PIECE_OWN : PIECE_USED, before, at);
		if (place->before_is_cached)
			note_cached(walk, at);
		if (place->run)
			close_run(walk, before);
		return;
	}
	if (!place->run)
		place->run = before;
}

static void count_resident(struct walk *walk, uint64_t until)
{
	if (until <= walk->place.counted)
		return;
	walk->totals.resident_bytes +=
		pages_resident_bytes(walk->pages, walk->place.counted, until);
	walk->place.counted = until;
}

/* ---- where a walk begins again ---- */

static void copy_totals(const struct walk *walk, struct walk_totals *to,
			const struct walk_totals *from)
{
	size_t bytes =
		walk->arena->bins ? sizeof(*to) : offsetof(struct walk_totals, bins);

	memcpy(to, from, bytes);
}

static void save(struct walk *walk, struct walk_saved *saved)
{
	saved->place = walk->place;
	copy_totals(walk, &saved->totals, &walk->totals);
}

static void save_here(struct walk *walk)
{
	save(walk, &walk->saved[walk->saves++ % WALK_SAVES]);
	if (walk->place.at - walk->candidate.place.at > BELIEVED)
		walk->has_candidate = false;
}

static uint64_t last_saved(const struct walk *walk)
{
	if (!walk->saves)
		return walk->origin.place.at;
	return walk->saved[(walk->saves - 1) % WALK_SAVES].place.at;
}

static void restore(struct walk *walk, const struct walk_saved *saved)
{
	walk->place = saved->place;
	copy_totals(walk, &walk->totals, &saved->totals);
	walk->window_bytes = 0;
	walk->need = 0;
}

static void finish(struct walk *walk)
{
	count_resident(walk, walk->place.at);
	walk->done = true;
}

/* From AT on nothing is understood: look for a chunk. */
static void seek(struct walk *walk, bool is_doubt)
{
	struct walk_place *place = &walk->place;
	uint64_t before = place->before ? place->before : place->at;

	/* Whether the chunk before AT is free stands behind it; but next to a free one it
	 * is in use, or in a fastbin. */
	if (place->run && place->before_is_fast && walk->arena->links)
		place->before_is_fast = note_fast(walk, place->at);
	if (place->run) {
		note(walk, place->before_is_fast ? PIECE_FAST : PIECE_USED, before,
		     place->at);
		close_run(walk, place->before_is_fast ? place->at : before);
	}
	count_resident(walk, place->at);
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
		note(walk, PIECE_DOUBT, place->seek_from, place->at);
		walk->totals.in_doubt_bytes += bytes - place->seek_unread_bytes;
	} else if (walk->segment.ends == SEGMENT_BREAK &&
		   place->at >= walk->segment.end) {
		place->at = place->seek_from;
	} else {
		note(walk, PIECE_FOREIGN, place->seek_from, place->at);
		walk->totals.foreign_bytes += bytes;
		walk->totals.foreign_resident_bytes +=
			pages_resident_bytes(walk->pages, place->seek_from, place->at);
	}
}

/* A live top moves; the one read first may lie inside a chunk by now. Whether it moved.
 */
static bool top_moved(struct walk *walk)
{
	const struct walk_arena *arena = walk->arena;
	uint64_t top;

	if (!walk->segment.top || walk->tops == TOP_MOVES)
		return false;
	if (memory_fetch(walk->memory, walk->pages,
			 arena->state + arena->layout->arena.top, &top, sizeof(top)))
		return false;
	if (top == walk->segment.top || top < walk->segment.start ||
	    top & (GLIBC_ALIGN - 1) || top > walk->segment.end + TOP_GROWTH)
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

/* The walk stands at its end, or behind it. */
static void reach_end(struct walk *walk)
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
		finish(walk);
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
	top_moved(walk);
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

/* The chain broke at AT: read it again, or look for a chunk behind it. */
static void lose(struct walk *walk)
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
		walk->totals.in_doubt_bytes += HEADER;
	} else {
		seek(walk, true);
		walk->place.at += GLIBC_ALIGN;
	}
	if (walk->place.at >= walk->until)
		reach_end(walk);
}

/* ---- finding a chunk where none is known ---- */

static bool field_holds(const struct walk *walk, uint64_t at, uint64_t field)
{
	uint64_t bytes = field & ~(uint64_t)CHUNK_FLAGS;
	uint64_t forbidden =
		CHUNK_MMAPPED | 8 | (walk->arena->non_main ? 0 : CHUNK_NON_MAIN);

	return !(field & forbidden) && bytes >= GLIBC_MIN_CHUNK &&
	       at < walk->segment.stop && bytes <= walk->segment.stop - at;
}

static bool header_at(struct walk *walk, uint64_t at, struct header *header)
{
	if (at >= walk->window && at - walk->window + HEADER <= walk->window_bytes) {
		memcpy(header, walk->buffer + (at - walk->window), HEADER);
		return true;
	}
	return memory_fetch(walk->memory, walk->pages, at, header, HEADER) == 0;
}

static bool is_fence(uint64_t field)
{
	return (field & ~(uint64_t)CHUNK_PREV_INUSE) == FENCE ||
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
	struct header header;
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

/* Looks for a chunk in the window. */
static void seek_in_window(struct walk *walk)
{
	uint64_t end = walk->window + walk->window_bytes, at = walk->place.at;

	for (; at + HEADER <= end && at < walk->until; at += GLIBC_ALIGN) {
		const uint8_t *header = walk->buffer + (at - walk->window);

		if (!field_holds(walk, at, bytes_u64(header + 8)) ||
		    !chain_holds(walk, at))
			continue;
		walk->place.at = at;
		save(walk, &walk->candidate);
		end_seek(walk);
		save_here(walk);
		walk->has_candidate = true;
		return;
	}
	walk->place.at = at;
	if (at >= walk->until)
		reach_end(walk);
}

/* ---- the chain ---- */

/* Notes the chunk at AT, whole in the window, if it looks like a thread's tcache, whole
 * or just being changed: whoever reads the noted ones looks again. */
static void note_tcache(struct walk *walk, uint64_t at)
{
	const struct walk_arena *arena = walk->arena;
	const uint8_t *raw = walk->buffer + (at - walk->window) + HEADER;
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
		list->address[slot] = at + HEADER;
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
	       leads_on(arena, reveal(at, link));
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
		place->has_before_to = read_link(walk, at, &place->before_to);
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
				  leads_on(arena, reveal(at, place->before_to));
}

static void take_fence(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;

	walk->totals.fence_bytes += FENCE;
	place->before = at;
	place->before_is_fast = place->before_is_cached = place->has_before_to = false;
	place->at = at + FENCE;
	place->fences++;
	if (place->fences < 2 || walk->arena->non_main ||
	    place->at & (page_bytes(walk) - 1))
		return;
	/* Behind two fenceposts (three, where the old top was no larger) and a page's end
	 * lies nothing, or memory that the program got by sbrk. */
	if (place->run)
		close_run(walk, at);
	note(walk, PIECE_OWN, at, place->at);
	place->before = 0;
	if (place->at >= walk->segment.end || walk->segment.ends == SEGMENT_FENCES) {
		walk->until = place->at;
		finish(walk);
		return;
	}
	seek(walk, false);
	save_here(walk);
}

/* A header that is no ordinary chunk's: a fencepost, the end of a heap, or damage. */
static void take_odd(struct walk *walk, uint64_t at, uint64_t field)
{
	uint64_t bytes = field & ~(uint64_t)CHUNK_FLAGS;

	if (bytes == FENCE && !(field & CHUNK_MMAPPED)) {
		settle(walk, at, field);
		take_fence(walk, at);
	} else if (field == CHUNK_PREV_INUSE && walk->segment.ends == SEGMENT_FENCE &&
		   walk->segment.end - at <= 2 * GLIBC_MIN_CHUNK) {
		settle(walk, at, field);
		if (walk->place.run)
			close_run(walk, at);
		note(walk, PIECE_OWN, at, walk->segment.end);
		walk->totals.fence_bytes += walk->segment.end - at;
		walk->place.at = walk->segment.end;
		finish(walk);
	} else {
		lose(walk);
	}
}

/* The chain has come to the chunk at which it ends. */
static void take_end(struct walk *walk, uint64_t at, const struct header *header)
{
	uint64_t bytes = header->field & ~(uint64_t)CHUNK_FLAGS;

	if (at == walk->segment.top && top_moved(walk)) {
		walk->window_bytes = 0;
		if (at > walk->until)
			lose(walk);
		return;
	}
	if (at == walk->segment.top &&
	    at + bytes - walk->segment.start >
		    walk->segment.end + TOP_GROWTH - walk->segment.start) {
		lose(walk);
		return;
	}
	settle(walk, at, header->field);
	if (at != walk->segment.top) {
		if (walk->place.run)
			close_run(walk, at);
		/* Settled: a walk that goes on from here must not do it again. */
		walk->place.before = 0;
		finish(walk);
		return;
	}
	if (!walk->place.before_is_fast && walk->place.run) {
		/* A binned chunk cannot border the top: the top moved meanwhile. */
		close_run(walk, at);
	}
	close_top(walk, at, at + bytes);
	note(walk, PIECE_TOP, at, at + bytes);
	walk->totals.top_bytes = bytes;
	walk->has_top = true;
	walk->place.at = at + bytes;
	finish(walk);
}

static bool breaks(const struct walk *walk, uint64_t at, const struct header *header)
{
	return !(header->field & CHUNK_PREV_INUSE) && walk->place.before &&
	       header->prev_size != at - walk->place.before;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is passed of the chain, and what does not change meanwhile. */
struct passing {
	uint64_t at;
	uint64_t before;
	uint64_t chunks;
	uint64_t free_chunks;
	uint64_t free_bytes;
	uint64_t largest_bytes;
	uint64_t unusable_bytes;

	uintptr_t base; /* where address 0 of the target would be, by the window */
	uint64_t until;
	uint64_t room_end; /* no chunk ends behind it */
	uint64_t forbidden;
	uint64_t unusable_for_bytes;
	uint64_t listed_max_bytes;
	uint64_t low, span_units; /* of the arena */
	uint64_t tcache_bytes;
	uint64_t other_page; /* the bits in which addresses on two pages differ */
	uint64_t *key;	     /* of walk.list, for the chunk before */
};

static inline uint64_t in_units(uint64_t bytes)
{
	return bytes / GLIBC_ALIGN | bytes << 60;
}

/* Whether more has to be known of the chunk of SIZE_FIELD, or of the one before it where
 * IS_FREE has all bits set. All of it at once: which of it is so is nothing that a
 * processor could foresee. */
static inline bool is_special(const struct passing *passing, const uint8_t *header,
			      uint64_t size_field, uint64_t is_free)
{
	uint64_t at = passing->at, bytes = size_field & ~(uint64_t)CHUNK_FLAGS;
	uint64_t crossing = (passing->before ^ (at - 1)) & passing->other_page;
	uint64_t unlike = bytes_u64(header) ^ (at - passing->before);
	uint64_t to = reveal(at, bytes_u64(header + HEADER));

	return (is_free & (crossing | unlike)) | (size_field & passing->forbidden) |
	       (bytes - GLIBC_MIN_CHUNK > passing->room_end - at) |
	       !((bytes - passing->tcache_bytes) & ~(uint64_t)16) |
	       ((bytes <= passing->listed_max_bytes) &
		((to == 0) | (in_units(to - passing->low) < passing->span_units)));
}

static inline __attribute__((always_inline)) void pass_some(struct passing *result,
							    bool lists)
{
	struct passing passing = *result;

	while (passing.at < passing.until) {
		const uint8_t *header = (const uint8_t *)(passing.base + passing.at);
		uint64_t field = bytes_u64(header + 8);
		uint64_t is_free = (field & CHUNK_PREV_INUSE) - 1;
		uint64_t hole = (passing.at - passing.before) & is_free;

		if (is_special(&passing, header, field, is_free))
			break;
		__builtin_prefetch(header + PASS_AHEAD);
		if (lists)
			*passing.key++ = passing.before | (is_free & PIECE_FREE);
		passing.chunks++;
		passing.free_chunks -= is_free;
		passing.free_bytes += hole;
		passing.largest_bytes =
			hole > passing.largest_bytes ? hole : passing.largest_bytes;
		passing.unusable_bytes +=
			hole & -(uint64_t)(hole < passing.unusable_for_bytes);
		passing.before = passing.at;
		passing.at += field & ~(uint64_t)CHUNK_FLAGS;
	}
	*result = passing;
}

/* How far the chain may be passed without a look at what else is known. */
static uint64_t plain_until(const struct walk *walk, uint64_t end)
{
	const struct walk_arena *arena = walk->arena;
	uint64_t until = least(end - LINKED + 1, walk->until);

	until = least(until, last_saved(walk) + SAVE_EVERY);
	until = least(until, walk->segment.stop - GLIBC_MIN_CHUNK + 1);
	if (walk->place.next_fast < arena->fast_count)
		until = least(until, arena->fast[walk->place.next_fast]);
	return until;
}

static void take_passed(struct walk *walk, const struct passing *passed)
{
	struct walk_place *place = &walk->place;
	struct walk_totals *totals = &walk->totals;

	if (!passed->chunks)
		return;
	place->before = passed->before;
	place->has_before_to = false;
	place->at = passed->at;
	place->fences = 0;
	if (walk->list) {
		place->noted += passed->chunks;
		place->listed = passed->before;
	}
	totals->chunks += passed->chunks;
	totals->free_chunks += passed->free_chunks;
	totals->free_bytes += passed->free_bytes;
	totals->free_resident_bytes += passed->free_bytes;
	totals->pinned_bytes += passed->free_bytes;
	totals->unusable_bytes += passed->unusable_bytes;
	if (passed->largest_bytes > totals->largest_bytes)
		totals->largest_bytes = passed->largest_bytes;
}

/* Ends the run of free chunks if the chunk before AT is in use. */
static bool end_run(struct walk *walk, uint64_t until)
{
	const struct walk_place *place = &walk->place;

	if (place->at >= until ||
	    !(bytes_u64(walk->buffer + (place->at - walk->window) + 8) &
	      CHUNK_PREV_INUSE))
		return false;
	close_run(walk, place->before);
	return true;
}

static struct passing passing_of(const struct walk *walk, uint64_t forbidden)
{
	const struct walk_arena *arena = walk->arena;
	bool wants_free = arena->bins | arena->note_binned;

	return (struct passing){
		.at = walk->place.at,
		.before = walk->place.before,
		.base = (uintptr_t)walk->buffer - walk->window,
		.room_end = walk->segment.stop - GLIBC_MIN_CHUNK,
		.forbidden = forbidden,
		.unusable_for_bytes = arena->unusable_for_bytes,
		.listed_max_bytes = arena->listed_max_bytes,
		.low = arena->low,
		.span_units = (arena->high - arena->low) / GLIBC_ALIGN,
		.tcache_bytes = arena->layout->tcache.chunk_bytes,
		.other_page = wants_free ? UINT64_MAX : -page_bytes(walk),
	};
}

/* Whether all that is passed can be listed: the chunk before is the next piece, and no
 * fencepost. */
static bool can_list(const struct walk *walk)
{
	const struct walk_place *place = &walk->place;

	return !walk->list || (place->before == place->listed && !place->fences &&
			       gather_room(walk->list, place->noted + PASSED_MOST));
}

/* Passes ordinary chunks: those in use of which nothing is wanted, and free ones that lie
 * on one page, which is all that most heaps have. What is not so ordinary is left to
 * follow, which this only makes fast. */
static void pass_plain(struct walk *walk, uint64_t end, uint64_t forbidden)
{
	const struct walk_place *place = &walk->place;
	struct passing passing;

	if (place->before_is_fast || place->before_is_cached || walk->log ||
	    end - walk->window < LINKED || !can_list(walk))
		return;
	passing = passing_of(walk, forbidden);
	passing.until = plain_until(walk, end);
	if (place->run && !end_run(walk, passing.until))
		return;
	if (walk->list) {
		passing.key = walk->list->key + place->noted;
		pass_some(&passing, true);
	} else {
		pass_some(&passing, false);
	}
	take_passed(walk, &passing);
}

/* Follows the chain through the window. */
static void follow(struct walk *walk)
{
	const uint64_t end = walk->window + walk->window_bytes;
	const uint64_t forbidden =
		CHUNK_MMAPPED | 8 | (walk->arena->non_main ? 0 : CHUNK_NON_MAIN);
	struct walk_place *place = &walk->place;
	struct header header;

	for (;;) {
		uint64_t at, bytes;

		pass_plain(walk, end, forbidden);
		at = place->at;
		if (at + HEADER > end)
			return;
		memcpy(&header, walk->buffer + (at - walk->window), HEADER);
		if (breaks(walk, at, &header)) {
			lose(walk);
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
		if (walk->arena->links && !in_window(walk, at, LINKED) && walk->need)
			return;
		if (at - last_saved(walk) >= SAVE_EVERY)
			save_here(walk);
		settle(walk, at, header.field);
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
	walk->ahead = page_bytes(walk);
	walk->place.at = walk->place.counted = walk->place.listed = from;
	walk->place.next_fast = sort_lower_bound(arena->fast, arena->fast_count, from);
	save(walk, &walk->origin);
}

void walk_keep_list(struct walk *walk, unsigned segment)
{
	if (walk->list && walk->place.listed < walk->place.at)
		list(walk, PIECE_DOUBT, walk->place.listed, walk->place.at);
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
	    pages_swapped_bytes(walk->pages, place->at, place->at + HEADER)) {
		/* The chunk at which it ends, which would tell of the one before. */
		walk->totals.unread_bytes += HEADER;
		finish(walk);
		return;
	}
	if (!place->seeking) {
		if (!swapped || walk->strict) {
			lose(walk);
			return;
		}
		seek(walk, true);
	}
	place->seek_unread_bytes += swapped;
	place->at = next;
	save_here(walk);
	if (place->at >= walk->until)
		reach_end(walk);
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
	uint64_t page = page_bytes(walk), at = walk->place.at;
	uint64_t ahead = walk->need > walk->ahead ? walk->need : walk->ahead;
	uint64_t end = ahead < page ? at + ahead : round_up(at + ahead, page);

	if (end - (from & -page) > WALK_WINDOW)
		end = (from & -page) + WALK_WINDOW;
	/* The last header wanted is that of the segment's end. */
	if (end > round_up(walk->segment.stop + HEADER, page))
		end = round_up(walk->segment.stop + HEADER, page);
	return pages_run_end(walk->pages, from, end) - from;
}

bool walk_wants(struct walk *walk, struct span *span)
{
	while (!walk->done) {
		uint64_t from = window_start(walk);
		uint32_t bytes = window_bytes(walk, from);

		if (bytes < walk->place.at - from + LINKED) {
			from = walk->place.at;
			bytes = window_bytes(walk, from);
		}
		if (bytes >= HEADER) {
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
	uint32_t page = page_bytes(walk);

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
		lose(walk);
		return;
	}
	if (walk->list)
		gather_words(walk->list, walk->window, walk->buffer, walk->window_bytes,
			     walk->until);
	if (walk->place.seeking)
		seek_in_window(walk);
	if (!walk->done && !walk->place.seeking && walk->window_bytes)
		follow(walk);
	if (!walk->done && walk->window_bytes) {
		keep_link(walk);
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

static void add_bins(struct bin_total *into, const struct bin_total *from)
{
	for (unsigned i = 0; i < GLIBC_BINS; i++) {
		if (!from[i].count)
			continue;
		if (!into[i].count || from[i].from_bytes < into[i].from_bytes)
			into[i].from_bytes = from[i].from_bytes;
		if (from[i].to_bytes > into[i].to_bytes)
			into[i].to_bytes = from[i].to_bytes;
		into[i].total_bytes += from[i].total_bytes;
		into[i].count += from[i].count;
	}
}

void walk_add(struct walk_totals *into, const struct walk_totals *from, bool bins)
{
	uint64_t largest = into->largest_bytes > from->largest_bytes
				   ? into->largest_bytes
				   : from->largest_bytes;
	const uint64_t *source = &from->chunks;
	uint64_t *target = &into->chunks;

	_Static_assert(offsetof(struct walk_totals, chunks) == 0, "sums come first");
	for (size_t i = 0; i < offsetof(struct walk_totals, bins) / sizeof(uint64_t); i++)
		target[i] += source[i];
	into->largest_bytes = largest;
	if (bins)
		add_bins(into->bins, from->bins);
}
