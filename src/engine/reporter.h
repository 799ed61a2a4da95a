/* reporter.h: gathers what a report is made of: readings over some time and closer looks
 * at the end, of a live process; or the readings of a recording. */
#ifndef FRAGSCOPE_REPORTER_H
#define FRAGSCOPE_REPORTER_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/targets.h"
#include "view/report.h"

#include <stdbool.h>
#include <stdint.h>

struct reporter_options {
	const struct frontend *frontend;
	int pid;
	const char *replay;	/* a recording; null: the process itself */
	struct pid_list pids;	/* of a recording: which of its processes */
	struct name_list names; /* or what it is called */
	unsigned source;	/* enum sample_source */
	bool events;		/* use probes, where they are to be had */
	bool swap_in;		/* see source.h */
	/* Of processor time for each reading, and nothing that takes more is done. 0:
	 * the course is read at half a processor at most, the end of it whole. */
	int64_t budget_ns;
	int64_t for_ns;
	/* Where there are too few readings for a trend by then, it is watched for so long
	 * at most until there are enough. */
	int64_t at_most_ns;
	uint64_t unusable_for_bytes;
};

struct reporter;

/* Gathers all of it, until it is done or asked to stop. 0 and *REPORTER, or -errno and
 * FAULT. */
int reporter_new(struct reporter **reporter, const struct reporter_options *options,
		 struct fault *fault);
void reporter_free(struct reporter *reporter);

/* What was gathered. Owned by REPORTER. */
const struct report *reporter_report(const struct reporter *reporter);

#endif
