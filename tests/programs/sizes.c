/* sizes.c: two threads that take and free memory in sizes known beforehand, for ever, and
 * look after what is theirs. Says "ready PID ADDR", ADDR being malloc's; at the end of
 * its input it ends, and tells whether all was well; or, given a program, becomes that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZES = 4, BLOCKS = 64 };

static const size_t small[SIZES] = {24, 24, 24, 100};
static const size_t large[SIZES] = {1000, 5000, 1000, 5000};

static _Atomic int damaged, over;

/* Through a pointer that no compiler sees through: every call is made. */
static void *(*volatile take)(size_t size) = malloc;

static void check(const unsigned char *block, size_t size, unsigned char mark)
{
	if (block && (block[0] != mark || block[size - 1] != mark))
		damaged = 1;
}

static void *run(void *context)
{
	const size_t *size = context;
	unsigned char *block[BLOCKS] = {NULL};

	for (unsigned long i = 0; !over; i++) {
		unsigned slot = i % BLOCKS;
		size_t bytes = size[i % SIZES];

		check(block[slot], bytes, (unsigned char)slot);
		free(block[slot]);
		block[slot] = take(bytes);
		if (!block[slot])
			abort();
		memset(block[slot], (int)slot, bytes);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[2];
	void *(*entry)(size_t) = take;

	pthread_create(&thread[0], NULL, run, (void *)(unsigned long)small);
	pthread_create(&thread[1], NULL, run, (void *)(unsigned long)large);
	printf("ready %d %llx\n", (int)getpid(), (unsigned long long)(size_t)entry);
	fflush(stdout);
	getchar();
	if (argc > 1)
		execv(argv[1], argv + 1);
	over = 1;
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	printf("%s\n", damaged ? "damaged" : "intact");
	return damaged;
}
