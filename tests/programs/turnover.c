/* turnover.c: a large heap of which one block after the other, drawn at random, is
 * replaced by another at full speed, so that its figures stay what they are while nothing
 * in it does.
 *
 * Usage: turnover BLOCKS. Says "ready" once it has settled; ends with its input. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROUNDS = 6 }; /* each block's replacements before it has settled */

static uint64_t state = 1;

static uint64_t draw(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (state >> 33) % below;
}

static void replace(char **block)
{
	size_t bytes = draw(20) ? 100 + draw(500) : 1100 + draw(4000);

	free(*block);
	*block = malloc(bytes);
	if (!*block)
		abort();
	memset(*block, 1, bytes);
}

static void *turn_over(void *context)
{
	uint64_t count = *(uint64_t *)context;
	char **block = mmap(NULL, count * sizeof(*block), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		abort();
	for (uint64_t i = 0; i < count; i++)
		replace(&block[i]);
	for (uint64_t i = 0;; i++) {
		replace(&block[draw(count)]);
		if (i == ROUNDS * count) {
			puts("ready");
			fflush(stdout);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	pthread_t thread;

	/* One arena: what a thread of its own has lies in mapped heaps. */
	mallopt(M_ARENA_MAX, 1);
	if (!count || pthread_create(&thread, NULL, turn_over, &count))
		return 1;
	while (getchar() != EOF)
		;
	return 0;
}
