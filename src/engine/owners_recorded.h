/* owners_recorded.h: who held chunks, by a recording of `record --owners`. */
#ifndef FRAGSCOPE_OWNERS_RECORDED_H
#define FRAGSCOPE_OWNERS_RECORDED_H

#include "base/fault.h"
#include "engine/targets.h"
#include "view/owners.h"

struct owners_recorded_request {
	const char *recording;	     /* a file, or a span of it: the last look there */
	const struct pid_list *pids; /* without either: the one process there is */
	const struct name_list *names;
	enum owners_format format;
	unsigned top; /* answers to write */
};

/* Writes to standard output. 0, or -errno and FAULT. */
int owners_recorded(const struct owners_recorded_request *request, struct fault *fault);

#endif
