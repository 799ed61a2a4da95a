/* killed.c: a library that kills the process that it is loaded into before its first call
 * that is named in the environment (KILLED_AT): a request of ptrace, or
 * process_vm_writev. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const struct {
	const char *name;
	int request;
} requests[] = {
	{"seize", PTRACE_SEIZE},	   {"interrupt", PTRACE_INTERRUPT},
	{"getregset", PTRACE_GETREGSET},   {"setregset", PTRACE_SETREGSET},
	{"setsigmask", PTRACE_SETSIGMASK}, {"detach", PTRACE_DETACH},
};

static void die_at(const char *name)
{
	const char *at = getenv("KILLED_AT");

	if (at && strcmp(at, name) == 0)
		raise(SIGKILL);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	long pid, addr, data;

	va_start(list, request);
	pid = va_arg(list, long);
	addr = va_arg(list, long);
	data = va_arg(list, long);
	va_end(list);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		if (requests[i].request == (int)request)
			die_at(requests[i].name);
	return syscall(SYS_ptrace, request, pid, addr, data);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *local, unsigned long locals,
			  const struct iovec *remote, unsigned long remotes,
			  unsigned long flags)
{
	die_at("writev");
	return syscall(SYS_process_vm_writev, pid, local, locals, remote, remotes, flags);
}
