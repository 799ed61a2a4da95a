#include "base/sort.h"

enum { FEW = 16 }; /* which are sorted faster one by one */

static void sort_few(uint64_t *value, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		uint64_t moved = value[i];
		size_t at = i;

		for (; at && value[at - 1] > moved; at--)
			value[at] = value[at - 1];
		value[at] = moved;
	}
}

/* Radix exchange: qsort may allocate, and a quicksort has inputs that make it crawl. The
 * recursion is at most as deep as a value has bits. */
static void sort_from_bit(uint64_t *value, size_t count, unsigned bit)
{
	size_t low = 0; /* so many have the bit clear, and are in front */

	if (count <= FEW) {
		sort_few(value, count);
		return;
	}
	/* Without a branch that depends on the bit: nobody could predict it. */
	for (size_t i = 0; i < count; i++) {
		uint64_t moved = value[i];

		value[i] = value[low];
		value[low] = moved;
		low += !(moved >> bit & 1);
	}
	if (bit == 0)
		return;
	sort_from_bit(value, low, bit - 1);
	sort_from_bit(value + low, count - low, bit - 1);
}

void sort_addresses(uint64_t *value, size_t count)
{
	uint64_t differ = 0;

	for (size_t i = 1; i < count; i++)
		differ |= value[i] ^ value[0];
	if (differ)
		sort_from_bit(value, count, 63 - __builtin_clzll(differ));
}

size_t sort_unique(uint64_t *value, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (i == 0 || value[i] != value[kept - 1])
			value[kept++] = value[i];
	return kept;
}

size_t sort_lower_bound(const uint64_t *value, size_t count, uint64_t key)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = low + (count - low) / 2;

		if (value[middle] < key)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

/* The position that comes last goes to the root of the heap below AT. */
static void sift(unsigned *order, size_t at, size_t count, sort_before_fn *before,
		 const void *context)
{
	for (;;) {
		size_t last = at;
		unsigned moved = order[at];

		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count;
		     child++)
			if (before(order[last], order[child], context))
				last = child;
		if (last == at)
			return;
		order[at] = order[last];
		order[last] = moved;
		at = last;
	}
}

void sort_order(unsigned *order, size_t count, sort_before_fn *before,
		const void *context)
{
	for (size_t i = count / 2; i-- > 0;)
		sift(order, i, count, before, context);
	for (size_t left = count; left > 1;) {
		unsigned last = order[0];

		order[0] = order[--left];
		order[left] = last;
		sift(order, 0, left, before, context);
	}
}
