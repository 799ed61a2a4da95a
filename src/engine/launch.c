#include "engine/launch.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the command is given back before it starts. */
struct start {
	sigset_t mask;
	struct sigaction child_action;
};

/* Never returns. ERROR_FD takes what exec said, and is closed by an exec that works. */
static void become(char **words, const struct start *start, int error_fd)
{
	int error;

	sigaction(SIGCHLD, &start->child_action, NULL);
	sigprocmask(SIG_SETMASK, &start->mask, NULL);
	execvp(words[0], words);
	error = errno;
	while (write(error_fd, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(EXIT_NOT_FOUND);
}

static int cannot_run(const char *word, int error, struct fault *fault)
{
	return fault_set(fault, error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE,
			 -error, "cannot run '%s': %s", word, strerror(error));
}

/* 0 and *PID once the command runs; else -errno and FAULT, and nothing is left. */
static int start_command(char **words, const struct start *start, int *pid,
			 struct fault *fault)
{
	int ends[2], error = 0;
	ssize_t got;

	if (pipe2(ends, O_CLOEXEC))
		return fault_set(fault, EXIT_FAILED, -errno, "cannot make a pipe: %s",
				 strerror(errno));
	*pid = fork();
	if (*pid < 0)
		error = fault_set(fault, EXIT_FAILED, -errno, "cannot make a process: %s",
				  strerror(errno));
	else if (!*pid)
		become(words, start, ends[1]);
	close(ends[1]);
	if (*pid > 0) {
		do
			got = read(ends[0], &error, sizeof(error));
		while (got < 0 && errno == EINTR);
		error = got == sizeof(error) ? cannot_run(words[0], error, fault) : 0;
		if (error)
			waitpid(*pid, NULL, 0);
	}
	close(ends[0]);
	return error;
}

void launch_let_go(int keep_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned keep = keep_fd < 0 ? STDERR_FILENO : (unsigned)keep_fd;

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
#ifdef SYS_close_range
	if (keep > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, keep - 1, 0);
	syscall(SYS_close_range, keep + 1, ~0U, 0);
#endif
}

/* What the terminal and the kernel send reaches the command by itself: it is of the same
 * process group. What another process sends to this one is meant for the command. */
static void pass_on(int pid, const siginfo_t *info)
{
	if (info->si_code <= 0)
		kill(pid, info->si_signo);
}

/* Waits for one of SIGNALS; until DUE_NS, unless that is 0. 0: the time is up. */
static int wait_signal(const sigset_t *signals, int64_t due_ns, siginfo_t *info)
{
	int64_t left_ns = due_ns - clock_monotonic_ns();
	struct timespec left;
	int signal;

	if (!due_ns) {
		signal = sigwaitinfo(signals, info);
	} else {
		left_ns = left_ns < 0 ? 0 : left_ns;
		left = (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
		signal = sigtimedwait(signals, info, &left);
	}
	if (signal > 0)
		return signal;
	return errno == EAGAIN ? 0 : -errno;
}

/* The signals that this process takes for the command, and SIGCHLD. */
static void take_signals(sigset_t *signals, struct start *start)
{
	static const int taken[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
				    SIGUSR1, SIGUSR2, SIGCHLD};
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t blocked;

	sigemptyset(signals);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(signals, taken[i]);
	blocked = *signals;
	sigaddset(&blocked, SIGPIPE);
	sigaction(SIGCHLD, &plain, &start->child_action);
	sigprocmask(SIG_BLOCK, &blocked, &start->mask);
}

int launch_start(struct launch *launch, char **words, struct fault *fault)
{
	struct start start;

	take_signals(&launch->signals, &start);
	return start_command(words, &start, &launch->pid, fault);
}

int launch_wait(const struct launch *launch, int64_t due_ns, int *status)
{
	for (;;) {
		int ended;
		siginfo_t info;
		int signal = wait_signal(&launch->signals, due_ns, &info);

		if (!signal)
			return 0;
		if (signal == SIGCHLD &&
		    waitpid(launch->pid, &ended, WNOHANG) == launch->pid) {
			*status = WIFSIGNALED(ended) ? 128 + WTERMSIG(ended)
						     : WEXITSTATUS(ended);
			return 1;
		}
		if (signal > 0 && signal != SIGCHLD)
			pass_on(launch->pid, &info);
	}
}
