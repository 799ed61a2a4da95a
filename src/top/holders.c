#include "top/holders.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PID_TEXT = 16, BYTES_COLUMNS = 7 };

void holders_open(struct holders *holders)
{
	*holders = (struct holders){.fd = -1};
}

void holders_close(struct holders *holders)
{
	if (holders->child) {
		kill(holders->child, SIGKILL);
		while (waitpid(holders->child, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	if (holders->fd >= 0)
		close(holders->fd);
	holders_open(holders);
}

/* Between fork and exec nothing is allocated: other threads may hold malloc's locks. */
static void child_main(int fd, char *pid)
{
	char self[] = "/proc/self/exe", verb[] = "owners", option[] = "-p";
	char folded[] = "--folded", *words[] = {self, verb, option, pid, folded, NULL};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(1);
	execv(self, words);
	_exit(1);
}

int holders_ask(struct holders *holders, int pid)
{
	char number[PID_TEXT];
	int ends[2];
	pid_t child;

	if (holders->child)
		return -EBUSY;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	snprintf(number, sizeof(number), "%d", pid);
	child = fork();
	if (child == 0)
		child_main(ends[1], number);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	*holders = (struct holders){.child = child,
				    .fd = ends[0],
				    .pid = pid,
				    .begin_ns = clock_monotonic_ns()};
	return 0;
}

/* "sessions;3000 chunks of 48 bytes 12582912" as a line of the box: the bytes first. */
static void add_line(struct text *text, char *line)
{
	char *bytes = strrchr(line, ' ');
	size_t from = text->length;

	if (!bytes)
		return;
	*bytes++ = '\0';
	units_bytes(text, strtoull(bytes, NULL, 10));
	text_align_right(text, from, BYTES_COLUMNS);
	text_string(text, "  ");
	for (; *line; line++) {
		if (*line == ';')
			text_string(text, " > ");
		else
			text_char(text, *line);
	}
	text_char(text, '\n');
}

static void add_lines(struct text *text, char *said)
{
	char *rest, *line = strtok_r(said, "\n", &rest);

	for (; line; line = strtok_r(NULL, "\n", &rest))
		add_line(text, line);
}

static void tell(struct holders *holders, bool done, char *title, size_t size,
		 struct text *text)
{
	int64_t took_ns = clock_monotonic_ns() - holders->begin_ns;

	holders->said[holders->length] = '\0';
	if (!done) {
		snprintf(title, size, "Who holds what pins memory of %d is not known",
			 holders->pid);
		holders->said[strcspn(holders->said, "\n")] = '\0';
		text_printable(text, holders->said, SIZE_MAX);
		return;
	}
	snprintf(title, size, "Who holds what pins memory of %d (%s)", holders->pid,
		 units_ns_text((uint64_t)took_ns).s);
	add_lines(text, holders->said);
	if (!text->length)
		text_string(text, "Nothing pins free memory.\n");
	else
		text_string(text, "\nSo much would come back if these were freed. All of "
				  "it: fragscope owners");
}

bool holders_take(struct holders *holders, char *title, size_t size, struct text *text)
{
	size_t room = sizeof(holders->said) - 1 - holders->length;
	/* What does not fit is read, and dropped. */
	char spare[512];
	ssize_t got = read(holders->fd, room ? holders->said + holders->length : spare,
			   room ? room : sizeof(spare));
	int status = 0;

	if (got > 0 && room)
		holders->length += (size_t)got;
	if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	while (waitpid(holders->child, &status, 0) < 0 && errno == EINTR)
		continue;
	tell(holders, status == 0, title, size, text);
	holders->child = 0;
	holders_close(holders);
	return true;
}
