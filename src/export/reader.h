/* reader.h: reads heaps in the background, one at a time: opens a process, reads it
 * within a budget and closes it again, so that memory is taken for one only. */
#ifndef FRAGSCOPE_EXPORT_READER_H
#define FRAGSCOPE_EXPORT_READER_H

#include "engine/frontend.h"
#include "export/population.h"
#include "export/rulebook.h"

#include <stdbool.h>
#include <stdint.h>

struct reader_options {
	const struct frontend *frontend;
	int64_t interval_ns; /* from one reading of a process to its next, at least */
	double share;	     /* of one processor, for everything */
	bool swap_in;	     /* see source.h */
	struct rulebook *rulebook; /* judges each sample; null: nobody does */
};

/* What the readings came to since the start. */
struct reader_totals {
	uint64_t readings[MEMBER_STATES]; /* by what came of them */
	int64_t cpu_ns;
	uint64_t unjudged; /* readings that no rule saw: there was no room */
	unsigned held;	   /* processes that keep a thread of ours waiting now */
};

struct reader;

/* 0 or -ENOMEM. */
int reader_new(struct reader **reader, const struct reader_options *options,
	       struct population *population);
void reader_free(struct reader *reader);

/* Looks first at those that hold a thread of ours. When the next process is due, on the
 * monotonic clock; INT64_MAX: none is. */
int64_t reader_due_ns(struct reader *reader);

/* Reads the process that waits longest, if one is due. Population is not locked
 * meanwhile. Returns after some seconds at most, whatever the process does. */
void reader_step(struct reader *reader);

/* Population is locked. */
const struct reader_totals *reader_totals(const struct reader *reader);

#endif
