/* fast_end.c: a heap whose end fastbins hold. A thread takes 40 MB of small blocks from
 * an arena of its own, then 200 blocks of 64 bytes, and frees all in that order. Seven of
 * 64 bytes fill its cache before that, so that the last 200 go to a fastbin: these lie
 * between the top and the 40 MB. With "trim" it calls malloc_trim(0) at the end; at a
 * line on its input the thread takes a block of 100 KB and frees it. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 10000, BLOCK = 4080, SMALLS = 200, SMALL = 64, CACHED = 7 };

static void *block[BLOCKS], *small[SMALLS], *cached[CACHED];
static void *volatile large; /* or the compiler leaves both calls out */

static void fill(void **of, int count, size_t size)
{
	for (int i = 0; i < count; i++) {
		of[i] = malloc(size);
		if (!of[i])
			exit(1);
		memset(of[i], 1, size);
	}
}

static void empty(void **of, int count)
{
	for (int i = 0; i < count; i++)
		free(of[i]);
}

static void *work(void *want_trim)
{
	fill(cached, CACHED, SMALL);
	fill(block, BLOCKS, BLOCK);
	fill(small, SMALLS, SMALL);
	empty(cached, CACHED);
	empty(block, BLOCKS);
	empty(small, SMALLS);
	if (want_trim)
		malloc_trim(0);
	printf("READY %d\n", (int)getpid());
	while (getchar() == '\n') {
		large = malloc(100000);
		free(large);
		printf("freed\n");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (pthread_create(&thread, NULL, work, argc > 1 ? argv[1] : NULL))
		return 1;
	pthread_join(thread, NULL);
	return 0;
}
