/* shared.h: memory that a library of ours in another process publishes as a mapping with
 * a name: found by that, and read by the rules of ptrace access. */
#ifndef FRAGSCOPE_SHARED_H
#define FRAGSCOPE_SHARED_H

#include <stddef.h>
#include <stdint.h>

struct process;

struct shared {
	int pid;
	int fd; /* of the memory itself, which then outlives the process; -1: it cannot be
		   opened */
	uint64_t addr;
};

/* BYTES from OFFSET on. 0 or -errno. */
int shared_read(const struct shared *shared, uint64_t offset, void *to, size_t bytes);

/* Whether SHARED, of BYTES, is what is looked for: 0 or -errno. */
typedef int shared_judge_fn(const struct shared *shared, uint64_t bytes, void *context);

/* The first memory of PROCESS, which must outlive it, that is mapped as NAME and that
 * JUDGE takes. 0; -ENOENT: there is none; what JUDGE answered last; or -errno. Where the
 * kernel lets the memory be opened it can still be read once the process is gone. */
int shared_find(struct shared *shared, const struct process *process, const char *name,
		shared_judge_fn *judge, void *context);

/* After every shared_find, also one that failed. */
void shared_close(struct shared *shared);

#endif
