/* attach.h: which glibc mallocs a live process holds, and which other allocator if none.
 */
#ifndef FRAGSCOPE_ATTACH_H
#define FRAGSCOPE_ATTACH_H

#include "base/fault.h"
#include "glibc/arena.h"
#include "target/process.h"

enum { ATTACH_NAME = 64 };

struct attached {
	unsigned count;
	struct malloc_instance instance[8];
	char allocator[ATTACH_NAME]; /* "glibc-2.36" */
	char other[ATTACH_NAME]; /* the file of another allocator that is mapped too, or
				    "" */
};

/* Looks through PROCESS's mapped files for glibc's malloc. 0, or -errno and FAULT, which
 * names what the process uses instead (musl, Go, a libc that cannot be opened, an unknown
 * layout). Reads files only, never the process's memory. */
int attach(const struct process *process, struct attached *attached, struct fault *fault);

/* Fills FAULT for a process whose glibc malloc is there but has got no memory. Returns
 * -ENOENT when the allocator that it uses in its place is known, and named; else
 * -ENODATA: it may have allocated nothing yet. */
int attach_unused(const struct process *process, const struct attached *attached,
		  struct fault *fault);

/* Whose malloc PROCESS seems to use, by the names of its mapped files alone, in NAME:
 * "jemalloc", "glibc", "musl"; empty when no name tells. 0 or -errno. */
int attach_guess(const struct process *process, char name[ATTACH_NAME]);

#endif
