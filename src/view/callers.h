/* callers.h: stacks for people who look for the caller in their own program: innermost
 * function first, without malloc's own functions and without what all stacks share. */
#ifndef FRAGSCOPE_CALLERS_H
#define FRAGSCOPE_CALLERS_H

#include "base/text.h"
#include "view/fold.h"

/* How many outermost functions all COUNT stacks of ROW have in common, their innermost of
 * the program's own left out. 0 for a single one. */
unsigned callers_shared(const struct fold_row *row, unsigned count);

/* STACK, "outermost;...;innermost", as "inner <- outer", without the SHARED outermost
 * functions and without malloc's at its inner end; of a long one the inner part. */
void callers_text(struct text *text, const char *stack, unsigned shared);

/* The innermost of STACK's SHARED functions. */
void callers_last_shared(struct text *text, const char *stack, unsigned shared);

#endif
