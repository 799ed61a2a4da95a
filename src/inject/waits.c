#include "inject/waits.h"

#include "base/clock.h"
#include "inject/memory.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define YOUNG_NS INT64_C(10000000) /* a wait that may begin once more */
#define WAKE_NS	 200000 /* more than a thread runs for on its way out of a wait */

static ssize_t read_task(const struct waits *waits, pid_t tid, const char *file,
			 char *text, size_t size)
{
	char name[64];

	snprintf(name, sizeof(name), "task/%d/%s", (int)tid, file);
	return process_text(waits->process->pid, name, text, size);
}

/* How often the thread has gone to sleep; 0: not known. */
static uint64_t read_sleeps(const struct waits *waits, pid_t tid)
{
	static const char key[] = "\nvoluntary_ctxt_switches:";
	char text[4096];
	const char *line;

	if (read_task(waits, tid, "status", text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, key);
	return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

/* How long the thread has run; 0: not known. */
static uint64_t read_run_ns(const struct waits *waits, pid_t tid)
{
	char text[64];

	if (read_task(waits, tid, "schedstat", text, sizeof(text)) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}

/* Whether the thread has slept MORE times than when WAIT was noted, and has not been
 * elsewhere. */
static bool is_still_there(const struct waits *waits, const struct timed_wait *wait,
			   unsigned more)
{
	return read_sleeps(waits, wait->tid) == wait->sleeps + more &&
	       read_run_ns(waits, wait->tid) - wait->run_ns < WAKE_NS;
}

/* The system call that the thread sleeps in. False: it is in none, or runs. */
static bool read_call(const struct waits *waits, pid_t tid, struct system_call *call)
{
	uint64_t *arg = call->arg;
	char text[256];

	*call = (struct system_call){.number = -1};
	return read_task(waits, tid, "syscall", text, sizeof(text)) > 0 &&
	       sscanf(text,
		      "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		      " %" SCNx64 " %" SCNx64 " %" SCNx64,
		      &call->number, &arg[0], &arg[1], &arg[2], &arg[3], &arg[4], &arg[5],
		      &call->sp, &call->pc) == 9 &&
	       call->number >= 0;
}

bool waits_has_timeout(const struct process *process, const struct system_call *call)
{
	struct timeval limit = {0};
	socklen_t bytes = sizeof(limit);
	int option = restart_socket_option(call), copy = -1;
	bool has;

	if (option)
		copy = (int)syscall(SYS_pidfd_getfd, process->pidfd, (int)call->arg[0],
				    0);

	if (copy < 0)
		return false;
	has = getsockopt(copy, SOL_SOCKET, option, &limit, &bytes) == 0 &&
	      (limit.tv_sec || limit.tv_usec);
	close(copy);
	return has;
}

/* Whether the thread waits until the child that it has just made has left its memory. */
static bool is_vfork(const struct waits *waits, const struct system_call *call)
{
	uint64_t flags = 0;

	switch (call->number) {
#ifdef SYS_vfork
	case SYS_vfork:
		return true;
#endif
	case SYS_clone:
		return call->arg[0] & CLONE_VFORK;
	case SYS_clone3:
		return !inject_read(waits->process, call->arg[0], &flags,
				    sizeof(flags)) &&
		       flags & CLONE_VFORK;
	default:
		return false;
	}
}

/* What is no function of libc's may go on to use the registers of its arguments. */
static enum timed judge_call(const struct waits *waits, const struct system_call *call)
{
	enum timed timed = restart_timed(call);
	bool in_libc =
		call->pc >= waits->libc->code_start && call->pc < waits->libc->code_end;

	if (waits_has_timeout(waits->process, call))
		return TIMED_FIXED;
	return timed == TIMED_ENDED && !in_libc ? TIMED_FIXED : timed;
}

static bool is_same_call(const struct system_call *a, const struct system_call *b)
{
	return a->number == b->number && a->sp == b->sp &&
	       memcmp(a->arg, b->arg, 4 * sizeof(a->arg[0])) == 0;
}

/* Threads come in the same order at each look, but for those that have ended. */
static const struct timed_wait *find_wait(const struct timed_wait *wait, unsigned count,
					  pid_t tid)
{
	for (unsigned i = 0; i < count; i++)
		if (wait[i].tid == tid)
			return &wait[i];
	return NULL;
}

static void note_wait(struct waits *waits, pid_t tid, enum timed timed,
		      const struct system_call *call)
{
	const struct timed_wait *before =
		find_wait(waits->before, waits->before_count, tid);
	struct timed_wait *wait = &waits->wait[waits->count++];

	*wait = (struct timed_wait){
		.tid = tid,
		.timed = timed,
		.call = *call,
		.sleeps = read_sleeps(waits, tid),
		.run_ns = read_run_ns(waits, tid),
		.since_ns = clock_monotonic_ns(),
		.is_known = waits->is_close,
	};
	if (before && before->sleeps == wait->sleeps &&
	    is_same_call(&before->call, &wait->call)) {
		wait->since_ns = before->since_ns;
		wait->is_known = before->is_known;
	}
}

/* One that runs, or is about to, may still be on its way out of the wait before. */
static void note_other(struct waits *waits, pid_t tid)
{
	const struct timed_wait *before =
		find_wait(waits->before, waits->before_count, tid);

	if (before && is_still_there(waits, before, 0)) {
		waits->wait[waits->count] = *before;
		waits->wait[waits->count++].wakes = true;
	} else {
		waits->others++;
	}
}

static bool take_room(struct waits *waits)
{
	unsigned room = waits->room ? waits->room * 2 : 64;
	struct timed_wait *wait = reallocarray(waits->wait, room, sizeof(*wait));
	struct timed_wait *before;

	if (!wait)
		return false;
	waits->wait = wait;
	before = reallocarray(waits->before, room, sizeof(*before));
	if (!before)
		return false;
	waits->before = before;
	waits->room = room;
	return true;
}

/* Whether the kernel has made the thread for its own work (io_uring, vhost): it has no
 * code, and what is shown is the call by which another made it. */
static bool is_of_kernel(const struct system_call *call)
{
	return !call->pc;
}

static void look_at_thread(struct waits *waits, pid_t tid, waits_fn *fn, void *context)
{
	struct system_call call;
	enum timed timed = TIMED_NOT;

	if (read_call(waits, tid, &call)) {
		if (is_of_kernel(&call))
			return;
		timed = judge_call(waits, &call);
		if (is_vfork(waits, &call))
			waits->vforks = tid;
		if (fn)
			fn(&call, context);
	}
	if (waits->count == waits->room && !take_room(waits))
		waits->others++;
	else if (timed == TIMED_NOT)
		note_other(waits, tid);
	else
		note_wait(waits, tid, timed, &call);
}

int waits_look(struct waits *waits, waits_fn *fn, void *context)
{
	struct timed_wait *swap = waits->before;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", waits->process->pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	waits->before = waits->wait;
	waits->before_count = waits->count;
	waits->wait = swap;
	waits->count = waits->others = 0;
	waits->vforks = 0;
	waits->is_close =
		waits->looked_ns && clock_monotonic_ns() - waits->looked_ns < YOUNG_NS;
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0)
			look_at_thread(waits, tid, fn, context);
	}
	closedir(dir);
	waits->looked_ns = clock_monotonic_ns();
	return 0;
}

bool waits_allow_stop(const struct waits *waits, pid_t *tid, const char **why)
{
	bool may_call = waits->others > 0;

	if (waits->vforks) {
		*tid = waits->vforks;
		*why = "waiting for a child that uses its memory (vfork)";
		return false;
	}
	for (unsigned i = 0; i < waits->count; i++) {
		const struct timed_wait *wait = &waits->wait[i];
		bool is_young = clock_monotonic_ns() - wait->since_ns < YOUNG_NS;

		*tid = wait->tid;
		if (wait->wakes) {
			*why = "on its way out of a wait with a timeout";
			return false;
		}
		may_call |= wait->is_known;
		if (wait->timed == TIMED_ENDED && !wait->is_known) {
			*why = "in a wait with a timeout whose beginning was not seen, "
			       "and a "
			       "stop would lengthen it";
			return false;
		}
		if (wait->timed == TIMED_FIXED && !(wait->is_known && is_young)) {
			*why = "in a wait with a timeout that would begin anew after a "
			       "stop";
			return false;
		}
	}
	*why = "in a wait with a timeout whose beginning was not seen, as all others are";
	return may_call;
}

/* The stop itself is one sleep more. */
int64_t waits_elapsed_ns(const struct waits *waits, pid_t tid,
			 const struct system_call *call)
{
	const struct timed_wait *wait = find_wait(waits->wait, waits->count, tid);

	if (!wait || !is_same_call(&wait->call, call) || !is_still_there(waits, wait, 1))
		return 0;
	return wait->is_known ? clock_monotonic_ns() - wait->since_ns : -1;
}

static struct noted_call *find_note(const struct waits *waits, pid_t tid)
{
	for (unsigned i = 0; i < waits->noted; i++)
		if (waits->note[i].tid == tid)
			return &waits->note[i];
	return NULL;
}

static struct noted_call *new_note(struct waits *waits)
{
	unsigned room = waits->noted_room ? waits->noted_room * 2 : 64;
	struct noted_call *note;

	if (waits->noted == waits->noted_room) {
		note = reallocarray(waits->note, room, sizeof(*note));
		if (!note)
			return NULL;
		waits->note = note;
		waits->noted_room = room;
	}
	return &waits->note[waits->noted++];
}

void waits_note(struct waits *waits, pid_t tid)
{
	struct system_call call;
	struct noted_call *note = find_note(waits, tid);
	bool ends = read_call(waits, tid, &call) && restart_ends(&call);

	if (ends && !note)
		note = new_note(waits);
	if (!ends)
		call.number = -1;
	if (note)
		*note = (struct noted_call){tid, call};
}

const struct system_call *waits_noted(const struct waits *waits, pid_t tid)
{
	const struct noted_call *note = find_note(waits, tid);

	return note ? &note->call : NULL;
}

void waits_free(struct waits *waits)
{
	free(waits->note);
	free(waits->wait);
	free(waits->before);
}
