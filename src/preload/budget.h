/* budget.h: how often the allocator is asked, so that asking takes no more than its share
 * of the time: half of the share for the totals, half for the arenas. */
#ifndef FRAGSCOPE_PRELOAD_BUDGET_H
#define FRAGSCOPE_PRELOAD_BUDGET_H

#include "preload/settings.h"

/* What one asking cost. A host that was not run for a while makes a cheap asking long:
 * the lesser of two in a row is held to be the price. */
struct price {
	int64_t last_ns; /* -1: not yet asked */
	int64_t ns;
};

struct budget {
	struct settings settings;
	struct price totals, detail;
	int64_t detail_due_ns; /* on the caller's clock */
};

void budget_begin(struct budget *budget, const struct settings *settings);

/* Whether the arenas may be asked for at NOW_NS. */
bool budget_allows_detail(const struct budget *budget, int64_t now_ns);

/* Takes note of a sample at NOW_NS: what its totals cost, and its arenas if WITH_DETAIL.
 * Returns how long to wait from NOW_NS to the next sample. */
int64_t budget_spend(struct budget *budget, int64_t now_ns, int64_t totals_ns,
		     bool with_detail, int64_t detail_ns);

#endif
