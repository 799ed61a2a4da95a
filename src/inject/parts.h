/* parts.h: what the files of the helper share; for src/inject only. */
#ifndef FRAGSCOPE_INJECT_PARTS_H
#define FRAGSCOPE_INJECT_PARTS_H

#include "inject/chain.h"
#include "inject/thread.h"

enum { INJECT_CANDIDATES = 16 }; /* threads to make the call by */

/* The helper and all that it has taken before the first stop. */
struct injector {
	const struct process *process;
	const struct inject_request *request;
	struct inject_result result;
	struct unwinder *unwinder;
	struct inject_libc libc;
	struct inject_looker looker;
	struct waits waits;
	uint64_t function;
	uint64_t done_addr;
	uint32_t nonce;
	struct hold hold;
	unsigned late_stops;	     /* given up, as a thread did not come to its stop */
	struct inject_thread thread; /* the one that is looked at, then the one chosen */
	unsigned candidates;
	struct inject_thread candidate[INJECT_CANDIDATES];
	uint8_t vector[64 << 10];
	struct call_chain *chain;
};

/* ---- call.c: the thread that makes it; it stands still ---- */

/* Whether the injector's THREAD can make the call, and all that is needed for it. 0;
 * -EAGAIN, with the reason in its place; -EACCES: its filters of system calls forbid it;
 * or -errno. */
int call_prepare(struct injector *injector);

/* Writes what call_prepare made, and starts the call: from here on nothing can go wrong
 * with it any more. 0, or -errno: nothing has happened. */
int call_start(struct injector *injector);

/* Waits for its return, until END_NS. 0, -ETIMEDOUT, or -ESRCH. */
int call_wait(const struct injector *injector, int64_t end_ns);

/* ---- search.c ---- */

/* While the process stands nobody else is to run in the helper's place. A nice value does
 * not do for that: it counts within a session alone (autogroup). Where this is not
 * permitted the process stands for longer. If the caller runs so for a second without
 * waiting for anything, the kernel kills it, which lets the process go: whatever is wrong
 * with it then, it does not keep a processor from all others. */
void inject_run_first(bool is_first);

/* Stops the process until there is a safe point, and has the call made there. 0 or
 * -errno and FAULT. */
int search(struct injector *injector, bool (*goes_on)(void *context), void *context,
	   struct fault *fault);

#endif
