/* drift.c: frees one block of 24 MB, which raises glibc's mmap threshold; then fills 100
 * MB with blocks of 130 to 390 KB between small ones, and frees all but the small ones at
 * once. Nothing is allocated after that, so that all of it stays on the unsorted list,
 * blocks of 1.1 KB among them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 400, KILOBYTE = 1024, SECONDS = 600 };

static void *touched(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		exit(1);
	memset(block, 1, bytes);
	return block;
}

int main(void)
{
	static char out[256];
	void *large[BLOCKS], *small[BLOCKS];

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	alarm(SECONDS);
	free(touched((size_t)24 * KILOBYTE * KILOBYTE));
	for (unsigned i = 0; i < BLOCKS; i++) {
		large[i] = touched((130 + i * 97 % 260) * (size_t)KILOBYTE);
		touched(40);
		small[i] = touched(1100);
		touched(40);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		free(large[i]);
		free(small[i]);
	}
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
