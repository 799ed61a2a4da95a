/* usage.h: what the kernel says of a process's memory as a whole. */
#ifndef FRAGSCOPE_USAGE_H
#define FRAGSCOPE_USAGE_H

#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

struct usage {
	uint64_t rss_bytes;
	uint64_t pss_bytes;
	uint64_t swap_bytes;
	uint64_t anon_huge_bytes;
	bool has_pss, has_huge;
};

/* Reads smaps_rollup, which walks the page tables and so is exact; the kernel gives way
 * to the target while it walks. 0 or -errno, -ESRCH when the address space is gone. */
int usage_exact(const struct process *process, struct usage *usage);

/* Reads the kernel's running counters instead: microseconds whatever the size, and off by
 * some pages a CPU; no PSS, no huge pages. */
int usage_quick(const struct process *process, struct usage *usage);

#endif
