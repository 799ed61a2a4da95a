/* input.h: what was pressed becomes an action of the table. */
#ifndef FRAGSCOPE_TOP_INPUT_H
#define FRAGSCOPE_TOP_INPUT_H

#include "top/top.h"

void top_input(struct top *top, const struct term_input *input);

#endif
