#include "top/write.h"
#include "base/clock.h"
#include "base/output.h"
#include "base/text.h"
#include "tui/svg.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 96 };

/* A cell takes 4 bytes of UTF-8 at most, a row a line end. */
static size_t text_room(const struct canvas *canvas)
{
	return (size_t)canvas->rows * (canvas->columns * 4 + 1) + 1;
}

/* What FILL makes of the screen, in ROOM bytes at most. */
static int write_text(struct top *top, int fd, size_t room,
		      void (*fill)(const struct top *top, struct text *text))
{
	char *buf = malloc(room);
	struct text text;
	int error;

	if (!buf)
		return -ENOMEM;
	text_init(&text, buf, room);
	fill(top, &text);
	error = text.overflow ? -EOVERFLOW : output_write(fd, text.buf, text.length);
	free(buf);
	return error;
}

static void fill_screen(const struct top *top, struct text *text)
{
	canvas_text(top->canvas, text);
}

static int write_screen(struct top *top, int fd)
{
	return write_text(top, fd, text_room(top->canvas), fill_screen);
}

static void fill_graphs(const struct top *top, struct text *text)
{
	screen_svg(text, &top->screen);
}

static int write_graphs(struct top *top, int fd)
{
	return write_text(top, fd, SVG_BYTES, fill_graphs);
}

static void fill_picture(const struct top *top, struct text *text)
{
	canvas_svg(text, top->canvas);
}

static int write_picture(struct top *top, int fd)
{
	return write_text(top, fd, canvas_svg_bytes(top->canvas), fill_picture);
}

/* All readings that are kept whole, the earliest first. */
static int write_samples(struct top *top, int fd)
{
	const struct view_options wanted = {
		.format = VIEW_CSV, .header = true, .arenas = true};
	const struct history *history = top_target(top)->history;
	struct view *view;
	int error = view_open(&view, fd, &wanted);

	if (error)
		return error;
	error = view_header(view);
	for (size_t back = history_count(history); !error && back; back--)
		error = view_sample(view, history_at(history, back - 1));
	view_close(view);
	return error;
}

static const struct {
	const char *suffix;
	int (*write)(struct top *top, int fd);
} files[] = {
	{"txt", write_screen},
	{"csv", write_samples},
	{"svg", write_graphs},
	{"screen.svg", write_picture},
};

enum { FILES = sizeof(files) / sizeof(files[0]) };

/* "fragscope-4711-20261121T114256.123Z": no colons, which some file systems refuse. */
static void name_files(const struct top_target *target, struct text *name)
{
	char time[32];
	struct text rfc3339;

	text_init(&rfc3339, time, sizeof(time));
	clock_rfc3339(&rfc3339, clock_realtime_ns());
	text_string(name, "fragscope-");
	text_u64(name, (uint64_t)target->pid);
	text_char(name, '-');
	for (const char *c = time; *c; c++)
		if (*c != '-' && *c != ':')
			text_char(name, *c);
	text_char(name, '.');
}

/* Never over a file, nor through a link, that someone else may have put there. */
static int write_file(struct top *top, const char *name,
		      int (*write_it)(struct top *top, int fd))
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int error;

	if (fd < 0)
		return -errno;
	error = write_it(top, fd);
	if (close(fd) && !error)
		error = -errno;
	return error;
}

void top_write(struct top *top)
{
	char name[NAME_BYTES];
	struct text text;
	size_t stem;

	if (!top_target(top))
		return;
	text_init(&text, name, sizeof(name));
	name_files(top_target(top), &text);
	stem = text.length;
	for (unsigned i = 0; i < FILES; i++) {
		int error;

		text.length = stem;
		text_string(&text, files[i].suffix);
		error = write_file(top, name, files[i].write);
		if (error) {
			top_message(top, true, "cannot write %s: %s", name,
				    strerror(-error));
			return;
		}
	}
	name[stem - 1] = '\0';
	top_message(top, false, "written: %s.txt, .csv, .svg, .screen.svg", name);
}
