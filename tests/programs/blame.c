/* blame.c: a leak for which the growth of the heap blames another: leak_small forgets a
 * block of 64 bytes, a hundred times a turn, transient_big has 60 KB for a moment, once a
 * turn, and is the one who meets the end of the heap. With a number of TURNS on the
 * command line it ends after so many; with 0 or without, it goes on and rests after each.
 * With a library named behind that, its "entry" forgets the small blocks instead. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL = 64, BIG = 60000, SMALLS = 100, REST_US = 1000, SECONDS = 600 };

/* So that no compiler leaves the block out. */
static void use(char *block, size_t size)
{
	if (!block)
		exit(1);
	memset(block, 1, size);
	__asm__ volatile("" : : "r"(block) : "memory");
}

__attribute__((noinline)) static void leak_small(void)
{
	use(malloc(SMALL), SMALL);
}

__attribute__((noinline)) static void transient_big(void)
{
	char *block = malloc(BIG);

	use(block, BIG);
	free(block);
}

static void (*entry)(size_t size);

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	if (library)
		*(void **)&entry = dlsym(library, "entry");
	if (entry)
		return;
	fprintf(stderr, "blame: %s\n", dlerror());
	exit(1);
}

static void leak(void)
{
	if (entry)
		entry(SMALL);
	else
		leak_small();
}

int main(int argc, char **argv)
{
	long turns = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

	if (argc > 2)
		load(argv[2]);
	alarm(SECONDS);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	for (long turn = 0; !turns || turn < turns; turn++) {
		for (int i = 0; i < SMALLS; i++)
			leak();
		transient_big();
		if (!turns)
			usleep(REST_US);
	}
	return 0;
}
