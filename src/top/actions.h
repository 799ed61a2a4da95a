/* actions.h: everything that can be done in `top`: one table, which keys and the mouse
 * act by and which the footer, the help and the man page show. */
#ifndef FRAGSCOPE_TOP_ACTIONS_H
#define FRAGSCOPE_TOP_ACTIONS_H

#include "tui/keys.h"

extern const struct actions top_actions;

/* Closes the topmost of what is open; drops the filter when nothing is. */
void top_leave(struct top *top);

#endif
