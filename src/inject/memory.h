/* memory.h: the memory of the process that a call is made in. */
#ifndef FRAGSCOPE_INJECT_MEMORY_H
#define FRAGSCOPE_INJECT_MEMORY_H

#include "target/process.h"

#include <stddef.h>
#include <stdint.h>

/* BYTES at ADDR of PROCESS. 0 or -errno. */
int inject_read(const struct process *process, uint64_t addr, void *to, size_t bytes);

#endif
