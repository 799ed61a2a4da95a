#include "target/pause.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	THREADS_MAX = 1 << 16,
	WAIT_NS = 50 * 1000,
	IDLE_NS = 10 * 1000 * 1000,
	NS_PER_SECOND = 1000 * 1000 * 1000,
};

/* What goes over the socket between parent and helper. */
struct pause_request {
	int64_t limit_ns; /* 0: let go */
};

struct answer {
	int error;
	bool cut_short;
	int64_t stood_ns; /* of a stop that is over */
};

struct pause {
	const struct process *process;
	int fd;
	pid_t helper;
};

/* ---- the helper ---- */

enum thread_state {
	THREAD_SEIZED, /* asked to stop */
	THREAD_STOPPED,
	THREAD_GONE,
};

struct paused_thread {
	pid_t tid;
	enum thread_state state;
	int signal; /* met on its way to a stop: delivered when it goes on */
};

struct holder {
	int pid;
	int fd;
	int64_t begin_ns;
	int64_t end_ns;
	unsigned count;
	struct paused_thread thread[THREADS_MAX];
};

static struct paused_thread *find_thread(struct holder *holder, pid_t tid)
{
	for (unsigned i = 0; i < holder->count; i++)
		if (holder->thread[i].tid == tid &&
		    holder->thread[i].state != THREAD_GONE)
			return &holder->thread[i];
	return NULL;
}

static void note_stop(struct paused_thread *thread, int status)
{
	bool is_event = status >> 16 == PTRACE_EVENT_STOP;

	if (!WIFSTOPPED(status)) {
		thread->state = THREAD_GONE;
		return;
	}
	thread->state = THREAD_STOPPED;
	thread->signal = is_event ? 0 : WSTOPSIG(status);
}

static void collect_stops(struct holder *holder)
{
	pid_t tid;
	int status;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct paused_thread *thread = find_thread(holder, tid);

		if (thread)
			note_stop(thread, status);
	}
}

static bool all_stopped(const struct holder *holder)
{
	for (unsigned i = 0; i < holder->count; i++)
		if (holder->thread[i].state == THREAD_SEIZED)
			return false;
	return true;
}

/* Whether the thread has ended: what is left of it can be listed, and cannot be seized.
 */
static bool has_ended(const struct holder *holder, pid_t tid)
{
	char path[64], text[512];
	const char *name_end;
	ssize_t got = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", holder->pid, (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return true;
	text[got] = '\0';
	name_end = strrchr(text, ')');
	return name_end && name_end[1] && strchr("ZXx", name_end[2]);
}

static int seize(struct holder *holder, pid_t tid)
{
	if (find_thread(holder, tid))
		return 0;
	if (holder->count == THREADS_MAX)
		return -E2BIG;
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0) {
		int error = errno;

		return error == ESRCH || has_ended(holder, tid) ? 0 : -error;
	}
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	holder->thread[holder->count++] =
		(struct paused_thread){.tid = tid, .state = THREAD_SEIZED};
	return 1;
}

struct dirent64_head {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static int seize_entries(struct holder *holder, const char *buffer, long bytes)
{
	int seized = 0;

