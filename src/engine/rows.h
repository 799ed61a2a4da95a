/* rows.h: writes samples as rows to a file or standard output. */
#ifndef FRAGSCOPE_ROWS_H
#define FRAGSCOPE_ROWS_H

#include "base/fault.h"
#include "view/view.h"

/* Zero, but for what says how to write; a file's name stays the caller's. */
struct rows {
	const char *file;  /* null: standard output */
	const char *what;  /* in messages: "rows" */
	bool append;	   /* go on with the file if there is one */
	bool was_cut;	   /* it ended within a row, which was removed */
	struct view *view; /* null: not open */
	struct view_options options;
	int fd;
	bool has_rows; /* since it was opened */
};

/* Opens the file, which is emptied unless APPEND, and writes what stands before the first
 * row, but not a second header into CSV; to append to CSV of other columns is -EEXIST.
 * Columns and lines of WANTED that are 0 become the terminal's, or 80. 0, or -errno and
 * FAULT. */
int rows_open(struct rows *rows, const struct view_options *wanted, struct fault *fault);

/* If the name no longer leads to the file that is open, as after a rotation: goes on in a
 * file of that name. 0, or -errno and FAULT. */
int rows_reopen(struct rows *rows, struct fault *fault);

/* LINE behind "# ", in text with headings. 0, or -errno and FAULT. */
int rows_note(struct rows *rows, const char *line, struct fault *fault);

/* The rows of SAMPLE. A file that was emptied, as by a rotation that copies it, has its
 * header again. 0, or -errno and FAULT. */
int rows_sample(struct rows *rows, const struct sample *sample, struct fault *fault);

/* 0, or -errno and FAULT: what was written did not get into the file. */
int rows_close(struct rows *rows, struct fault *fault);

#endif
