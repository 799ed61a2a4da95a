#include "inject/thread.h"

#include "inject/machine.h"
#include "inject/memory.h"
#include "inject/restart.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum {
	PAGE = 4096,
	PIECES = 256, /* pages that are read at once */
	FIRST_LOOK_BYTES = 64 << 10,
	FRAMES = 8192,	       /* frame information can lead in a circle */
	SLEEP_MAX_S = 1 << 30, /* longer ones are left alone */
};

#define NS_PER_SECOND INT64_C(1000000000)

#define GET_RSEQ_CONFIGURATION 0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */

/* What is learned on the way up one stack. */
struct stack_look {
	const struct inject_looker *looker;
	struct inject_thread *thread;
	unsigned depth;
	const char *why;   /* it is not safe; null: nothing says so yet */
	struct frame at;   /* what is told of: where that is, or the innermost name */
	bool is_strange;   /* code of no file */
	bool on_condition; /* it sleeps until somebody wants something done */
	bool inner_is_libc, left_libc, came_back;
	unsigned called_by_libc; /* frames of the program's that libc lies inside of */
	bool ends_in_libc;
};

/* ---- functions that are not to be interrupted ---- */

static bool is_one_of(const char *function, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(function, *list) == 0)
			return true;
	return false;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_loader(const struct frame *frame)
{
	static const char *const functions[] = {
		"dlopen",  "dlmopen",	      "dlclose",	"dlsym",
		"dlvsym",  "dlerror",	      "dlinfo",		"dladdr",
		"dladdr1", "dl_iterate_phdr", "__tls_get_addr", NULL,
	};

	return begins(frame->module, "ld-") || begins(frame->module, "ld.so") ||
	       begins(frame->module, "ld64.so") ||
	       (frame->function && (begins(frame->function, "_dl_") ||
				    begins(frame->function, "__libc_dl") ||
				    is_one_of(frame->function, functions)));
}

/* What holds locks that a child, or the end, of a process needs. */
static const char *const process_functions[] = {
	"fork",		  "_Fork",	  "__libc_fork",    "__fork",
	"vfork",	  "__vfork",	  "posix_spawn",    "posix_spawnp",
	"__spawni",	  "exit",	  "quick_exit",	    "__run_exit_handlers",
	"pthread_create", "pthread_exit", "pthread_atfork", "__register_atfork",
	"setuid",	  "setgid",	  "seteuid",	    "setegid",
	"setreuid",	  "setregid",	  "setresuid",	    "setresgid",
	"setgroups",	  NULL,
};

/* Threads have a library of their own before glibc 2.34. */
static bool is_libc(const struct stack_look *look, const struct frame *frame)
{
	return frame->module == look->looker->libc->malloc.module ||
	       begins(frame->module, "libpthread");
}

/* Why FRAME is not to be interrupted by a call; null: nothing is known against it. */
static const char *objection(const struct stack_look *look,
			     const struct unwind_frame *frame)
{
	const struct inject_libc *libc = look->looker->libc;

	if (frame->is_signal)
		return "in a signal handler";
	if (frame->is_malloc ||
	    (frame->at.pc >= libc->malloc.start && frame->at.pc < libc->malloc.end))
		return "in malloc";
	if (frame->is_unsure && !look->on_condition &&
	    frame->at.module != libc->malloc.module)
		return "in what may be malloc";
	if (is_loader(&frame->at))
		return "in the loader";
	if (is_libc(look, &frame->at) && frame->at.function &&
	    is_one_of(frame->at.function, process_functions))
		return "where a process or thread begins or ends";
	return NULL;
}

/* ---- a stack ---- */

/* The caller may stand in libc where it waits, and where its thread began; not between,
 * as in what qsort calls. The main thread begins in the program's _start. */
static void follow_libc(struct stack_look *look, const struct frame *frame)
{
	bool is_of_libc = is_libc(look, frame);

	if (!look->depth)
		look->inner_is_libc = is_of_libc;
	look->ends_in_libc = is_of_libc;
	/* An allocator's own threads wait so, and hold none of its locks meanwhile. */
	if (is_of_libc && !look->left_libc && frame->function)
		look->on_condition |= begins(frame->function, "pthread_cond_");
	if (!is_of_libc) {
		look->left_libc = true;
		look->called_by_libc += look->came_back;
	} else if (look->left_libc) {
		look->came_back = true;
	}
}

