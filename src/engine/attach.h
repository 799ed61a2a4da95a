/* attach.h: what `fragscope attach` and `detach` do: the sampler's library loaded into a
 * running process by a call of dlopen there, and its thread ended again. */
#ifndef FRAGSCOPE_ENGINE_ATTACH_H
#define FRAGSCOPE_ENGINE_ATTACH_H

#include "base/fault.h"
#include "engine/frontend.h"

#include <stdint.h>

struct attach_options {
	int pid;
	int64_t for_ns;	      /* how long a safe point is looked for */
	const char *settings; /* as the variable FRAGSCOPE has them; "": none */
};

/* Loads the sampler into the process, or changes the settings of one that is there. 0, or
 * -errno and FAULT. */
int attach_sampler(const struct attach_options *options, const struct frontend *frontend,
		   struct fault *fault);

/* Ends the sampler in the process PID. 0, or -errno and FAULT. */
int detach_sampler(int pid, const struct frontend *frontend, struct fault *fault);

#endif
