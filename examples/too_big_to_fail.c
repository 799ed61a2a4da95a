/* too_big_to_fail.c: a service that exempts itself from the OOM killer, and grows.
 *
 * The story: a service that must not die writes -1000 to its oom_score_adj, as many a
 * unit file does. It keeps what it has computed. When the host is out of memory the
 * kernel may not kill it, so it kills the others, the largest first, and each gives it
 * room to grow on. In the end nobody is left and the kernel panics.
 *
 * What fragscope says: that it is exempt, and who is killed in its place. */
#include "help.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)

enum { HELD = 64, PAUSE_US = 10000, SECONDS = 600 };

static unsigned kept, refused;

/* Adds a megabyte of results that are kept. */
static void grow(void)
{
	char *result = malloc(MEGABYTE);

	if (result) {
		memset(result, 1, MEGABYTE);
		kept++;
	} else if (!refused++) {
		printf("NULL after %u MB\n", kept);
		fflush(stdout);
	}
	__asm__ volatile("" : : "r"(result) : "memory");
	usleep(PAUSE_US);
}

static int exempt(void)
{
	static const char never[] = "-1000\n";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	ssize_t put = fd < 0 ? -1 : write(fd, never, sizeof(never) - 1);

	if (fd >= 0)
		close(fd);
	return put > 0 ? 0 : -1;
}

static const char help[] =
	"usage: too_big_to_fail [--mortal | --no-end]\n"
	"Shows a service that may not be killed for want of memory, and grows. Exempts "
	"itself "
	"from\n"
	"the OOM killer, which needs root, and takes 64 MB.\n"
	"  --mortal   cure: is not exempt; takes memory without an end. To be run in a "
	"cgroup\n"
	"             with a limit (memory.max), which kills it there\n"
	"  --no-end   exempt, and takes memory without an end: everything else on the "
	"host is\n"
	"             killed first, and then the kernel panics. Only for a machine that "
	"may die\n"
	"\n"
	"Prints READY and its PID when it has 64 MB; ends after 10 minutes.\n"
	"Try:  fragscope report -p PID      (see \"What is about to happen\")\n";

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	example_arguments(argc, argv, help, " --mortal --no-end ");
	alarm(SECONDS);
	if (strcmp(how, "--mortal") != 0 && exempt() != 0) {
		perror("too_big_to_fail: cannot write /proc/self/oom_score_adj");
		return 1;
	}
	for (int i = 0; i < HELD; i++)
		grow();
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	while (*how)
		grow();
	for (;;)
		pause();
}
