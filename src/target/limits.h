/* limits.h: what this host grants to all its processes together, or to any of them: the
 * limits that a refused mapping may have met and that are no process's own. */
#ifndef FRAGSCOPE_LIMITS_H
#define FRAGSCOPE_LIMITS_H

#include "sample/bounds.h"

/* Reads all of it; allocates nothing. 0, or the first -errno: what could be read is there
 * all the same. */
int limits_read(struct limits *limits);

/* The figures of LIMITS_HAS_MEMORY out of the TEXT of /proc/meminfo. 0, or -EPROTO when
 * one is not in it. */
int limits_parse_memory(const char *text, struct limits *limits);

#endif
