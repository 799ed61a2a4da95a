/* loadable.h: the program that a command starts, and whether the dynamic loader will put
 * the sampler into it. Files are read, nothing is started. */
#ifndef FRAGSCOPE_LOADABLE_H
#define FRAGSCOPE_LOADABLE_H

#include "base/fault.h"

#include <stdbool.h>

/* Finds WORD as a shell would, and looks at what would run; of a script, at its
 * interpreter. 0 when a preloaded library will be in it, and with STACKS stands before
 * its malloc, as far as the file tells. Else
 * -errno and FAULT: EXIT_NOT_FOUND and EXIT_NOT_RUNNABLE as shells give them,
 * EXIT_NO_SOURCE and why no library can be loaded into it, EXIT_NOT_PERMITTED where its
 * changed user or capabilities forbid it. */
int loadable_check(const char *word, bool stacks, struct fault *fault);

#endif
