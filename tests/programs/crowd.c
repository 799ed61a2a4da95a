/* crowd.c: 32 threads that all need memory at the same time: `crowd PERCENT
 * [again|turns]`. Each fills 4 MB with small blocks; when all have, each frees PERCENT of
 * its neighbour's blocks at random. It says READY then. With `again` they go on, and stay
 * for a while as they are after each step. Fewer arenas would need as much. With `turns`
 * they have all needed it at once, and from then on need it one at a time. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	THREADS = 32,
	BLOCKS = 14000,
	LEAST = 64,
	MOST = 512,
	STEP_US = 1500000,
	TURN_US = 60000,
	SECONDS = 600
};

static void *block[THREADS][BLOCKS], *last[THREADS];
static pthread_barrier_t step;
static unsigned percent;
static int again, turns;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static unsigned random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*state >> 33);
}

static void *get(size_t bytes)
{
	void *chunk = malloc(bytes);

	if (!chunk)
		exit(1);
	return memset(chunk, 1, bytes);
}

static void fill(unsigned thread, uint64_t *random)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (!block[thread][i])
			block[thread][i] =
				get(LEAST + random_next(random) % (MOST - LEAST));
	/* Nothing goes back by itself while this stays. */
	if (!last[thread])
		last[thread] = get(LEAST);
}

static void drop(unsigned thread, uint64_t *random)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (random_next(random) % 100 >= percent)
			continue;
		free(block[thread][i]);
		block[thread][i] = NULL;
	}
}

static void take_turn(unsigned thread, uint64_t *random)
{
	pthread_mutex_lock(&turn);
	fill(thread, random);
	usleep(TURN_US);
	drop(thread, random);
	pthread_mutex_unlock(&turn);
	usleep(TURN_US);
}

static void *work(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument;
	uint64_t random = thread + 1;

	free(malloc(1)); /* its arena */
	do {
		pthread_barrier_wait(&step);
		fill(thread, &random);
		pthread_barrier_wait(&step);
		drop((thread + 1) % THREADS, &random);
		pthread_barrier_wait(&step);
	} while (again);
	while (turns)
		take_turn(thread, &random);
	for (;;)
		pause();
	return NULL;
}

/* A step may begin as soon as the one before has ended, unless it is to be seen. */
static void wait_step(int is_seen)
{
	if (is_seen)
		usleep(STEP_US);
	pthread_barrier_wait(&step);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 2)
		return 64;
	percent = (unsigned)atoi(argv[1]);
	again = argc > 2 && !strcmp(argv[2], "again");
	turns = argc > 2 && !strcmp(argv[2], "turns");
	alarm(SECONDS);
	pthread_barrier_init(&step, NULL, THREADS + 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, work, (void *)i) != 0)
			return 1;
	for (int round = 0;; round++) {
		wait_step(round > 0); /* they fill */
		wait_step(round > 0); /* they free */
		wait_step(0);	      /* it is done */
		if (round == 0)
			printf("READY %d\n", (int)getpid());
		fflush(stdout);
		while (!again)
			pause();
	}
}
