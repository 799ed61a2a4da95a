/* restart.h: what the kernel does with a system call that a stop has interrupted, and
 * what has to be done in its place where the thread is used for a call meanwhile. x86-64.
 */
#ifndef FRAGSCOPE_INJECT_RESTART_H
#define FRAGSCOPE_INJECT_RESTART_H

#include <stdbool.h>
#include <sys/user.h>

/* How a thread that is put aside for a call goes on as if nothing had been. */
enum restart {
	RESTART_NEVER, /* nobody outside the kernel can: the thread is no good for a call
			*/
	RESTART_NONE,  /* it is in user mode, or has the result of its system call */
	RESTART_AGAIN, /* the same system call is made again */
	RESTART_SLEEP, /* the same, with the time that the kernel has written is left */
};

/* Of a thread that stands in a stop which it was asked for. */
enum restart restart_of(const struct user_regs_struct *regs);

/* What a sleep's request and what is left of it lie at, for RESTART_SLEEP. */
unsigned long long *restart_sleep_request(struct user_regs_struct *regs);
unsigned long long restart_sleep_left(const struct user_regs_struct *regs);

/* Changes the result in REGS so that the kernel makes the system call again when the
 * thread goes on, unless a handler runs first; true when that is needed (the call has
 * been ended by the stop, with EINTR), or keeps what the call was to be seen at the next
 * stop.
 */
bool restart_mend(struct user_regs_struct *regs);

#endif
