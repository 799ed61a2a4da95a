/* leak.c: a leak.
 *
 * The story: a program answers requests, and forgets one small block for each: 4 KB, a
 * thousand times a second. What it has freed is used again and does not grow; what it
 * holds does, and the process with it.
 *
 * What fragscope says: what the program holds grows, by how much a second, and how sure
 * that is; with probes, the call stack that asked for it. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST = 16384, FORGOTTEN = 4080, SECONDS = 120 };

/* Not inlined, so that stacks have it. */
__attribute__((noinline)) static void answer(void)
{
	char *request = malloc(REQUEST), *forgotten = malloc(FORGOTTEN);

	if (!request || !forgotten)
		exit(1);
	memset(request, 1, REQUEST);
	memset(forgotten, 2, FORGOTTEN);
	free(request);
	/* So that no compiler leaves the block out. */
	__asm__ volatile("" : : "r"(forgotten) : "memory");
}

static const char help[] =
	"usage: leak\n"
	"Shows a leak. Serves a thousand requests a second and forgets 4 KB for each: it "
	"grows by\n"
	"about 4 MB a second, up to some 480 MB.\n"
	"\n"
	"Prints READY and its PID when it serves; ends after 2 minutes.\n"
	"Try:  fragscope report -p PID\n"
	"      fragscope trace -p PID --survivors --for 1m\n";

int main(int argc, char **argv)
{
	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	for (int i = 0; i < 2000; i++)
		answer();
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		usleep(1000);
		answer();
	}
}
