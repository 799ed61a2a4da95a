/* sampler_rows.h: writes all samples that the sampler in a process leaves, from before it
 * is there until after the process has ended. */
#ifndef FRAGSCOPE_SAMPLER_ROWS_H
#define FRAGSCOPE_SAMPLER_ROWS_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/rows.h"
#include "sample/sample.h"
#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>

/* Zero, but for the first four; ROWS need a file. */
struct sampler_rows {
	const struct frontend *frontend;
	struct rows rows;
	bool arenas;
	int64_t interval_ns; /* of the samples */
	int pid;
	struct source *source; /* null until the sampler is found */
	struct sample *sample;
	unsigned looks; /* for a sampler, in vain */
	int64_t due_ns;
	bool is_broken; /* no row is written any more; the process goes on */
	uint64_t written;
	struct fault fault; /* why no sampler was found, or what broke */
};

/* Opens the file. 0, or -errno and FAULT. */
int sampler_rows_open(struct sampler_rows *all, const struct view_options *wanted,
		      struct fault *fault);

/* Watches PID from now on. */
void sampler_rows_begin(struct sampler_rows *all, int pid);

/* Looks for the sampler, or writes what is new. */
void sampler_rows_tend(struct sampler_rows *all);

/* When to do that again, on the monotonic clock: the samples of one gap always fit the
 * sampler's memory. 0: never. */
int64_t sampler_rows_due_ns(const struct sampler_rows *all);

/* Writes what is left, says why if there was nothing, and closes all. */
void sampler_rows_close(struct sampler_rows *all);

#endif
