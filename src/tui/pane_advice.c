/* pane_advice.c: what ails the process's memory, with the evidence and what helps. */
#include "tui/pane.h"

void advice_draw(const struct drawing *drawing)
{
	struct area body = area_of(drawing->canvas, &drawing->layout.body);

	pane_nothing(&body, "nothing is known yet", NULL);
}
