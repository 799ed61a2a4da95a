/* cause.h: which of the kernel's limits a refused mapping met. A pure function: the
 * kernel's own checks again, in its order, with the figures that it had. */
#ifndef FRAGSCOPE_CAUSE_H
#define FRAGSCOPE_CAUSE_H

#include "sample/bounds.h"
#include "sample/event.h"

#include <stdbool.h>
#include <stdint.h>

/* What was refused, and what the process had at that instant. Sizes are whole pages, but
 * for the limits; UINT64_MAX is no limit. */
struct refusal {
	uint64_t asked_bytes; /* an mmap's length, or what brk was to move up by */
	bool is_brk;
	uint64_t total_vm_bytes;
	uint64_t data_vm_bytes;
	uint64_t map_count;
	uint64_t rlimit_as_bytes;
	uint64_t rlimit_data_bytes;
};

/* Fills CAUSE; CAUSE_UNKNOWN when nothing explains REFUSAL. The figures are those of the
 * instant but for the promised memory of OVERCOMMIT_NEVER: LIMITS are read just after,
 * and when they do not show the shortage any more, the kind is told without figures. */
void cause_of(const struct refusal *refusal, const struct limits *limits,
	      struct event_cause *cause);

/* The commit limit of OVERCOMMIT_NEVER for a process without CAP_SYS_ADMIN that has
 * TOTAL_VM_BYTES: less what is kept from it. LIMITS must have memory and reserves. */
uint64_t cause_commit_limit_bytes(const struct limits *limits, uint64_t total_vm_bytes);

#endif
