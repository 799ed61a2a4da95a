/* diff.h: two courses compared, as text or as JSON. */
#ifndef FRAGSCOPE_VIEW_DIFF_H
#define FRAGSCOPE_VIEW_DIFF_H

#include "analysis/diff.h"

#include <stdbool.h>

/* Writes DIFF to FD. 0 or -errno. */
int diff_write(const struct diff *diff, bool json, int fd);

#endif
