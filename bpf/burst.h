/* burst.h: what the probe on malloc and its reader share. */
#ifndef FRAGSCOPE_BPF_BURST_H
#define FRAGSCOPE_BPF_BURST_H

#include "probe.h"

enum { BURST_CLASSES = 65 }; /* by bits: HISTOGRAM_CLASSES in user space */

/* A CPU's share. */
struct burst_counts {
	u64 sizes[BURST_CLASSES];
	u64 latency_ns[BURST_CLASSES];
};

_Static_assert(sizeof(struct burst_counts) == 2 * BURST_CLASSES * 8, "no padding");

#endif
