/* sampler.h: where the library is that `run` loads into programs. */
#ifndef FRAGSCOPE_SAMPLER_H
#define FRAGSCOPE_SAMPLER_H

#include "base/fault.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* The directory TO as seen from FROM, both absolute: "../lib" for "/usr/bin" and
 * "/usr/lib". False: it does not fit into ROOM bytes. */
bool sampler_relative(const char *from, const char *to, char *path, size_t room);

/* What FRAGSCOPE_PRELOAD names, or else the library beside this program, as in a build
 * tree; where it is installed with the program, wherever both were moved to; or where it
 * was to be installed. 0, or -errno and FAULT. */
int sampler_find(char path[PATH_MAX], struct fault *fault);

/* The library beside the sampler at SAMPLER that samples stacks. 0, or -errno and FAULT.
 */
int sampler_find_stacks(const char *sampler, char path[PATH_MAX], struct fault *fault);

#endif
