/* record_looks.h: what `record` looks at besides the readings, at a slower pace: the map
 * of each arena, the free chunks by their size, and who holds what pins memory. */
#ifndef FRAGSCOPE_RECORD_LOOKS_H
#define FRAGSCOPE_RECORD_LOOKS_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/stream.h"
#include "recording/recorder.h"

#include <stdbool.h>
#include <stdint.h>

struct record_looks_options {
	int64_t maps_ns;   /* between two of a process; 0: none are made */
	int64_t owners_ns; /* the same of owners */
};

/* What is kept of one process. */
struct record_looks_state {
	int64_t maps_ns; /* when the next is due, on the monotonic clock; 0: now */
	int64_t owners_ns;
	bool is_told; /* the user knows that something could not be looked at */
};

struct record_looks;

/* Sets what sources must be opened with so that they can be looked at. */
void record_looks_ask(const struct record_looks_options *options,
		      struct source_options *source);

/* Takes the memory for all looks but the tables of owners, which each search takes for
 * its time. 0 or -ENOMEM. */
int record_looks_new(struct record_looks **looks,
		     const struct record_looks_options *options,
		     const struct frontend *frontend);
void record_looks_free(struct record_looks *looks);

/* Records what is due of TARGET, which is LIFE in RECORDER and was just read. What cannot
 * be looked at is left out; of each process the user is told the first time. 0, or -errno
 * and FAULT: it could not be written. */
int record_looks_take(struct record_looks *looks, struct record_looks_state *state,
		      struct recorder *recorder, unsigned life,
		      const struct stream_target *target, struct fault *fault);

#endif
