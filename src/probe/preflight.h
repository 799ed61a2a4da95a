/* preflight.h: whether eBPF is available here, asked before anything is loaded. */
#ifndef FRAGSCOPE_PREFLIGHT_H
#define FRAGSCOPE_PREFLIGHT_H

#include "base/fault.h"

#include <stdbool.h>

/* What the running kernel's tracepoints are like. */
struct preflight {
	bool lock_has_path;  /* mmap_lock's tracepoints have a path: before Linux 6.10 */
	bool victim_is_task; /* mark_victim names the task: Linux 6.8 and later */
};

/* The version of libbpf, and which probes are built in: "none" without eBPF. */
const char *preflight_library(void);
const char *preflight_probes(void);

/* 0; or -errno and FAULT with the one missing thing and what mends it. */
int preflight(struct preflight *found, struct fault *fault);

/* Whether libbpf's own messages go to standard error. They do not unless this is called
 * with true. */
void preflight_verbose(bool verbose);

#endif
