/* emptied.c: fills its memory with 125 MB, frees all of it, works for a while in one
 * large block at a time, which gives an allocator the occasion to return free pages, says
 * READY and waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 2000, BLOCK = 65536, TURNS = 300000, LARGE = 1000000, SECONDS = 600 };

static char *get(size_t bytes)
{
	char *block = malloc(bytes);

	if (!block)
		exit(1);
	/* So that no compiler leaves the block out. */
	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

int main(void)
{
	static char *block[BLOCKS];

	alarm(SECONDS);
	for (int i = 0; i < BLOCKS; i++)
		block[i] = memset(get(BLOCK), 1, BLOCK);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	for (int i = 0; i < TURNS; i++)
		free(get(LARGE));
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
