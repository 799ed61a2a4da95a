#include "engine/rows.h"

#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80, MAX_COLUMNS = 10000, HEADER_BYTES = 16384 };

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

/* ---- a file that has rows ---- */

/* Removes what is behind the last line: whoever wrote it was cut off. */
static int remove_torn(struct rows *rows, int fd, off_t size)
{
	char buf[4096];

	rows->was_cut = false;
	while (size > 0) {
		size_t wanted = size < (off_t)sizeof(buf) ? (size_t)size : sizeof(buf);
		ssize_t got = pread(fd, buf, wanted, size - (off_t)wanted);
		const char *end = got > 0 ? memrchr(buf, '\n', (size_t)got) : NULL;

		if (got <= 0)
			return got ? -errno : -EIO;
		if (end == buf + got - 1)
			break;
		rows->was_cut = true;
		size -= end ? buf + got - 1 - end : got;
		if (end)
			break;
	}
	return rows->was_cut && ftruncate(fd, size) ? -errno : 0;
}

/* What view_header writes, of SIZE bytes at most; its length, or -errno. */
static ssize_t header_of(const struct view_options *wanted, char *buf, size_t size)
{
	int fd = memfd_create("header", MFD_CLOEXEC);
	struct view *view;
	ssize_t length = fd < 0 ? -errno : view_open(&view, fd, wanted);

	if (fd < 0)
		return length;
	if (!length) {
		length = view_header(view);
		view_close(view);
	}
	if (!length)
		length = pread(fd, buf, size, 0);
	close(fd);
	return length;
}

/* Rows of other columns behind these would be read as what they are not. */
static int check_header(const struct rows *rows, int fd,
			const struct view_options *wanted, struct fault *fault)
{
	static char want[HEADER_BYTES], got[HEADER_BYTES];
	ssize_t length = header_of(wanted, want, sizeof(want));

	if (length < 0)
		return cannot_write(rows, (int)length, fault);
	if (pread(fd, got, (size_t)length, 0) == length &&
	    !memcmp(want, got, (size_t)length))
		return 0;
	return fault_set(
		fault, EXIT_FAILED, -EEXIST,
		"cannot append %s to %s: it begins with other columns, of another "
		"version or other options; name another file",
		rows->what, rows->file);
}

/* FD's file has SIZE bytes: rows go behind them. */
static int go_on(struct rows *rows, int fd, off_t size, const struct view_options *wanted,
		 struct fault *fault)
{
	int error = 0;

	if (wanted->format == VIEW_CSV && wanted->header)
		error = check_header(rows, fd, wanted, fault);
	if (error)
		return error;
	error = remove_torn(rows, fd, size);
	return error ? cannot_write(rows, error, fault) : 0;
}

/* ---- the file ---- */

/* The file's descriptor, or -errno and FAULT. *IS_EMPTY: a header belongs into it. */
static int open_file(struct rows *rows, bool append, const struct view_options *wanted,
		     bool *is_empty, struct fault *fault)
{
	int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC);
	struct stat status;
	int fd, error = 0;

	/* What is no file may be for writing only. */
	if (!stat(rows->file, &status) && !S_ISREG(status.st_mode))
		flags ^= O_RDWR ^ O_WRONLY;
	fd = open(rows->file, flags, 0666);
	if (fd < 0 || fstat(fd, &status)) {
		error = cannot_write(rows, -errno, fault);
		if (fd >= 0)
			close(fd);
		return error;
	}
	*is_empty = !S_ISREG(status.st_mode) || !status.st_size;
	if (!*is_empty)
		error = go_on(rows, fd, status.st_size, wanted, fault);
	if (error)
		close(fd);
	return error ? error : fd;
}

static int write_header(struct rows *rows, struct fault *fault)
{
	int error = view_header(rows->view);

	return error ? cannot_write(rows, error, fault) : 0;
}

int rows_open(struct rows *rows, const struct view_options *wanted, struct fault *fault)
{
	bool is_empty = true;

	rows->options = *wanted;
	rows->fd = rows->file ? open_file(rows, rows->append, wanted, &is_empty, fault)
			      : STDOUT_FILENO;
	if (rows->fd < 0)
		return rows->fd;
	if (!rows->options.columns)
		fit(rows->fd, &rows->options);
	if (view_open(&rows->view, rows->fd, &rows->options)) {
		if (rows->file)
			close(rows->fd);
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	}
	return is_empty ? write_header(rows, fault) : 0;
}

/* Whether the name still leads to the file that is open. */
static bool is_same_file(const struct rows *rows)
{
	struct stat named, opened;

	return !stat(rows->file, &named) && !fstat(rows->fd, &opened) &&
	       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

int rows_reopen(struct rows *rows, struct fault *fault)
{
	bool is_empty = true;
	int fd;

	if (!rows->file || is_same_file(rows))
		return 0;
	fd = open_file(rows, true, &rows->options, &is_empty, fault);
	if (fd < 0)
		return fd;
	/* The view writes to the same number. */
	if (dup3(fd, rows->fd, O_CLOEXEC) < 0) {
		int error = cannot_write(rows, -errno, fault);

		close(fd);
		return error;
	}
	close(fd);
	return is_empty ? write_header(rows, fault) : 0;
}

int rows_note(struct rows *rows, const char *line, struct fault *fault)
{
	int error = view_note(rows->view, line);

	return error ? cannot_write(rows, error, fault) : 0;
}

static bool was_emptied(const struct rows *rows)
{
	struct stat status;

	return rows->file && rows->has_rows && !fstat(rows->fd, &status) &&
	       S_ISREG(status.st_mode) && !status.st_size;
}

int rows_sample(struct rows *rows, const struct sample *sample, struct fault *fault)
{
	int error = was_emptied(rows) ? view_header(rows->view) : 0;

	rows->has_rows = true;
	if (!error)
		error = view_sample(rows->view, sample);

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
