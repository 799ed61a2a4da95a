#include "target/denied.h"

#include "target/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int yama_scope(void)
{
	char digit = '0';
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, &digit, 1) != 1)
		digit = '0';
	close(fd);
	return digit - '0';
}

static void cause(int pid, char *text, size_t size)
{
	const struct passwd *user;
	uid_t uid;

	if (process_user(pid, &uid)) {
		snprintf(text, size, "it is hidden from this user; run as root");
	} else if (uid != geteuid() && geteuid() != 0) {
		user = getpwuid(uid);
		snprintf(text, size,
			 "it belongs to user %s; run as root or grant CAP_SYS_PTRACE and "
			 "CAP_DAC_READ_SEARCH",
			 user ? user->pw_name : "unknown");
	} else if (geteuid() == 0) {
		snprintf(text, size,
			 "this root lacks CAP_SYS_PTRACE over it (a container, or "
			 "another user "
			 "namespace); run on the host, or grant CAP_SYS_PTRACE");
	} else if (yama_scope() > 0) {
		snprintf(text, size,
			 "Yama forbids it (kernel.yama.ptrace_scope is %d); run as root "
			 "or grant CAP_SYS_PTRACE",
			 yama_scope());
	} else {
		snprintf(text, size,
			 "it is not dumpable (it changed its user or holds "
			 "capabilities); run as root or grant CAP_SYS_PTRACE and "
			 "CAP_DAC_READ_SEARCH");
	}
}

int denied(int pid, const char *comm, const char *path, int error, struct fault *fault)
{
	char why[256];

	if (error == -ENOENT || error == -ESRCH)
		return fault_set(fault, EXIT_FAILED, -ESRCH,
				 "process %d (%s) ended while it was being attached to",
				 pid, comm);
	if (error != -EACCES && error != -EPERM)
		return fault_set(fault, EXIT_FAILED, error, "cannot read %s (%s): %s",
				 path, comm, strerror(-error));
	cause(pid, why, sizeof(why));
	return fault_set(fault, EXIT_NOT_PERMITTED, error,
			 "cannot read process %d (%s): %s: %s", pid, comm,
			 strerror(-error), why);
}
