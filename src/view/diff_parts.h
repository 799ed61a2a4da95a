/* diff_parts.h: what the forms of a comparison share; for the files diff_*.c only. */
#ifndef FRAGSCOPE_VIEW_DIFF_PARTS_H
#define FRAGSCOPE_VIEW_DIFF_PARTS_H

#include "base/text.h"
#include "view/diff.h"

enum figure_unit diff_unit(const struct diff_row *row);

/* What ROW compares: "rss_bytes growth/h". */
void diff_title(struct text *text, const struct diff_row *row);

/* "arena 3 live_bytes", "free below 1.00K". */
void diff_detail_title(struct text *text, const struct diff_detail *row);
enum figure_unit diff_detail_unit(const struct diff_detail *row);
void diff_detail_outcome(struct text *text, const struct diff *diff,
			 const struct diff_detail *row);

/* Appends a sentence, and returns true, where arenas, or free sizes, were to be compared
 * and a side has none. */
bool diff_details_missing(struct text *text, const struct diff *diff, bool of_arenas);

/* VALUE in UNIT, in WIDTH columns at least, with a sign where it is a CHANGE. */
void diff_number(struct text *text, enum figure_unit unit, double value, bool change,
		 size_t width);

/* When the course that C says steps does so. */
int64_t diff_step_ns(const struct diff *diff, const struct comparison *c);

/* What was found out about ROW. */
void diff_outcome(struct text *text, const struct diff *diff, const struct diff_row *row);
const char *diff_stack_word(const struct diff_stack *row);

#endif
