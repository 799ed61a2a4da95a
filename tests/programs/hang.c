/* hang.c: a program that catches its reader. A page of its heap is there when a reader
 * looks which pages are resident, and gone when the reader comes to copy it; whoever
 * touches it then waits for userfaultfd, which nobody answers until the program is told
 * to. It says "ready"; "lurks" after a line on standard input, "caught" and the thread
 * when a reader is, and "let go" after another line. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	PAGES = 8192,
	BLOCK = 1008,
	NOT_PERMITTED = 77,
};

struct trap {
	int fd;
	uint64_t from, to;
	unsigned char kept[PAGE];
};

static int say(const char *words)
{
	return puts(words) < 0 || fflush(stdout) ? 1 : 0;
}

static int refuse(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return NOT_PERMITTED;
}

/* Small chunks in use: a reader has to look at every page of them. */
static void fill(struct trap *trap)
{
	unsigned count = PAGES * PAGE / (BLOCK + 16);
	char *first = NULL, *last = NULL;

	for (unsigned i = 0; i < count; i++) {
		last = malloc(BLOCK);
		memset(last, 1, BLOCK);
		first = first ? first : last;
	}
	trap->from = ((uint64_t)(uintptr_t)first + PAGE) & ~(uint64_t)(PAGE - 1);
	trap->to = (uint64_t)(uintptr_t)last & ~(uint64_t)(PAGE - 1);
}

static int set(struct trap *trap)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID};
	struct uffdio_register range = {
		.range = {.start = trap->from, .len = trap->to - trap->from},
		.mode = UFFDIO_REGISTER_MODE_MISSING};

	trap->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (trap->fd < 0)
		return refuse("userfaultfd");
	if (ioctl(trap->fd, UFFDIO_API, &api) || ioctl(trap->fd, UFFDIO_REGISTER, &range))
		return refuse("userfaultfd's registration");
	return 0;
}

/* Whoever waits for the page goes on. */
static void put_back(struct trap *trap, uint64_t page)
{
	struct uffdio_copy copy = {
		.dst = page, .src = (uint64_t)(uintptr_t)trap->kept, .len = PAGE};

	/* EAGAIN: while the kernel does something else with the mapping. EEXIST: the page
	 * is there, as what is swapped in at the same time. */
	while (ioctl(trap->fd, UFFDIO_COPY, &copy) && errno != EEXIST) {
		if (errno != EAGAIN)
			_exit(refuse("UFFDIO_COPY"));
		copy.copy = 0;
	}
}

/* Whether somebody waits for PAGE, which is not there, and WHO. One who asked for another
 * page waits no longer: that one is back. */
static int is_caught(const struct trap *trap, uint64_t page, unsigned *who)
{
	struct uffd_msg message;
	ssize_t got = read(trap->fd, &message, sizeof(message));

	if (got < 0 && errno != EAGAIN)
		_exit(refuse("userfaultfd's message"));
	if (got != sizeof(message) ||
	    (message.arg.pagefault.address & ~(uint64_t)(PAGE - 1)) != page)
		return 0;
	*who = message.arg.pagefault.feat.ptid;
	return 1;
}

/* Takes one page after the other away for a moment, until somebody waits for it: WHO. Who
 * comes at the last moment may find the page back and not wait: that is no catch. */
static uint64_t catch (struct trap *trap, unsigned *who)
{
	for (uint64_t page = trap->from;; page += PAGE) {
		if (page == trap->to)
			page = trap->from;
		memcpy(trap->kept, (void *)(uintptr_t)page, PAGE);
		madvise((void *)(uintptr_t)page, PAGE, MADV_DONTNEED);
		for (int tries = 0; tries < 20; tries++)
			if (is_caught(trap, page, who))
				return page;
		put_back(trap, page);
	}
}

static void let_go(struct trap *trap, uint64_t page)
{
	struct uffd_msg message;

	while (read(trap->fd, &message, sizeof(message)) > 0)
		continue;
	put_back(trap, page);
}

static int wait_for_line(void)
{
	int byte;

	do
		byte = getchar();
	while (byte != '\n' && byte != EOF);
	return byte == '\n';
}

int main(void)
{
	static struct trap trap;
	int status;

	setvbuf(stdin, NULL, _IONBF, 0);
	/* stdio's own memory comes before the chunks. */
	say("starts");
	fill(&trap);
	status = set(&trap);
	if (status)
		return status;
	say("ready");
	while (wait_for_line()) {
		unsigned who;
		uint64_t page;

		say("lurks");
		page = catch (&trap, &who);
		printf("caught %u\n", who);
		fflush(stdout);
		if (!wait_for_line())
			break;
		let_go(&trap, page);
		say("let go");
	}
	return 0;
}
