#include "base/subprocess.h"

#include "base/confine.h"
#include "base/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MS = 100, BEAT_MAX_MS = 16 * BEAT_MS };

/* What parent and child share; the result follows. */
struct child_result {
	atomic_bool done;
	_Alignas(max_align_t) char result[];
};

static void child_main(struct child_result *shared,
		       void (*fn)(void *context, void *result), void *context)
{
	int null = open("/dev/null", O_RDWR);

	privilege_to_reading();
	/* Forgotten when the user changes. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Who reads our output would wait for the child's end. */
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	/* Where the kernel has no filters, bounds are all there is. */
	(void)confine_to_reading();
	fn(context, shared->result);
	atomic_store(&shared->done, true);
	_exit(0);
}

static int64_t cpu_ns_of(pid_t child)
{
	struct timespec cpu = {0};
	clockid_t clock;

	if (!clock_getcpuclockid(child, &clock))
		clock_gettime(clock, &cpu);
	return cpu.tv_sec * INT64_C(1000000000) + cpu.tv_nsec;
}

/* Looks more and more seldom at a child that stands still: where a virtual machine waits
 * for a processor meanwhile, a look seems to be headway of this thread itself (worker.c).
 * But several times within a worker's patience. */
static int wait_for(pid_t child, atomic_ulong *beats)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, child, 0),
			     .events = POLLIN};
	int64_t cpu_ns = 0;
	int wait_ms = BEAT_MS;

	if (end.fd < 0)
		return -errno;
	while (poll(&end, 1, wait_ms) != 1) {
		int64_t now_ns = cpu_ns_of(child);

		wait_ms = wait_ms < BEAT_MAX_MS ? 2 * wait_ms : BEAT_MAX_MS;
		if (now_ns != cpu_ns) {
			atomic_fetch_add(beats, 1);
			wait_ms = BEAT_MS;
		}
		cpu_ns = now_ns;
	}
	close(end.fd);
	/* Somebody may have waited for all children of this process. */
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return 0;
}

/* What counts against RLIMIT_DATA by now. */
static uint64_t data_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void subprocess_bound(unsigned cpu_s, uint64_t memory_bytes)
{
	const struct rlimit time = {cpu_s, cpu_s}, core = {0, 0};
	const rlim_t bytes = data_bytes() + memory_bytes;
	const struct rlimit data = {bytes, bytes};

	setrlimit(RLIMIT_CPU, &time);
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_DATA, &data);
}

int subprocess_run(void (*fn)(void *context, void *result), void *context, void *result,
		   size_t bytes, atomic_ulong *beats)
{
	size_t all = sizeof(struct child_result) + bytes;
	struct child_result *shared = mmap(NULL, all, PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;
	int error;

	if (shared == MAP_FAILED)
		return -ENOMEM;
	child = fork();
	if (child == 0)
		child_main(shared, fn, context);
	error = child < 0 ? -errno : wait_for(child, beats);
	if (!error && !atomic_load(&shared->done))
		error = -ECHILD;
	memcpy(result, shared->result, bytes);
	munmap(shared, all);
	return error;
}
