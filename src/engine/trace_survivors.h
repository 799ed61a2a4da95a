/* trace_survivors.h: `fragscope trace --survivors`: who allocates what stays. */
#ifndef FRAGSCOPE_TRACE_SURVIVORS_H
#define FRAGSCOPE_TRACE_SURVIVORS_H

#include "base/fault.h"
#include "engine/frontend.h"

#include <stdbool.h>
#include <stdint.h>

struct survivors_request {
	const struct frontend *frontend;
	int pid;
	int64_t for_ns; /* 0: until it is stopped */
	int64_t period_ns;
	uint64_t stack_bytes;
	bool json, fold, no_header;
	const char *output, *folded; /* files, or null */
};

/* Bursts and looks at the heap in turn, and at the end what they say. 0, or -errno and
 * FAULT. */
int trace_survivors(const struct survivors_request *request, struct fault *fault);

#endif
