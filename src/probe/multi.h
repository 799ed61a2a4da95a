/* multi.h: uprobe_multi links, by which probes come to functions of one process and go:
 * whether the kernel has them, and how to make one. */
#ifndef FRAGSCOPE_MULTI_H
#define FRAGSCOPE_MULTI_H

#include "base/fault.h"

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether probes on malloc are possible here: 0, or -errno and FAULT. */
int multi_check(struct fault *fault);

/* Fills FAULT: what this kernel lacks. */
int multi_lacks(const char *what, struct fault *fault);

/* Has PROGRAM loaded or not; before it is loaded. */
void multi_choose(struct bpf_program *program, bool is_wanted);

/* Links PROGRAM to the COUNT OFFSETs of the file PATH in the process PID: to the places
 * themselves, or to the returns of the functions there. COOKIE[i], or null: what the
 * program has of bpf_get_attach_cookie at OFFSET[i]. A descriptor whose closing takes the
 * probes away, or -errno. */
int multi_link(const struct bpf_program *program, bool at_return, pid_t pid,
	       const char *path, const uint64_t *offset, const uint64_t *cookie,
	       unsigned count);

#endif