	for (long at = 0; at < bytes;) {
		const struct dirent64_head *entry = (const void *)(buffer + at);
		pid_t tid = strtol(entry->name, NULL, 10);
		int result = tid > 0 ? seize(holder, tid) : 0;

		if (result < 0)
			return result;
		seized += result;
		at += entry->length;
	}
	return seized;
}

/* Seizes the threads that are not held yet: how many, or -errno. opendir would allocate.
 */
static int seize_new(struct holder *holder)
{
	_Alignas(8) char buffer[32 << 10];
	char path[64];
	int fd, seized = 0;
	long bytes;

	snprintf(path, sizeof(path), "/proc/%d/task", holder->pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (seized >= 0 &&
	       (bytes = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		int result = seize_entries(holder, buffer, bytes);

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

static int wait_stopped(struct holder *holder)
{
	for (;;) {
		collect_stops(holder);
		if (all_stopped(holder))
			return 0;
		if (clock_monotonic_ns() >= holder->end_ns)
			return -ETIMEDOUT;
		wait_a_little();
	}
}

/* Threads that are not stopped can make new ones: until a look finds no more. */
static int stop_all(struct holder *holder)
{
	int seized, error = 0;

	do {
		seized = seize_new(holder);
		if (seized >= 0)
			error = wait_stopped(holder);
	} while (seized > 0 && !error);
	return seized < 0 ? seized : error;
}

/* Lets go of all threads that stand. One that has not stopped yet cannot be let go: it is
 * kept until it does. */
static void let_go(struct holder *holder)
{
	unsigned kept = 0;

	collect_stops(holder);
	for (unsigned i = 0; i < holder->count; i++) {
		struct paused_thread *thread = &holder->thread[i];

		if (thread->state == THREAD_STOPPED)
			ptrace(PTRACE_DETACH, thread->tid, 0, (long)thread->signal);
		else if (thread->state == THREAD_SEIZED)
			holder->thread[kept++] = *thread;
	}
	holder->count = kept;
}

/* Waits for a request, for TIMEOUT_NS unless that is negative: true when there is one;
 * false at the parent's end. */
static bool next_request(struct holder *holder, int64_t timeout_ns,
			 struct pause_request *request, bool *timed_out)
{
	struct pollfd poll_fd = {.fd = holder->fd, .events = POLLIN};
	const struct timespec timeout = {
		.tv_sec = timeout_ns / NS_PER_SECOND,
		.tv_nsec = timeout_ns % NS_PER_SECOND,
	};
	int ready = ppoll(&poll_fd, 1, timeout_ns < 0 ? NULL : &timeout, NULL);

	*timed_out = ready == 0;
	if (ready <= 0)
		return *timed_out;
	return recv(holder->fd, request, sizeof(*request), 0) == sizeof(*request);
}

static void send_answer(const struct holder *holder, const struct answer *answer)
{
	if (send(holder->fd, answer, sizeof(*answer), MSG_NOSIGNAL) < 0)
		_exit(EXIT_FAILED);
}

/* Holds the target until it is to go on. False at the parent's end. */
static bool hold(struct holder *holder, struct answer *answer)
{
	struct pause_request request;
	bool timed_out, goes_on;
	int64_t left_ns = holder->end_ns - clock_monotonic_ns();

	goes_on = next_request(holder, left_ns > 0 ? left_ns : 0, &request, &timed_out);
	let_go(holder);
	answer->stood_ns = clock_monotonic_ns() - holder->begin_ns;
	answer->cut_short = timed_out;
	if (goes_on && timed_out)
		goes_on = next_request(holder, -1, &request, &timed_out);
	return goes_on;
}

static bool serve(struct holder *holder, const struct pause_request *request)
{
	struct answer answer = {0};
	bool goes_on = true;

	holder->begin_ns = clock_monotonic_ns();
	holder->end_ns = holder->begin_ns + request->limit_ns;
	answer.error = stop_all(holder);
	if (answer.error) {
		let_go(holder);
		answer.stood_ns = clock_monotonic_ns() - holder->begin_ns;
	}
	send_answer(holder, &answer);
	if (!answer.error) {
		goes_on = hold(holder, &answer);
		if (goes_on)
			send_answer(holder, &answer);
	}
	return goes_on;
}

static void helper_loop(struct holder *holder)
{
	for (;;) {
		struct pause_request request;
		bool timed_out;

		if (!next_request(holder, holder->count ? IDLE_NS : -1, &request,
				  &timed_out))
			return;
		if (timed_out)
			let_go(holder);
		else if (!serve(holder, &request))
			return;
	}
}

/* The helper has a session of its own, so that the terminal's signals do not reach it: ^Z
 * must not stop the one who lets go. It keeps no file open that a reader waits to see
 * closed. */
static void helper_main(struct holder *holder)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	if (holder->fd > 3)
		syscall(SYS_close_range, 3, holder->fd - 1, 0);
	syscall(SYS_close_range, holder->fd + 1, ~0U, 0);
	helper_loop(holder);
	_exit(EXIT_DONE);
}

/* ---- the parent ---- */

int pause_new(struct pause **pause, const struct process *process, struct fault *fault)
{
	struct holder *holder = malloc(sizeof(*holder));
	struct pause *new = malloc(sizeof(*new));
	int fds[2] = {-1, -1};

	if (!holder || !new ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		goto fail;
	new->process = process;
	new->fd = fds[0];
	memset(holder, 0, sizeof(*holder));
	holder->pid = process->pid;
	holder->fd = fds[1];
	new->helper = fork();
	if (new->helper == 0)
		helper_main(holder);
	close(fds[1]);
	if (new->helper < 0) {
		close(fds[0]);
		goto fail;
	}
	free(holder);
	*pause = new;
	return 0;
fail:
	free(holder);
	free(new);
	return fault_set(fault, EXIT_FAILED, -ENOMEM,
			 "cannot start the helper that pauses the target: %s",
			 strerror(errno));
}

void pause_free(struct pause *pause)
{
	if (!pause)
		return;
	close(pause->fd);
	waitpid(pause->helper, NULL, 0);
	free(pause);
}

static int ask(struct pause *pause, int64_t limit_ns, struct answer *answer)
{
	const struct pause_request request = {limit_ns};
	ssize_t got;

	if (send(pause->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -EPIPE;
	do {
		got = recv(pause->fd, answer, sizeof(*answer), 0);
	} while (got < 0 && errno == EINTR);
	return got == sizeof(*answer) ? 0 : -EPIPE;
}

static int cannot_pause(const struct pause *pause, int64_t limit_ns, int error,
			struct fault *fault)
{
	const struct process *process = pause->process;

	if (error == -ETIMEDOUT)
		return fault_set(
			fault, EXIT_FAILED, error,
			"cannot pause process %d (%s): not every thread stopped within "
			"%g ms; allow more with --pause=DURATION",
			process->pid, process->comm, (double)limit_ns / 1e6);
	if (error == -EPERM)
		return fault_set(
			fault, EXIT_NOT_PERMITTED, error,
			"cannot pause process %d (%s): %s: another program traces it, or "
			"CAP_SYS_PTRACE is missing",
			process->pid, process->comm, strerror(-error));
	return fault_set(fault, EXIT_FAILED, error, "cannot pause process %d (%s): %s",
			 process->pid, process->comm, strerror(-error));
}

int pause_begin(struct pause *pause, int64_t limit_ns, int64_t *stood_ns,
		struct fault *fault)
{
	struct answer answer;
	int error = ask(pause, limit_ns, &answer);

	*stood_ns = error ? 0 : answer.stood_ns;
	if (!error)
		error = answer.error;
	return error ? cannot_pause(pause, limit_ns, error, fault) : 0;
}

int pause_end(struct pause *pause, int64_t *stood_ns, bool *cut_short)
{
	struct answer answer;
	int error = ask(pause, 0, &answer);

	if (error)
		return error;
	*stood_ns = answer.stood_ns;
	*cut_short = answer.cut_short;
	return 0;
}
