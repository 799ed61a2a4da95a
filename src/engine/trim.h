/* trim.h: what `fragscope trim` does: predicts what a trim would give back, has the
 * sampler in the process trim, or one of the process's own threads at a safe point, and
 * counts the page faults that come after it. */
#ifndef FRAGSCOPE_TRIM_H
#define FRAGSCOPE_TRIM_H

#include "base/fault.h"
#include "engine/frontend.h"

#include <stdbool.h>
#include <stdint.h>

/* What can be told; a result whose bit is not set could not be had. */
enum trim_result {
	TRIM_RSS_BEFORE,
	TRIM_PREDICTED,
	TRIM_PREDICTED_FAULTS,
	TRIM_FORKED,
	TRIM_LASTS,
	TRIM_WALK,
	TRIM_THREADS,
	TRIM_LOOKS,
	TRIM_STOOD,
	TRIM_STOOD_LONGEST,
	TRIM_RSS_AFTER,
	TRIM_GIVEN_BACK,
	TRIM_TOOK,
	TRIM_WATCHED,
	TRIM_FAULTS,
	TRIM_RESULTS,
};

enum trim_unit { TRIM_BYTES, TRIM_COUNT, TRIM_TIME };

struct trim_result_info {
	const char *name; /* of the JSON key */
	const char *label;
	enum trim_unit unit;
	const char *remark;
};

extern const struct trim_result_info trim_result_info[TRIM_RESULTS];

struct trim;

struct trim_options {
	bool dry_run;	/* predict; with ATTACH, look for a safe point too */
	bool attach;	/* by a thread of the process; else by its sampler */
	int64_t for_ns; /* how long a safe point is looked for */
};

/* Opens the process PID and predicts what a trim would give back. Capabilities are in
 * force from here on: no file may be opened any more but what belongs to the process.
 * One of both ways to know is enough where no sampler is asked to trim. 0 and *TRIM, or
 * -errno and FAULT. */
int trim_open(struct trim **trim, int pid, const struct trim_options *options,
	      const struct frontend *frontend, struct fault *fault);
void trim_close(struct trim *trim);

/* Has the process trim now; with ATTACH and DRY_RUN finds the safe point alone. 0, or
 * -errno and FAULT. */
int trim_now(struct trim *trim, struct fault *fault);

/* Counts the page faults from the trim on for FOR_NS, or until a signal asks for an end.
 */
void trim_watch(struct trim *trim, int64_t for_ns);

/* Whether RESULT is known, and what it is. */
bool trim_has(const struct trim *trim, enum trim_result result);
uint64_t trim_value(const struct trim *trim, enum trim_result result);

int trim_pid(const struct trim *trim);
const char *trim_comm(const struct trim *trim);

#endif
