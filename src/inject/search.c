/* search.c: the moments at which a process is stopped, and whether one of them is safe.
 */
#include "base/clock.h"
#include "inject/machine.h"
#include "inject/parts.h"
#include "target/denied.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define STOP_NS	     INT64_C(5000000) /* that the first stops may take */
#define SHORT_NS     INT64_C(1000000)
#define LONG_NS	     INT64_C(20000000)
#define WAITS_NS     2000000
#define RUN_FACTOR   9 /* it runs for so many times as long as it stood */
#define RUN_FIRST_US 1000000

enum {
	STOPS = 16,   /* after so many that were late they may take twice as long */
	DOUBLINGS = 3 /* at most */
};

/* ---- one stop ---- */

static void name_thread(const struct injector *injector, pid_t tid, char comm[16])
{
	char name[64];

	snprintf(name, sizeof(name), "task/%d/comm", (int)tid);
	process_line(injector->process->pid, name, comm, 16);
}

/* Those too that have stopped only now. */
static void mend_thread(const struct held_thread *held, void *context)
{
	const struct injector *injector = context;

	inject_mend(&injector->looker, held);
}

static void note_call(const struct held_thread *held, void *context)
{
	struct injector *injector = context;

	waits_note(&injector->waits, held->tid);
}

static void let_go(struct injector *injector)
{
	struct inject_result *result = &injector->result;

	hold_let_go(&injector->hold, mend_thread, injector);
	injector->waits.looked_ns = clock_monotonic_ns();
	result->stood_ns = hold_stood_ns(&injector->hold);
	if (result->stood_ns > result->longest_ns)
		result->longest_ns = result->stood_ns;
}

static int not_now(struct injector *injector, pid_t tid, const char *why)
{
	injector->thread.tid = tid;
	injector->thread.is_waiting = false;
	snprintf(injector->thread.place, sizeof(injector->thread.place), "%s", why);
	return -EAGAIN;
}

static int not_stopped(struct injector *injector)
{
	for (unsigned i = 0; i < injector->hold.count; i++)
		if (injector->hold.thread[i].state == HELD_ASKED)
			return not_now(injector, injector->hold.thread[i].tid,
				       "where it cannot be stopped, as during vfork");
	return not_now(injector, 0, "new threads came too fast");
}

/* All threads must be safe. */
static int look_at_threads(struct injector *injector)
{
	struct inject_thread *thread = &injector->thread;

	injector->result.threads = injector->candidates = 0;
	for (unsigned i = 0; i < injector->hold.count; i++) {
		const struct held_thread *held = &injector->hold.thread[i];

		if (held->state != HELD_STOPPED)
			continue;
		if (held->is_of_group)
			return -ESTALE;
		if (inject_look(&injector->looker, held, thread))
			return not_now(injector, held->tid, "at its end");
		injector->result.threads++;
		if (!thread->is_safe)
			return -EAGAIN;
		if (thread->can_call && injector->candidates < INJECT_CANDIDATES)
			injector->candidate[injector->candidates++] = *thread;
	}
	return 0;
}

/* Where filters are against all that could make the call now: another time another thread
 * may be able to. -EACCES: there is no other. */
static int none_allowed(struct injector *injector)
{
	if (injector->candidates == injector->result.threads)
		return -EACCES;
	return not_now(injector, injector->thread.tid,
		       "under a filter of system calls (seccomp) that forbids the call, "
		       "and no other can be used for it");
}

/* One that waits in the kernel before others: it has nothing else to do. */
static int choose(struct injector *injector)
{
	int result = -EACCES;

	if (!injector->candidates)
		return not_now(injector, injector->thread.tid,
			       "where it cannot be used for a call, as all others are");
	for (unsigned in_kernel = 2; in_kernel-- > 0;)
		for (unsigned i = 0; i < injector->candidates; i++) {
			const struct inject_thread *thread = &injector->candidate[i];
			int error;

			if ((thread->call.number >= 0) != in_kernel)
				continue;
			injector->thread = *thread;
			error = call_prepare(injector);
			if (error == -EAGAIN)
				result = error;
			else if (error != -EACCES)
				return error;
		}
	return result == -EACCES ? none_allowed(injector) : result;
}

