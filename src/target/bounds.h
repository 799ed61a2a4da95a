/* bounds.h: reads everything that bounds the memory of one process. */
#ifndef FRAGSCOPE_BOUNDS_H
#define FRAGSCOPE_BOUNDS_H

#include "sample/bounds.h"

/* Reads all of it for PID: some files of /proc and /sys, no lock of the process's but a
 * short one of its limits; allocates nothing. 0, or the first -errno: what could be read
 * is there all the same. */
int bounds_read(int pid, struct bounds *bounds);

/* The TEXT of /proc/PID/limits, and of /proc/PID/status. 0, or -EPROTO when a line that
 * is needed is not in it. TEXT is not changed. */
int bounds_parse_rlimits(const char *text, struct rlimits *rlimit);
int bounds_parse_sizes(const char *text, struct bounds *bounds);

/* The TEXT of /proc/PID/syscall. 0, -EAGAIN while the thread runs, or -EPROTO. */
int bounds_parse_stack_pointer(const char *text, uint64_t *address);

#endif
