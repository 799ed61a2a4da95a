/* pty.c: runs a command on a terminal of its own. What the command writes goes to
 * standard output, what comes on standard input goes to the command as keys; ends with
 * its status.
 *
 *   pty COLUMNS ROWS COMMAND [ARGUMENT...] */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void become(const char *terminal, char **command)
{
	int fd;

	setsid();
	fd = open(terminal, O_RDWR);
	if (fd < 0)
		fail(terminal);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	execvp(command[0], command);
	fail(command[0]);
}

/* Passes on what there is; false at the end. */
static int pass(int from, int to)
{
	char text[4096];
	ssize_t got = read(from, text, sizeof(text));

	return got > 0 && write(to, text, (size_t)got) == got;
}

static void relay(int master)
{
	struct pollfd from[2] = {{.fd = master, .events = POLLIN},
				 {.fd = 0, .events = POLLIN}};

	while (poll(from, 2, -1) > 0) {
		if (from[0].revents && !pass(master, 1))
			return;
		if (from[1].revents && !pass(0, master))
			from[1].fd = -1;
	}
}

int main(int argc, char **argv)
{
	struct winsize size = {0};
	int master = posix_openpt(O_RDWR | O_NOCTTY), status;
	pid_t child;

	if (argc < 4) {
		fprintf(stderr, "usage: pty COLUMNS ROWS COMMAND [ARGUMENT...]\n");
		return 125;
	}
	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		fail("pty");
	size.ws_col = (unsigned short)atoi(argv[1]);
	size.ws_row = (unsigned short)atoi(argv[2]);
	ioctl(master, TIOCSWINSZ, &size);
	child = fork();
	if (child == 0)
		become(ptsname(master), argv + 3);
	relay(master);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
