/* call.c: one thread, which stands still at a safe point, is made to call a function. */
#include "base/clock.h"
#include "inject/chain.h"
#include "inject/filter.h"
#include "inject/machine.h"
#include "inject/memory.h"
#include "inject/parts.h"
#include "target/maps.h"

#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

enum { LOOK_NS = 200 * 1000 };

/* ---- room on the stack ---- */

struct stack_room {
	uint64_t pointer, low;
	bool fits;
};

static int find_room(const struct mapping *mapping, void *context)
{
	struct stack_room *room = context;

	if (room->pointer < mapping->start || room->pointer >= mapping->end)
		return 0;
	room->fits = (mapping->flags & (MAP_WRITE | MAP_IS_SHARED)) == MAP_WRITE &&
		     room->low >= mapping->start && room->low < room->pointer;
	return 1;
}

static bool has_room(const struct injector *injector)
{
	uint64_t pointer = machine_sp(&injector->thread.regs);
	struct stack_room room = {
		.pointer = pointer,
		.low = pointer - CHAIN_BYTES - injector->request->stack_bytes,
	};

	return maps_scan(injector->process, find_room, &room) == 1 && room.fits;
}

/* ---- what the thread is ---- */

static int not_by(struct injector *injector, const char *why)
{
	snprintf(injector->thread.place, sizeof(injector->thread.place), "%s", why);
	return -EAGAIN;
}

static int read_errno(const struct injector *injector, struct chain_call *call)
{
	const struct inject_thread *thread = &injector->thread;
	uint64_t pointer;
	int error = machine_thread_pointer(thread->tid, &thread->regs, &pointer);

	if (error)
		return error;
	call->errno_addr = pointer + (uint64_t)injector->libc.errno_offset;
	return inject_read(injector->process, call->errno_addr, &call->errno_value,
			   sizeof(call->errno_value));
}

static int read_thread(struct injector *injector, struct chain_call *call)
{
	const struct inject_thread *thread = &injector->thread;
	int error;

	call->regs = thread->regs;
	call->again = thread->call;
	call->restart = thread->restart;
	memcpy(call->left, thread->left, sizeof(call->left));
	if (ptrace(PTRACE_GETSIGMASK, thread->tid, sizeof(call->signal_mask),
		   &call->signal_mask) < 0)
		return -errno;
	call->vector = injector->vector;
	call->vector_bytes = sizeof(injector->vector);
	error = machine_read_vector(thread->tid, injector->vector, &call->vector_bytes);
	return error ? error : read_errno(injector, call);
}

/* Filters are each thread's own, and a new one has those of the thread that makes it. */
static bool has_filters(const struct injector *injector)
{
	static const char key[] = "\nSeccomp:";
	char name[64], text[4096];
	const char *line;
	ssize_t length;

	snprintf(name, sizeof(name), "task/%d/status", (int)injector->thread.tid);
	length = process_text(injector->process->pid, name, text, sizeof(text));
	line = length > 0 ? strstr(text, key) : NULL;
	if (line)
		return atoi(line + strlen(key)) != 0;
	/* A kernel may have none. What could not be read, or not whole, may say so. */
	return length <= 0 || length >= (ssize_t)sizeof(text) - 1;
}

/* The calls of the chain must succeed; of those that the function makes it hears whether
 * they did. 0, or -EACCES: a filter might end the process for one of them. */
static int ask_filters(const struct injector *injector)
{
	struct seccomp_data call = {
		.arch = MACHINE_AUDIT,
		.instruction_pointer = injector->libc.syscall_ret + MACHINE_SYSCALL_BYTES,
		.nr = SYS_futex,
		.args = {0, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG},
	};
	pid_t tid = injector->thread.tid;
	const int *number = injector->request->calls;
	enum filter_answer answer;

	if (filter_ask(tid, &call, &answer) || answer != FILTER_ALLOWS)
		return -EACCES;
	call = (struct seccomp_data){.arch = MACHINE_AUDIT, .nr = SYS_rt_sigreturn};
	if (filter_ask(tid, &call, &answer) || answer != FILTER_ALLOWS)
		return -EACCES;
	for (; number && *number >= 0; number++) {
		call.nr = *number;
		if (filter_ask(tid, &call, &answer) || answer == FILTER_ENDS)
			return -EACCES;
	}
	return 0;
}

int call_prepare(struct injector *injector)
{
	struct chain_call call = {
		.libc = &injector->libc,
		.function = injector->function,
		.argument = {injector->request->argument[0],
			     injector->request->argument[1]},
		.text = injector->request->text,
		.nonce = injector->nonce,
	};
	int error = has_filters(injector) ? ask_filters(injector) : 0;

	if (!error)
		error = read_thread(injector, &call);
	if (error == -ENOTSUP)
		return not_by(injector, "its vector state cannot be kept");
	if (error)
		return error;
	if (!chain_can_keep(call.errno_value))
		return not_by(injector, "its errno cannot be kept");
	if (!has_room(injector))
		return not_by(injector, "too little room on its stack");
	if (chain_build(&call, injector->chain))
		return not_by(injector, "its vector state cannot be kept");
	injector->done_addr = injector->chain->done_addr;
	return 0;
}

/* ---- the call ---- */

/* What is written lies below the thread's red zone, where nothing of it is: only the
 * registers change the thread, all at once. Then all signals are blocked, as the first
 * frame would do it: else the handler of one that has come since the stop ran before
 * that, and the system call that it is to end (sigsuspend, ppoll) would be made again.
 * The last frame restores the mask in any case. */
int call_start(struct injector *injector)
{
	struct call_chain *chain = injector->chain;
	const struct iovec local = {chain->byte, chain->bytes};
	const struct iovec remote = {(void *)(uintptr_t)chain->addr, chain->bytes};
	struct iovec set = {&chain->start, sizeof(chain->start)};
	const uint64_t all_signals = UINT64_MAX;

	if (process_vm_writev(injector->process->pid, &local, 1, &remote, 1, 0) !=
	    (ssize_t)chain->bytes)
		return errno ? -errno : -EFAULT;
	if (ptrace(PTRACE_SETREGSET, injector->thread.tid, NT_PRSTATUS, &set) < 0)
		return -errno;
	ptrace(PTRACE_SETSIGMASK, injector->thread.tid, sizeof(all_signals),
	       &all_signals);
	return 0;
}

/* The word is the call's own until it has returned; then it changes, and the thread may
 * write over it. */
int call_wait(const struct injector *injector, int64_t end_ns)
{
	const struct timespec time = {.tv_nsec = LOOK_NS};
	uint32_t done;

	for (;;) {
		int error = inject_read(injector->process, injector->done_addr, &done,
					sizeof(done));

		if (error)
			return process_has_exited(injector->process) ? -ESRCH : error;
		if (done != injector->nonce)
			return 0;
		if (clock_monotonic_ns() >= end_ns)
			return -ETIMEDOUT;
		nanosleep(&time, NULL);
	}
}
