/* sparse.c: fills a heap with blocks of 64 to 512 bytes and frees most of them at random,
 * so that nearly every page is kept by a few that are left: `sparse BLOCKS PERCENT`, of
 * which PERCENT are left. `sparse BLOCKS PERCENT afresh` allocates those alone, as the
 * program would after a restart; `sparse BLOCKS PERCENT apart` has those that are left
 * lie together in slabs of their own. It says READY and waits. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST = 64, MOST = 512, SLAB_BYTES = 65536, SECONDS = 600 };

static uint64_t random_of(uint64_t number)
{
	number = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return number ^ number >> 32;
}

static int stays(uint64_t number, unsigned percent)
{
	return random_of(number) % 100 < percent;
}

static size_t bytes_of(uint64_t number)
{
	return LEAST + random_of(~number) % (MOST - LEAST);
}

static void *get(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		exit(1);
	return memset(block, 1, bytes);
}

static void *get_apart(size_t bytes)
{
	static char *slab;
	static size_t left;

	if (left < bytes) {
		slab = get(SLAB_BYTES);
		left = SLAB_BYTES;
	}
	left -= bytes;
	return slab + left;
}

int main(int argc, char **argv)
{
	uint64_t blocks = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
	unsigned percent = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	bool afresh = argc > 3 && !strcmp(argv[3], "afresh");
	bool apart = argc > 3 && !strcmp(argv[3], "apart");
	void **block = malloc((blocks + 1) * sizeof(*block));

	if (!block || !blocks)
		return 64;
	alarm(SECONDS);
	for (uint64_t i = 0; i < blocks; i++)
		if (stays(i, percent))
			block[i] = (apart ? get_apart : get)(bytes_of(i));
		else
			block[i] = afresh ? NULL : get(bytes_of(i));
	for (uint64_t i = 0; i < blocks; i++) {
		if (stays(i, percent))
			continue;
		free(block[i]);
		block[i] = NULL;
	}
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
