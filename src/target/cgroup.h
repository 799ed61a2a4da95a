/* cgroup.h: which memory cgroup a process is in, and the limits that hold there: its own
 * and those of the cgroups around it. */
#ifndef FRAGSCOPE_CGROUP_H
#define FRAGSCOPE_CGROUP_H

#include "target/pressure.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

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

/* Where a hierarchy is mounted, and what of it: in a container it may be a part. */
struct cgroup_mount {
	char point[CGROUP_PATH]; /* empty: it is not mounted */
	char root[CGROUP_PATH];	 /* "/": all of it */
};

struct cgroup_mounts {
	struct cgroup_mount memory;  /* version 1, with the memory controller */
	struct cgroup_mount unified; /* version 2 */
};

/* The number by which the kernel knows PROCESS's memory cgroup: its directory's inode. 0,
 * or -errno: -ENOENT when the hierarchy is not mounted. */
int cgroup_memory_id(const struct process *process, uint64_t *id);

/* Fills MEMORY for PID. 0, or -errno as above. */
int cgroup_memory_read(int pid, struct cgroup_memory *memory);

/* The same for a process whose /proc/PID/cgroup is TEXT, which is changed. */
int cgroup_memory_parse(char *text, const struct cgroup_mounts *mounts,
			struct cgroup_memory *memory);

/* What the TEXT of a /proc/PID/mountinfo, which is changed, says of MOUNTS. */
void cgroup_mounts_parse(char *text, struct cgroup_mounts *mounts);

#endif
