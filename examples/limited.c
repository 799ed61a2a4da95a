/* limited.c: near a limit, with a second path for when malloc fails.
 *
 * The story: a program that may have 256 MB of address space (RLIMIT_AS; ulimit -v) keeps
 * results for as long as it can. When malloc returns NULL it does not die: it has a
 * reserve, taken at its start, in which it works on, slower, without keeping results.
 * Such a second path is worth having only if somebody is told that it was taken.
 *
 * What fragscope says: near a limit, which, and how much is left; with probes also that
 * allocations fail. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)

enum { LIMIT = 256, RESULT = 1 << 20, SECONDS = 600 };

static char *reserve;
static unsigned kept, unkept;

/* Works in memory of its own if there is any, else in the reserve. */
static void work(void)
{
	char *result = malloc(RESULT);

	memset(result ? result : reserve, 1, RESULT);
	if (result)
		kept++; /* never freed: a result that is kept */
	else
		unkept++;
	__asm__ volatile("" : : "r"(result) : "memory");
}

static const char help[] = "usage: limited\n"
			   "Shows a limit that is reached. May have 256 MB of address "
			   "space (RLIMIT_AS), keeps all\n"
			   "results until malloc fails, and goes on in a reserve that it "
			   "took at the start.\n"
			   "\n"
			   "Prints READY and its PID when malloc has failed for the "
			   "first time; ends after 10 minutes.\n"
			   "Try:  fragscope report -p PID\n"
			   "      fragscope trace -p PID --failures\n";

int main(int argc, char **argv)
{
	const struct rlimit limit = {LIMIT * MEGABYTE, LIMIT * MEGABYTE};

	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	reserve = malloc(RESULT);
	if (!reserve || setrlimit(RLIMIT_AS, &limit) != 0)
		return 1;
	memset(reserve, 0, RESULT);
	while (!unkept)
		work();
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		usleep(100000);
		work();
	}
}
