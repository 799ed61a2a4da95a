/* diff.h: what `fragscope diff` does: gathers two courses, each from a recording, a span
 * of one, or a running process, and compares them. */
#ifndef FRAGSCOPE_ENGINE_DIFF_H
#define FRAGSCOPE_ENGINE_DIFF_H

#include "analysis/diff.h"
#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/targets.h"

#include <stdbool.h>
#include <stdint.h>

struct diff_options {
	const struct frontend *frontend;
	const char *what[2];  /* FILE, FILE@FROM-TO or PID */
	struct pid_list pids; /* of files: whose samples; without either, all */
	struct name_list names;
	int64_t for_ns; /* how long running processes are watched */
	int64_t interval_ns;
	bool arenas; /* compare arenas one by one */
	bool sizes;  /* and the free chunks of each size */
};

/* Gathers both sides into SIDE, which the caller releases in any case. 0, or -errno and
 * FAULT: also when a side has no samples. */
int diff_gather(struct diff_side side[2], const struct diff_options *options,
		struct fault *fault);

#endif
