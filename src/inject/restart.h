/* restart.h: what the kernel does with a system call that a stop has interrupted, and
 * what has to be done in its place where the thread is used for a call meanwhile. x86-64.
 */
#ifndef FRAGSCOPE_INJECT_RESTART_H
#define FRAGSCOPE_INJECT_RESTART_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/* How a thread that is put aside for a call goes on as if nothing had been. */
enum restart {
	RESTART_NEVER, /* nobody outside the kernel can: the thread is no good for a call
			*/
	RESTART_NONE,  /* it is in user mode, or has the result of its system call */
	RESTART_AGAIN, /* the same system call is made again */
	RESTART_SLEEP, /* the same, with the time that the kernel has written is left */
};

/* What a stop does to the time that a system call has. Of REGS number and arguments
 * count.
 */
enum timed {
	TIMED_NOT,    /* it has none, or an absolute one */
	TIMED_KERNEL, /* the kernel goes on with what is left; nobody else knows that */
	TIMED_ENDED,  /* it ends; made again, it needs what is left of the time */
	TIMED_FIXED,  /* it ends, and cannot be given less time when it is made again */
};

enum timed restart_timed(const struct user_regs_struct *regs);

/* The option that says whether a system call that may wait for a socket (its first
 * argument) ends after a time: SO_RCVTIMEO, SO_SNDTIMEO, or 0: it waits for none. */
int restart_socket_option(const struct user_regs_struct *regs);

/* Takes ELAPSED_NS off the milliseconds that the system call of REGS is given, where it
 * is one of those; false: it is not. */
bool restart_shorten(struct user_regs_struct *regs, int64_t elapsed_ns);

/* Of a thread that stands in a stop which it was asked for. */
enum restart restart_of(const struct user_regs_struct *regs);

bool restart_is_sleep(const struct user_regs_struct *regs);

/* What a sleep's request and what is left of it lie at, for RESTART_SLEEP. */
unsigned long long *restart_sleep_request(struct user_regs_struct *regs);
unsigned long long restart_sleep_left(const struct user_regs_struct *regs);

/* Changes the result in REGS so that the kernel makes the system call again when the
 * thread goes on, unless a handler runs first; false when that is not needed. It is where
 * the stop has ended the call, with EINTR, or the kernel would forget what it was. */
bool restart_mend(struct user_regs_struct *regs);

#endif
