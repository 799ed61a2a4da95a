/* steady.c: a program that takes all its memory at its start.
 *
 * The story: so that nothing can fail or grow later, a server takes room for all the
 * requests that it will ever have at a time, touches it, and hands it out itself. It
 * refuses what is beyond that, which it can tell the client at once. Nothing is allocated
 * while it serves.
 *
 * What fragscope says: nothing wrong was found. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUESTS = 4096, ROOM = 16384, SECONDS = 600 };

static char *room[REQUESTS];
static unsigned free_room[REQUESTS], free_count;

static void prepare(void)
{
	for (unsigned i = 0; i < REQUESTS; i++) {
		room[i] = malloc(ROOM);
		if (!room[i])
			exit(1);
		memset(room[i], 1, ROOM); /* touched, so that it is there */
		free_room[free_count++] = i;
	}
}

/* The place of a free room, or -1: come again later. */
static int take_room(void)
{
	return free_count ? (int)free_room[--free_count] : -1;
}

static void give_room(int which)
{
	free_room[free_count++] = (unsigned)which;
}

static const char help[] =
	"usage: steady\n"
	"Shows a server that takes all its memory, 64 MB, at the start and allocates "
	"nothing while\n"
	"it serves.\n"
	"\n"
	"Prints READY and its PID when it serves; ends after 10 minutes.\n"
	"Try:  fragscope report -p PID     (no known problem)\n";

int main(int argc, char **argv)
{
	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	prepare();
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		int which = take_room();

		usleep(1000);
		if (which < 0)
			continue;
		memset(room[which], 1, ROOM);
		give_room(which);
	}
}
