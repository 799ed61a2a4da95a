/* walk_count.c: sums of what a walk has met: chunks, runs of free ones by what a trim
 * would give back of them, and what looks like a part of a list. */
#include "base/bytes.h"
#include "glibc/free_parts.h"
#include "glibc/walk_parts.h"

void walk_free_run(struct walk_totals *totals, struct pages *pages, unsigned page_shift,
		   uint64_t start, uint64_t end)
{
	struct free_parts parts = free_parts_of_run(page_shift, start, end);
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
	struct free_parts parts = free_parts_of_run(shift, start, end);
	uint64_t bytes = end - start - walk->place.run_fast_bytes;

	if (parts.from < parts.to && note_run(walk, LINK_RUN, start, end))
		return;
	if ((start ^ (end - 1)) >> shift)
		bytes = pages_resident_bytes(walk->pages, start, end) -
			walk->place.run_fast_bytes;
	walk->totals.free_resident_bytes += bytes;
	walk->totals.pinned_bytes += bytes;
}

void walk_close_run(struct walk *walk, uint64_t end)
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
	struct free_parts parts = free_parts_of_top(page_shift, unit_bytes, start, end);
	uint64_t resident = pages_resident_bytes(pages, start, end);
	uint64_t trimmable = pages_resident_bytes(pages, parts.from, parts.to);
	uint64_t pinned = pages_resident_bytes(pages, start, parts.shared);

	totals->free_resident_bytes += resident;
	totals->trimmable_bytes += trimmable;
	totals->pinned_bytes += pinned;
	totals->retained_bytes += resident - trimmable - pinned;
}

void walk_close_top(struct walk *walk, uint64_t top, uint64_t end)
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
void walk_list(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end)
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

void walk_note(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end)
{
	struct walk_log *log = walk->log;

	if (walk->list)
		walk_list(walk, kind, start, end);
	if (log && end > start)
		log->piece[walk->place.noted++ & log->mask] =
			(struct piece){start, end, kind};
}

bool walk_note_fast(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;
	uint64_t bytes = at - place->before;
	uint64_t to = walk_reveal(place->before, place->before_to);
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
	uint64_t to = walk_reveal(place->before, place->before_to);
	struct link link = {
		.kind = LINK_CACHED,
		.at = place->before,
		.bytes = at - place->before,
		.bin = (unsigned)((at - place->before) / GLIBC_ALIGN -
				  GLIBC_MIN_CHUNK / GLIBC_ALIGN),
		.way = to ? LINK_NEXT : LINK_END,
		.to = to - WALK_HEADER,
	};

	(void)links_note(walk->arena->links, &place->linked, walk->arena->number, &link);
}

bool walk_read_link(const struct walk *walk, uint64_t at, uint64_t *link)
{
	if (at < walk->window || at + WALK_LINKED > walk->window + walk->window_bytes)
		return false;
	*link = bytes_u64(walk->buffer + (at - walk->window) + WALK_HEADER);
	return true;
}

void walk_keep_link(struct walk *walk)
{
	struct walk_place *place = &walk->place;

	if (walk->arena->note_binned && !place->has_before_to)
		place->has_before_to =
			walk_read_link(walk, place->before, &place->before_to);
}

static void note_binned(struct walk *walk, uint64_t at)
{
	struct walk_place *place = &walk->place;
	struct link link = {
		.kind = LINK_BINNED, .at = place->before, .bytes = at - place->before};

	walk_keep_link(walk);
	link.way = place->has_before_to ? LINK_NEXT : LINK_FAR;
	link.to = place->before_to;
	/* What is not noted for want of room is read. */
	(void)links_note(walk->arena->links, &place->linked, walk->arena->number, &link);
}

void walk_settle(struct walk *walk, uint64_t at, uint64_t field)
{
	struct walk_place *place = &walk->place;
	uint64_t before = place->before;

	if (!before)
		return;
	if (!(field & CHUNK_PREV_INUSE)) {
		walk_note(walk, PIECE_FREE, before, at);
		count_free(walk, at - before);
		if (walk->arena->note_binned)
			note_binned(walk, at);
	} else if (place->before_is_fast && walk->arena->links) {
		walk_note(walk, PIECE_USED, before, at);
		if (!walk_note_fast(walk, at)) {
			if (place->run)
				walk_close_run(walk, before);
			return;
		}
	} else if (place->before_is_fast) {
		walk_note(walk, PIECE_FAST, before, at);
		walk->totals.fast_chunks++;
		count_hole(walk, at - before);
	} else {
		walk_note(walk, at - before == WALK_FENCE ? PIECE_OWN : PIECE_USED,
			  before, at);
		if (place->before_is_cached)
			note_cached(walk, at);
		if (place->run)
			walk_close_run(walk, before);
		return;
	}
	if (!place->run)
		place->run = before;
}

void walk_count_resident(struct walk *walk, uint64_t until)
{
	if (until <= walk->place.counted)
		return;
	walk->totals.resident_bytes +=
		pages_resident_bytes(walk->pages, walk->place.counted, until);
	walk->place.counted = until;
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
