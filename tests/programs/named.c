/* named.c: a program whose names could do something to a terminal: `named NAME FILE`
 * calls itself NAME, maps FILE, has a heap full of holes that HELD_CHUNKS points into,
 * says "ready PID" and grows in GROW for each line of its input. A test gives these two
 * another name in the finished file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CHUNKS = 20000, BYTES = 600, MAPPED_BYTES = 4 << 20, STEP_BYTES = 4 << 20 };

extern char *held_chunks[CHUNKS];
char *held_chunks[CHUNKS];

void grow(void);

__attribute__((noinline)) void grow(void)
{
	for (size_t bytes = 0; bytes < STEP_BYTES; bytes += BYTES)
		if (!malloc(BYTES))
			exit(1);
	__asm__ volatile("");
}

static int map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	char *at;

	if (fd < 0 || ftruncate(fd, MAPPED_BYTES))
		return -1;
	at = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -1;
	memset(at, 1, MAPPED_BYTES);
	return close(fd);
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 3 || prctl(PR_SET_NAME, argv[1]) || map_file(argv[2]))
		return 1;
	for (unsigned i = 0; i < CHUNKS; i++) {
		held_chunks[i] = malloc(BYTES);
		if (!held_chunks[i])
			return 1;
		memset(held_chunks[i], 1, BYTES);
	}
	for (unsigned i = 0; i < CHUNKS; i++)
		if (i % 16) {
			free(held_chunks[i]);
			held_chunks[i] = NULL;
		}
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		grow();
		puts("grown");
		fflush(stdout);
	}
	return 0;
}
