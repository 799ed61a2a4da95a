/* histogram.h: writes what bursts on malloc have counted, in one of two formats, into a
 * caller's text. Nothing is allocated. */
#ifndef FRAGSCOPE_HISTOGRAM_H
#define FRAGSCOPE_HISTOGRAM_H

#include "base/text.h"
#include "sample/bursts.h"

/* What holds any two histograms, in either format. */
enum { HISTOGRAM_TEXT_BYTES = 32768 };

/* For people: a line on the bursts, then a row a class from the first that has calls to
 * the last, with its share and a bar. */
void histogram_text(struct text *text, const struct bursts *bursts);

/* One object on a line of its own; classes without calls are left out. */
void histogram_json(struct text *text, const struct bursts *bursts);

#endif
