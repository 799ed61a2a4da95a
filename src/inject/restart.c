#include "inject/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

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
 * signals"). Without a timeout nothing is lost when they are made again. */
static enum restart of_ended_call(const struct user_regs_struct *regs)
{
	switch ((long)regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)regs->r10 < 0 ? RESTART_AGAIN : RESTART_NEVER;
	case SYS_epoll_pwait2:
		return regs->r10 ? RESTART_NEVER : RESTART_AGAIN;
	default:
		return RESTART_NEVER;
	}
}

enum restart restart_of(const struct user_regs_struct *regs)
{
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
		return of_ended_call(regs);
	default:
		return RESTART_NONE;
	}
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

	if ((long)regs->orig_rax < 0 ||
	    (result != EINTR && result != ERESTART_RESTARTBLOCK_) ||
	    restart_of(regs) != RESTART_AGAIN)
		return false;
	regs->rax = -(unsigned long long)ERESTARTNOHAND_;
	return true;
}
