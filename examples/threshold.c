/* threshold.c: the mmap threshold drifts up.
 *
 * The story: glibc gives a block of 128 KB or more a mapping of its own, which goes back
 * to the kernel as soon as the block is freed. But when such a block is freed, glibc
 * takes it for a sign that there will be more, and raises the threshold to its size (32
 * MB at most), and the trim threshold to twice that. This program frees one block of 24
 * MB at its start. From then on its buffers of 2 MB come from the heap, and when they are
 * freed the heap keeps them: 40 MB of top, below a trim threshold of 48 MB.
 *
 * What fragscope says: the mmap threshold has drifted up, to how much, and what that
 * holds. Try it: MALLOC_MMAP_THRESHOLD_=131072 examples/threshold. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)

enum { BUFFERS = 20, SECONDS = 600 };

static void *touched(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		exit(1);
	memset(block, 1, bytes);
	return block;
}

static const char help[] =
	"usage: threshold\n"
	"Shows an mmap threshold that has risen. Frees one block of 24 MB: from then on "
	"its\n"
	"buffers of 2 MB come from the heap, which keeps 40 MB of them when they are "
	"freed.\n"
	"\n"
	"Prints READY and its PID when the buffers are freed; ends after 10 minutes.\n"
	"Try:  fragscope report -p PID\n"
	"Cure: MALLOC_MMAP_THRESHOLD_=131072 examples/threshold\n";

int main(int argc, char **argv)
{
	void *buffer[BUFFERS];

	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	printf("starting\n");
	fflush(stdout);
	free(touched(24 * MEGABYTE));
	for (int i = 0; i < BUFFERS; i++)
		buffer[i] = touched(2 * MEGABYTE);
	for (int i = 0; i < BUFFERS; i++)
		free(buffer[i]);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
