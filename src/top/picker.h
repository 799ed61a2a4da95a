/* picker.h: the processes that `top` could watch, looked for and probed by a thread
 * of its own while there is somebody to choose. */
#ifndef FRAGSCOPE_TOP_PICKER_H
#define FRAGSCOPE_TOP_PICKER_H

#include "base/fault.h"
#include "source/census.h"
#include "tui/screen.h"

#include <stdbool.h>

enum { PICKER_PAGE = 256 };

struct picker;

/* Takes some 20 MB and starts looking. 0, or -errno and FAULT. */
int picker_new(struct picker **picker, struct fault *fault);
void picker_free(struct picker *picker);

/* Looking goes on while ON; it takes a processor for some milliseconds every few
 * seconds, and longer while there are processes to probe. */
void picker_search(struct picker *picker, bool on);

/* The processes whose PID begins, or whose name or allocator goes, with FILTER, sorted as
 * LIST says. Valid until the next call. */
void picker_list(struct picker *picker, const char *filter, struct screen_picker *list);

/* Which of the last list are seen: these are probed first, and only such. */
void picker_show(struct picker *picker, unsigned first, unsigned count);

/* Readable when there is something new. */
int picker_fd(const struct picker *picker);
void picker_heard(struct picker *picker);

#endif
