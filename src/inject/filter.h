/* filter.h: what the filters of system calls (seccomp) of a thread say of a call, before
 * it is made: they are read and run here, as the kernel would run them. */
#ifndef FRAGSCOPE_INJECT_FILTER_H
#define FRAGSCOPE_INJECT_FILTER_H

#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/types.h>

enum filter_answer {
	FILTER_ALLOWS,
	FILTER_REFUSES, /* the call fails, and no more */
	FILTER_ENDS,	/* it ends the thread or process, or somebody else is asked */
};

/* Reads the filters of the thread TID, which stands still and is traced by the caller,
 * and has at least one. 0 and *ANSWER for CALL, or -errno: they cannot be read. */
int filter_ask(pid_t tid, const struct seccomp_data *call, enum filter_answer *answer);

#endif
