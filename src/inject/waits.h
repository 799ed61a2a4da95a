/* waits.h: since when the threads of a process wait for a time that a stop would
 * lengthen, looked at from outside, before there is a stop. The kernel says which system
 * call a thread is in and how often it has slept, not since when: so that is known of
 * those only that were seen not to wait before. */
#ifndef FRAGSCOPE_INJECT_WAITS_H
#define FRAGSCOPE_INJECT_WAITS_H

#include "inject/libc.h"
#include "inject/restart.h"

#include <stdbool.h>
#include <stdint.h>

/* One thread in such a wait. */
struct timed_wait {
	pid_t tid;
	enum timed timed;
	struct system_call call;
	uint64_t sleeps;  /* of the thread's, so far */
	uint64_t run_ns;  /* that it has run, so far */
	int64_t since_ns; /* CLOCK_MONOTONIC, when it was first seen */
	bool is_known;	  /* it was not seen at the look just before */
	bool wakes;	  /* it runs, and may not have left it yet */
};

/* A call that a stop is about to end. */
struct noted_call {
	pid_t tid;
	struct system_call call;
};

struct waits {
	const struct process *process;
	const struct inject_libc *libc;
	/* CLOCK_MONOTONIC, at the end of the last look, or when all waits began anew
	 * after a stop; 0: what begins before the next look is not known. */
	int64_t looked_ns;
	bool is_close;	 /* that was just before the look */
	unsigned others; /* threads that are in no such wait */
	pid_t vforks;	 /* one that waits until a child has left its memory; or 0 */
	unsigned count, room;
	struct timed_wait *wait, *before;
	unsigned before_count;
	unsigned noted, noted_room;
	struct noted_call *note;
};

/* Looks at all threads of the program's once more, and calls FN, if that is not null,
 * with what is known of each that sleeps in a system call. 0 or -errno. */
typedef void waits_fn(const struct system_call *call, void *context);

int waits_look(struct waits *waits, waits_fn *fn, void *context);

/* Whether a stop would lengthen no thread's wait by more than a few milliseconds, and
 * some thread may be one to make a call by; else *TID is in the way, and *WHY says how.
 */
bool waits_allow_stop(const struct waits *waits, pid_t *tid, const char **why);

/* How long the thread TID, which stands still in CALL, has been in its wait: at least,
 * and no more than a look's time longer; -1 when that is not known. */
int64_t waits_elapsed_ns(const struct waits *waits, pid_t tid,
			 const struct system_call *call);

/* Notes what TID is in, if a stop will end that. */
void waits_note(struct waits *waits, pid_t tid);

/* What was noted last of TID; null: nothing. */
const struct system_call *waits_noted(const struct waits *waits, pid_t tid);

/* Whether the socket that CALL of PROCESS may wait for has a timeout for that. */
bool waits_has_timeout(const struct process *process, const struct system_call *call);

void waits_free(struct waits *waits);

#endif
