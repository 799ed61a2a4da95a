/* naive.c: what one would write in an afternoon: a preloaded thread that calls mallinfo2
 * every second. The sampler's price is held beside its. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

static void *ask(void *unused)
{
	(void)unused;
	for (;;) {
		(void)mallinfo2();
		sleep(1);
	}
	return NULL;
}

__attribute__((constructor)) static void start(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, ask, NULL))
		pthread_detach(thread);
}