static int judge(struct injector *injector)
{
	int changed = unwind_is_stale(injector->unwinder);
	int is_free, error;

	if (changed)
		return changed < 0 ? changed
				   : not_now(injector, 0, "files were being mapped");
	error = look_at_threads(injector);
	if (error)
		return error;
	is_free = inject_libc_is_free(injector->process, &injector->libc);
	if (is_free < 0)
		return is_free;
	if (!is_free)
		return not_now(injector, 0, "an arena of malloc's was locked");
	if (injector->request->still &&
	    !injector->request->still(injector->request->context))
		return -ECANCELED;
	return choose(injector);
}

static void note_caller(struct injector *injector)
{
	struct inject_result *result = &injector->result;

	result->tid = injector->thread.tid;
	memcpy(result->place, injector->thread.place, sizeof(result->place));
	name_thread(injector, result->tid, result->comm);
}

void inject_run_first(bool is_first)
{
	const struct sched_param param = {.sched_priority = is_first};
	const struct rlimit fuse = {RUN_FIRST_US, RUN_FIRST_US};

	setrlimit(RLIMIT_RTTIME, &fuse);
	sched_setscheduler(0, is_first ? SCHED_FIFO : SCHED_OTHER, &param);
}

/* One thread that waits for a processor keeps all others standing: better to try at
 * another moment, unless it is like that at all of them. */
static int64_t stop_limit_ns(const struct injector *injector)
{
	unsigned doublings = injector->late_stops / STOPS;

	return STOP_NS << (doublings < DOUBLINGS ? doublings : DOUBLINGS);
}

/* 0: the call was started, or could have been. -EAGAIN: not now. */
static int try(struct injector *injector)
{
	int error;

	inject_run_first(true);
	injector->hold.for_ns = stop_limit_ns(injector);
	injector->hold.asked = MACHINE_HIDES_CALLS ? note_call : NULL;
	injector->hold.context = injector;
	injector->result.tries++;
	error = hold_all(&injector->hold);
	injector->late_stops += error == -ETIMEDOUT;
	if (error == -ETIMEDOUT)
		error = not_stopped(injector);
	else if (!error)
		error = judge(injector);
	if (!error && !injector->request->dry_run)
		error = call_start(injector);
	let_go(injector);
	inject_run_first(false);
	if (!error)
		note_caller(injector);
	injector->result.called = !error && !injector->request->dry_run;
	return error;
}

/* ---- until one is safe ---- */

static void rehearse_thread(const struct system_call *call, void *context)
{
	const struct injector *injector = context;

	inject_rehearse(&injector->looker, call);
}

/* All that can be learned while the process runs, so that it stands for less time. */
static void rehearse(struct injector *injector)
{
	unwind_prepare(injector->unwinder);
	waits_look(&injector->waits, rehearse_thread, injector);
	/* It took long. */
	injector->waits.looked_ns = 0;
}

/* Sleeps until the next look at the waits. A thread that could not be stopped in time
 * stops when it can: it goes on at once, and not after the next stop. */
static void pass_time(struct injector *injector)
{
	const struct timespec time = {.tv_nsec = WAITS_NS};

	nanosleep(&time, NULL);
	if (injector->hold.count)
		hold_let_go(&injector->hold, mend_thread, injector);
}

/* At random, so that nothing of the program's own rhythm is met every time. Waits are
 * looked at all the while: of one that begins between two looks far apart nobody knows
 * when. 0 or -errno. */
static int run_on(struct injector *injector)
{
	int64_t end_ns = clock_monotonic_ns() + SHORT_NS +
			 random() % (LONG_NS - SHORT_NS) +
			 RUN_FACTOR * injector->result.stood_ns;
	int error = 0;

	if (unwind_scan(injector->unwinder) > 0)
		rehearse(injector);
	while (!error && clock_monotonic_ns() < end_ns) {
		pass_time(injector);
		error = waits_look(&injector->waits, NULL, NULL);
	}
	return error;
}

