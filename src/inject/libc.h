/* libc.h: what a call made in another process needs of the glibc there: where functions
 * lie, the two snippets of code that the call is strung together with, where a thread has
 * its errno, and whether malloc's locks are free. */
#ifndef FRAGSCOPE_INJECT_LIBC_H
#define FRAGSCOPE_INJECT_LIBC_H

#include "base/fault.h"
#include "glibc/arena.h"
#include "target/process.h"
#include "unwind/unwind.h"

#include <stdbool.h>
#include <stdint.h>

struct inject_libc {
	struct malloc_instance instance;
	struct unwind_code malloc; /* all of malloc's code, what has no name included */
	uint64_t code_start, code_end; /* of all of it */
	uint64_t restorer;	       /* makes the system call rt_sigreturn */
	uint64_t syscall_ret;	       /* makes a system call and returns */
	int64_t errno_offset;	       /* from a thread's pointer */
};

/* Looks into the libc of PROCESS, by files and by one word of its memory. 0, or -errno
 * and FAULT, which says why no call can be made there. */
int inject_libc_find(const struct process *process, struct unwinder *unwinder,
		     struct inject_libc *libc, struct fault *fault);

/* Whether no arena of LIBC's malloc is locked, in a process that stands still. 1, 0, or
 * -errno when that cannot be read. */
int inject_libc_is_free(const struct process *process, const struct inject_libc *libc);

#endif
