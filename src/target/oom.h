/* oom.h: finds whom the kernel would kill first when the host is out of memory. */
#ifndef FRAGSCOPE_OOM_H
#define FRAGSCOPE_OOM_H

#include "sample/oom.h"

/* Looks at all processes: not for every reading. 0, or -errno when PID cannot be looked
 * at or /proc cannot be listed. What ends meanwhile is no candidate. */
int oom_rank_read(int pid, struct oom_rank *rank);

#endif
