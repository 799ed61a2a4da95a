/* alerts.h: alerts as lines for people and for machines. */
#ifndef FRAGSCOPE_ALERTS_H
#define FRAGSCOPE_ALERTS_H

#include "analysis/watch.h"
#include "base/text.h"

/* The longest line, its terms at their most and a name of escapes only, takes less. */
enum { ALERT_TEXT_BYTES = 16384 };

/* "begin" or "end". */
const char *alert_kind_name(enum alert_kind kind);

/* What happened, as one sentence without time and rule: "largest_free_bytes fell ...". */
void alert_sentence(struct text *text, const struct alert *alert);

/* A line with its end: the time, what began or ended, and the sentence. */
void alert_text(struct text *text, const struct alert *alert);

/* The same as an object on a line: with every term that held. */
void alert_json(struct text *text, const struct alert *alert);

#endif
