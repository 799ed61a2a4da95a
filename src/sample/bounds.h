/* bounds.h: everything that bounds the memory of one process: its own resource limits,
 * the host's, and those of the memory cgroups it is in, each with what is used of it. */
#ifndef FRAGSCOPE_SAMPLE_BOUNDS_H
#define FRAGSCOPE_SAMPLE_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

/* ---- what the host grants ---- */

/* What a process without an address of its own choice can have at most. Of x86-64 the
 * last page is kept free. */
#ifdef __aarch64__
#define LIMITS_TASK_BYTES (UINT64_C(1) << 48)
#else
#define LIMITS_TASK_BYTES ((UINT64_C(1) << 47) - 4096)
#endif

/* vm.overcommit_memory. */
enum overcommit {
	OVERCOMMIT_GUESS,  /* refuse only what RAM and swap together could never hold */
	OVERCOMMIT_ALWAYS, /* refuse nothing */
	OVERCOMMIT_NEVER,  /* refuse what would bring all promises above CommitLimit */
};

/* Bits of limits.has: what could be read. */
enum limits_part {
	LIMITS_HAS_OVERCOMMIT = 1 << 0,
	LIMITS_HAS_MEMORY = 1 << 1, /* the figures of /proc/meminfo */
	LIMITS_HAS_RESERVES = 1 << 2,
	LIMITS_HAS_MAP_COUNT = 1 << 3,
};

struct limits {
	unsigned has;
	enum overcommit overcommit;
	uint64_t ram_bytes;
	uint64_t swap_bytes;
	uint64_t available_bytes; /* what new demands can have without swapping */
	uint64_t swap_free_bytes;
	uint64_t commit_limit_bytes; /* of OVERCOMMIT_NEVER */
	uint64_t committed_bytes;
	/* Of the commit limit, what is kept from all without CAP_SYS_ADMIN, and the most
	 * that is kept from one process. */
	uint64_t admin_reserve_bytes, user_reserve_bytes;
	uint64_t max_map_count;
};

/* ---- how long tasks waited for memory (PSI), of the host or a cgroup ---- */

/* Percent of the last 10 and 60 seconds in which some task waited, and all did. */
struct pressure {
	double some_10s, some_60s, full_10s, full_60s;
};

/* ---- the memory cgroups that a process is in ---- */

enum { CGROUP_PATH = 256 };

/* A limit, of the cgroup at PATH in its hierarchy. CACHE_BYTES of what is used are file
 * pages, which the kernel takes back before it refuses anything. */
struct cgroup_limit {
	bool is_set;
	uint64_t limit_bytes, used_bytes, cache_bytes;
	char path[CGROUP_PATH];
};

/* Of the process's cgroup and all around it, the limit that leaves least. */
struct cgroup_memory {
	unsigned version;	  /* 1 or 2 */
	struct cgroup_limit max;  /* beyond it the kernel kills */
	struct cgroup_limit high; /* beyond it the kernel slows down; version 2 only */
	char path[CGROUP_PATH];	  /* the process's own */
	bool has_pressure;
	struct pressure pressure; /* of the process's own; version 2 only */
};

/* ---- all of it, for one process ---- */

/* Bits of bounds.has: what could be read. host has bits of its own. */
enum bounds_part {
	BOUNDS_HAS_RLIMITS = 1 << 0,
	BOUNDS_HAS_SIZES = 1 << 1,
	BOUNDS_HAS_CGROUP = 1 << 2,
	BOUNDS_HAS_PRESSURE = 1 << 3,
	BOUNDS_HAS_STACK = 1 << 4,
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
	/* The first thread's: the same or, where that is near the limit, how deep the
	 * thread is in it. */
	uint64_t stack_bytes;
	struct limits host;
	struct cgroup_memory cgroup;
	struct pressure pressure; /* of the host */
};

#endif
