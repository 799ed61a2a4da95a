/* deep.c: has a stack of 7 MB, and waits for a line. Usage: deep touched|used|running:
 * its end was touched once, as Ruby does; it is in use down there; or touched, and the
 * thread never waits. */
#include <stdio.h>
#include <string.h>

enum { FRAME = 16 << 10, FRAMES = (7 << 20) / FRAME };

static void wait_for_line(void)
{
	puts("READY");
	fflush(stdout);
	if (getchar() == EOF)
		return;
}

/* The frame is used after the call, or it would be given up before. */
static void go_down(int frames, void (*then)(void))
{
	volatile char frame[FRAME];

	frame[0] = 1;
	if (frames)
		go_down(frames - 1, then);
	else if (then)
		then();
	frame[0] = 2;
}

__attribute__((noinline)) static void touch_end(void)
{
	volatile char all[FRAME * FRAMES];

	all[0] = 1;
}

int main(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";

	if (strcmp(how, "used") == 0) {
		go_down(FRAMES, wait_for_line);
		return 0;
	}
	touch_end();
	if (strcmp(how, "running") != 0) {
		wait_for_line();
		return 0;
	}
	puts("READY");
	fflush(stdout);
	for (;;)
		;
}
