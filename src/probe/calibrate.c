#include "probe/calibrate.h"

#include "base/clock.h"
#include "base/sort.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS = 5,
	BATCH = 16, /* calls between two looks at the clock */
	FILE_BYTES = 4096,
	CALLS_MIN = 50 * BATCH, /* for a price that is sure */
	READY_TRIES = 1000,
	PAUSE_MIN_NS = 1000000, /* what is shorter is none */
};

#define READY_STEP_NS INT64_C(1000000)
#define PATIENCE_NS   INT64_C(5000000000)

typedef void stand_in_fn(unsigned long size);

/* Between the child and us. */
struct calibration_shared {
	_Atomic uint64_t calls;
	_Atomic uint64_t pause_ns; /* the longest since it was set to 0, or 0 */
};

struct child {
	pid_t pid;
	clockid_t clock; /* its processor time */
	int file;	 /* the stand-in's */
	stand_in_fn *stand_in;
	struct calibration_shared *shared;
};

/* One figure of each round. */
struct rounds {
	uint64_t probed_ps, plain_ps; /* a call, in picoseconds */
	uint64_t attach_ns, detach_ns, effective_ns;
	uint64_t attach_pause_ns, detach_pause_ns;
	uint64_t hits;
};

/* ---- the child ---- */

/* For how long the thread has waited for a processor so far, as the kernel counts it in
 * the second number of schedstat; 0 where it does not. */
static int64_t waited_ns(int schedstat)
{
	char text[64];
	ssize_t length = pread(schedstat, text, sizeof(text) - 1, 0);
	const char *space;

	text[length > 0 ? length : 0] = '\0';
	space = strchr(text, ' ');
	return space ? strtoll(space, NULL, 10) : 0;
}

/* Notes a pause of GAP_NS, less what was other work on the processor. */
static void note_pause(struct calibration_shared *shared, int64_t gap_ns, int schedstat,
		       int64_t *last_waited_ns)
{
	int64_t now_ns = waited_ns(schedstat);
	int64_t pause_ns = gap_ns - (now_ns - *last_waited_ns);

	*last_waited_ns = now_ns;
	if (pause_ns >= PAUSE_MIN_NS &&
	    pause_ns > (int64_t)atomic_load(&shared->pause_ns))
		atomic_store(&shared->pause_ns, (uint64_t)pause_ns);
}

static void *call_for_ever(void *context)
{
	const struct child *child = context;
	int schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	int64_t last_waited_ns = waited_ns(schedstat);
	int64_t last_ns = clock_monotonic_ns();

	for (;;) {
		int64_t now_ns;

		for (unsigned i = 0; i < BATCH; i++)
			child->stand_in(CALIBRATE_SIZE);
		now_ns = clock_monotonic_ns();
		if (now_ns - last_ns >= PAUSE_MIN_NS) {
			note_pause(child->shared, now_ns - last_ns, schedstat,
				   &last_waited_ns);
			now_ns = clock_monotonic_ns();
		}
		last_ns = now_ns;
		atomic_fetch_add(&child->shared->calls, BATCH);
	}
	return NULL;
}

/* Not in the first thread: some kernels see none but that, and must be found out. */
static void run_child(struct child *child, pid_t parent)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent ||
	    pthread_create(&thread, NULL, call_for_ever, child) != 0)
		_exit(1);
	for (;;)
		pause();
}

static int make_stand_in(struct child *child, enum prologue_kind kind)
{
	const struct prologue_stand_in *code = &PROLOGUE_HERE->stand_in[kind];
	void *at;

	child->file = memfd_create("stand-in", MFD_CLOEXEC);
	if (child->file < 0 || ftruncate(child->file, FILE_BYTES) ||
	    pwrite(child->file, code->code, code->length, 0) != (ssize_t)code->length)
		return -errno;
	at = mmap(NULL, FILE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, child->file, 0);
	if (at == MAP_FAILED)
		return -errno;
	child->stand_in = (stand_in_fn *)at;
	return 0;
}

