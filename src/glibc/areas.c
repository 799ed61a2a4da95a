/* areas.c: which stretch of heap an address is in. */
#include "base/sort.h"
#include "glibc/parts.h"

/* Addresses of chunks are multiples of 16 below 2^47, so an index fits beside them. */
enum { KEY_BITS = 15 };
_Static_assert(HEAP_AREAS <= 1 << KEY_BITS, "an area's index fits its key");

static uint64_t area_key(uint64_t addr, unsigned index)
{
	return addr / GLIBC_ALIGN << KEY_BITS | index;
}

/* Makes heap_owner know all stretches found so far. */
void heap_index_stretches(struct heap *heap)
{
	for (unsigned i = 0; i < heap->area_count; i++)
		heap->area_key[i] = area_key(heap->area[i].area.start, i);
	sort_addresses(heap->area_key, heap->area_count);
}

int heap_area_of(const struct heap *heap, uint64_t addr)
{
	uint64_t key = area_key(addr, (1 << KEY_BITS) - 1);
	size_t i = sort_lower_bound(heap->area_key, heap->area_count, key + 1);
	unsigned area;

	if (i == 0 || addr >> 47)
		return -1;
	area = heap->area_key[i - 1] & ((1 << KEY_BITS) - 1);
	return addr < heap->area[area].end ? (int)area : -1;
}

int heap_owner(uint64_t addr, void *context)
{
	const struct heap *heap = context;
	int area = heap_area_of(heap, addr);

	return area < 0 ? -1 : (int)heap->area[area].arena;
}

uint64_t heap_arena_bytes(const struct heap *heap, unsigned *cursor, uint64_t start,
			  uint64_t end)
{
	uint64_t bytes = 0;

	for (; *cursor < heap->area_count; ++*cursor) {
		unsigned index = heap->area_key[*cursor] & ((1 << KEY_BITS) - 1);
		const struct owned_area *owned = &heap->area[index];
		uint64_t from = owned->front > start ? owned->front : start;
		uint64_t to = owned->end < end ? owned->end : end;

		if (from < to)
			bytes += to - from;
		/* The next run may be in it, too. */
		if (owned->end > end)
			break;
	}
	return bytes;
}