/* Who traces the process already; 0: nobody. */
static int tracer_of(const struct process *process)
{
	static const char key[] = "\nTracerPid:";
	char text[4096];
	const char *line;

	if (process_text(process->pid, "status", text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, key);
	return line ? atoi(line + strlen(key)) : 0;
}

static int not_permitted(const struct process *process, struct fault *fault)
{
	char comm[16] = "";
	int tracer = tracer_of(process);

	if (!tracer)
		return denied(process->pid, process->comm, "its threads", -EPERM, fault);
	process_line(tracer, "comm", comm, sizeof(comm));
	return fault_set(fault, EXIT_NOT_PERMITTED, -EPERM,
			 "cannot stop process %d (%s): process %d (%s) traces it",
			 process->pid, process->comm, tracer, comm);
}

static int describe(const struct injector *injector, int error, struct fault *fault)
{
	const struct process *process = injector->process;

	if (process_has_exited(process))
		return fault_set(fault, EXIT_FAILED, -ESRCH, "process %d (%s) has ended",
				 process->pid, process->comm);
	if (error == -ESTALE)
		return fault_set(fault, EXIT_FAILED, error,
				 "process %d (%s) is stopped by a signal: it makes no "
				 "call until SIGCONT lets it go on",
				 process->pid, process->comm);
	if (error == -EACCES)
		return fault_set(
			fault, EXIT_NO_SOURCE, error,
			"cannot make a call in process %d (%s): it has a filter of "
			"system calls (seccomp), which might end it for one of "
			"those that are needed, or cannot be read without "
			"CAP_SYS_ADMIN",
			process->pid, process->comm);
	if (error == -EPERM)
		return not_permitted(process, fault);
	if (error == -ECANCELED)
		return fault_set(
			fault, EXIT_FAILED, error,
			"what the call in process %d (%s) is for is there no longer: "
			"nothing was called",
			process->pid, process->comm);
	return fault_set(fault, EXIT_FAILED, error, "cannot stop process %d (%s): %s",
			 process->pid, process->comm, strerror(-error));
}

static int none_found(const struct injector *injector, struct fault *fault)
{
	const struct process *process = injector->process;
	const struct inject_thread *thread = &injector->thread;
	char comm[16] = "";
	char who[48] = "";

	if (thread->tid) {
		name_thread(injector, thread->tid, comm);
		snprintf(who, sizeof(who), "thread %d (%s) was ", (int)thread->tid, comm);
	}
	return fault_set(fault, EXIT_FAILED, -EAGAIN,
			 "process %d (%s) was at no safe point at any of %u looks in "
			 "%g s, and nothing was called; at the last, %s%s%s; --for=TIME "
			 "looks for longer, which is no help where code of no file is "
			 "always on a stack, as in a JVM",
			 process->pid, process->comm, injector->result.tries,
			 (double)injector->request->for_ns / 1e9, who, thread->place,
			 thread->is_waiting
				 ? " (such a wait ends when the program has something "
				   "to do: send it a request meanwhile)"
				 : "");
}

/* Looks on until a stop does no harm to a wait. 0; -EAGAIN: not until END_NS; -EINTR. */
static int wait_for_waits(struct injector *injector, int64_t end_ns,
			  bool (*goes_on)(void *context), void *context)
{
	const char *why;
	pid_t tid = 0;

	for (;;) {
		int error = waits_look(&injector->waits, NULL, NULL);

		if (error)
			return error;
		if (waits_allow_stop(&injector->waits, &tid, &why))
			return 0;
		if (clock_monotonic_ns() >= end_ns) {
			error = not_now(injector, tid, why);
			injector->thread.is_waiting = !injector->waits.vforks;
			return error;
		}
		if (!goes_on(context))
			return -EINTR;
		pass_time(injector);
	}
}

int search(struct injector *injector, bool (*goes_on)(void *context), void *context,
	   struct fault *fault)
{
	int64_t end_ns = clock_monotonic_ns() + injector->request->for_ns;

	srandom(injector->nonce);
	rehearse(injector);
	for (;;) {
		int error = goes_on(context)
				    ? wait_for_waits(injector, end_ns, goes_on, context)
				    : -EINTR;

		if (!error)
			error = try(injector);
		if (!error)
			return 0;
		if (error == -EINTR)
			return fault_set(fault, EXIT_FAILED, error, "interrupted");
		if (error != -EAGAIN)
			return describe(injector, error, fault);
		if (clock_monotonic_ns() >= end_ns)
			return none_found(injector, fault);
		error = run_on(injector);
		if (error)
			return describe(injector, error, fault);
	}
}
