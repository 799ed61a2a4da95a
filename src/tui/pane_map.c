/* pane_map.c: the address space of one arena as a grid of cells, and what is under the
 * cursor. */
#include "tui/pane.h"

void map_draw(const struct drawing *drawing)
{
	struct area body = area_of(drawing->canvas, &drawing->layout.body);

	pane_nothing(&body, "the map is being read", NULL);
}
