/* late.c: a program whose memory is a mapping of its own, of as many MB as it is told on
 * the command line, and that does not call malloc before it is told to: at each letter m
 * on its input it takes 2 MB and keeps them, at each o it maps one more. Of a file that
 * is named behind that it maps and reads all; at the letter r it has the kernel reclaim
 * that, as it does by itself when memory is short. Its own words go past stdio, which has
 * a buffer from malloc. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCKS = 40, BLOCK = 50000, PAGE = 4096 };

static char *file;
static size_t file_size;

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

static void map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		_exit(1);
	file_size = (size_t)status.st_size;
	file = mmap(NULL, file_size, PROT_READ, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		_exit(1);
	for (size_t at = 0; at < file_size; at += PAGE)
		(void)*(volatile char *)(file + at);
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
	if (argc > 2)
		map_file(argv[2]);
	say("ready\n");
	while (read(STDIN_FILENO, &byte, 1) > 0) {
		if (byte == 'm') {
			fill_heap();
			say("filled\n");
		} else if (byte == 'o') {
			map_own(1 << 20);
			say("mapped\n");
		} else if (byte == 'r') {
			say(madvise(file, file_size, MADV_PAGEOUT) ? "no\n"
								   : "reclaimed\n");
		}
	}
	return 0;
}
