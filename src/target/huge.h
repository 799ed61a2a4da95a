/* huge.h: what the host does to make huge pages of small ones: khugepaged's settings. */
#ifndef FRAGSCOPE_HUGE_H
#define FRAGSCOPE_HUGE_H

#include <stdbool.h>
#include <stdint.h>

struct huge {
	bool is_always; /* not only for memory that asks for them */
	uint64_t page_bytes;
	uint64_t max_ptes_none; /* pages of a range that may be absent */
	uint64_t pages_to_scan; /* a turn */
	uint64_t sleep_ms;	/* between two turns */
};

/* 0, or -errno: the kernel has none, or does not tell. */
int huge_read(struct huge *huge);

/* The same of another directory than /sys/kernel/mm/transparent_hugepage. */
int huge_read_at(const char *directory, struct huge *huge);

#endif
