/* cgroup.h: which memory cgroup a process is in. */
#ifndef FRAGSCOPE_CGROUP_H
#define FRAGSCOPE_CGROUP_H

#include "target/process.h"

#include <stdint.h>

/* The number by which the kernel knows PROCESS's memory cgroup: its directory's inode. 0,
 * or -errno: -ENOENT when the hierarchy is not mounted at its usual place. */
int cgroup_memory_id(const struct process *process, uint64_t *id);

#endif
