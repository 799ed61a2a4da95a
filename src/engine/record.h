/* record.h: what `fragscope record` does: one file holds what was seen of processes over
 * days. */
#ifndef FRAGSCOPE_RECORD_H
#define FRAGSCOPE_RECORD_H

#include "analysis/rule.h"
#include "engine/record_looks.h"
#include "engine/stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct record_options {
	struct stream_options stream;
	const char *file;
	bool append;
	int64_t keep_ns;	   /* older samples go, their minutes stay; 0: none go */
	uint64_t max_bytes;	   /* of the file; 0: no bound */
	const struct rules *rules; /* whose alerts are recorded; null: none */
	struct record_looks_options looks;
	bool events;	     /* growths, failures and kills, with stacks */
	atomic_bool *reopen; /* set when the file shall be opened anew */
};

/* Until all processes have ended or an end is asked for. 0 and *STATUS, what to exit
 * with; or -errno and FAULT. */
int record_run(const struct record_options *options, int *status, struct fault *fault);

#endif
