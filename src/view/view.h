/* view.h: writes samples as rows, in one of three formats, to a file descriptor.
 * A row is one write: it is flushed when it is made. Nothing is allocated per row. */
#ifndef FRAGSCOPE_VIEW_H
#define FRAGSCOPE_VIEW_H

#include "base/text.h"
#include "sample/sample.h"

#include <stdbool.h>

enum view_format {
	VIEW_TEXT, /* for people: aligned columns, scaled units, local time */
	VIEW_CSV,  /* RFC 4180 but for the line ends, which are LF; every figure, never
		      scaled */
	VIEW_JSON, /* one object a line; absent figures are left out; never scaled */
};

struct view_options {
	enum view_format format;
	bool header;	  /* print headings, and in text the notes */
	bool arenas;	  /* a row an arena after the row of the process */
	bool intervals;	  /* CSV: columns for the ends of estimates' intervals */
	bool several;	  /* text: more than one target, so rows name theirs */
	unsigned columns; /* text: the width to fill */
	unsigned lines;	  /* text: a screen's height, to repeat the headings; 0: once */
};

struct view;

/* Makes a view of FD, which stays the caller's. 0 or -ENOMEM. */
int view_open(struct view **view, int fd, const struct view_options *options);
void view_close(struct view *view);

/* What stands before the first row. In text the headings wait for that row, since it
 * tells which figures there are. 0 or -errno of the write. */
int view_header(struct view *view);

/* In text with headings: LINE behind "# ". Nothing otherwise. 0 or -errno. */
int view_note(struct view *view, const char *line);

/* The row of the process, then, if asked for, one an arena (with the bins that it has, in
 * JSON). 0 or -errno of the write: rows already out stay. */
int view_sample(struct view *view, const struct sample *sample);

/* One figure as rows for people show it, unpadded: "1.21G", "0.950"; "-" when absent. */
void view_figure(struct text *text, const struct figures *fig, enum figure f);

#endif
