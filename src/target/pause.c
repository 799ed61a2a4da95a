#include "target/pause.h"

#include "target/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
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

struct holder {
	int fd;
	struct hold hold;
};

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
static bool hold_until_asked(struct holder *holder, struct answer *answer)
{
	struct pause_request request;
	bool timed_out, goes_on;
	int64_t left_ns = holder->hold.for_ns - hold_stood_ns(&holder->hold);

	goes_on = next_request(holder, left_ns > 0 ? left_ns : 0, &request, &timed_out);
	hold_let_go(&holder->hold, NULL, NULL);
	answer->stood_ns = hold_stood_ns(&holder->hold);
	answer->cut_short = timed_out;
	if (goes_on && timed_out)
		goes_on = next_request(holder, -1, &request, &timed_out);
	return goes_on;
}

static bool serve(struct holder *holder, const struct pause_request *request)
{
	struct answer answer = {0};
	bool goes_on = true;

	holder->hold.for_ns = request->limit_ns;
	answer.error = hold_all(&holder->hold);
	if (answer.error) {
		hold_let_go(&holder->hold, NULL, NULL);
		answer.stood_ns = hold_stood_ns(&holder->hold);
	}
	send_answer(holder, &answer);
	if (!answer.error) {
		goes_on = hold_until_asked(holder, &answer);
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

		if (!next_request(holder, holder->hold.count ? IDLE_NS : -1, &request,
				  &timed_out))
			return;
		if (timed_out)
			hold_let_go(&holder->hold, NULL, NULL);
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
	holder->hold.pid = process->pid;
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
