/* diff_events.h: what a recording has besides samples, for diff: growths and failed
 * allocations, and free chunks by size. */
#ifndef FRAGSCOPE_DIFF_EVENTS_H
#define FRAGSCOPE_DIFF_EVENTS_H

#include "analysis/diff.h"
#include "base/fault.h"
#include "source/contents.h"

/* Adds to SIDE the events between its first and its last sample, of the processes that
 * are chosen in CONTENTS, from the recording FILE; one that is text has none. 0, or
 * -errno and FAULT. */
int diff_read_events(struct diff_side *side, const char *file,
		     const struct contents *contents, struct fault *fault);

/* The same of the looks at the free chunks. */
int diff_read_sizes(struct diff_side *side, const char *file,
		    const struct contents *contents, struct fault *fault);

#endif
