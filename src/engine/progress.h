/* progress.h: one line on a terminal's stderr while long work goes on, rewritten in place
 * and cleared at the end. Nothing where stderr is no terminal. */
#ifndef FRAGSCOPE_PROGRESS_H
#define FRAGSCOPE_PROGRESS_H

#include <stdint.h>

struct progress;

/* Shows how long it has been, of FOR_NS (0: not known), from the second second on. Null
 * where there is nobody to show it to, which the other functions take. */
struct progress *progress_begin(const char *what, int64_t for_ns);

/* How often something has been DONE. */
void progress_done(struct progress *progress, uint64_t done);

/* Clears the line, for a message; it is shown again later. */
void progress_clear(struct progress *progress);

/* Clears the line for good. */
void progress_end(struct progress *progress);

#endif
