#include "glibc/mapped.h"

#include "base/clock.h"
#include "base/sort.h"

#include <string.h>

enum {
	PAGES_BUDGET = 1 << 18, /* pages of unknown memory looked at */
	INNER_BUDGET = 1 << 16, /* and of what seemed to be chunks */
	STEPS_BUDGET = 1 << 18, /* of choosing: some milliseconds */
	UNCLEAR_SEARCHES = 16,	/* that are left out after one that found no answer */
	CLOCK_EVERY = 16,	/* pages, or steps of choosing */
	LOOKS_LEAST = 32,	/* whatever the time */
	LOOK_BYTES = 4 << 20,
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
		chunks += search->place[i].is_taken;
		bytes += search->place[i].is_taken ? search->place[i].bytes : 0;
	}
	return chunks == search->wanted_chunks && bytes == exact_bytes(search);
}

static bool is_late(struct mapped_search *search)
{
	unsigned asked = search->asked++;

	if (search->end_ns && asked >= LOOKS_LEAST && asked % CLOCK_EVERY == 0 &&
	    !search->is_late)
		search->is_late = clock_thread_ns() > search->end_ns;
	return search->is_late;
}

/* ---- looking ---- */

/* The next resident page; not far behind AT, whatever there is, where time is limited. */
static uint64_t next_resident(struct mapped_search *search, uint64_t at, uint64_t end)
{
	uint64_t stop = search->end_ns && end - at > LOOK_BYTES ? at + LOOK_BYTES : end;

	return at < end ? pages_next_resident(search->pages, at, stop) : end;
}

/* Reads the headers of the next resident pages from AT on: one, and twice as many each
 * time that they were nothing. */
