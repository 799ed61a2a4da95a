/* spread.c: a program that gets more arenas when it is told to. It says "ready PID", then
 * obeys lines: "threads N" starts N threads that each allocate in an arena of their own
 * and stay, "grow BYTES" allocates and keeps in the main one; each is answered by "done".
 */
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BIN_TO_STATE = 96, STATE_NEXT = 2160 };
enum { ARENAS = 100000, STACK_BYTES = 64 << 10, CHUNKS = 8 };

static pthread_barrier_t barrier;

static void *allocate(void *unused)
{
	char *volatile chunk[CHUNKS];

	(void)unused;
	for (int i = 0; i < CHUNKS; i++) {
		chunk[i] = malloc(100 + 100 * (size_t)i);
		if (!chunk[i])
			_exit(2);
		memset(chunk[i], 1, 100);
	}
	free(chunk[0]);
	pthread_barrier_wait(&barrier);
	pause();
	return NULL;
}

static void spread(int threads)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_BYTES);
	pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread, &small, allocate, NULL))
			_exit(2);
	pthread_barrier_wait(&barrier);
}

static void grow(size_t bytes)
{
	for (size_t got = 0; got < bytes; got += 1000)
		memset(malloc(1000), 2, 1000);
}

/* Where the main arena's state has the list's link (glibc 2.27 to 2.42): a free chunk
 * leads to the unsorted bin. Nothing is allocated while it is bent. */
static uintptr_t *last_link(uintptr_t *second)
{
	void *large = malloc(100000), *volatile fence = malloc(100);
	uintptr_t state, at;

	(void)fence;
	free(large);
	memcpy(&state, large, sizeof(state));
	state -= BIN_TO_STATE;
	memcpy(second, (void *)(state + STATE_NEXT), sizeof(*second));
	for (at = *second;;) {
		uintptr_t *link = (uintptr_t *)(at + STATE_NEXT);

		if (*link == state)
			return link;
		at = *link;
	}
}

static void bend(bool is_bent)
{
	static uintptr_t *link, whole, second;

	if (is_bent) {
		link = last_link(&second);
		whole = *link;
	}
	*link = is_bent ? second : whole;
}

int main(void)
{
	char line[64];
	void *volatile first = malloc(1000);

	(void)first;
	mallopt(M_ARENA_MAX, ARENAS);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "threads ", 8))
			spread(atoi(line + 8));
		else if (!strncmp(line, "grow ", 5))
			grow((size_t)atol(line + 5));
		else
			bend(line[0] == 'b');
		puts("done");
		fflush(stdout);
	}
	_exit(0);
}
