/* shares.h: which share given blocks have in what pins free memory. */
#ifndef FRAGSCOPE_OWNERS_SHARES_H
#define FRAGSCOPE_OWNERS_SHARES_H

#include "glibc/heap.h"
#include "sample/shares.h"
#include "target/process.h"

/* Fills SHARES, of which SHARE and COUNT are set; goes on after heap_look, as
 * owners_find. Allocates tables of MEMORY_BYTES at most, and frees them. 0, or -errno and
 * FAULT. */
int shares_find(struct pin_shares *shares, uint64_t memory_bytes,
		const struct process *process, struct heap *heap,
		const struct regions *regions, struct memory *memory,
		struct fault *fault);

#endif
