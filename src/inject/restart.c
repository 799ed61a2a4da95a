#include "inject/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/* arm64 has none of these: its libc makes ppoll and epoll_pwait in their place. */
#ifndef SYS_poll
enum { SYS_poll = -2, SYS_epoll_wait = -3 };
#endif

/* By ERESTART_RESTARTBLOCK: the kernel alone knows how much time is left, but where the
 * call has no end, or an absolute one. */
static enum restart of_timed_call(const struct system_call *call)
{
	switch (call->number) {
	case SYS_poll:
		return (int)call->arg[2] < 0 ? RESTART_AGAIN : RESTART_NEVER;
	case SYS_futex:
		return (call->arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET
			       ? RESTART_AGAIN
			       : RESTART_NEVER;
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
		return restart_sleep_left(call) ? RESTART_SLEEP : RESTART_NEVER;
	default:
		return RESTART_NEVER;
	}
}

/* Calls that a stop ends with EINTR (signal(7), "Interruption of system calls by stop
 * signals"), and whether they have a time. */
static bool ends(const struct system_call *call, enum timed *timed)
{
	*timed = TIMED_NOT;
	switch (call->number) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		if ((int)call->arg[3] > 0)
			*timed = TIMED_ENDED;
		return true;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		if (call->arg[3])
			*timed = TIMED_FIXED;
		return true;
	case SYS_rt_sigtimedwait:
		if (call->arg[2])
			*timed = TIMED_FIXED;
		return true;
	case SYS_io_getevents:
		if (call->arg[4])
			*timed = TIMED_FIXED;
		return true;
	case SYS_io_uring_enter:
		if (call->arg[3] & IORING_ENTER_EXT_ARG)
			*timed = TIMED_FIXED;
		return true;
	case SYS_semop:
		return true;
	default:
		return restart_socket_option(call) != 0;
	}
}

bool restart_ends(const struct system_call *call)
{
	enum timed timed;

	return ends(call, &timed);
}

int restart_socket_option(const struct system_call *call)
{
	switch (call->number) {
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

enum timed restart_timed(const struct system_call *call)
{
	enum timed timed;

	if (ends(call, &timed))
		return timed;
	switch (call->number) {
	case SYS_poll:
		return (int)call->arg[2] > 0 ? TIMED_KERNEL : TIMED_NOT;
	case SYS_nanosleep:
		return restart_sleep_left(call) ? TIMED_NOT : TIMED_KERNEL;
	case SYS_clock_nanosleep:
		return call->arg[1] & TIMER_ABSTIME || restart_sleep_left(call)
			       ? TIMED_NOT
			       : TIMED_KERNEL;
	default:
		return TIMED_NOT;
	}
}

bool restart_shorten(struct system_call *call, int64_t elapsed_ns)
{
	uint64_t *ms = call->number == SYS_poll ? &call->arg[2] : &call->arg[3];
	int64_t elapsed_ms = elapsed_ns / 1000000;

	if (call->number != SYS_poll && call->number != SYS_epoll_wait &&
	    call->number != SYS_epoll_pwait)
		return false;
	*ms = elapsed_ms < (int)*ms ? (uint64_t)((int)*ms - elapsed_ms) : 0;
	return true;
}

enum restart restart_of(const struct system_call *call)
{
	enum timed timed;

	if (call->number < 0)
		return RESTART_NONE;
	switch (-call->result) {
	case ERESTARTSYS_:
	case ERESTARTNOINTR_:
	case ERESTARTNOHAND_:
		return RESTART_AGAIN;
	case ERESTART_RESTARTBLOCK_:
		return of_timed_call(call);
	case EINTR:
		return !ends(call, &timed)    ? RESTART_NONE
		       : timed == TIMED_ENDED ? RESTART_NEVER
					      : RESTART_AGAIN;
	default:
		return RESTART_NONE;
	}
}

bool restart_is_sleep(const struct system_call *call)
{
	return call->number == SYS_nanosleep || call->number == SYS_clock_nanosleep;
}

uint64_t *restart_sleep_request(struct system_call *call)
{
	return call->number == SYS_nanosleep ? &call->arg[0] : &call->arg[2];
}

/* On arm64 nobody can see whether the kernel has written it yet. */
uint64_t restart_sleep_left(const struct system_call *call)
{
#ifdef __aarch64__
	(void)call;
	return 0;
#else
	return call->number == SYS_nanosleep ? call->arg[1] : call->arg[3];
#endif
}

bool restart_is_to_mend(const struct system_call *call)
{
	long result = -call->result;

	if (call->number < 0)
		return false;
	return (result == EINTR && restart_ends(call)) ||
	       (result == ERESTART_RESTARTBLOCK_ && of_timed_call(call) == RESTART_AGAIN);
}
