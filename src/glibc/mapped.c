#include "glibc/mapped.h"

#include "base/sort.h"

#include <string.h>

enum {
	PAGES_BUDGET =
		1 << 18, /* pages of unknown memory looked at: a tenth of a second */
	TRAILER = 16,
};

static bool chunks_wanted(const struct mapped_search *search)
{
	return search->chunks < search->wanted_chunks &&
	       search->bytes < search->wanted_bytes;
}

static bool anything_wanted(const struct mapped_search *search)
{
	for (unsigned i = 0; i < search->arena_count; i++)
		if (search->arena[i].wanted_bytes)
			return true;
	return chunks_wanted(search);
}

/* The bytes of the mapping that begins with HEADER at AT if it is an mmapped chunk's,
 * else 0 (malloc.c, sysmalloc_mmap). A chunk aligned further into its mapping leaves the
 * first header standing. */
static uint64_t chunk_mapping(const struct mapped_search *search,
			      const uint64_t header[2], uint64_t room)
{
	uint64_t page = UINT64_C(1) << search->memory->page_shift;
	uint64_t bytes = (header[1] & ~(uint64_t)CHUNK_FLAGS);

	if ((header[1] & CHUNK_FLAGS) != CHUNK_MMAPPED || header[0] & ~UINT64_C(1))
		return 0;
	bytes += search->has_trailer ? TRAILER : 0;
	return bytes && !(bytes & (page - 1)) && bytes <= room ? bytes : 0;
}

static uint64_t take_chunk(struct mapped_search *search, const struct region *region,
			   uint64_t at, const uint64_t header[2])
{
	uint64_t bytes = chunk_mapping(search, header, region->end - at);

	if (!bytes || !chunks_wanted(search))
		return 0;
	search->chunks++;
	search->bytes += bytes;
	search->resident_bytes += pages_resident_bytes(search->pages, at, at + bytes);
	return bytes;
}

/* Walks a stretch of ARENA from AT; its bytes, or 0 when there is none. */
static uint64_t walk_stretch(struct mapped_search *search, unsigned arena,
			     const struct region *region, uint64_t at)
{
	struct mapped_arena *mapped = &search->arena[arena];
	bool has_top = mapped->top >= at && mapped->top < region->end;
	struct walk_area area = {
		.start = at,
		.stop = has_top ? mapped->top : region->end,
		.end = region->end,
		.top = has_top ? mapped->top : 0,
		.ends = AREA_FENCES,
	};
	struct walk walk;

	walk_begin(&walk, mapped->arena, search->memory, &area, at, area.stop);
	walk.pages = search->pages;
	walk.buffer = search->buffer;
	walk.strict = true;
	if (walk_all(&walk) || walk.failed || walk.place.at - at > mapped->wanted_bytes) {
		links_drop(search->links, walk.place.linked);
		return 0;
	}
	links_keep(search->links, walk.place.linked);
	area.end = area.stop = walk.place.at;
	search->found(&area, arena, search->context);
	mapped->wanted_bytes -= area.end - at;
	walk_add(mapped->totals, &walk.totals, mapped->arena->bins);
	return area.end - at;
}

static uint64_t take_stretch(struct mapped_search *search, const struct region *region,
			     uint64_t at, const uint64_t header[2])
{
	if ((header[1] & CHUNK_FLAGS) != CHUNK_PREV_INUSE || header[1] <= GLIBC_MIN_CHUNK)
		return 0;
	for (unsigned i = 0; i < search->arena_count; i++) {
		uint64_t bytes = 0;

		if (search->arena[i].wanted_bytes)
			bytes = walk_stretch(search, i, region, at);
		if (bytes)
			return bytes;
	}
	return 0;
}

/* If AT lies in a secondary heap: the end of what is reserved for it; else AT. */
static uint64_t behind_heap(const struct mapped_search *search, uint64_t at)
{
	uint64_t heap = at & -search->heap_max_bytes;
	size_t i = sort_lower_bound(search->heap, search->heap_count, heap);

	if (i < search->heap_count && search->heap[i] == heap)
		return heap + search->heap_max_bytes;
	return at;
}

static void look_through(struct mapped_search *search, const struct region *region,
			 unsigned *budget)
{
	uint64_t page = UINT64_C(1) << search->memory->page_shift, at = region->start;

	while (at < region->end && *budget && anything_wanted(search)) {
		uint64_t header[2], bytes = 0, next = behind_heap(search, at);

		if (next > at) {
			at = next;
			continue;
		}
		if (memory_fetch(search->memory, search->pages, at, header,
				 sizeof(header)) == 0) {
			bytes = take_chunk(search, region, at, header);
			if (!bytes)
				bytes = take_stretch(search, region, at, header);
		}
		*budget -= !bytes;
		at += bytes ? bytes : page;
		if (!bytes)
			at = pages_next_resident(search->pages, at, region->end);
	}
}

void mapped_find(struct mapped_search *search)
{
	unsigned budget = PAGES_BUDGET;

	for (unsigned i = 0; i < search->regions->count; i++) {
		if (!budget || !anything_wanted(search))
			break;
		if (!search->regions->region[i].is_break)
			look_through(search, &search->regions->region[i], &budget);
	}
}
