/* pprof.h: stacks as a profile for pprof: its protocol buffer (profile.proto), not
 * compressed, which pprof reads as well. */
#ifndef FRAGSCOPE_VIEW_PPROF_H
#define FRAGSCOPE_VIEW_PPROF_H

#include "view/stacks.h"

/* Writes USES, read at TIME_NS of CLOCK_REALTIME, to FD. 0 or -errno. */
int pprof_write(const struct stack_uses *uses, int64_t time_ns, int fd);

#endif
