/* sparse.c: fills a heap with blocks of 64 to 512 bytes and frees most of them at random,
 * so that nearly every page is kept by a few that are left: `sparse BLOCKS PERCENT`, of
 * which PERCENT are left. `sparse BLOCKS PERCENT afresh` allocates those alone, as the
 * program would after a restart. It says READY and waits. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST = 64, MOST = 512, SECONDS = 600 };

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

static void *get(uint64_t number)
{
	size_t bytes = LEAST + random_of(~number) % (MOST - LEAST);
	void *block = malloc(bytes);

	if (!block)
		exit(1);
	return memset(block, 1, bytes);
}

int main(int argc, char **argv)
{
	uint64_t blocks = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
	unsigned percent = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	void **block = malloc((blocks + 1) * sizeof(*block));

	if (!block || !blocks)
		return 64;
	alarm(SECONDS);
	for (uint64_t i = 0; i < blocks; i++)
		block[i] = argc == 3 || stays(i, percent) ? get(i) : NULL;
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
