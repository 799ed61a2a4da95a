/* rest.h: the resident memory that is not malloc's: what PAGEMAP_SCAN finds resident
 * outside the arenas. */
#ifndef FRAGSCOPE_REST_H
#define FRAGSCOPE_REST_H

#include "glibc/heap.h"
#include "target/live.h"
#include "target/maps.h"

/* Mappings side by side, or with nothing but holes between, whose pages count alike. */
struct rest_range {
	uint64_t start;
	uint64_t end;
	bool files_only;
};

enum { REST_RANGES = 1 << 13 };

struct rest {
	unsigned count;
	bool overflow;
	bool has_huge; /* hugetlb, which does not count in RSS */
	bool is_apart; /* the last mapping does not count */
	struct rest_range range[REST_RANGES];
};

void rest_begin(struct rest *rest);
void rest_add(struct rest *rest, const struct mapping *mapping);

/* What of them is resident and not in HEAP's arenas. 0 or -errno. */
int rest_resident(const struct rest *rest, const struct live_memory *live,
		  const struct heap *heap, uint64_t *bytes);

/* Sets what of RSS is not malloc's in FIG, of BYTES that are not the arenas', and what
 * the parts differ from the whole by as skew. Whether that is too much. */
bool rest_set(const struct rest *rest, struct figures *fig, uint64_t bytes);

/* The same where it cannot be measured: what malloc's parts leave of RSS. */
void rest_set_remainder(struct figures *fig);

#endif
