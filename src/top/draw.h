/* draw.h: the model of the screen, out of the state of `top`. */
#ifndef FRAGSCOPE_TOP_DRAW_H
#define FRAGSCOPE_TOP_DRAW_H

#include "top/top.h"

/* Makes top->screen of the state, and draws and shows it. */
void top_draw(struct top *top);

#endif
