/* plain.c: a program with nothing of one C library in it: it takes and frees some memory,
 * says "ready PID" and waits for the end of its input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNKS = 1000 };

int main(void)
{
	static char *chunk[CHUNKS];

	for (int i = 0; i < CHUNKS; i++) {
		chunk[i] = malloc(10 + i * 7 % 900);
		if (!chunk[i])
			return 1;
		memset(chunk[i], 1, 10);
	}
	for (int i = 0; i < CHUNKS; i += 2)
		free(chunk[i]);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	return getchar() == EOF ? 0 : 1;
}
