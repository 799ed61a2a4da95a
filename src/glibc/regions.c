#include "glibc/regions.h"

#include <stddef.h>

const struct region *regions_find(const struct regions *regions, uint64_t addr)
{
	unsigned low = 0, high = regions->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (regions->region[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == regions->count || regions->region[low].start > addr)
		return NULL;
	return &regions->region[low];
}
