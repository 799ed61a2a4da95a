/* stat.h: what `fragscope stat` does: a row a reading, of running processes or of a
 * recording. */
#ifndef FRAGSCOPE_STAT_H
#define FRAGSCOPE_STAT_H

#include "engine/stream.h"
#include "view/view.h"

#include <stdatomic.h>
#include <stdbool.h>

struct stat_options {
	struct stream_options stream;
	struct view_options view;
	const char *output;  /* a file; null: standard output */
	bool append;	     /* go on with that file if there is one */
	atomic_bool *reopen; /* null, or set when it shall be opened anew */
};

/* Until all targets have ended, the recording has, or an end is asked for. 0 and *STATUS,
 * what to exit with; or -errno and FAULT. */
int stat_run(const struct stat_options *options, int *status, struct fault *fault);

#endif
