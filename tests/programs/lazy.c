/* lazy.c: a program whose pages somebody is to bring (userfaultfd), who never does. It
 * says "ready" with a heap of chunks, every other one free, and one large chunk. A line
 * on standard input takes pages away, and then a thread waits for one of them:
 *
 *   mapping   half of the large chunk's; said back, with the bytes
 *   heap      half of the heap's; the same
 *   asked     nothing; it says how often a page that is not there was asked for */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNKS = 6000, BLOCK = 1000, LARGE = 8 << 20 };

struct part {
	char *from, *to; /* pages that are gone when it is its turn */
	sem_t turn;
};

static struct part heap, mapping;
static void *chunks[CHUNKS];

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(77);
}

static void say(const char *word)
{
	if (puts(word) < 0 || fflush(stdout))
		exit(1);
}

static void say_number(const char *word, unsigned number)
{
	if (printf("%s %u\n", word, number) < 0 || fflush(stdout))
		exit(1);
}

static char *page_of(const char *address)
{
	return (char *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1));
}

/* The middle half of SIZE bytes. */
static void choose(struct part *part, const char *start, size_t size)
{
	part->from = page_of(start + size / 4);
	part->to = page_of(start + size / 4 * 3);
}

static void fill(void)
{
	char *large;

	for (int i = 0; i < CHUNKS; i++) {
		chunks[i] = malloc(BLOCK);
		memset(chunks[i], 1, BLOCK);
	}
	choose(&heap, chunks[0],
	       (size_t)((char *)chunks[CHUNKS - 1] - (char *)chunks[0]));
	for (int i = 0; i < CHUNKS; i += 2)
		free(chunks[i]);
	large = malloc(LARGE);
	memset(large, 1, LARGE);
	choose(&mapping, large, LARGE);
}

/* It is there before pages are not: a thread's beginning allocates. */
static void *wait_for_page(void *arg)
{
	struct part *part = arg;

	sem_wait(&part->turn);
	*(volatile char *)part->from;
	return NULL;
}

static void watch(int fd, struct part *part)
{
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)part->from,
			  .len = (uint64_t)(part->to - part->from)},
		.mode = UFFDIO_REGISTER_MODE_MISSING};
	pthread_t thread;

	if (sem_init(&part->turn, 0, 0) ||
	    pthread_create(&thread, NULL, wait_for_page, part))
		fail("a thread");
	if (ioctl(fd, UFFDIO_REGISTER, &range))
		fail("UFFDIO_REGISTER");
}

static int asked(int fd)
{
	struct uffd_msg message;
	ssize_t got = read(fd, &message, sizeof(message));

	if (got < 0 && errno != EAGAIN)
		fail("userfaultfd's message");
	return got == sizeof(message);
}

/* Takes its pages away; until its thread waits for one. */
static void take(int fd, struct part *part, const char *name)
{
	if (madvise(part->from, (size_t)(part->to - part->from), MADV_DONTNEED))
		fail("madvise");
	sem_post(&part->turn);
	while (!asked(fd))
		usleep(1000);
	say_number(name, (unsigned)(part->to - part->from));
}

int main(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	unsigned count = 0;
	char line[16];
	int fd;

	setvbuf(stdin, NULL, _IONBF, 0);
	/* stdio's own memory comes before the chunks. */
	say("starts");
	fill();
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		fail("userfaultfd");
	watch(fd, &heap);
	watch(fd, &mapping);
	say("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "mapping\n"))
			take(fd, &mapping, "mapping");
		else if (!strcmp(line, "heap\n"))
			take(fd, &heap, "heap");
		while (asked(fd))
			count++;
		if (!strcmp(line, "asked\n"))
			say_number("asked", count);
	}
	return 0;
}
