#include "inject/inject.h"

#include "base/clock.h"
#include "base/privilege.h"
#include "inject/chain.h"
#include "inject/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 20 }; /* of a thread's stack, that is followed at most */

/* What the helper sends: once the call is started, and at its own end. */
struct inject_answer {
	bool is_last;
	int error;
	struct fault fault;
	struct inject_result result;
};

/* ---- the helper ---- */

static int send_answer(int fd, const struct injector *injector, bool is_last, int error,
		       const struct fault *fault)
{
	struct inject_answer answer = {
		.is_last = is_last, .error = error, .result = injector->result};

	if (error)
		answer.fault = *fault;
	return send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Until a call is started the helper ends with its parent. */
static bool parent_is_there(void *context)
{
	struct pollfd poll_fd = {.fd = *(const int *)context, .events = 0};

	return poll(&poll_fd, 1, 0) == 0;
}

static int find_function(struct injector *injector, struct fault *fault)
{
	const struct inject_request *request = injector->request;
	struct unwind_code code;
	int error =
		request->library
			? unwind_function_of(injector->unwinder, request->library,
					     request->function, &code)
			: unwind_function(injector->unwinder, injector->libc.malloc.start,
					  request->function, &code);

	if (error)
		return fault_set(
			fault, EXIT_NO_SOURCE, error,
			"cannot make a call in process %d (%s): its %s has no %s",
			injector->process->pid, injector->process->comm,
			request->library ? request->library : "libc", request->function);
	injector->function = code.start;
	return 0;
}

static int take(struct injector *injector, struct fault *fault)
{
	int error;

	injector->looker = (struct inject_looker){
		.process = injector->process,
		.libc = &injector->libc,
		.waits = &injector->waits,
		.stack = malloc(STACK_BYTES),
		.stack_bytes = STACK_BYTES,
	};
	injector->hold.pid = injector->process->pid;
	injector->waits.process = injector->process;
	injector->waits.libc = &injector->libc;
	injector->chain = malloc(sizeof(*injector->chain));
	if (!injector->looker.stack || !injector->chain)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	memset(injector->looker.stack, 0, STACK_BYTES);
	if (getrandom(&injector->nonce, sizeof(injector->nonce), 0) < 0)
		injector->nonce = (uint32_t)clock_monotonic_ns();
	injector->nonce |= UINT32_C(1) << 31; /* none of the numbers that can be stored */
	error = unwind_new(&injector->unwinder, injector->process, fault);
	if (error)
		return error;
	injector->looker.unwinder = injector->unwinder;
	error = inject_libc_find(injector->process, injector->unwinder, &injector->libc,
				 fault);
	return error ? error : find_function(injector, fault);
}

static int wait_for_return(struct injector *injector, int fd, struct fault *fault)
{
	const struct process *process = injector->process;
	struct inject_result *result = &injector->result;
	int64_t begin_ns = clock_monotonic_ns();
	int error;

	send_answer(fd, injector, false, 0, fault);
	error = call_wait(injector, begin_ns + injector->request->return_ns);
	result->took_ns = clock_monotonic_ns() - begin_ns;
	result->returned = !error;
	if (!error)
		return 0;
	if (error == -ESRCH)
		return fault_set(fault, EXIT_FAILED, error,
				 "process %d (%s) ended during the call", process->pid,
				 process->comm);
	return fault_set(fault, EXIT_FAILED, error,
			 "%s has not returned within %g s in thread %d (%s) of process "
			 "%d (%s): the "
			 "thread goes on where it was once it returns, without any help",
			 injector->request->function,
			 (double)injector->request->return_ns / 1e9, (int)result->tid,
			 result->comm, process->pid, process->comm);
}

/* A session of its own: the signals of the terminal must not stop the one who lets go. No
 * file is kept that a reader waits to see closed. */
static void settle(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
}

static void helper_main(struct injector *injector, int fd)
{
	struct fault fault = {0};
	int error;

	settle();
	privilege_raise();
	error = take(injector, &fault);
	if (!error)
		error = search(injector, parent_is_there, &fd, &fault);
	if (!error && injector->result.called)
		error = wait_for_return(injector, fd, &fault);
	send_answer(fd, injector, true, error, &fault);
	_exit(0);
}

/* ---- the parent ---- */

static int helper_ended(const struct process *process, const struct inject_result *result,
			struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -EPIPE,
			 "the helper that stops process %d (%s) was ended: %s",
			 process->pid, process->comm,
			 result->called ? "the call that it had started ends by itself"
					: "the process goes on");
}

static int wait_for_answer(int fd, const struct process *process, const sigset_t *waiting,
			   const atomic_bool *stop, struct inject_result *result,
			   struct fault *fault)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct inject_answer answer;

	for (;;) {
		int ready = ppoll(&poll_fd, 1, NULL, waiting);

		if (ready <= 0 && stop && atomic_load(stop))
			return fault_set(
				fault, EXIT_FAILED, -EINTR, "interrupted: %s",
				result->called
					? "the call that was started ends by itself"
					: "the process goes on; if a call was just "
					  "being started, it ends by itself");
		if (ready <= 0)
			continue;
		if (recv(fd, &answer, sizeof(answer), 0) != sizeof(answer))
			return helper_ended(process, result, fault);
		*result = answer.result;
		if (answer.is_last && answer.error)
			*fault = answer.fault;
		if (answer.is_last)
			return answer.error;
	}
}

int inject(const struct process *process, const struct inject_request *request,
	   const sigset_t *waiting, const atomic_bool *stop, struct inject_result *result,
	   struct fault *fault)
{
	struct injector *injector = calloc(1, sizeof(*injector));
	int fds[2], error;
	pid_t helper = -1;

	*result = (struct inject_result){0};
	if (injector && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
		injector->process = process;
		injector->request = request;
		helper = fork();
		if (helper == 0) {
			close(fds[0]);
			helper_main(injector, fds[1]);
		}
		close(fds[1]);
	}
	free(injector);
	if (helper < 0)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "cannot start the helper that stops the target");
	error = wait_for_answer(fds[0], process, waiting, stop, result, fault);
	close(fds[0]);
	/* It may wait for the call to return for long. */
	if (error != -EINTR)
		waitpid(helper, NULL, 0);
	return error;
}
