/* cgroup.h: which memory cgroup a process is in, and the limits that hold there: its own
 * and those of the cgroups around it. */
#ifndef FRAGSCOPE_CGROUP_H
#define FRAGSCOPE_CGROUP_H

#include "sample/bounds.h"
#include "target/process.h"

#include <stdint.h>

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
