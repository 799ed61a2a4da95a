/* seek.h: another time, or another span, of a recording of days: what is shown of it is
 * read anew, at the resolution that it takes. */
#ifndef FRAGSCOPE_TOP_SEEK_H
#define FRAGSCOPE_TOP_SEEK_H

#include "top/top.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether what is shown can be sought in. */
bool seek_can(const struct top *top);

/* The graphs end at RIGHT_NS, or at the recording's end, or at its beginning; it is held
 * there. */
void seek_to(struct top *top, int64_t right_ns);

/* By so many whole graphs, back or on. */
void seek_by(struct top *top, int graphs);

/* The reading that is looked at is the earliest in the graphs: what is before it. */
void seek_back(struct top *top);

/* The graphs span another time: their right end stays. */
void seek_zoomed(struct top *top);

/* Has the map of the reading and the arena that are shown, if a map is. */
void seek_look(struct top *top);

/* What was played since the last call: when it was much it is read anew, and what
 * happened besides is taken in. */
void seek_played(struct top *top);

#endif
