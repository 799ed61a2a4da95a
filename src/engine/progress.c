#include "engine/progress.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/units.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FIRST_NS INT64_C(1000000000)
#define EVERY_NS INT64_C(250000000)

enum { WIDTH = 70 }; /* of the longest line */

struct progress {
	const char *what;
	int64_t begin_ns;
	int64_t for_ns;
	atomic_uint_least64_t done;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_over;
	bool is_shown;
};

static void show(struct progress *progress, int64_t now_ns)
{
	double taken_s = (double)(now_ns - progress->begin_ns) / 1e9;
	unsigned long long done = atomic_load(&progress->done);

	fprintf(stderr, "\r%s: %.0f", progress->what, taken_s);
	/* A report watches on where the time was too short. */
	if (progress->for_ns && now_ns - progress->begin_ns <= progress->for_ns)
		fprintf(stderr, " of %.0f", (double)progress->for_ns / 1e9);
	fprintf(stderr, " s, %s ", units_counted_text(done, "reading").s);
	fflush(stderr);
	progress->is_shown = true;
}

static void clear(struct progress *progress)
{
	if (progress->is_shown)
		fprintf(stderr, "\r%*s\r", WIDTH, "");
	progress->is_shown = false;
}

/* Until NS from now, or the end. */
static void wait_for(struct progress *progress, int64_t ns)
{
	struct timespec due;

	clock_gettime(CLOCK_REALTIME, &due);
	ns += due.tv_nsec;
	due.tv_sec += ns / 1000000000;
	due.tv_nsec = ns % 1000000000;
	pthread_cond_timedwait(&progress->ended, &progress->lock, &due);
}

static void *run(void *argument)
{
	struct progress *progress = argument;

	pthread_mutex_lock(&progress->lock);
	while (!progress->is_over) {
		int64_t now_ns = clock_monotonic_ns();

		if (now_ns - progress->begin_ns >= FIRST_NS)
			show(progress, now_ns);
		wait_for(progress, EVERY_NS);
	}
	pthread_mutex_unlock(&progress->lock);
	return NULL;
}

/* Signals are for the thread that waits for them. */
static int start(struct progress *progress)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&progress->thread, NULL, run, progress);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

struct progress *progress_begin(const char *what, int64_t for_ns)
{
	struct progress *progress;

	if (!isatty(STDERR_FILENO))
		return NULL;
	progress = alloc_touched(sizeof(*progress));
	if (!progress)
		return NULL;
	progress->what = what;
	progress->for_ns = for_ns;
	progress->begin_ns = clock_monotonic_ns();
	pthread_mutex_init(&progress->lock, NULL);
	pthread_cond_init(&progress->ended, NULL);
	if (!start(progress))
		return progress;
	free(progress);
	return NULL;
}

void progress_done(struct progress *progress, uint64_t done)
{
	if (progress)
		atomic_store(&progress->done, done);
}

void progress_clear(struct progress *progress)
{
	if (!progress)
		return;
	pthread_mutex_lock(&progress->lock);
	clear(progress);
	pthread_mutex_unlock(&progress->lock);
}

void progress_end(struct progress *progress)
{
	if (!progress)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->is_over = true;
	pthread_cond_signal(&progress->ended);
	pthread_mutex_unlock(&progress->lock);
	pthread_join(progress->thread, NULL);
	clear(progress);
	pthread_mutex_destroy(&progress->lock);
	pthread_cond_destroy(&progress->ended);
	free(progress);
}
