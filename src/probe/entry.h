/* entry.h: where a process's malloc begins: the file that holds it, as it is mapped, and
 * the place in it to probe. */
#ifndef FRAGSCOPE_ENTRY_H
#define FRAGSCOPE_ENTRY_H

#include "base/fault.h"
#include "probe/prologue.h"
#include "target/process.h"

#include <stdint.h>

struct entry {
	int fd;		 /* of the file; owned; -1: none */
	uint64_t offset; /* of the chosen instruction, in the file */
	struct prologue prologue;
};

/* Finds the malloc that PROCESS's heap is of, whatever has become of the file's name. 0,
 * or -errno and FAULT: no glibc, a stripped static program, not permitted. Reads files
 * only. */
int entry_find(struct entry *entry, const struct process *process, struct fault *fault);
void entry_close(struct entry *entry);

/* The same within the ELF file open as FD: *OFFSET is the instruction's. 0; -ENOENT when
 * no symbol says where malloc is; -ENOEXEC. */
int entry_in_file(int fd, uint64_t *offset, struct prologue *prologue);

/* The same of the function NAME. */
int entry_named(int fd, const char *name, uint64_t *offset, struct prologue *prologue);

#endif