static void read_ahead(struct mapped_search *search, uint64_t at, uint64_t end)
{
	struct span span[MAPPED_HEADERS];
	unsigned count = 0;

	for (; at < end && count < search->ahead; count++) {
		span[count] = (struct span){at, search->header[count], HEADER};
		search->header_at[count] = at;
		at += page_bytes(search);
		if (count + 1 < search->ahead)
			at = next_resident(search, at, end);
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
	    search->place_count >= search->place_capacity - search->last->swept)
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

/* Returns where it ends, for want of time or BUDGET before REGION does. */
static uint64_t look_through(struct mapped_search *search, const struct region *region,
			     unsigned *budget)
{
	uint64_t at = region->start, explained = 0;
	unsigned first = search->place_count;

	forget_headers(search);
	while (at < region->end && *budget && !is_late(search)) {
		uint64_t bytes = take(search, region, at);

		explained += bytes;
		*budget -= !bytes;
		at += bytes ? bytes : page_bytes(search);
		if (!bytes && *budget)
			at = next_resident(search, at, region->end);
	}
	for (unsigned i = first; i < search->place_count; i++)
		search->place[i].is_taken = explained >= region->end - region->start;
	return at;
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
		for (; !outer.is_taken && at < end && budget; budget--) {
			const uint64_t *header;

			if (is_late(search))
				return;
			at = next_resident(search, at, end);
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
		if (!choice->keep_fillers || !place->is_taken)
			return true;
	}
	return false;
}

/* Goes on to the next set of places that add up. */
static bool next_choice(struct choice *choice)
{
	struct mapped_search *search = choice->search;

	while (choice->steps++ < STEPS_BUDGET) {
		uint64_t wanted = search->wanted_chunks - choice->depth;
		bool is_over = choice->next == search->place_count;

		if (is_late(search))
			return false;
		if (!wanted && !choice->bytes && choice->next >= choice->fillers)
			return true;
		if (!wanted || is_over || search->place_count - choice->next < wanted ||
		    search->place[choice->next].behind < choice->bytes) {
			if (!step_back(choice))
				return false;
		} else if (may_choose(choice)) {
			choice->bytes -= search->place[choice->next].bytes;
			search->place[choice->depth++].pick = choice->next++;
		} else if (choice->keep_fillers && search->place[choice->next].is_taken) {
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
		if (keep_fillers && search->place[i].is_taken && !choice.fillers)
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
	search->is_exact &= choice.steps < STEPS_BUDGET && !search->is_late;
	search->last->is_sure &= search->is_exact;
	for (unsigned i = 0; search->last->is_sure && i < search->place_count; i++)
		search->place[i].is_sure = search->place[i].is_chunk;
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

/* ---- what the last search found ---- */

static bool is_still_there(const struct mapped_search *search,
			   const struct mapped_place *place, unsigned header)
{
	const struct region *region = regions_find(search->regions, place->start);

	return region && place->start + place->bytes <= region->end &&
	       search->has_header[header] &&
	       chunk_mapping(search, search->header[header], place->bytes) ==
		       place->bytes;
}

/* Keeps of the places from *FROM on the next ones whose headers are still there, behind
 * the KEPT before them; how many these are then. */
static unsigned keep_some(struct mapped_search *search, unsigned *from, unsigned kept)
{
	struct mapped_place *place = search->place + *from;
	struct span span[MAPPED_HEADERS] = {{0}};
	unsigned count = search->place_count - *from;

	count = count < MAPPED_HEADERS ? count : MAPPED_HEADERS;
	for (unsigned i = 0; i < count; i++)
		span[i] = (struct span){place[i].start, search->header[i], HEADER};
	if (memory_fetch_many(search->memory, search->pages, span, count,
			      search->has_header))
		memset(search->has_header, 0, sizeof(search->has_header));
	for (unsigned i = 0; i < count; i++)
		if (is_still_there(search, &place[i], i))
			search->place[kept++] = place[i];
	*from += count;
	return kept;
}

static void keep_standing(struct mapped_search *search)
{
	unsigned from = 0, kept = 0;

	while (from < search->place_count)
		kept = keep_some(search, &from, kept);
	search->place_count = kept;
}

/* Of the places of the last search, keeps those that were chunks for sure, and are
 * there. They are beyond doubt as those that fill mappings are. */
static void keep_sure(struct mapped_search *search)
{
	unsigned count = 0;

	for (unsigned i = 0; i < search->place_count; i++)
		if (search->place[i].is_sure)
			search->place[count++] = search->place[i];
	search->place_count = count;
	keep_standing(search);
	for (unsigned i = 0; i < search->place_count; i++)
		search->place[i].is_taken = true;
}

/* Sums up the places, all of which are chunks. */
static void take_places(struct mapped_search *search)
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
}

/* Whether the places are what malloc counts, but for what mremap_chunk counts too much.
 */
static bool adds_up(const struct mapped_search *search)
{
	if (search->chunks != search->wanted_chunks)
		return false;
	return search->bytes == exact_bytes(search) ||
	       (search->has_trailer && search->bytes < search->wanted_bytes &&
		(search->wanted_bytes - search->bytes) % TRAILER == 0);
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
		keep_sure(search);
		take_places(search);
		search->is_exact = adds_up(search);
		return search->is_exact;
	}
	search->chunks = search->place_count;
	return !search->ns && !last->was_timed && !last->is_exact &&
	       last->skipped++ < UNCLEAR_SEARCHES;
}

/* Where nothing adds up: as many as there are must be all that is counted, and what
 * mremap_chunk counts too much be the rest. */
static void take_all(struct mapped_search *search)
{
	take_places(search);
	search->is_exact = search->has_trailer && adds_up(search);
	search->last->is_sure = search->is_exact;
	for (unsigned i = 0; search->is_exact && i < search->place_count; i++)
		search->place[i].is_sure = true;
}

static void look_at_all(struct mapped_search *search)
{
	unsigned budget = PAGES_BUDGET;

	for (unsigned i = 0; i < search->regions->count; i++) {
		if (!budget || (has_all(search) && !segments_wanted(search)))
			break;
		if (!search->regions->region[i].is_break)
			look_through(search, &search->regions->region[i], &budget);
	}
}

/* Of the places that were found. */
static void choose_all(struct mapped_search *search)
{
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

/* ---- in a limited time ---- */

/* Whether one of the first KNOWN places, which are in order, begins at START. */
static bool is_known(const struct mapped_search *search, unsigned known, uint64_t start)
{
	unsigned low = 0;

	while (low < known) {
		unsigned middle = low + (known - low) / 2;

		if (search->place[middle].start == start)
			return true;
		if (search->place[middle].start < start)
			low = middle + 1;
		else
			known = middle;
	}
	return false;
}

/* Leaves of the places from FIRST on those that were not KNOWN. Whether there are any. */
static bool take_new(struct mapped_search *search, unsigned known, unsigned first)
{
	unsigned kept = first;

	for (unsigned i = first; i < search->place_count; i++) {
		if (is_known(search, known, search->place[i].start))
			continue;
		search->place[kept] = search->place[i];
		search->place[kept++].is_taken = true;
	}
	search->place_count = kept;
	return kept > first;
}

/* Chunks that mappings begin with are known by the first pages of these, one behind the
 * other: where a mapping begins nothing else looks so by chance. What was unmapped there
 * since the mappings were listed has no pages. */
static void look_at_starts(struct mapped_search *search)
{
	const unsigned known = search->place_count;

	for (unsigned i = 0; i < search->regions->count && !search->is_late; i++) {
		struct region region = search->regions->region[i];
		unsigned one = 1, first = search->place_count;

		if (region.is_break)
			continue;
		region.start = next_resident(search, region.start, region.end);
		look_through(search, &region, &one);
		if (take_new(search, known, first) && has_all(search))
			return;
	}
}

/* Sorts the places, and keeps one of those that lie in each other: one that was known. */
static void unite_places(struct mapped_search *search)
{
	unsigned kept = 0;

	sort_places(search->place, search->place_count);
	for (unsigned i = 0; i < search->place_count; i++) {
		struct mapped_place *last = kept ? &search->place[kept - 1] : NULL;

		if (!last || search->place[i].start >= last->start + last->bytes)
			search->place[kept++] = search->place[i];
		else if (search->place[i].is_sure && !last->is_sure)
			*last = search->place[i];
	}
	search->place_count = kept;
}

static bool are_too_many(const struct mapped_search *search)
{
	return search->chunks > search->wanted_chunks ||
	       search->bytes > exact_bytes(search);
}

/* Leaves the places that are beyond doubt; where they are more than malloc counts, since
 * some were mapped meanwhile, those that were known before. */
static void leave_sure(struct mapped_search *search, bool only_known)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < search->place_count; i++)
		if (search->place[i].is_taken &&
		    (search->place[i].is_sure || !only_known))
			search->place[kept++] = search->place[i];
	search->place_count = kept;
	unite_places(search);
	take_places(search);
}

static void settle_sure(struct mapped_search *search)
{
	leave_sure(search, false);
	if (are_too_many(search))
		leave_sure(search, true);
	if (are_too_many(search)) {
		search->place_count = 0;
		take_places(search);
	}
	for (unsigned i = 0; i < search->place_count; i++)
		search->place[i].is_sure = true;
	search->is_exact = search->last->is_sure = adds_up(search);
	search->is_bounded = !search->is_exact;
	search->unknown_bytes = exact_bytes(search) - search->bytes;
}

/* ---- a sweep over all pages, in parts ---- */

/* From here on this much time is left. */
static void give_time(struct mapped_search *search, int64_t ns)
{
	search->end_ns = clock_thread_ns() + ns;
	search->asked = 0;
	search->is_late = false;
}

/* Puts the places from FIRST on at the end of the room, to those that were found before.
 */
static void put_by(struct mapped_search *search, unsigned first)
{
	while (search->place_count > first) {
		struct mapped_place found = search->place[--search->place_count];

		found.is_taken = false;
		search->place[search->place_capacity - ++search->last->swept] = found;
	}
}

/* Looks at more pages. Whether these were the last. */
static bool sweep(struct mapped_search *search)
{
	struct mapped_last *last = search->last;
	unsigned budget = PAGES_BUDGET, first = search->place_count;

	for (unsigned i = 0; i < search->regions->count; i++) {
		struct region region = search->regions->region[i];

		if (search->is_late || !budget)
			break;
		if (region.is_break || region.end <= last->cursor)
			continue;
		if (region.start < last->cursor)
			region.start = last->cursor;
		last->cursor = look_through(search, &region, &budget);
	}
	put_by(search, first);
	return !search->is_late && budget;
}

/* Chooses among all places that the sweep has found, and that are still there. */
static void end_sweep(struct mapped_search *search)
{
	struct mapped_last *last = search->last;

	memmove(search->place + search->place_count,
		search->place + search->place_capacity - last->swept,
		last->swept * sizeof(*search->place));
	search->place_count += last->swept;
	last->swept = 0;
	last->is_sweeping = false;
	keep_standing(search);
	unite_places(search);
	give_time(search, search->ns / 3);
	choose_all(search);
	if (search->is_exact) {
		search->is_bounded = false;
		return;
	}
	last->skipped = 1;
	settle_sure(search);
}

/* Goes on with looking at all pages, unless that was in vain a short time ago. */
static void look_further(struct mapped_search *search)
{
	struct mapped_last *last = search->last;

	if (last->skipped && last->skipped++ <= UNCLEAR_SEARCHES)
		return;
	last->skipped = 0;
	if (!last->is_sweeping)
		last->cursor = last->swept = 0;
	last->is_sweeping = true;
	give_time(search, search->ns / 3);
	if (sweep(search))
		end_sweep(search);
}

/* Of what malloc counts now a sweep that began before would not find all. */
static void break_off(struct mapped_last *last)
{
	if (last->is_sweeping)
		last->skipped = 1;
	last->is_sweeping = false;
	last->swept = 0;
}

static void find_in_time(struct mapped_search *search)
{
	give_time(search, search->ns / 3);
	keep_sure(search);
	look_at_starts(search);
	settle_sure(search);
	if (!search->is_exact)
		look_further(search);
}

void mapped_find(struct mapped_search *search)
{
	struct mapped_last *last = search->last;

	if (is_as_before(search))
		return;
	if (!search->ns || last->wanted_chunks != search->wanted_chunks ||
	    last->wanted_bytes != search->wanted_bytes)
		break_off(last);
	last->wanted_chunks = search->wanted_chunks;
	last->wanted_bytes = search->wanted_bytes;
	last->was_made = true;
	last->was_timed = search->ns != 0;
	last->is_sure = false;
	if (search->ns && !segments_wanted(search)) {
		find_in_time(search);
	} else {
		break_off(last);
		search->place_count = last->skipped = 0;
		search->end_ns = 0;
		search->is_late = false;
		look_at_all(search);
		choose_all(search);
	}
	last->is_exact = search->is_exact;
}
