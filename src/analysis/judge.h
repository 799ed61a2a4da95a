/* judge.h: the checks behind verdict.h, one a kind; for verdict.c and judge*.c only. */
#ifndef FRAGSCOPE_JUDGE_H
#define FRAGSCOPE_JUDGE_H

#include "analysis/verdict.h"
#include "base/units.h"

/* Whether INPUT has the evidence; then VERDICT, empty but for kind and a severity of
 * warning, is filled. */
typedef bool judge_fn(const struct verdict_input *input, struct verdict *verdict);

extern judge_fn *const judge[VERDICT_KINDS];

/* Figure F of FIG, if it is there. */
bool judge_figure(const struct figures *fig, enum figure f, uint64_t *value);

#endif
