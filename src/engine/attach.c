#include "engine/attach.h"

#include "base/clock.h"
#include "base/privilege.h"
#include "base/units.h"
#include "engine/lent.h"
#include "engine/sampler.h"
#include "inject/inject.h"
#include "ipc/ring.h"
#include "target/maps.h"
#include "target/process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RETURN_NS INT64_C(60000000000)
#define APPEAR_NS INT64_C(5000000000)
#define LOOK_NS	  10000000

enum {
	LOAD_STACK_BYTES = 64 << 10, /* more than dlopen and the library's start need */
	OLD_DLOPEN_FLAG = (int)0x80000000, /* __RTLD_DLOPEN (dlfcn/dlfcn.h, to 2.33) */
};

/* A process that is being attached to. */
struct attachment {
	const struct attach_options *options;
	const struct frontend *frontend;
	struct process process;
	char library[PATH_MAX];
	struct lent lent; /* the same where the process does not see the file */
};

/* ---- whether there is a sampler ---- */

static bool has_sampler(const struct process *process)
{
	struct ring ring;
	int error = ring_attach(&ring, process);

	ring_detach(&ring);
	return !error;
}

/* Whether there is, or is none, as WANTED, within FOR_NS. */
static bool waits_for_sampler(const struct process *process, bool wanted, int64_t for_ns,
			      const struct frontend *frontend)
{
	int64_t now_ns = clock_monotonic_ns(), end_ns = now_ns + for_ns;

	while (has_sampler(process) != wanted) {
		if (now_ns >= end_ns || process_has_exited(process) ||
		    frontend_stops(frontend))
			return false;
		clock_wait_until(now_ns + LOOK_NS, &frontend->waiting);
		now_ns = clock_monotonic_ns();
	}
	return true;
}

static int interrupted(const struct process *process, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -EINTR,
			 "interrupted: what the sampler in process %d (%s) was asked for "
			 "it does as soon as it can",
			 process->pid, process->comm);
}

static int find_library(const struct mapping *mapping, void *context)
{
	(void)context;
	return strstr(mapping->name, SAMPLER_LIBRARY) != NULL;
}

static bool has_library(const struct process *process)
{
	return maps_scan(process, find_library, NULL) == 1;
}

/* ---- what forbids it ---- */

static int cannot_load(const struct process *process, const char *why,
		       struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "cannot put the sampler into process %d (%s): %s", process->pid,
			 process->comm, why);
}

