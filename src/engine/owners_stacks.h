/* owners_stacks.h: `fragscope owners --by stack`: of a program that was started by `run
 * --stacks`, which stacks allocated what it holds and what pins its free memory. */
#ifndef FRAGSCOPE_OWNERS_STACKS_H
#define FRAGSCOPE_OWNERS_STACKS_H

#include "base/fault.h"
#include "view/stacks.h"

#include <stdbool.h>
#include <stdint.h>

struct stacks_request {
	int pid;
	unsigned top;
	bool live; /* by what they hold, not by what they pin */
	uint64_t memory_bytes;
	enum stacks_format format;
	const char *pprof; /* a file, or null: then standard output gets FORMAT */
};

/* 0, or -errno and FAULT. */
int owners_by_stack(const struct stacks_request *request, struct fault *fault);

#endif
