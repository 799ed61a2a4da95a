/* pane_sizes.c: free memory by the size of its chunks, and which requests that serves. */
#include "tui/pane.h"

void sizes_draw(const struct drawing *drawing)
{
	struct area body = area_of(drawing->canvas, &drawing->layout.body);

	pane_nothing(&body, "no free sizes yet", NULL);
}
