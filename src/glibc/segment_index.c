/* segment_index.c: which segment of heap an address is in. */
#include "base/machine.h"
#include "base/sort.h"
#include "glibc/parts.h"

/* Addresses of chunks are multiples of 16 of ADDRESS_BITS, so an index fits beside them.
 */
enum { KEY_BITS = 15 };
_Static_assert(HEAP_SEGMENTS <= 1 << KEY_BITS, "a segment's index fits its key");

static uint64_t segment_key(uint64_t addr, unsigned index)
{
	return addr / GLIBC_ALIGN << KEY_BITS | index;
}

/* Makes heap_owner know all segments found so far. */
void heap_index_segments(struct heap *heap)
{
	for (unsigned i = 0; i < heap->segment_count; i++)
		heap->segment_key[i] = segment_key(heap->segment[i].segment.start, i);
	sort_addresses(heap->segment_key, heap->segment_count);
}

int heap_segment_of(const struct heap *heap, uint64_t addr)
{
	uint64_t key = segment_key(addr, (1 << KEY_BITS) - 1);
	size_t i = sort_lower_bound(heap->segment_key, heap->segment_count, key + 1);
	unsigned segment;

	if (i == 0 || addr >> ADDRESS_BITS)
		return -1;
	segment = heap->segment_key[i - 1] & ((1 << KEY_BITS) - 1);
	return addr < heap->segment[segment].end ? (int)segment : -1;
}

int heap_owner(uint64_t addr, void *context)
{
	const struct heap *heap = context;
	int segment = heap_segment_of(heap, addr);

	return segment < 0 ? -1 : (int)heap->segment[segment].arena;
}

uint64_t heap_arena_bytes(const struct heap *heap, unsigned *cursor, uint64_t start,
			  uint64_t end)
{
	uint64_t bytes = 0;

	for (; *cursor < heap->segment_count; ++*cursor) {
		unsigned index = heap->segment_key[*cursor] & ((1 << KEY_BITS) - 1);
		const struct owned_segment *owned = &heap->segment[index];
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
