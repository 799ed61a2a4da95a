/* locals.c: a program whose three threads each hold chunks by a thread-local variable,
 * and nothing else holds them. The first also holds some by a local variable. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 2, CHUNKS = 64, CHUNK_BYTES = 3000, STACKED = 50, STACKED_BYTES = 700 };

/* What is before it in the block. Not static: nobody reads them. */
__thread char odd[100];
__thread void *local_chunks[CHUNKS];

static void fill(void)
{
	odd[0] = 1;
	for (unsigned i = 0; i < CHUNKS; i++)
		local_chunks[i] = malloc(CHUNK_BYTES);
}

static void *work(void *filled)
{
	fill();
	pthread_barrier_wait(filled);
	for (;;)
		pause();
	return NULL;
}

static void hold(void)
{
	void *on_stack[STACKED];

	for (unsigned i = 0; i < STACKED; i++)
		on_stack[i] = malloc(STACKED_BYTES);
	puts("ready");
	fflush(stdout);
	for (;;) {
		pause();
		__asm__ volatile("" : : "r"(on_stack) : "memory");
	}
}

int main(void)
{
	static pthread_barrier_t filled;

	pthread_barrier_init(&filled, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, &filled))
			return 1;
	}
	fill();
	pthread_barrier_wait(&filled);
	hold();
}
