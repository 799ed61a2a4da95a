/* pressure.h: how long tasks stood waiting for memory (PSI), of the host or a cgroup. */
#ifndef FRAGSCOPE_PRESSURE_H
#define FRAGSCOPE_PRESSURE_H

#include "sample/bounds.h"

/* Reads FILE, which is of the kernel's form. 0 or -errno: -ENOENT where the kernel keeps
 * no such account. */
int pressure_read(const char *file, struct pressure *pressure);

/* The same of its TEXT. 0 or -EPROTO. */
int pressure_parse(const char *text, struct pressure *pressure);

#endif
