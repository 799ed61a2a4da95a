#include "target/process.h"

#include "base/clock.h"
#include "target/denied.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PF_KTHREAD = 0x00200000, /* of field 9 of /proc/PID/stat */
	EXIT_WAIT_MS = 2000,
};

struct stat_line {
	char state;
	unsigned long flags;
	uint64_t start_ticks;
	uint64_t rss_pages;
};

/* The fields of /proc/PID/stat behind the name, which may hold spaces and brackets. */
static int parse_stat(char *text, struct stat_line *line)
{
	char *save, *field = strrchr(text, ')');
	int number = 2;

	if (!field)
		return -EPROTO;
	for (field = strtok_r(field + 1, " ", &save); field;
	     field = strtok_r(NULL, " ", &save)) {
		number++;
		if (number == 3)
			line->state = *field;
		else if (number == 9)
			line->flags = strtoul(field, NULL, 10);
		else if (number == 22)
			line->start_ticks = strtoull(field, NULL, 10);
		else if (number == 24)
			line->rss_pages = strtoull(field, NULL, 10);
	}
	return number >= 24 ? 0 : -EPROTO;
}

int process_look(int pid, struct process_brief *brief)
{
	struct stat_line line = {0};
	char text[1024];
	ssize_t length = process_text(pid, "stat", text, sizeof(text));

	if (length < 0)
		return (int)length;
	if (parse_stat(text, &line))
		return -EPROTO;
	brief->start_ticks = line.start_ticks;
	brief->rss_bytes = line.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* /proc counts from the boot, as CLOCK_BOOTTIME does. */
static int64_t started_ns(uint64_t start_ticks)
{
	uint64_t a_second = (uint64_t)sysconf(_SC_CLK_TCK);
	int64_t since_boot_ns = (int64_t)(start_ticks / a_second * 1000000000 +
					  start_ticks % a_second * 1000000000 / a_second);

	return clock_realtime_ns() - (clock_boottime_ns() - since_boot_ns);
}

static int gone(int pid, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ESRCH,
			 "cannot attach to process %d: there is no such process", pid);
}

static int check_kind(struct process *process, struct fault *fault)
{
	struct stat_line line = {0};
	char text[1024];
	ssize_t length = process_text(process->pid, "stat", text, sizeof(text));

	if (length == -ENOENT || length == -ESRCH)
		return gone(process->pid, fault);
	if (length < 0 || parse_stat(text, &line) < 0)
		return fault_set(fault, EXIT_FAILED, -EPROTO,
				 "cannot read /proc/%d/stat: its form is not known",
				 process->pid);
	process->start_ticks = line.start_ticks;
	process->started_ns = started_ns(line.start_ticks);
	if (line.flags & PF_KTHREAD)
		return fault_set(fault, EXIT_NO_SOURCE, -EINVAL,
				 "process %d (%s) is a kernel thread: it has no heap",
				 process->pid, process->comm);
	if (line.state == 'Z' || line.state == 'X')
		return fault_set(
			fault, EXIT_NO_SOURCE, -EINVAL,
			"process %d (%s) is a zombie: it has ended, its memory is "
			"gone; its parent has yet to collect it",
			process->pid, process->comm);
	return 0;
}

static int open_one(struct process *process, const char *name, int *fd,
		    struct fault *fault)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", process->pid, name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	return denied(process->pid, process->comm, path, -errno, fault);
}

static int open_files(struct process *process, struct fault *fault)
{
	int error = open_one(process, "maps", &process->maps_fd, fault);

	if (!error)
		error = open_one(process, "pagemap", &process->pagemap_fd, fault);
	if (!error)
		error = open_one(process, "smaps_rollup", &process->rollup_fd, fault);
	return error;
}

int process_open(struct process *process, int pid, struct fault *fault)
{
	int error;

	*process = (struct process){.pid = pid,
				    .pidfd = -1,
				    .maps_fd = -1,
				    .pagemap_fd = -1,
				    .rollup_fd = -1};
	process->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (process->pidfd < 0 && (errno == ESRCH || errno == EINVAL))
		return gone(pid, fault);
	if (process->pidfd < 0)
		return fault_set(
			fault, EXIT_NO_SOURCE, -errno,
			"cannot hold process %d by pidfd_open: %s: Linux 5.3 or later "
			"is needed",
			pid, strerror(errno));
	process_line(process->pid, "comm", process->comm, sizeof(process->comm));
	error = check_kind(process, fault);
	if (!error)
		error = open_files(process, fault);
	if (!error && process_state(process) == PROCESS_EXITED)
		error = gone(pid, fault);
	if (error)
		process_close(process);
	return error;
}

static void close_files(struct process *process)
{
	int *fds[] = {&process->maps_fd, &process->pagemap_fd, &process->rollup_fd};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

void process_close(struct process *process)
{
	close_files(process);
	if (process->pidfd >= 0)
		close(process->pidfd);
	process->pidfd = -1;
}

int process_take_up(struct process *process, struct fault *fault)
{
	struct process new = *process;
	int error;

	new.maps_fd = new.pagemap_fd = new.rollup_fd = -1;
	process_line(new.pid, "comm", new.comm, sizeof(new.comm));
	error = open_files(&new, fault);
	/* Only then are the files those of the process that the pidfd is of. */
	if (!error && process_has_exited(process))
		error = gone(process->pid, fault);
	if (error) {
		close_files(&new);
		return error;
	}
	close_files(process);
	*process = new;
	return 0;
}

static bool has_exited(const struct process *process, int wait_ms)
{
	struct pollfd poll_fd = {.fd = process->pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, wait_ms) == 1;
}

/* Whether PID has an address space by now: none while it exits, a new one after an exec.
 */
static bool has_maps(int pid)
{
	char path[64], byte;
	bool has;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* One that may not be read has some, too. */
	has = fd >= 0 ? read(fd, &byte, 1) == 1 : errno == EACCES || errno == EPERM;
	if (fd >= 0)
		close(fd);
	return has;
}

enum process_state process_state(const struct process *process)
{
	char byte;

	if (has_exited(process, 0))
		return PROCESS_EXITED;
	if (pread(process->maps_fd, &byte, 1, 0) == 1)
		return PROCESS_RUNS;
	return has_maps(process->pid) ? PROCESS_EXECED : PROCESS_EXITED;
}

void process_read_name(struct process *process)
{
	char comm[PROCESS_COMM];

	/* Whose it is costs more than the name, and a lock of the process. */
	if (process_line(process->pid, "comm", comm, sizeof(comm)) >= 0 &&
	    strcmp(comm, process->comm) != 0 && process_state(process) == PROCESS_RUNS)
		memcpy(process->comm, comm, sizeof(comm));
}

void process_describe_end(const struct process *process, enum process_state state,
			  struct fault *fault)
{
	char comm[PROCESS_COMM] = "";

	if (state != PROCESS_EXECED) {
		fault_set(fault, EXIT_DONE, 0, "process %d (%s) has ended", process->pid,
			  process->comm);
		return;
	}
	process_line(process->pid, "comm", comm, sizeof(comm));
	fault_set(fault, EXIT_DONE, 0,
		  "process %d (%s) executed another program%s%s, which is not followed: "
		  "the same command with -p %d follows it",
		  process->pid, process->comm, *comm ? ", " : "", comm, process->pid);
}

bool process_has_exited(const struct process *process)
{
	return has_exited(process, 0);
}

bool process_exits(const struct process *process)
{
	return has_exited(process, EXIT_WAIT_MS);
}
