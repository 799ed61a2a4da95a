/* panes.h: the panes: one row each. A new one takes its place in enum pane, a row here
 * and a file that draws it; src/top/panes.c has what keys do there. */
#ifndef FRAGSCOPE_PANES_H
#define FRAGSCOPE_PANES_H

#include "tui/pane.h"

struct pane_info {
	const char *name; /* in its tab */
	void (*draw)(const struct drawing *drawing);
};

extern const struct pane_info panes[PANE_COUNT];

#endif
