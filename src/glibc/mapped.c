#include "glibc/mapped.h"

#include "base/sort.h"

#include <string.h>

enum {
	PAGES_BUDGET = 1 << 18, /* pages of unknown memory looked at */
	INNER_BUDGET = 1 << 16, /* and of what seemed to be chunks */
	STEPS_BUDGET = 1 << 18, /* of choosing: some milliseconds */
	UNCLEAR_SEARCHES = 16,	/* that are left out after one that found no answer */
	TRAILER = 16,
	HEADER = 16,
};

static uint64_t page_bytes(const struct mapped_search *search)
{
	return UINT64_C(1) << search->memory->page_shift;
}

/* What the chunks must add up to. From 2.43 on, mremap_chunk counts 16 bytes too many
 * each time it is called. */
static uint64_t exact_bytes(const struct mapped_search *search)
{
	return search->has_trailer ? search->wanted_bytes & -page_bytes(search)
				   : search->wanted_bytes;
}

static bool segments_wanted(const struct mapped_search *search)
{
	for (unsigned i = 0; i < search->arena_count; i++)
		if (search->arena[i].wanted_bytes)
			return true;
	return false;
}

/* Whether what fills whole mappings is all: other memory does not look so by chance. */
static bool has_all(const struct mapped_search *search)
{
	uint64_t chunks = 0, bytes = 0;

	for (unsigned i = 0; i < search->place_count; i++) {
		chunks += search->place[i].fills_region;
		bytes += search->place[i].fills_region ? search->place[i].bytes : 0;
	}
	return chunks == search->wanted_chunks && bytes == exact_bytes(search);
}

/* ---- looking ---- */

/* Reads the headers of the next resident pages from AT on: one, and twice as many each
 * time that they were nothing. */
static void read_ahead(struct mapped_search *search, uint64_t at, uint64_t end)
{
	struct span span[MAPPED_HEADERS];
	unsigned count = 0;

	for (; at < end && count < search->ahead; count++) {
		span[count] = (struct span){at, search->header[count], HEADER};
		search->header_at[count] = at;
		at = pages_next_resident(search->pages, at + page_bytes(search), end);
	}
	if (memory_fetch_many(search->memory, search->pages, span, count,
			      search->has_header))
		count = 0;
	search->header_count = count;
	search->header_next = 0;
	if (search->ahead < MAPPED_HEADERS)
		search->ahead *= 2;
}

/* The header at AT of a region that ends at END; null when it cannot be read. */
static const uint64_t *header_at(struct mapped_search *search, uint64_t at, uint64_t end)
{
	unsigned i = search->header_next;

	if (i >= search->header_count || search->header_at[i] != at) {
		read_ahead(search, at, end);
		i = 0;
	}
	if (i >= search->header_count)
		return NULL;
	search->header_next = i + 1;
	return search->has_header[i] ? search->header[i] : NULL;
}

static void forget_headers(struct mapped_search *search)
{
	search->header_count = search->header_next = 0;
	search->ahead = 1;
}

/* The bytes of the mapping that begins with HEADER if it is an mmapped chunk's, else 0
 * (malloc.c, sysmalloc_mmap): from 2.43 on its first word marks huge pages. A chunk
 * aligned further into its mapping leaves the first header standing. */
static uint64_t chunk_mapping(const struct mapped_search *search,
			      const uint64_t header[2], uint64_t room)
{
	uint64_t bytes = (header[1] & ~(uint64_t)CHUNK_FLAGS);

	if ((header[1] & CHUNK_FLAGS) != CHUNK_MMAPPED ||
	    header[0] & ~(uint64_t)search->has_trailer)
		return 0;
	bytes += search->has_trailer ? TRAILER : 0;
	return bytes && !(bytes & (page_bytes(search) - 1)) && bytes <= room ? bytes : 0;
}

static uint64_t take_place(struct mapped_search *search, uint64_t end, uint64_t at,
			   const uint64_t header[2])
{
	uint64_t bytes = chunk_mapping(search, header, end - at);

	if (!bytes || bytes > search->wanted_bytes || !search->wanted_chunks ||
	    search->place_count == search->place_capacity)
		return 0;
	search->place[search->place_count++] =
		(struct mapped_place){.start = at, .bytes = bytes};
	return bytes;
}

