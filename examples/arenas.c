/* arenas.c: too many arenas.
 *
 * The story: a server with many threads. So that they need not wait for each other, glibc
 * gives each an arena of its own, up to eight for each processor. Every thread now and
 * then has a large request: 4 MB in small blocks. It frees all of them, but for the
 * answer, which it made last and keeps until the next. The blocks' memory stays in the
 * thread's arena, where no other thread can have it: the process holds a burst for each
 * thread, although never more than one is under way.
 *
 * What fragscope says: while it is watched at its work, too many arenas, and what
 * MALLOC_ARENA_MAX would do about it; from one reading only that this may be, for had the
 * requests all come at the same time, fewer arenas would need as much. Try it:
 * MALLOC_ARENA_MAX=2 examples/arenas. */
#include "help.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	THREADS = 24,
	BLOCKS = 4096,
	BLOCK = 1008,
	ANSWER = 512,
	REQUEST_US = 300000,
	SECONDS = 600,
};

static pthread_barrier_t all_started;
static sem_t turn[THREADS], all_served;

static char *get(size_t bytes)
{
	char *block = malloc(bytes);

	if (!block)
		exit(1);
	return memset(block, 1, bytes);
}

/* One request; the answer to it. */
static char *serve(unsigned takes_us)
{
	static char *block[BLOCKS];
	char *answer;

	for (int i = 0; i < BLOCKS; i++)
		block[i] = get(BLOCK);
	answer = get(ANSWER);
	usleep(takes_us);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return answer;
}

/* The first requests are short, so that the threads have soon had one each. */
static void *worker(void *argument)
{
	unsigned number = (unsigned)(uintptr_t)argument;
	char *answer = NULL;

	/* All threads are there before the first request: each has its arena. */
	free(malloc(1));
	pthread_barrier_wait(&all_started);
	for (unsigned requests = 0;; requests++) {
		char *next;

		sem_wait(&turn[number]);
		next = serve(requests ? REQUEST_US : 0);
		free(answer);
		answer = next;
		if (!requests)
			sem_post(&all_served);
		sem_post(&turn[(number + 1) % THREADS]);
	}
	return NULL;
}

static const char help[] = "usage: arenas\n"
			   "Shows too many arenas. 24 threads take turns with a request "
			   "of 4 MB in small blocks.\n"
			   "Each thread's arena keeps the memory of its last request, so "
			   "the process holds 24\n"
			   "requests although only one is served at a time.\n"
			   "\n"
			   "Prints READY and its PID when all threads have served once; "
			   "ends after 10 minutes.\n"
			   "Try:  fragscope report -p PID\n"
			   "Cure: MALLOC_ARENA_MAX=2 examples/arenas\n";

int main(int argc, char **argv)
{
	pthread_t thread;

	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	pthread_barrier_init(&all_started, NULL, THREADS + 1);
	sem_init(&all_served, 0, 0);
	for (uintptr_t i = 0; i < THREADS; i++) {
		sem_init(&turn[i], 0, 0);
		if (pthread_create(&thread, NULL, worker, (void *)i) != 0)
			return 1;
	}
	pthread_barrier_wait(&all_started);
	sem_post(&turn[0]);
	for (unsigned i = 0; i < THREADS; i++)
		sem_wait(&all_served);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
