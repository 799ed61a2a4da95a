/* regions.h: the anonymous memory of a target, as the reader of the heap needs it: where
 * malloc may have mapped something, and where the program break's memory lies. */
#ifndef FRAGSCOPE_REGIONS_H
#define FRAGSCOPE_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

struct region {
	uint64_t start;
	uint64_t end : 63;
	uint64_t is_break : 1; /* the kernel's [heap] */
};

/* In order of address. OVERFLOW: there were more than CAPACITY. */
struct regions {
	struct region *region;
	unsigned count;
	unsigned capacity;
	bool overflow;
};

/* The region that holds ADDR, or null. */
const struct region *regions_find(const struct regions *regions, uint64_t addr);

#endif