/* Walks a segment of ARENA from AT; its bytes, or 0 when there is none. */
static uint64_t walk_one_segment(struct mapped_search *search, unsigned arena,
				 const struct region *region, uint64_t at)
{
	struct mapped_arena *mapped = &search->arena[arena];
	bool has_top = mapped->top >= at && mapped->top < region->end;
	struct walk_segment segment = {
		.start = at,
		.stop = has_top ? mapped->top : region->end,
		.end = region->end,
		.top = has_top ? mapped->top : 0,
		.ends = SEGMENT_FENCES,
	};
	struct walk walk;

	walk_begin(&walk, mapped->arena, search->memory, &segment, at, segment.stop);
	walk.pages = search->pages;
	walk.buffer = search->buffer;
	walk.strict = true;
	if (walk_all(&walk) || walk.failed || walk.place.at - at > mapped->wanted_bytes) {
		links_drop(search->links, walk.place.linked);
		return 0;
	}
	links_keep(search->links, walk.place.linked);
	segment.end = segment.stop = walk.place.at;
	search->found(&segment, arena, search->context);
	mapped->wanted_bytes -= segment.end - at;
	walk_add(mapped->totals, &walk.totals, mapped->arena->bins);
	return segment.end - at;
}

static uint64_t take_segment(struct mapped_search *search, const struct region *region,
			     uint64_t at, const uint64_t header[2])
{
	if ((header[1] & CHUNK_FLAGS) != CHUNK_PREV_INUSE || header[1] <= GLIBC_MIN_CHUNK)
		return 0;
	for (unsigned i = 0; i < search->arena_count; i++) {
		uint64_t bytes = 0;

		if (search->arena[i].wanted_bytes)
			bytes = walk_one_segment(search, i, region, at);
		if (bytes)
			return bytes;
	}
	return 0;
}

/* If AT lies in a non-main heap: the end of what is reserved for it; else AT. */
static uint64_t behind_heap(const struct mapped_search *search, uint64_t at)
{
	uint64_t heap = at & -search->heap_max_bytes;
	size_t i = sort_lower_bound(search->heap, search->heap_count, heap);

	if (i < search->heap_count && search->heap[i] == heap)
		return heap + search->heap_max_bytes;
	return at;
}

/* The bytes that what lies at AT takes; 0 when it is none of malloc's. */
static uint64_t take(struct mapped_search *search, const struct region *region,
		     uint64_t at)
{
	uint64_t next = behind_heap(search, at), bytes = 0;
	const uint64_t *header;

	if (next > at)
		return next - at;
	header = header_at(search, at, region->end);
	if (header)
		bytes = take_place(search, region->end, at, header);
	if (header && !bytes)
		bytes = take_segment(search, region, at, header);
	if (bytes)
		forget_headers(search);
	return bytes;
}

static void look_through(struct mapped_search *search, const struct region *region,
			 unsigned *budget)
{
	uint64_t at = region->start, explained = 0;
	unsigned first = search->place_count;

	forget_headers(search);
	while (at < region->end && *budget) {
		uint64_t bytes = take(search, region, at);

		explained += bytes;
		*budget -= !bytes;
		at += bytes ? bytes : page_bytes(search);
		if (!bytes)
			at = pages_next_resident(search->pages, at, region->end);
	}
	for (unsigned i = first; i < search->place_count; i++)
		search->place[i].fills_region = explained >= region->end - region->start;
}

/* What seemed to be a chunk may be none, and hide others: looks into those that do not
 * fill mappings. */
static void look_inside(struct mapped_search *search)
{
	unsigned count = search->place_count, budget = INNER_BUDGET;
	uint64_t page = page_bytes(search);

	for (unsigned i = 0; i < count; i++) {
		const struct mapped_place outer = search->place[i];
		uint64_t end = outer.start + outer.bytes, at = outer.start + page;

		forget_headers(search);
		for (; !outer.fills_region && at < end && budget; budget--) {
			const uint64_t *header;

			at = pages_next_resident(search->pages, at, end);
			header = at < end ? header_at(search, at, end) : NULL;
			if (header)
				take_place(search, end, at, header);
			at += page;
		}
	}
}

/* ---- choosing ---- */

