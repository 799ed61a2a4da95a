/* limits.h: what this host grants to all its processes together, or to any of them: the
 * limits that a refused mapping may have met and that are no process's own. */
#ifndef FRAGSCOPE_LIMITS_H
#define FRAGSCOPE_LIMITS_H

#include <stdint.h>

/* What an x86-64 process without an address of its own choice can have at most: the last
 * page below 2^47 is kept free. */
#define LIMITS_TASK_BYTES ((UINT64_C(1) << 47) - 4096)

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

/* Reads all of it; allocates nothing. 0, or the first -errno: what could be read is there
 * all the same. */
int limits_read(struct limits *limits);

/* The figures of LIMITS_HAS_MEMORY out of the TEXT of /proc/meminfo. 0, or -EPROTO when
 * one is not in it. */
int limits_parse_memory(const char *text, struct limits *limits);

#endif
