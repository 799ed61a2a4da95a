/* apart.h: a call made by a process of its own. A thread that waits for a file of FUSE
 * cannot be ended, and would keep its program from ending too; a process can be left
 * behind. */
#ifndef FRAGSCOPE_APART_H
#define FRAGSCOPE_APART_H

#include <stdatomic.h>
#include <stddef.h>

/* Runs FN(CONTEXT, RESULT) in a child of this process: only what it writes to RESULT,
 * BYTES of zeroes, comes back. BEATS moves as long as the child makes headway. The child
 * ends with the calling thread. 0, or -errno: there is no such child, or it did not come
 * to its end. */
int apart_run(void (*fn)(void *context, void *result), void *context, void *result,
	      size_t bytes, atomic_ulong *beats);

#endif