/* A search for places that add up: which are chosen, the last one at DEPTH - 1. */
struct choice {
	struct mapped_search *search;
	bool keep_fillers; /* those that fill mappings are not up for choice */
	unsigned fillers;  /* behind the last of them */
	unsigned depth;
	unsigned next;
	uint64_t bytes;
	unsigned steps;
};

static struct mapped_place *chosen(const struct choice *choice, unsigned depth)
{
	return &choice->search->place[choice->search->place[depth].pick];
}

static bool may_choose(const struct choice *choice)
{
	const struct mapped_place *place = &choice->search->place[choice->next];
	const struct mapped_place *last =
		choice->depth ? chosen(choice, choice->depth - 1) : NULL;

	return place->bytes <= choice->bytes &&
	       (!last || place->start >= last->start + last->bytes);
}

/* Takes the last place back that can be left out; false when there is none. */
static bool step_back(struct choice *choice)
{
	while (choice->depth) {
		unsigned index = choice->search->place[--choice->depth].pick;
		const struct mapped_place *place = &choice->search->place[index];

		choice->bytes += place->bytes;
		choice->next = index + 1;
		if (!choice->keep_fillers || !place->fills_region)
			return true;
	}
	return false;
}

/* Goes on to the next set of places that add up. */
static bool next_choice(struct choice *choice)
{
	const struct mapped_search *search = choice->search;

	while (choice->steps++ < STEPS_BUDGET) {
		uint64_t wanted = search->wanted_chunks - choice->depth;
		bool is_over = choice->next == search->place_count;

		if (!wanted && !choice->bytes && choice->next >= choice->fillers)
			return true;
		if (!wanted || is_over || search->place_count - choice->next < wanted ||
		    search->place[choice->next].behind < choice->bytes) {
			if (!step_back(choice))
				return false;
		} else if (may_choose(choice)) {
			choice->bytes -= search->place[choice->next].bytes;
			search->place[choice->depth++].pick = choice->next++;
		} else if (choice->keep_fillers &&
			   search->place[choice->next].fills_region) {
			if (!step_back(choice))
				return false;
		} else {
			choice->next++;
		}
	}
	return false;
}

static uint64_t resident_bytes(const struct choice *choice)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < choice->depth; i++) {
		const struct mapped_place *place = chosen(choice, i);

		bytes += pages_resident_bytes(choice->search->pages, place->start,
					      place->start + place->bytes);
	}
	return bytes;
}

/* Chooses the places that add up to what malloc counts. Where several sets do, they must
 * come to the same. */
static bool choose_from(struct mapped_search *search, bool keep_fillers)
{
	struct choice choice = {.search = search,
				.keep_fillers = keep_fillers,
				.bytes = exact_bytes(search)};
	uint64_t behind = 0;

	for (unsigned i = search->place_count; i-- > 0;) {
		search->place[i].behind = behind += search->place[i].bytes;
		if (keep_fillers && search->place[i].fills_region && !choice.fillers)
			choice.fillers = i + 1;
	}
	if (search->place_count < search->wanted_chunks || !next_choice(&choice))
		return false;
	search->chunks = search->wanted_chunks;
	search->bytes = exact_bytes(search);
	search->resident_bytes = resident_bytes(&choice);
	for (unsigned i = 0; i < search->place_count; i++)
		search->place[i].is_chunk = false;
	for (unsigned i = 0; i < choice.depth; i++)
		chosen(&choice, i)->is_chunk = true;
	search->is_exact = search->last->is_sure = true;
	while (search->is_exact && step_back(&choice) && next_choice(&choice)) {
		search->is_exact = resident_bytes(&choice) == search->resident_bytes;
		search->last->is_sure = false;
	}
	search->is_exact &= choice.steps < STEPS_BUDGET;
	search->last->is_sure &= search->is_exact;
	return true;
}

static void choose(struct mapped_search *search)
{
	if (!choose_from(search, true))
		choose_from(search, false);
}

/* Without memory, which qsort may take. */
static void sort_places(struct mapped_place *place, unsigned count)
{
	for (unsigned gap = count / 2; gap; gap /= 2)
		for (unsigned i = gap; i < count; i++) {
			struct mapped_place moved = place[i];
			unsigned at = i;

			for (; at >= gap && place[at - gap].start > moved.start;
			     at -= gap)
				place[at] = place[at - gap];
			place[at] = moved;
		}
}

