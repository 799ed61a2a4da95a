/* late.c: a program whose memory is a mapping of its own, of as many MB as it is told on
 * the command line, and that does not call malloc before it is told to: at each letter m
 * on its input it takes 2 MB and keeps them, at each o it maps one more. Its own words go
 * past stdio, which has a buffer from malloc. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 40, BLOCK = 50000 };

static void say(const char *words)
{
	if (write(STDOUT_FILENO, words, strlen(words)) < 0)
		_exit(1);
}

__attribute__((noinline)) static void map_own(size_t size)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mapped == MAP_FAILED)
		_exit(1);
	memset(mapped, 1, size);
}

__attribute__((noinline)) static void fill_heap(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		void *block = malloc(BLOCK);

		if (!block)
			_exit(1);
		memset(block, 1, BLOCK);
		__asm__ volatile("" : : "r"(block) : "memory");
	}
}

int main(int argc, char **argv)
{
	char byte;

	if (argc > 1)
		map_own((size_t)strtoul(argv[1], NULL, 10) << 20);
	say("ready\n");
	while (read(STDIN_FILENO, &byte, 1) > 0) {
		if (byte == 'm') {
			fill_heap();
			say("filled\n");
		} else if (byte == 'o') {
			map_own(1 << 20);
			say("mapped\n");
		}
	}
	return 0;
}
