#include "engine/rows.h"

#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80, MAX_COLUMNS = 10000 };

static int cannot_write(const struct rows *rows, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write %s to %s: %s",
			 rows->what, rows->file ? rows->file : "standard output",
			 strerror(-error));
}

/* The terminal's size, or else COLUMNS, or else 80; headings come again on terminals
 * only. */
static void fit(int fd, struct view_options *wanted)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	uint64_t width = 0;

	if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_row)
		wanted->lines = size.ws_row;
	if (!size.ws_col && columns &&
	    (units_parse_count(columns, &width) || width > MAX_COLUMNS))
		width = 0;
	wanted->columns = size.ws_col ? size.ws_col
			  : width     ? (unsigned)width
				      : DEFAULT_COLUMNS;
}

int rows_open(struct rows *rows, const struct view_options *wanted, struct fault *fault)
{
	struct view_options options = *wanted;
	int error;

	rows->fd = STDOUT_FILENO;
	if (rows->file)
		rows->fd =
			open(rows->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (rows->fd < 0)
		return cannot_write(rows, -errno, fault);
	if (!options.columns)
		fit(rows->fd, &options);
	if (view_open(&rows->view, rows->fd, &options)) {
		if (rows->file)
			close(rows->fd);
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	}
	error = view_header(rows->view);
	return error ? cannot_write(rows, error, fault) : 0;
}

int rows_note(struct rows *rows, const char *line, struct fault *fault)
{
	int error = view_note(rows->view, line);

	return error ? cannot_write(rows, error, fault) : 0;
}

int rows_sample(struct rows *rows, const struct sample *sample, struct fault *fault)
{
	int error = view_sample(rows->view, sample);

	return error ? cannot_write(rows, error, fault) : 0;
}

int rows_close(struct rows *rows, struct fault *fault)
{
	if (!rows->view)
		return 0;
	view_close(rows->view);
	rows->view = NULL;
	if (rows->file && close(rows->fd))
		return cannot_write(rows, -errno, fault);
	return 0;
}