/* A path means the same file there if it does so from the root of the process. */
static bool sees_file(const struct attachment *attachment)
{
	char path[PATH_MAX + 32];
	struct stat here, there;

	snprintf(path, sizeof(path), "/proc/%d/root%s", attachment->process.pid,
		 attachment->library);
	return !stat(attachment->library, &here) && !stat(path, &there) &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* ---- the calls ---- */

static void tell(const struct attachment *attachment, const struct inject_result *result,
		 const char *function)
{
	char stood[16];
	struct text text;

	if (!result->called)
		return;
	text_init(&text, stood, sizeof(stood));
	units_ns(&text, (uint64_t)result->stood_ns);
	frontend_message(attachment->frontend,
			 "process %d (%s) stood for %s; thread %d (%s) called %s: %s",
			 attachment->process.pid, attachment->process.comm, stood,
			 (int)result->tid, result->comm, function, result->place);
}

static int call(const struct attachment *attachment, struct inject_request *request,
		struct fault *fault)
{
	/* Of the loader, of starting a thread, and of the sampler itself. */
	static const int calls[] = {
		SYS_openat,
		SYS_read,
		SYS_pread64,
		SYS_fstat,
		SYS_newfstatat,
		SYS_close,
		SYS_mmap,
		SYS_mprotect,
		SYS_munmap,
		SYS_madvise,
		SYS_brk,
		SYS_futex,
		SYS_clone,
		SYS_clone3,
		SYS_rt_sigprocmask,
		SYS_set_robust_list,
		SYS_rseq,
		SYS_memfd_create,
		SYS_ftruncate,
		SYS_fcntl,
		SYS_getpid,
		SYS_gettid,
		SYS_prctl,
		SYS_clock_gettime,
		SYS_readlinkat,
		SYS_exit,
		-1,
	};
	struct inject_result result;
	int error;

	request->calls = calls;
	request->stack_bytes = LOAD_STACK_BYTES;
	request->for_ns = attachment->options->for_ns;
	request->return_ns = RETURN_NS;
	error = inject(&attachment->process, request, &attachment->frontend->waiting,
		       attachment->frontend->stop, &result, fault);
	tell(attachment, &result, request->function);
	return error;
}

/* To glibc 2.33 dlopen is in a library of its own, and libc has this for itself. */
static int call_dlopen(struct attachment *attachment, const char *name,
		       struct fault *fault)
{
	bool is_lent = attachment->lent.number >= 0;
	struct inject_request new = {
		.function = "dlopen",
		.argument = {0, RTLD_NOW},
		.text = name,
		.still = is_lent ? lent_is_there : NULL,
		.context = &attachment->lent,
	};
	struct inject_request old = new;
	int error;

	old.function = "__libc_dlopen_mode";
	old.argument[1] |= (uint64_t)(uint32_t)OLD_DLOPEN_FLAG;
	error = call(attachment, &new, fault);
	return error == -ENOENT ? call(attachment, &old, fault) : error;
}

static int load(struct attachment *attachment, const char *name, struct fault *fault)
{
	int error = call_dlopen(attachment, name, fault);

	if (error)
		return error;
	if (waits_for_sampler(&attachment->process, true, APPEAR_NS,
			      attachment->frontend))
		return 0;
	if (frontend_stops(attachment->frontend))
		return interrupted(&attachment->process, fault);
	if (process_has_exited(&attachment->process))
		return fault_set(fault, EXIT_FAILED, -ESRCH, "process %d (%s) has ended",
				 attachment->process.pid, attachment->process.comm);
	return cannot_load(
		&attachment->process,
		has_library(&attachment->process)
			? "the library was loaded, and did not start: its "
			  "variable FRAGSCOPE excludes the process, it runs with "
			  "rights of another user, or under a sanitizer, or it can "
			  "start no thread; the library stays there and does "
			  "nothing"
			: "its loader did not load the library: its mounts or a "
			  "security module forbid to execute it, or the library "
			  "is for another libc",
		fault);
}

/* ---- a process that does not see the file ---- */

/* Closes what was lent, where that is still open; the loader needs it no longer. */
static void take_back(struct attachment *attachment)
{
	const struct process *process = &attachment->process;
	struct inject_request request = {
		.function =
			"syscall", /* as close itself may end the thread (cancellation) */
		.still = lent_is_there,
		.context = &attachment->lent,
	};
	struct fault fault;

	if (!lent_find(&attachment->lent, process))
		return;
	request.argument[0] = SYS_close;
	request.argument[1] = (uint64_t)attachment->lent.number;
	if (frontend_stops(attachment->frontend) || call(attachment, &request, &fault))
		frontend_message(attachment->frontend,
				 "process %d (%s) has a copy of the library open as "
				 "descriptor %d, which is of no use any more: 'attach' "
				 "once more closes it",
				 process->pid, process->comm, attachment->lent.number);
	attachment->lent.number = -1;
}

static int fill(const struct attachment *attachment)
{
	struct privilege before = privilege_lower();
	int library = open(attachment->library, O_RDONLY | O_CLOEXEC);
	int error = library < 0 ? -errno : 0;

	privilege_restore(before);
	if (!error) {
		error = lent_fill(&attachment->lent, library);
		close(library);
	}
	return error;
}

/* What was left behind is taken up again, if it is of the same library. */
static int lend(struct attachment *attachment, struct fault *fault)
{
	const struct process *process = &attachment->process;
	struct inject_request request = {
		.function = "memfd_create",
		.argument = {0, lent_flags()},
		.text = SAMPLER_LIBRARY,
	};
	int error;

	if (lent_find(&attachment->lent, process) && !fill(attachment))
		return 0;
	take_back(attachment);
	error = call(attachment, &request, fault);
	if (error)
		return error;
	if (!lent_find(&attachment->lent, process))
		return cannot_load(process,
				   "it does not see the library's file, and made no "
				   "memory for a copy (memfd_create): it has no "
				   "descriptor left, or its filter of system calls or a "
				   "security module forbids it",
				   fault);
	error = fill(attachment);
	return error ? cannot_load(process, strerror(-error), fault) : 0;
}

static int lend_and_load(struct attachment *attachment, struct fault *fault)
{
	const struct process *process = &attachment->process;
	const char *why = lent_obstacle(process);
	char name[32];
	int error;

	if (why)
		return fault_set(
			fault, EXIT_NO_SOURCE, -ENOENT,
			"cannot put the sampler into process %d (%s): it has "
			"another mount namespace or root, where %s is not that "
			"file, and %s: bind it there, or run fragscope where it is",
			process->pid, process->comm, attachment->library, why);
	frontend_message(attachment->frontend,
			 "process %d (%s) does not see %s: it gets a copy as memory",
			 process->pid, process->comm, attachment->library);
	error = lend(attachment, fault);
	if (error)
		return error;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", attachment->lent.number);
	error = load(attachment, name, fault);
	take_back(attachment);
	return error;
}

/* ---- all of it ---- */

/* By a function of the library, which is there. */
static int set(const struct attachment *attachment, struct fault *fault)
{
	struct inject_request request = {
		.function = SAMPLER_FUNCTION,
		.library = SAMPLER_LIBRARY,
		.text = attachment->options->settings,
	};
	int error = call(attachment, &request, fault);

	if (error || waits_for_sampler(&attachment->process, true, APPEAR_NS,
				       attachment->frontend))
		return error;
	if (frontend_stops(attachment->frontend))
		return interrupted(&attachment->process, fault);
	return cannot_load(&attachment->process, "the library there did not start",
			   fault);
}

static int attach_to(struct attachment *attachment, struct fault *fault)
{
	bool is_there = has_library(&attachment->process);
	int error = 0;

	if (is_there)
		take_back(attachment);
	if (has_sampler(&attachment->process) && !*attachment->options->settings)
		return fault_set(fault, EXIT_FAILED, -EEXIST,
				 "process %d (%s) has a sampler already",
				 attachment->process.pid, attachment->process.comm);
	if (!is_there)
		error = sees_file(attachment)
				? load(attachment, attachment->library, fault)
				: lend_and_load(attachment, fault);
	if (!error && (is_there || *attachment->options->settings))
		error = set(attachment, fault);
	return error;
}

int attach_sampler(const struct attach_options *options, const struct frontend *frontend,
		   struct fault *fault)
{
	struct attachment attachment = {
		.options = options, .frontend = frontend, .lent.number = -1};
	int error = sampler_find(attachment.library, fault);

	if (!error && strlen(attachment.library) >= INJECT_TEXT)
		error = fault_set(fault, EXIT_NO_SOURCE, -ENAMETOOLONG,
				  "the path of the sampler is too long: %s",
				  attachment.library);
	if (error)
		return error;
	privilege_raise();
	error = process_open(&attachment.process, options->pid, fault);
	if (error)
		return error;
	error = attach_to(&attachment, fault);
	process_close(&attachment.process);
	return error;
}

/* ---- the end ---- */

static int end(const struct process *process, const struct frontend *frontend,
	       struct fault *fault)
{
	struct ring ring;
	int error = ring_attach(&ring, process);
	bool is_over;

	if (!error)
		error = ring_end(&ring);
	ring_detach(&ring);
	if (error == -ENOENT)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "there is no sampler in process %d (%s)", process->pid,
				 process->comm);
	if (error)
		return fault_set(fault,
				 error == -EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED,
				 error, "cannot ask the sampler in process %d (%s): %s",
				 process->pid, process->comm, strerror(-error));
	is_over = waits_for_sampler(process, false, RETURN_NS, frontend);
	if (!is_over && frontend_stops(frontend))
		return interrupted(process, fault);
	if (!is_over)
		return fault_set(
			fault, EXIT_FAILED, -ETIMEDOUT,
			"the sampler in process %d (%s) has not ended in a minute",
			process->pid, process->comm);
	frontend_message(frontend,
			 "process %d (%s): the sampler's thread has ended and its memory "
			 "is closed; its library stays mapped, and does nothing",
			 process->pid, process->comm);
	return 0;
}

int detach_sampler(int pid, const struct frontend *frontend, struct fault *fault)
{
	struct process process;
	int error;

	privilege_raise();
	error = process_open(&process, pid, fault);
	if (error)
		return error;
	error = end(&process, frontend, fault);
	process_close(&process);
	return error;
}