/* Where nothing adds up: as many as there are must be all that is counted, and what
 * mremap_chunk counts too much be the rest. */
static void take_all(struct mapped_search *search)
{
	search->chunks = search->place_count;
	search->bytes = search->resident_bytes = 0;
	for (unsigned i = 0; i < search->place_count; i++) {
		struct mapped_place *place = &search->place[i];

		place->is_chunk = true;
		search->bytes += place->bytes;
		search->resident_bytes += pages_resident_bytes(
			search->pages, place->start, place->start + place->bytes);
	}
	search->is_exact = search->has_trailer && search->bytes < search->wanted_bytes &&
			   search->chunks == search->wanted_chunks &&
			   (search->wanted_bytes - search->bytes) % TRAILER == 0;
}

/* ---- what the last search found ---- */

/* The next places that are chunks, from *NEXT on, whose headers SPAN is to read. */
static unsigned gather_known(struct mapped_search *search, unsigned *next,
			     struct span *span, const struct mapped_place **place)
{
	unsigned count = 0;

	for (; *next < search->place_count && count < MAPPED_HEADERS; ++*next) {
		const struct mapped_place *known = &search->place[*next];

		if (!known->is_chunk)
			continue;
		span[count] = (struct span){known->start, search->header[count], HEADER};
		place[count++] = known;
	}
	return count;
}

static bool is_still_there(const struct mapped_search *search,
			   const struct mapped_place *place, unsigned header)
{
	const struct region *region = regions_find(search->regions, place->start);

	return region && place->start + place->bytes <= region->end &&
	       search->has_header[header] &&
	       chunk_mapping(search, search->header[header], place->bytes) ==
		       place->bytes;
}

/* Whether all chunks of the last search are there. */
static bool are_still_there(struct mapped_search *search)
{
	const struct mapped_place *place[MAPPED_HEADERS];
	struct span span[MAPPED_HEADERS];
	unsigned next = 0, count;

	while ((count = gather_known(search, &next, span, place)) > 0) {
		if (memory_fetch_many(search->memory, search->pages, span, count,
				      search->has_header))
			return false;
		for (unsigned i = 0; i < count; i++)
			if (!is_still_there(search, place[i], i))
				return false;
	}
	return true;
}

static void take_known(struct mapped_search *search)
{
	search->chunks = search->bytes = search->resident_bytes = 0;
	for (unsigned i = 0; i < search->place_count; i++) {
		const struct mapped_place *place = &search->place[i];

		if (!place->is_chunk)
			continue;
		search->chunks++;
		search->bytes += place->bytes;
		search->resident_bytes += pages_resident_bytes(
			search->pages, place->start, place->start + place->bytes);
	}
	search->is_exact = true;
}

/* A block that was freed takes its mapping with it: where as many and as large ones as
 * before are counted, and all of those are there, they are the same. */
static bool is_as_before(struct mapped_search *search)
{
	struct mapped_last *last = search->last;

	if (!last->was_made || segments_wanted(search) ||
	    last->wanted_chunks != search->wanted_chunks ||
	    last->wanted_bytes != search->wanted_bytes)
		return false;
	if (last->is_sure) {
		if (!are_still_there(search))
			return false;
		take_known(search);
		return true;
	}
	search->chunks = search->place_count;
	return !last->is_exact && last->skipped++ < UNCLEAR_SEARCHES;
}

static void search_all(struct mapped_search *search)
{
	unsigned budget = PAGES_BUDGET;

	search->place_count = 0;
	for (unsigned i = 0; i < search->regions->count; i++) {
		if (!budget || (has_all(search) && !segments_wanted(search)))
			break;
		if (!search->regions->region[i].is_break)
			look_through(search, &search->regions->region[i], &budget);
	}
	choose(search);
	if (!search->is_exact)
		take_all(search);
	if (search->is_exact)
		return;
	look_inside(search);
	sort_places(search->place, search->place_count);
	choose(search);
	if (!search->is_exact)
		search->chunks = search->place_count;
}

void mapped_find(struct mapped_search *search)
{
	if (is_as_before(search))
		return;
	*search->last = (struct mapped_last){.wanted_chunks = search->wanted_chunks,
					     .wanted_bytes = search->wanted_bytes,
					     .was_made = true};
	search_all(search);
	search->last->is_exact = search->is_exact;
}
