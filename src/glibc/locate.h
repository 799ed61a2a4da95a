/* locate.h: finds malloc's static data in a libc file, or in a static program, without
 * symbols: main_arena by the pointer to itself that it starts with, mp_ by its initial
 * values, the layout by both and by the version that the file states. */
#ifndef FRAGSCOPE_LOCATE_H
#define FRAGSCOPE_LOCATE_H

#include "glibc/layout.h"

#include <stddef.h>
#include <stdint.h>

/* Addresses are the file's own; add the load bias for those of a process. */
struct located {
	const struct malloc_layout *layout;
	uint64_t main_arena;
	uint64_t par;
	uint64_t first_vaddr; /* of the segment at file offset 0, for the load bias */
	unsigned minor;	      /* glibc 2.MINOR; 0 when the file does not state it */
};

/* Looks into the ELF file open as FD. 0; -ENOENT when no glibc malloc is in it; -ENOTSUP
 * when there is one of an unknown layout (WHY, of WHY_SIZE bytes, says what was found);
 * -ENOEXEC when it is no 64-bit ELF file of this machine's byte order. */
int locate_malloc(int fd, struct located *located, char *why, size_t why_size);

#endif