static int make_shared(struct child *child)
{
	void *at = mmap(NULL, sizeof(*child->shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	child->shared = at;
	return 0;
}

static int await_calls(const struct child *child)
{
	for (unsigned i = 0; i < READY_TRIES; i++) {
		if (atomic_load(&child->shared->calls))
			return 0;
		clock_wait_until(clock_monotonic_ns() + READY_STEP_NS, NULL);
	}
	return -EAGAIN;
}

static int start_child(struct child *child, enum prologue_kind kind)
{
	pid_t parent = getpid();
	int error = make_stand_in(child, kind);

	if (!error)
		error = make_shared(child);
	if (error)
		return error;
	child->pid = fork();
	if (child->pid < 0)
		return -errno;
	if (child->pid == 0)
		run_child(child, parent);
	error = clock_getcpuclockid(child->pid, &child->clock);
	return error ? -error : await_calls(child);
}

static void end_child(struct child *child)
{
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
	if (child->stand_in)
		munmap((void *)child->stand_in, FILE_BYTES);
	if (child->shared)
		munmap(child->shared, sizeof(*child->shared));
	if (child->file >= 0)
		close(child->file);
}

/* ---- measuring ---- */

static int64_t processor_ns(const struct child *child)
{
	struct timespec time = {0};

	clock_gettime(child->clock, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

struct calibration_window {
	uint64_t calls;
	uint64_t call_ps;
};

/* The child's calls over the next LENGTH_NS, and its processor time a call: other work on
 * the machine does not count, but takes patience. 0, or -EAGAIN when it made none. */
static int watch(const struct child *child, int64_t length_ns,
		 struct calibration_window *window)
{
	uint64_t calls = atomic_load(&child->shared->calls);
	int64_t from_ns = processor_ns(child);
	int64_t now_ns = clock_monotonic_ns();
	int64_t end_ns = now_ns + length_ns, last_ns = now_ns + PATIENCE_NS;

	do {
		clock_wait_until(end_ns, NULL);
		now_ns = clock_monotonic_ns();
		end_ns = now_ns + READY_STEP_NS;
		window->calls = atomic_load(&child->shared->calls) - calls;
	} while (window->calls < CALLS_MIN && now_ns < last_ns);
	if (window->calls < CALLS_MIN)
		return -EAGAIN;
	window->call_ps =
		(uint64_t)(processor_ns(child) - from_ns) * 1000 / window->calls;
	return 0;
}

/* The pause that has begun in what was just done shows only when it ends. */
static uint64_t pause_since(const struct child *child)
{
	uint64_t calls = atomic_load(&child->shared->calls);

	for (unsigned i = 0; i < READY_TRIES; i++) {
		if (atomic_load(&child->shared->calls) > calls + BATCH)
			break;
		clock_wait_until(clock_monotonic_ns() + READY_STEP_NS / 10, NULL);
	}
	return atomic_load(&child->shared->pause_ns);
}

/* A burst on CHILD, from attaching to detaching. */
static int burst(const struct child *child, int64_t length_ns,
		 const struct calibrated *probe, struct rounds *round,
		 struct calibration_window *window)
{
	char path[64];
	int64_t start_ns;
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", child->file);
	atomic_store(&child->shared->pause_ns, 0);
	start_ns = clock_monotonic_ns();
	error = probe->attach(probe->context, child->pid, path, 0);
	if (error)
		return error;
	round->attach_ns = (uint64_t)(clock_monotonic_ns() - start_ns);
	round->attach_pause_ns = pause_since(child);
	error = watch(child, length_ns, window);
	atomic_store(&child->shared->pause_ns, 0);
	start_ns = clock_monotonic_ns();
	probe->detach(probe->context);
	round->detach_ns = (uint64_t)(clock_monotonic_ns() - start_ns);
	round->detach_pause_ns = pause_since(child);
	round->probed_ps = window->call_ps;
	return error;
}

static int measure(const struct child *child, int64_t length_ns,
		   const struct calibrated *probe, struct rounds *round)
{
	struct calibration_window plain = {0}, probed = {0};
	uint64_t before, after, extra_hits;
	int error = watch(child, length_ns, &plain);

	round->plain_ps = plain.call_ps;
	if (!error)
		error = probe->hits(probe->context, &before);
	if (!error)
		error = burst(child, length_ns, probe, round, &probed);
	if (!error)
		error = probe->hits(probe->context, &after);
	if (error)
		return error;
	round->hits = after - before;
	/* Of the hits beyond the watch, each took its price: that is how much longer. */
	extra_hits = round->hits > probed.calls ? round->hits - probed.calls : 0;
	round->effective_ns = (uint64_t)length_ns + extra_hits * probed.call_ps / 1000;
	return 0;
}

/* The median of the figure that lies at OFFSET in each of the rounds. */
static uint64_t median(const struct rounds *round, size_t offset)
{
	uint64_t value[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++)
		value[i] = *(const uint64_t *)((const char *)&round[i] + offset);
	sort_addresses(value, ROUNDS);
	return value[ROUNDS / 2];
}

#define MEDIAN(of, figure) median(of, offsetof(struct rounds, figure))

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void sum_up(const struct rounds *round, struct calibration *calibration)
{
	double plain_ps = (double)MEDIAN(round, plain_ps);
	double probed_ps = (double)MEDIAN(round, probed_ps);

	*calibration = (struct calibration){
		.hit_ns = probed_ps > plain_ps ? (probed_ps - plain_ps) / 1000 : 0,
		.effective_ns = MEDIAN(round, effective_ns),
		.attach_ns = MEDIAN(round, attach_ns),
		.detach_ns = MEDIAN(round, detach_ns),
		.pause_ns =
			MEDIAN(round, attach_pause_ns) + MEDIAN(round, detach_pause_ns),
	};
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct rounds *one = &round[i];
		uint64_t worse_ns = most(one->attach_pause_ns, one->detach_pause_ns);

		calibration->worst_pause_ns = most(calibration->worst_pause_ns, worse_ns);
		calibration->hits += one->hits;
	}
}

int calibrate(struct calibration *calibration, enum prologue_kind kind, int64_t length_ns,
	      const struct calibrated *probe, const char **what)
{
	struct child child = {.file = -1};
	struct rounds round[ROUNDS];
	int error = start_child(&child, kind);

	*what = "start a child to measure with";
	if (!error)
		*what = "measure it on a child";
	for (unsigned i = 0; !error && i < ROUNDS; i++)
		error = measure(&child, length_ns, probe, &round[i]);
	end_child(&child);
	if (!error)
		sum_up(round, calibration);
	return error;
}
