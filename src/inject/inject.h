/* inject.h: a function of libc called by a thread of a running process, once, and at a
 * moment that is proven to be safe for it; docs/ATTACH.md has the whole of it. All is
 * done by a helper process, which finishes what it has begun whatever becomes of its
 * parent; should it be killed itself, the target goes on or was never touched. */
#ifndef FRAGSCOPE_INJECT_H
#define FRAGSCOPE_INJECT_H

#include "base/fault.h"
#include "target/process.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { INJECT_PLACE = 160, INJECT_TEXT = 1024 };

struct inject_request {
	const char *function; /* of LIBRARY; of libc where that is null */
	const char *library;  /* the beginning of its file's name */
	uint64_t argument[2];
	const char *text; /* the first argument in its place, or null; < INJECT_TEXT */
	uint64_t stack_bytes; /* that the function may need */
	const int *calls;     /* system calls that it may make; the last is -1 */
	/* Asked while the process stands: false, and nothing is called. Or null. */
	bool (*still)(void *context);
	void *context;
	int64_t for_ns;	   /* how long a safe point is looked for */
	int64_t return_ns; /* how long the call may take before nobody waits for it */
	bool dry_run;	   /* the search alone */
};

struct inject_result {
	unsigned threads;
	unsigned tries;		      /* times that the process was stopped */
	int64_t stood_ns, longest_ns; /* at the last of them, and the longest */
	pid_t tid;		      /* by which the call is made; 0: no safe point */
	char comm[16];
	char place[INJECT_PLACE]; /* where that was */
	bool called;		  /* the call is made, whatever comes */
	bool returned;
	int64_t took_ns; /* until it had returned */
};

/* Makes the call that REQUEST wants in PROCESS. WAITING is the mask to wait with, and
 * STOP says that the user wants an end; both may be null. 0 with RESULT, or -errno, FAULT
 * and what RESULT has by then. After -ETIMEDOUT with RESULT's CALLED, and after -EINTR,
 * the call ends by itself. -ECANCELED: REQUEST's STILL said so. */
int inject(const struct process *process, const struct inject_request *request,
	   const sigset_t *waiting, const atomic_bool *stop, struct inject_result *result,
	   struct fault *fault);

#endif
