/* restart.h: what the kernel does with a system call that a stop has interrupted, and
 * what has to be done in its place where the thread is used for a call meanwhile. */
#ifndef FRAGSCOPE_INJECT_RESTART_H
#define FRAGSCOPE_INJECT_RESTART_H

#include <stdbool.h>
#include <stdint.h>

/* The kernel's own results of a system call that was interrupted: linux/errno.h has them
 * for the kernel alone. */
enum {
	ERESTARTSYS_ = 512,
	ERESTARTNOINTR_ = 513,
	ERESTARTNOHAND_ = 514,
	ERESTART_RESTARTBLOCK_ = 516,
};

/* The system call that a thread is in. */
struct system_call {
	long number;	 /* below 0: it is in none */
	long result;	 /* what a stop has made of it, where it stands in one */
	uint64_t arg[6]; /* as it was made */
	uint64_t sp, pc; /* of the thread */
};

/* How a thread that is put aside for a call goes on as if nothing had been. */
enum restart {
	RESTART_NEVER, /* nobody outside the kernel can: the thread is no good for a call
			*/
	RESTART_NONE,  /* it is in user mode, or has the result of its system call */
	RESTART_AGAIN, /* the same system call is made again */
	RESTART_SLEEP, /* the same, with the time that the kernel has written is left */
};

/* What a stop does to the time that a system call has. */
enum timed {
	TIMED_NOT,    /* it has none, or an absolute one, or the kernel writes what is
			 left */
	TIMED_KERNEL, /* the kernel goes on with what is left; nobody else knows that */
	TIMED_ENDED,  /* it ends; made again, it needs what is left of the time */
	TIMED_FIXED,  /* it ends, and cannot be given less time when it is made again */
};

/* By CALL's number and arguments alone. */
enum timed restart_timed(const struct system_call *call);

/* Whether a stop ends CALL with EINTR; by its number alone. */
bool restart_ends(const struct system_call *call);

/* The option that says whether a system call that may wait for a socket (its first
 * argument) ends after a time: SO_RCVTIMEO, SO_SNDTIMEO, or 0: it waits for none. */
int restart_socket_option(const struct system_call *call);

/* Takes ELAPSED_NS off the milliseconds that CALL is given, where it is one of those;
 * false: it is not. */
bool restart_shorten(struct system_call *call, int64_t elapsed_ns);

/* Of a thread that stands in a stop which it was asked for. */
enum restart restart_of(const struct system_call *call);

bool restart_is_sleep(const struct system_call *call);

/* What a sleep's request and what is left of it lie at, for RESTART_SLEEP; 0: what is
 * left is nowhere. */
uint64_t *restart_sleep_request(struct system_call *call);
uint64_t restart_sleep_left(const struct system_call *call);

/* Whether CALL must be made again by other hands than the kernel's when the thread goes
 * on: where the stop has ended it, with EINTR, or the kernel would forget what it was. */
bool restart_is_to_mend(const struct system_call *call);

#endif
