/* python.h: objects of CPython, from outside: the type of what lies at an address, and
 * the roots that are such objects in CPython's own arenas. */
#ifndef FRAGSCOPE_PYTHON_H
#define FRAGSCOPE_PYTHON_H

#include "owners/scan.h"

enum { PYTHON_NAME = 64 };

/* Reads BYTES at ADDR of the target to TO: 0 or -errno. */
typedef int python_read_fn(void *context, uint64_t addr, void *to, uint32_t bytes);

/* The type of the object that a block of memory BLOCK, as CPython allocates it, begins
 * with; 0: it is no object. */
uint64_t python_type_at(python_read_fn *read, void *context, uint64_t block);

/* What TYPE, an answer of python_type_at, is called. 0 or -errno. */
int python_type_name(python_read_fn *read, void *context, uint64_t type,
		     char name[PYTHON_NAME]);

/* Makes roots of their own of the objects in SCAN's anonymous mappings that point to
 * chunks, by type; what is left in blocks that are free is none. After scan_all. BEATS:
 * see globals.h. 0 or -errno. */
int python_roots(struct scan *scan, const struct process *process, atomic_ulong *beats);

#endif
