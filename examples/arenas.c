/* arenas.c: too many arenas.
 *
 * The story: a server with many threads. So that they need not wait for each other, glibc
 * gives each an arena of its own, up to eight for each processor. Every thread has once
 * had a large request: 4 MB in small blocks. It has freed all of them, but for the
 * answer, which it made last and keeps. The blocks' memory stays in the thread's arena,
 * where no other thread can have it: the process holds a burst for each thread, although
 * never more than one was under way.
 *
 * What fragscope says: too many arenas, and what MALLOC_ARENA_MAX would do about it. Try
 * it: MALLOC_ARENA_MAX=2 examples/arenas. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 24, BLOCKS = 4096, BLOCK = 1008, ANSWER = 512, SECONDS = 600 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_started, all_done;

static void serve(void)
{
	static void *block[BLOCKS];
	char *answer;

	for (int i = 0; i < BLOCKS; i++) {
		block[i] = malloc(BLOCK);
		if (!block[i])
			exit(1);
		memset(block[i], 1, BLOCK);
	}
	answer = malloc(ANSWER);
	if (!answer)
		exit(1);
	memset(answer, 2, ANSWER);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
}

static void *worker(void *unused)
{
	/* All threads are there before the first request: each has its arena. */
	free(malloc(1));
	pthread_barrier_wait(&all_started);
	pthread_mutex_lock(&one_at_a_time);
	serve();
	pthread_mutex_unlock(&one_at_a_time);
	pthread_barrier_wait(&all_done);
	for (;;)
		pause();
	return unused;
}

int main(void)
{
	pthread_t thread;

	alarm(SECONDS);
	pthread_barrier_init(&all_started, NULL, THREADS);
	pthread_barrier_init(&all_done, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, worker, NULL) != 0)
			return 1;
	pthread_barrier_wait(&all_done);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