static bool look_at_frame(const struct unwind_frame *frame, void *context)
{
	struct stack_look *look = context;

	if (look->depth == FRAMES)
		return false;
	if (!frame->at.module) {
		look->is_strange = true;
		if (!look->depth)
			look->at = frame->at;
		return false;
	}
	if (!look->at.function)
		look->at = frame->at;
	look->why = objection(look, frame);
	if (look->why) {
		look->at = frame->at;
		return false;
	}
	follow_libc(look, &frame->at);
	look->depth++;
	return true;
}

/* Copies the stack from the stack pointer on, as far as it is mapped; how many bytes. */
static uint32_t copy_stack(const struct inject_looker *looker, uint64_t addr,
			   uint32_t bytes)
{
	struct iovec remote[PIECES];
	uint32_t copied = 0;
	bool goes_on = true;

	while (copied < bytes && goes_on) {
		struct iovec local = {looker->stack + copied, 0};
		unsigned count = 0;
		ssize_t got;

		for (; count < PIECES && copied + local.iov_len < bytes; count++) {
			uint64_t from = addr + copied + local.iov_len;
			size_t part = PAGE - from % PAGE;

			if (part > bytes - copied - local.iov_len)
				part = bytes - copied - local.iov_len;
			remote[count] = (struct iovec){(void *)(uintptr_t)from, part};
			local.iov_len += part;
		}
		got = process_vm_readv(looker->process->pid, &local, 1, remote, count, 0);
		goes_on = got == (ssize_t)local.iov_len;
		copied += got > 0 ? (uint32_t)got : 0;
	}
	return copied;
}

/* Few stacks are deep: those are read a second time, whole. */
static bool walk(const struct inject_looker *looker, struct inject_thread *thread,
		 struct stack_look *look)
{
	uint64_t sp = machine_sp(&thread->regs);
	struct thread_state state = {.stack_addr = sp, .stack = looker->stack};
	uint32_t bytes = FIRST_LOOK_BYTES;
	bool whole;

	machine_unwind_registers(&thread->regs, state.reg);
	for (;; bytes = looker->stack_bytes) {
		*look = (struct stack_look){.looker = looker, .thread = thread};
		state.stack_bytes = copy_stack(looker, sp, bytes);
		whole = unwind_each(looker->unwinder, &state, look_at_frame, look);
		if (whole || look->why || look->is_strange || state.stack_bytes < bytes ||
		    bytes == looker->stack_bytes)
			return whole;
	}
}

/* ---- a thread ---- */

static void say(struct inject_thread *thread, const struct stack_look *look)
{
	const char *why = look->why	    ? look->why
			  : thread->is_safe ? ""
			  : look->is_strange
				  ? "in code of no file, whose stack cannot be followed"
				  : "on a stack that cannot be followed to its beginning";
	const struct frame *at = &look->at;

	if (at->function)
		snprintf(thread->place, sizeof(thread->place), "%s%s%s+0x%llx (%s)", why,
			 *why ? ": " : "in ", at->function,
			 (unsigned long long)at->offset, at->module);
	else
		snprintf(thread->place, sizeof(thread->place), "%s%s0x%llx (%s)", why,
			 *why ? ": " : "at ", (unsigned long long)at->pc,
			 at->module ? at->module : "no file");
}

/* Between the two ends of a restartable sequence (rseq(2)) the kernel would forget that
 * there is one. */
static bool is_in_sequence(const struct inject_looker *looker, pid_t tid)
{
	struct {
		uint64_t addr;
		uint32_t bytes, signature, flags, pad;
	} area = {0};
	uint64_t sequence = 0;

	if (ptrace(GET_RSEQ_CONFIGURATION, tid, sizeof(area), &area) < 0 || !area.addr)
		return false;
	return inject_read(looker->process, area.addr + 8, &sequence, sizeof(sequence)) ||
	       sequence;
}

static bool is_called_by_libc(const struct stack_look *look)
{
	return look->called_by_libc > (look->ends_in_libc ? 0 : 1);
}

/* What is left of a sleep: by what the kernel has written, or by how long it has been
 * seen to be in it. */
