#include "target/hold.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_NS = 50 * 1000 };

static struct held_thread *find_thread(struct hold *hold, pid_t tid)
{
	for (unsigned i = 0; i < hold->count; i++)
		if (hold->thread[i].tid == tid && hold->thread[i].state != HELD_GONE)
			return &hold->thread[i];
	return NULL;
}

static void note_stop(struct held_thread *thread, int status)
{
	bool is_event = status >> 16 == PTRACE_EVENT_STOP;

	if (!WIFSTOPPED(status)) {
		thread->state = HELD_GONE;
		return;
	}
	thread->state = HELD_STOPPED;
	thread->signal = is_event ? 0 : WSTOPSIG(status);
	thread->is_of_group = is_event && WSTOPSIG(status) != SIGTRAP;
}

static void collect_stops(struct hold *hold)
{
	pid_t tid;
	int status;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct held_thread *thread = find_thread(hold, tid);

		if (thread)
			note_stop(thread, status);
	}
}

static bool all_stopped(const struct hold *hold)
{
	for (unsigned i = 0; i < hold->count; i++)
		if (hold->thread[i].state == HELD_ASKED)
			return false;
	return true;
}

/* What the kernel says of a thread in its stat, from the name on; "": it is gone. */
static const char *read_stat(const struct hold *hold, pid_t tid, char text[512])
{
	const char *name;
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", hold->pid, (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, 511);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	name = strchr(text, '(');
	return name && strrchr(text, ')') ? name + 1 : "";
}

/* Whether the thread has ended: what is left of it can be listed, and cannot be seized.
 */
static bool has_ended(const struct hold *hold, pid_t tid)
{
	char text[512];
	const char *stat = read_stat(hold, tid, text), *name_end = strrchr(stat, ')');

	return !*stat || (name_end[1] && strchr("ZXx", name_end[2]));
}

/* Whether the kernel has made the thread for itself (io_uring, from Linux 5.12 on, and
 * vhost, from 6.4 on): it runs no code of the process's, and a stop would end the call
 * that it is in with EINTR. The flags are PF_IO_WORKER (0x10) and PF_USER_WORKER (0x4000)
 * of linux/sched.h. Each was another's before, so one alone counts only with the name
 * that the kernel gives such a thread; no other thread has ever had both. */
static bool is_of_kernel(const struct hold *hold, pid_t tid)
{
	static const struct {
		const char *name;
		unsigned flags;
	} kinds[] = {{"", 0x4010}, {"iou-", 0x10}, {"vhost-", 0x4000}};
	char text[512];
	const char *stat = read_stat(hold, tid, text);
	unsigned flags;

	if (!*stat ||
	    sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return false;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strncmp(stat, kinds[i].name, strlen(kinds[i].name)) == 0 &&
		    (flags & kinds[i].flags) == kinds[i].flags)
			return true;
	return false;
}

static int seize(struct hold *hold, pid_t tid)
{
	if (find_thread(hold, tid) || is_of_kernel(hold, tid))
		return 0;
	if (hold->count == HOLD_THREADS)
		return -E2BIG;
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0) {
		int error = errno;

		return error == ESRCH || has_ended(hold, tid) ? 0 : -error;
	}
	hold->thread[hold->count++] =
		(struct held_thread){.tid = tid, .state = HELD_ASKED};
	return 1;
}

struct dirent64_head {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static int seize_entries(struct hold *hold, const char *buffer, long bytes)
{
	int seized = 0;

	for (long at = 0; at < bytes;) {
		const struct dirent64_head *entry = (const void *)(buffer + at);
		pid_t tid = strtol(entry->name, NULL, 10);
		int result = tid > 0 ? seize(hold, tid) : 0;

		if (result < 0)
			return result;
		seized += result;
		at += entry->length;
	}
	return seized;
}

/* Seizes the threads that are not held yet: how many, or -errno. opendir would allocate.
 */
static int seize_new(struct hold *hold)
{
	_Alignas(8) char buffer[32 << 10];
	char path[64];
	int fd, seized = 0;
	long bytes;

	snprintf(path, sizeof(path), "/proc/%d/task", hold->pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (seized >= 0 &&
	       (bytes = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		int result = seize_entries(hold, buffer, bytes);

		seized = result < 0 ? result : seized + result;
	}
	close(fd);
	return seized;
}

static void wait_a_little(void)
{
	const struct timespec time = {.tv_nsec = WAIT_NS};

	nanosleep(&time, NULL);
}

int64_t hold_stood_ns(const struct hold *hold)
{
	return hold->since_ns ? clock_monotonic_ns() - hold->since_ns : 0;
}

static int wait_stopped(struct hold *hold)
{
	for (;;) {
		collect_stops(hold);
		if (all_stopped(hold))
			return 0;
		if (hold_stood_ns(hold) >= hold->for_ns)
			return -ETIMEDOUT;
		wait_a_little();
	}
}

/* Seizing disturbs no thread, so all are seized before the first one is to stop. */
static int ask_new(struct hold *hold)
{
	unsigned first = hold->count;
	int seized = seize_new(hold);

	if (!hold->since_ns && hold->count)
		hold->since_ns = clock_monotonic_ns();
	for (unsigned i = first; i < hold->count; i++) {
		if (hold->asked)
			hold->asked(&hold->thread[i], hold->context);
		ptrace(PTRACE_INTERRUPT, hold->thread[i].tid, 0, 0);
	}
	return seized;
}

/* Threads that are not stopped can make new ones: until a look finds no more. */
int hold_all(struct hold *hold)
{
	int seized, error = 0;

	hold->since_ns = 0;
	do {
		seized = ask_new(hold);
		if (seized >= 0)
			error = wait_stopped(hold);
	} while (seized > 0 && !error);
	return seized < 0 ? seized : error;
}

void hold_let_go(struct hold *hold, hold_fn *fn, void *context)
{
	unsigned kept = 0;

	collect_stops(hold);
	for (unsigned i = 0; i < hold->count; i++) {
		struct held_thread *thread = &hold->thread[i];

		if (thread->state == HELD_STOPPED) {
			if (fn)
				fn(thread, context);
			ptrace(PTRACE_DETACH, thread->tid, 0, (long)thread->signal);
		} else if (thread->state == HELD_ASKED) {
			hold->thread[kept++] = *thread;
		}
	}
	hold->count = kept;
}
