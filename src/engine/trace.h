/* trace.h: what `fragscope trace` does: events of processes with their stacks, kills of
 * any process; as they come, or folded at the end. */
#ifndef FRAGSCOPE_TRACE_H
#define FRAGSCOPE_TRACE_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/targets.h"

#include <stdbool.h>
#include <stdint.h>

/* The command line. */
struct trace_request {
	const struct frontend *frontend;
	struct pid_list pids;
	struct name_list names;
	bool failures, oom, fold, bursts, latency, json, no_header, verbose;
	const char *folded;
	const char *output;
	int64_t for_ns; /* 0: until it is stopped */
	int64_t reading_ns;
	int64_t survivors_ns; /* from burst to burst; 0: not asked for */
	uint64_t rate;
	uint64_t stack_bytes;
};

/* Until all processes have ended, the time is over, or an end is asked for. 0 and
 * *STATUS, what to exit with; or -errno and FAULT. */
int trace_run(const struct trace_request *request, int *status, struct fault *fault);

#endif