static bool read_sleep(const struct inject_looker *looker, struct inject_thread *thread,
		       int64_t elapsed_ns)
{
	uint64_t left = restart_sleep_left(&thread->call);
	uint64_t request = *restart_sleep_request(&thread->call);
	int64_t ns;

	if (left)
		return !inject_read(looker->process, left, thread->left,
				    sizeof(thread->left));
	if (inject_read(looker->process, request, thread->left, sizeof(thread->left)) ||
	    thread->left[0] < 0 || thread->left[0] > SLEEP_MAX_S)
		return false;
	ns = thread->left[0] * NS_PER_SECOND + thread->left[1] - elapsed_ns;
	ns = ns > 0 ? ns : 0;
	thread->left[0] = ns / NS_PER_SECOND;
	thread->left[1] = ns % NS_PER_SECOND;
	return true;
}

/* How the thread's system call is made again; a change of its arguments is for libc's own
 * functions, which do not look at them afterwards. */
static void plan_restart(const struct inject_looker *looker, struct inject_thread *thread,
			 bool in_libc)
{
	int64_t elapsed_ns = 0;

	thread->restart = restart_of(&thread->call);
	if (thread->restart == RESTART_NEVER && restart_timed(&thread->call) != TIMED_NOT)
		elapsed_ns = waits_elapsed_ns(looker->waits, thread->tid, &thread->call);
	else if (thread->restart != RESTART_SLEEP)
		return;
	if (!in_libc || elapsed_ns < 0)
		thread->restart = RESTART_NEVER;
	else if (restart_shorten(&thread->call, elapsed_ns))
		thread->restart = RESTART_AGAIN;
	else
		thread->restart = restart_is_sleep(&thread->call) &&
						  read_sleep(looker, thread, elapsed_ns)
					  ? RESTART_SLEEP
					  : RESTART_NEVER;
}

/* A thread of which there is nothing but libc's begins or ends, with libc's locks. */
static bool can_call(const struct inject_looker *looker, const struct held_thread *held,
		     const struct inject_thread *thread, const struct stack_look *look)
{
	bool in_kernel = thread->call.number >= 0;

	return thread->is_safe && !held->signal && look->left_libc &&
	       !is_called_by_libc(look) && (in_kernel || !look->inner_is_libc) &&
	       thread->restart != RESTART_NEVER &&
	       (in_kernel || !is_in_sequence(looker, thread->tid)) &&
	       !machine_has_shadow_stack(thread->tid);
}

void inject_rehearse(const struct inject_looker *looker, const struct system_call *call)
{
	struct inject_thread thread = {.regs = machine_regs_at(call->sp, call->pc)};
	struct stack_look look;

	walk(looker, &thread, &look);
}

int inject_look(const struct inject_looker *looker, const struct held_thread *held,
		struct inject_thread *thread)
{
	struct iovec set = {&thread->regs, sizeof(thread->regs)};
	struct stack_look look;
	bool whole;

	*thread = (struct inject_thread){.tid = held->tid};
	if (ptrace(PTRACE_GETREGSET, held->tid, NT_PRSTATUS, &set) < 0)
		return -errno;
	machine_call_of(looker->waits, held->tid, &thread->regs, &thread->call);
	whole = walk(looker, thread, &look);
	thread->is_safe = whole && !look.why;
	plan_restart(looker, thread, look.inner_is_libc);
	thread->can_call = can_call(looker, held, thread, &look);
	say(thread, &look);
	return 0;
}

void inject_mend(const struct inject_looker *looker, const struct held_thread *held)
{
	const struct inject_libc *libc = looker->libc;
	struct user_regs_struct regs;
	struct iovec set = {&regs, sizeof(regs)};
	struct system_call call;
	int64_t elapsed_ns;

	if (ptrace(PTRACE_GETREGSET, held->tid, NT_PRSTATUS, &set) < 0)
		return;
	machine_call_of(looker->waits, held->tid, &regs, &call);
	if (!restart_is_to_mend(&call))
		return;
	if (restart_timed(&call) == TIMED_ENDED && call.pc >= libc->code_start &&
	    call.pc < libc->code_end) {
		elapsed_ns = waits_elapsed_ns(looker->waits, held->tid, &call);
		if (elapsed_ns > 0)
			restart_shorten(&call, elapsed_ns);
	}
	machine_mend(looker->process, held, &regs, &call);
}
