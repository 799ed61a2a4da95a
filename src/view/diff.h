/* diff.h: two courses compared: text, one JSON object, and one self-contained page with
 * both courses drawn over each other. */
#ifndef FRAGSCOPE_VIEW_DIFF_H
#define FRAGSCOPE_VIEW_DIFF_H

#include "analysis/diff.h"

/* Each writes DIFF to FD. 0 or -errno. */
int diff_text(const struct diff *diff, int fd);
int diff_json(const struct diff *diff, int fd);
int diff_html(const struct diff *diff, int fd);

#endif
