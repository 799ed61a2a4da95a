/* other_resident.h: the resident memory that is not malloc's: what PAGEMAP_SCAN finds
 * resident outside the arenas. */
#ifndef FRAGSCOPE_OTHER_RESIDENT_H
#define FRAGSCOPE_OTHER_RESIDENT_H

#include "glibc/heap.h"
#include "target/live.h"
#include "target/maps.h"

/* Mappings side by side, or with nothing but holes between, whose pages count alike. */
struct other_range {
	uint64_t start;
	uint64_t end;
	bool files_only;
};

enum { OTHER_RANGES = 1 << 13 };

struct other {
	unsigned count;
	bool overflow;
	bool has_huge; /* hugetlb, which does not count in RSS */
	bool is_apart; /* the last mapping does not count */
	struct other_range range[OTHER_RANGES];
};

void other_resident_begin(struct other *other);
void other_resident_add(struct other *other, const struct mapping *mapping);

/* What of them is resident and not in HEAP's arenas. 0 or -errno. */
int other_resident_bytes_of(const struct other *other, const struct live_memory *live,
			    const struct heap *heap, uint64_t *bytes);

/* Sets what of RSS is not malloc's in FIG, of BYTES that are not the arenas', and what
 * the parts differ from the whole by as skew. Whether that is too much. */
bool other_resident_set(const struct other *other, struct figures *fig, uint64_t bytes);

/* The same where it cannot be measured: what malloc's parts leave of RSS. */
void other_resident_set_remainder(struct figures *fig);

#endif
