#include "inject/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/* The kernel's own results of a system call that was interrupted: linux/errno.h has them
 * for the kernel alone. Tracers see them. */
enum {
	ERESTARTSYS_ = 512,
	ERESTARTNOINTR_ = 513,
	ERESTARTNOHAND_ = 514,
	ERESTART_RESTARTBLOCK_ = 516,
};

/* By ERESTART_RESTARTBLOCK: the kernel alone knows how much time is left, but where the
 * call has no end, or an absolute one. */
static enum restart of_timed_call(const struct user_regs_struct *regs)
{
	switch ((long)regs->orig_rax) {
	case SYS_poll:
		return (int)regs->rdx < 0 ? RESTART_AGAIN : RESTART_NEVER;
	case SYS_futex:
		return (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET ? RESTART_AGAIN
									 : RESTART_NEVER;
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
		return restart_sleep_left(regs) ? RESTART_SLEEP : RESTART_NEVER;
	default:
		return RESTART_NEVER;
	}
}

/* Calls that a stop ends with EINTR (signal(7), "Interruption of system calls by stop
 * signals"), and whether they have a time. */
static bool ends(const struct user_regs_struct *regs, enum timed *timed)
{
	*timed = TIMED_NOT;
	switch ((long)regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		if ((int)regs->r10 > 0)
			*timed = TIMED_ENDED;
		return true;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		if (regs->r10)
			*timed = TIMED_FIXED;
		return true;
	case SYS_rt_sigtimedwait:
		if (regs->rdx)
			*timed = TIMED_FIXED;
		return true;
	case SYS_io_getevents:
		if (regs->r8)
			*timed = TIMED_FIXED;
		return true;
	case SYS_io_uring_enter:
		if (regs->r10 & IORING_ENTER_EXT_ARG)
			*timed = TIMED_FIXED;
		return true;
	case SYS_semop:
		return true;
	default:
		return restart_socket_option(regs) != 0;
	}
}

int restart_socket_option(const struct user_regs_struct *regs)
{
	switch ((long)regs->orig_rax) {
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_accept:
	case SYS_accept4:
		return SO_RCVTIMEO;
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_connect:
		return SO_SNDTIMEO;
	default:
		return 0;
	}
}

enum timed restart_timed(const struct user_regs_struct *regs)
{
	enum timed timed;

	if (ends(regs, &timed))
		return timed;
	switch ((long)regs->orig_rax) {
	case SYS_poll:
		return (int)regs->rdx > 0 ? TIMED_KERNEL : TIMED_NOT;
	case SYS_nanosleep:
		return restart_sleep_left(regs) ? TIMED_NOT : TIMED_KERNEL;
	case SYS_clock_nanosleep:
		return regs->rsi & TIMER_ABSTIME || restart_sleep_left(regs)
			       ? TIMED_NOT
			       : TIMED_KERNEL;
	default:
		return TIMED_NOT;
	}
}

bool restart_shorten(struct user_regs_struct *regs, int64_t elapsed_ns)
{
	unsigned long long *ms =
		(long)regs->orig_rax == SYS_poll ? &regs->rdx : &regs->r10;
	int64_t elapsed_ms = elapsed_ns / 1000000;

	if ((long)regs->orig_rax != SYS_poll && (long)regs->orig_rax != SYS_epoll_wait &&
	    (long)regs->orig_rax != SYS_epoll_pwait)
		return false;
	*ms = elapsed_ms < (int)*ms ? (unsigned long long)((int)*ms - elapsed_ms) : 0;
	return true;
}

enum restart restart_of(const struct user_regs_struct *regs)
{
	enum timed timed;

	if ((long)regs->orig_rax < 0)
		return RESTART_NONE;
	switch (-(long)regs->rax) {
	case ERESTARTSYS_:
	case ERESTARTNOINTR_:
	case ERESTARTNOHAND_:
		return RESTART_AGAIN;
	case ERESTART_RESTARTBLOCK_:
		return of_timed_call(regs);
	case EINTR:
		return !ends(regs, &timed)    ? RESTART_NONE
		       : timed == TIMED_ENDED ? RESTART_NEVER
					      : RESTART_AGAIN;
	default:
		return RESTART_NONE;
	}
}

bool restart_is_sleep(const struct user_regs_struct *regs)
{
	return (long)regs->orig_rax == SYS_nanosleep ||
	       (long)regs->orig_rax == SYS_clock_nanosleep;
}

unsigned long long *restart_sleep_request(struct user_regs_struct *regs)
{
	return (long)regs->orig_rax == SYS_nanosleep ? &regs->rdi : &regs->rdx;
}

unsigned long long restart_sleep_left(const struct user_regs_struct *regs)
{
	return (long)regs->orig_rax == SYS_nanosleep ? regs->rsi : regs->r10;
}

bool restart_mend(struct user_regs_struct *regs)
{
	long result = -(long)regs->rax;
	enum timed timed;

	if ((long)regs->orig_rax < 0)
		return false;
	if (!(result == EINTR && ends(regs, &timed)) &&
	    !(result == ERESTART_RESTARTBLOCK_ && of_timed_call(regs) == RESTART_AGAIN))
		return false;
	regs->rax = -(unsigned long long)ERESTARTNOHAND_;
	return true;
}
