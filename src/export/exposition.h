/* exposition.h: what the exporter says of the population and of itself, in either
 * format. */
#ifndef FRAGSCOPE_EXPORT_EXPOSITION_H
#define FRAGSCOPE_EXPORT_EXPOSITION_H

#include "analysis/rule.h"
#include "export/groups.h"
#include "export/population.h"
#include "export/reader.h"
#include "view/metrics.h"

#include <stdatomic.h>

struct exposition_options {
	struct population *population;
	const struct reader *reader;
	const struct export_events *events; /* null: none are counted */
	const struct rules *rules;	    /* null: none */
	size_t top;
	bool by_pid;
	double share; /* of one processor, for everything */
	const atomic_ulong *scrapes;
};

struct exposition;

/* For one thread. All memory that will be needed. 0 or -ENOMEM. */
int exposition_new(struct exposition **exposition,
		   const struct exposition_options *options);
void exposition_free(struct exposition *exposition);

/* What a text takes at most. */
size_t exposition_bytes(const struct exposition_options *options);

/* Looks at the processes if the last look is older than a look may come again, and sums
 * them up. Returns the number of the look that this is of. */
uint64_t exposition_gather(struct exposition *exposition);

/* What was gathered, into TEXT, which has room for that. */
void exposition_write(struct exposition *exposition, enum metrics_format format,
		      struct text *text);

#endif
