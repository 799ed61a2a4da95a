/* stuck.c: a program that waits in the kernel and can do nothing about it.
 *
 *   stuck KIND FILE
 *
 * "write": a thread writes to FILE. "read": a thread reads a page of a mapping of FILE.
 * "map": a thread writes to such a page, and another changes the mapping meanwhile, so
 * that whoever wants to see the process's mappings waits too. Has a heap of its own, says
 * "ready", begins after a line on standard input, and says "stuck" when the threads are
 * where nothing but FILE's file system can bring them out. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNKS = 3000, BLOCK = 1000, BYTES = 4096, PAUSE_US = 10000 };

static volatile char *mapped;
static int file;
static void *held[CHUNKS];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static atomic_int waiter, changer; /* the threads, once they run */

/* The kernel's letter for a thread's state. */
static char state_of(int thread)
{
	char path[64], text[256] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail(path);
	close(fd);
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

static void until(atomic_int *thread, char state)
{
	while (!atomic_load(thread) || state_of(atomic_load(thread)) != state)
		usleep(PAUSE_US);
}

static int this_thread(void)
{
	return (int)syscall(SYS_gettid);
}

static void *write_file(void *unused)
{
	atomic_store(&waiter, this_thread());
	if (write(file, "x", 1) != 1)
		fail("write");
	return unused;
}

static void *write_mapping(void *unused)
{
	atomic_store(&waiter, this_thread());
	mapped[0] = 1;
	return unused;
}

static void *read_mapping(void *unused)
{
	atomic_store(&waiter, this_thread());
	(void)mapped[0];
	return unused;
}

/* It is there before the other waits: no thread can be made then. */
static void *change_mapping(void *unused)
{
	until(&waiter, 'D');
	atomic_store(&changer, this_thread());
	if (madvise((void *)mapped, BYTES, MADV_DONTFORK))
		fail("madvise");
	return unused;
}

static void begin(void *(*fn)(void *unused))
{
	pthread_t handle;

	if (pthread_create(&handle, NULL, fn, NULL))
		fail("pthread_create");
}

static void fill(void)
{
	for (int i = 0; i < CHUNKS; i++)
		held[i] = malloc(BLOCK);
	for (int i = 0; i < CHUNKS; i += 2)
		free(held[i]);
}

static void map(const char *path, bool writes)
{
	int access = PROT_READ | (writes ? PROT_WRITE : 0);

	file = open(path, (writes ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
	if (file < 0 || (writes && ftruncate(file, BYTES)))
		fail(path);
	mapped = mmap(NULL, BYTES, access, MAP_SHARED, file, 0);
	if (mapped == MAP_FAILED)
		fail("mmap");
}

static void say(const char *words)
{
	if (puts(words) < 0 || fflush(stdout))
		exit(1);
}

int main(int argc, char **argv)
{
	bool reads = argc == 3 && !strcmp(argv[1], "read");
	bool maps = argc == 3 && !strcmp(argv[1], "map");

	if (argc != 3)
		return 64;
	fill();
	map(argv[2], !reads);
	say("ready");
	if (getchar() == EOF)
		return 0;
	if (maps)
		begin(change_mapping);
	begin(reads ? read_mapping : maps ? write_mapping : write_file);
	until(&waiter, reads ? 'S' : 'D');
	if (maps)
		until(&changer, 'D');
	say("stuck");
	for (;;)
		pause();
}
