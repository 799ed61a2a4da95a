/* sampler.h: where the library is that `run` and `attach` load into programs, and what it
 * is told. */
#ifndef FRAGSCOPE_SAMPLER_H
#define FRAGSCOPE_SAMPLER_H

#include "base/fault.h"
#include "base/text.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define SAMPLER_LIBRARY "libfragscope-preload.so"
/* Of the library: changes settings, or starts it again. */
#define SAMPLER_FUNCTION "fragscope_sampler"

/* Adds "NAME=VALUE UNIT" to the settings that TEXT has (settings.h of the sampler). */
void sampler_setting(struct text *text, const char *name, int64_t value,
		     const char *unit);

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
