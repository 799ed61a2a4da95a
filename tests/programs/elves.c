/* elves.c: a program that maps what is not what it seems. "tls" has a copy of its own
 * file at a low address, where the program itself would be, with more thread-local
 * storage than there is memory; "file" has the file that is named there; "sparse" has a
 * chunk with a mapping of its own of 600 GB, two pages of them there. Of a thousand
 * chunks every other one is free. It says "ready". */
#define _GNU_SOURCE

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNKS = 1000, BLOCK = 300, HEADER = 16, MAPPED = 0x5555000, IS_MMAPPED = 2 };

#define LOW	  ((void *)0x10000)
#define SPARSE	  ((size_t)600 << 30)
#define TOO_LARGE (UINT64_C(1) << 63)

static void *held[CHUNKS];
static __thread char own[100];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void map_low(int fd)
{
	char *at = mmap(LOW, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);

	if (at != LOW)
		fail("mmap");
	/* The page that a pointer is on is the program's, whatever becomes of the file.
	 */
	memcpy(at + 8, &held[1], sizeof(held[1]));
}

static void file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	map_low(fd);
	close(fd);
}

static void tls(void)
{
	static char bytes[1 << 20];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = memfd_create("copy", MFD_CLOEXEC);
	ssize_t size = from < 0 || to < 0 ? -1 : read(from, bytes, sizeof(bytes));
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;

	if (size <= 0)
		fail("read");
	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr *segment = (Elf64_Phdr *)(bytes + header->e_phoff) + i;

		if (segment->p_type != PT_TLS)
			continue;
		segment->p_memsz = TOO_LARGE;
		segment->p_align = 1;
	}
	if (write(to, bytes, (size_t)size) != size)
		fail("write");
	map_low(to);
}

/* malloc's own count of mapped memory goes with it: it is the word in the C library's
 * data that says how much the one chunk takes. */
static void count_instead(size_t was, size_t is)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	while (fgets(line, sizeof(line), maps)) {
		size_t from, to;
		char mode[8];

		if (sscanf(line, "%zx-%zx %7s", &from, &to, mode) != 3 ||
		    mode[1] != 'w' || !strstr(line, "/libc"))
			continue;
		for (size_t *at = (size_t *)from; at < (size_t *)to; at++)
			if (*at == was)
				*at = is;
	}
	fclose(maps);
}

static void sparse(void)
{
	size_t *chunk = calloc(1, MAPPED - 2 * HEADER), was = chunk[-1] & ~(size_t)7;
	size_t *at;

	munmap(chunk - 2, was);
	at = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	at[1] = SPARSE | IS_MMAPPED;
	at[2] = (size_t)held[3];
	at[SPARSE / sizeof(*at) - 1] = (size_t)held[5];
	held[0] = at + 2;
	count_instead(was, SPARSE);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "tls";

	memset(own, 1, sizeof(own));
	for (int i = 0; i < CHUNKS; i++)
		held[i] = malloc(BLOCK);
	for (int i = 0; i < CHUNKS; i += 2) {
		free(held[i]);
		held[i] = NULL;
	}
	if (!strcmp(kind, "tls"))
		tls();
	else if (!strcmp(kind, "file") && argc > 2)
		file(argv[2]);
	else
		sparse();
	say_ready();
	for (;;)
		pause();
}
