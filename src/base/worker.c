#include "base/worker.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define SLICE_NS   INT64_C(100000000)
#define NS_PER_S   INT64_C(1000000000)
#define IMPATIENT  2
#define HEADWAY_NS 1000000 /* of a slice: a hundredth */

struct worker {
	pthread_t thread;
	sem_t begin, done;
	const atomic_ulong *beats;
	const atomic_bool *hurry;
	void (*fn)(void *context);
	void *context;
	int patience;	  /* in slices; less for one that had to be given up before */
	bool given_up;	  /* the caller's: DONE is still to come */
	bool last;	  /* FN is the last one */
	atomic_bool left; /* by the caller or the thread: who leaves second frees */
};

static void leave(struct worker *worker)
{
	if (atomic_exchange(&worker->left, true))
		free(worker);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	bool last;

	do {
		while (sem_wait(&worker->begin))
			continue;
		last = worker->last;
		worker->fn(worker->context);
		sem_post(&worker->done);
	} while (!last);
	leave(worker);
	return NULL;
}

/* A thread that takes a signal would take it from the one that waits for signals. */
static int start(struct worker *worker)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int worker_new(struct worker **worker, int64_t patience_ns, const atomic_ulong *beats,
	       const atomic_bool *hurry)
{
	struct worker *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return -ENOMEM;
	sem_init(&new->begin, 0, 0);
	sem_init(&new->done, 0, 0);
	new->beats = beats;
	new->hurry = hurry;
	worker_set_patience(new, patience_ns);
	error = start(new);
	if (error)
		free(new);
	else
		*worker = new;
	return error;
}

void worker_set_patience(struct worker *worker, int64_t patience_ns)
{
	worker->patience = (int)(patience_ns / SLICE_NS);
}

int64_t worker_cpu_ns(const struct worker *worker)
{
	struct timespec cpu = {0};
	clockid_t clock;

	if (!pthread_getcpuclockid(worker->thread, &clock))
		clock_gettime(clock, &cpu);
	return cpu.tv_sec * NS_PER_S + cpu.tv_nsec;
}

/* How far a call has got. */
struct headway {
	int64_t cpu_ns;
	unsigned long beats;
};

/* Whether it has got further since BEFORE. A thread that only wakes to see that it has to
 * wait on has not. */
static bool got_on(const struct worker *worker, struct headway *before)
{
	struct headway now = {worker_cpu_ns(worker),
			      worker->beats ? atomic_load(worker->beats) : 0};
	bool on = now.cpu_ns - before->cpu_ns >= HEADWAY_NS || now.beats != before->beats;

	*before = now;
	return on;
}

/* Time is counted in slices: when this process as a whole is stopped for an hour, one of
 * them is lost. */
static bool wait_slice(struct worker *worker)
{
	struct timespec until;
	int error;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_NS;
	until.tv_sec += until.tv_nsec / NS_PER_S;
	until.tv_nsec %= NS_PER_S;
	do {
		error = sem_clockwait(&worker->done, CLOCK_MONOTONIC, &until);
	} while (error && errno == EINTR);
	return error == 0;
}

static bool wait_done(struct worker *worker)
{
	struct headway at = {0};

	got_on(worker, &at);
	for (int idle = 0; !wait_slice(worker);) {
		bool hurried = worker->hurry && atomic_load(worker->hurry);

		idle = got_on(worker, &at) ? 0 : idle + 1;
		if (idle >= (hurried ? IMPATIENT : worker->patience))
			return false;
	}
	return true;
}

static void begin(struct worker *worker, void (*fn)(void *context), void *context)
{
	worker->fn = fn;
	worker->context = context;
	sem_post(&worker->begin);
}

static int finish(struct worker *worker)
{
	worker->given_up = !wait_done(worker);
	if (!worker->given_up)
		return 0;
	worker->patience =
		worker->patience / 2 > IMPATIENT ? worker->patience / 2 : IMPATIENT;
	return -ETIMEDOUT;
}

bool worker_is_busy(struct worker *worker)
{
	if (worker->given_up && !sem_trywait(&worker->done))
		worker->given_up = false;
	return worker->given_up;
}

int worker_run(struct worker *worker, void (*fn)(void *context), void *context)
{
	if (worker_is_busy(worker))
		return -EBUSY;
	begin(worker, fn, context);
	return finish(worker);
}

void worker_end(struct worker *worker, void (*last)(void *context), void *context)
{
	bool busy = worker_is_busy(worker);

	/* LAST may free them: of its headway, processor time alone tells. */
	worker->beats = NULL;
	worker->last = true;
	begin(worker, last, context);
	if (busy || finish(worker)) {
		pthread_detach(worker->thread);
		leave(worker);
		return;
	}
	pthread_join(worker->thread, NULL);
	free(worker);
}
