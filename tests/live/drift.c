/* drift.c: frees one block of 24 MB, which raises glibc's mmap threshold; then fills 100
 * MB with blocks of 130 to 390 KB between small ones, and frees all but the small ones at
 * once. Nothing is allocated after that, so that all of it stays on the unsorted list,
 * blocks of 1.1 KB among them. With "merged" the large blocks are runs of blocks of 10
 * KB, which no threshold would have mapped. With "busy" behind that, or behind "large",
 * it goes on to take and free one of these, and a small one, again and again. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 400, KILOBYTE = 1024, SECONDS = 600, PART = 10 * KILOBYTE };

struct run {
	void *part[400 * KILOBYTE / PART];
	unsigned parts;
};

static void *touched(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		exit(1);
	memset(block, 1, bytes);
	return block;
}

static void take(struct run *run, size_t bytes, size_t part_bytes)
{
	for (size_t taken = 0; taken < bytes; taken += part_bytes)
		run->part[run->parts++] = touched(part_bytes);
}

static void give_back(const struct run *run)
{
	for (unsigned i = 0; i < run->parts; i++)
		free(run->part[i]);
}

static size_t bytes_of(unsigned i)
{
	return (130 + i * 97 % 260) * (size_t)KILOBYTE;
}

static void work(bool is_merged)
{
	for (unsigned i = 0;; i = (i + 1) % BLOCKS) {
		struct run run = {.parts = 0};

		take(&run, bytes_of(i), is_merged ? PART : bytes_of(i));
		give_back(&run);
		free(touched(1100));
		usleep(1000);
	}
}

int main(int argc, char **argv)
{
	bool is_merged = argc > 1 && !strcmp(argv[1], "merged");
	static char out[256];
	static struct run large[BLOCKS];
	void *small[BLOCKS];

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	alarm(SECONDS);
	free(touched((size_t)24 * KILOBYTE * KILOBYTE));
	for (unsigned i = 0; i < BLOCKS; i++) {
		take(&large[i], bytes_of(i), is_merged ? PART : bytes_of(i));
		touched(40);
		small[i] = touched(1100);
		touched(40);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		give_back(&large[i]);
		free(small[i]);
	}
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	if (argc > 2)
		work(is_merged);
	for (;;)
		pause();
}
