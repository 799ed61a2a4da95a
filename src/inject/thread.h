/* thread.h: what one thread that stands still is doing, and whether a call in its process
 * is safe while it does that. */
#ifndef FRAGSCOPE_INJECT_THREAD_H
#define FRAGSCOPE_INJECT_THREAD_H

#include "inject/inject.h"
#include "inject/libc.h"
#include "inject/waits.h"
#include "target/hold.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

struct inject_thread {
	pid_t tid;
	struct user_regs_struct regs;
	struct system_call call; /* that it was stopped in */
	bool is_safe;		 /* what it does leaves malloc and the loader alone */
	enum restart restart;
	int64_t left[2]; /* of the time of a sleep: seconds and nanoseconds */
	bool is_waiting; /* nothing can be done before the wait that it is in ends */
	bool can_call;	 /* it is one to make the call by, but for its stack's room */
	char place[INJECT_PLACE]; /* where it is, and why that is not safe */
};

/* What is needed to look at threads; STACK has room for STACK_BYTES. */
struct inject_looker {
	const struct process *process;
	struct unwinder *unwinder;
	const struct inject_libc *libc;
	const struct waits *waits;
	uint8_t *stack;
	uint32_t stack_bytes;
};

/* Looks at the thread HELD, which stands still. 0, or -errno: it is gone. */
int inject_look(const struct inject_looker *looker, const struct held_thread *held,
		struct inject_thread *thread);

/* Follows the stack of a thread that sleeps in CALL, of which the stack pointer and the
 * address of the code are known, for nothing but that what there is to learn of its
 * functions is known when the process stands. */
void inject_rehearse(const struct inject_looker *looker, const struct system_call *call);

/* Has the system call that the thread HELD, which goes on after this, was stopped in made
 * again, with what is left of its time, where the kernel would not do so by itself. */
void inject_mend(const struct inject_looker *looker, const struct held_thread *held);

#endif
