/* text_rows.c: rows for people, as vmstat prints them: as many columns as fit the width,
 * the most telling first, with the headings again on every screen. */
#include "base/clock.h"
#include "base/units.h"
#include "view/emitter.h"

enum {
	TIME_WIDTH = 8,
	PID_WIDTH = 7,
	COMM_WIDTH = 15,
	STATUS_WIDTH = 10, /* "torn 1.21K" */
};

static enum figure figure_of_rank(unsigned rank)
{
	unsigned f = 0;

	while (f < FIG_COUNT && figure_info[f].rank != rank)
		f++;
	return f;
}

/* The figures that ROW has, by rank, until one does not fit. They stay for good: columns
 * that come and go cannot be read. */
static void choose(struct view *view, const struct row *row)
{
	unsigned used = TIME_WIDTH + 1 + STATUS_WIDTH;

	if (view->options.several)
		used += 1 + PID_WIDTH + 1 + COMM_WIDTH;
	for (unsigned rank = 1; rank <= FIG_COUNT; rank++) {
		enum figure f = figure_of_rank(rank);

		if (f == FIG_COUNT || !row_has(row, f))
			continue;
		used += 1 + figure_width(f);
		if (used > view->options.columns)
			return;
		view->chosen[f] = true;
	}
}

static void right(struct text *text, const char *string, size_t width)
{
	size_t from = text->length;

	text_string(text, string);
	text_align_right(text, from, width);
}

static void headings(struct view *view)
{
	struct text *text = &view->text;

	right(text, "time", TIME_WIDTH);
	if (view->options.several) {
		size_t from;

		right(text, "pid", 1 + PID_WIDTH);
		text_char(text, ' ');
		from = text->length;
		text_string(text, "comm");
		text_align_left(text, from, COMM_WIDTH);
	}
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (view->chosen[f])
			right(text, figure_info[f].heading, 1 + figure_width(f));
	text_string(text, " status\n");
}

/* Padded by characters, since a name may have some of several bytes. */
static void name(struct text *text, const char *comm)
{
	text_repeat(text, ' ', COMM_WIDTH - text_printable(text, comm, COMM_WIDTH));
}

/* The rows of arenas come after their process's, with "#INDEX" in place of the time. */
static void identity(struct view *view, const struct row *row)
{
	struct text *text = &view->text;
	size_t from = text->length;

	if (row->arena) {
		text_char(text, '#');
		text_u64(text, row->arena->index);
	} else {
		clock_local(text, row->sample->time_ns);
	}
	text_align_right(text, from, TIME_WIDTH);
	if (!view->options.several)
		return;
	from = text->length;
	text_i64(text, row->sample->pid);
	text_align_right(text, from, 1 + PID_WIDTH);
	text_char(text, ' ');
	name(text, row->sample->comm);
}

void view_figure(struct text *text, const struct figures *fig, enum figure f)
{
	const union figure_value *v = &fig->v[f];

	if (!row_has(&(struct row){.fig = fig}, f)) {
		text_char(text, '-');
		return;
	}
	if (figure_is_estimated(fig, f))
		text_char(text, '~');
	switch (figure_info[f].unit) {
	case UNIT_BYTES:
		units_bytes(text, v->u);
		break;
	case UNIT_COUNT:
		units_count(text, v->u);
		break;
	case UNIT_RATIO:
		units_ratio(text, v->d);
		break;
	case UNIT_NS:
		units_ns(text, v->u);
		break;
	}
}

static void value(struct text *text, const struct row *row, enum figure f)
{
	size_t from = text->length;

	view_figure(text, row->fig, f);
	text_align_right(text, from, figure_width(f) + 1);
}

static void status(struct text *text, const struct row *row)
{
	static const char *const words[] = {
		[STATUS_COMPLETE] = "ok",
		[STATUS_TORN] = "torn",
		[STATUS_PARTIAL] = "partial",
		[STATUS_ESTIMATED] = "estimated",
	};

	text_string(text, words[row->status]);
	if (row->status == STATUS_TORN && row_has(row, FIG_IN_DOUBT_BYTES)) {
		text_char(text, ' ');
		units_bytes(text, row->fig->v[FIG_IN_DOUBT_BYTES].u);
	}
}

/* Before a row: the headings, when they are due. They never part the rows of arenas from
 * their process's. */
static void head(struct view *view, const struct row *row)
{
	bool first = !view->headed;
	bool again = view->options.lines && view->rows + 1 >= view->options.lines &&
		     !row->arena;

	if (first)
		choose(view, row);
	if (view->options.header && (first || again)) {
		headings(view);
		view->rows = 0;
	}
	view->headed = true;
	view->rows++;
}

static void text_row(struct view *view, const struct row *row)
{
	struct text *text = &view->text;

	head(view, row);
	identity(view, row);
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!view->chosen[f])
			continue;
		value(text, row, f);
	}
	text_char(text, ' ');
	status(text, row);
	text_char(text, '\n');
}

const struct emitter emitter_text = {NULL, text_row};
