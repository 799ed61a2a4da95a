/* bounds.h: everything that bounds the memory of one process: its own resource limits,
 * the host's, and those of the memory cgroups it is in, each with what is used of it. */
#ifndef FRAGSCOPE_BOUNDS_H
#define FRAGSCOPE_BOUNDS_H

#include "target/cgroup.h"
#include "target/limits.h"
#include "target/pressure.h"

#include <stdint.h>

/* Bits of bounds.has: what could be read. host has bits of its own. */
enum bounds_part {
	BOUNDS_HAS_RLIMITS = 1 << 0,
	BOUNDS_HAS_SIZES = 1 << 1,
	BOUNDS_HAS_CGROUP = 1 << 2,
	BOUNDS_HAS_PRESSURE = 1 << 3,
};

/* Soft limits, which are the ones in force; UINT64_MAX: unlimited. */
struct rlimits {
	uint64_t address_space_bytes, data_bytes, stack_bytes;
};

struct bounds {
	unsigned has;
	struct rlimits rlimit;
	/* What the kernel holds against these limits. */
	uint64_t total_vm_bytes, data_vm_bytes, stack_vm_bytes;
	struct limits host;
	struct cgroup_memory cgroup;
	struct pressure pressure; /* of the host */
};

/* Reads all of it for PID: some files of /proc and /sys, no lock of the process's but a
 * short one of its limits; allocates nothing. 0, or the first -errno: what could be read
 * is there all the same. */
int bounds_read(int pid, struct bounds *bounds);

/* The TEXT of /proc/PID/limits, and of /proc/PID/status. 0, or -EPROTO when a line that
 * is needed is not in it. TEXT is not changed. */
int bounds_parse_rlimits(const char *text, struct rlimits *rlimit);
int bounds_parse_sizes(const char *text, struct bounds *bounds);

#endif
