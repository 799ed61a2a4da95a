/* subprocess.h: a call made by a process of its own. A thread that waits for a file of
 * FUSE cannot be ended, and would keep its program from ending too; a process can be left
 * behind. */
#ifndef FRAGSCOPE_SUBPROCESS_H
#define FRAGSCOPE_SUBPROCESS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Runs FN(CONTEXT, RESULT) in a child of this process: only what it writes to RESULT,
 * BYTES of zeroes, comes back. BEATS moves as long as the child makes headway. The child
 * may read and nothing else (confine.h; of root, privilege_to_reading), and ends with the
 * calling thread. 0, or -errno: there is no such child, or it did not come
 * to its end. */
int subprocess_run(void (*fn)(void *context, void *result), void *context, void *result,
		   size_t bytes, atomic_ulong *beats);

/* For such a child, which is about to read what the target may have made to keep it busy:
 * from now on it has CPU_S seconds of processor time and MEMORY_BYTES beside what its
 * parent had, and ends beyond. */
void subprocess_bound(unsigned cpu_s, uint64_t memory_bytes);

#endif
