#include "tui/screen.h"

const char *pane_name(enum pane pane)
{
	static const char *const names[PANE_COUNT] = {
		[PANE_OVERVIEW] = "Overview", [PANE_ARENAS] = "Arenas",
		[PANE_MAP] = "Map",	      [PANE_SIZES] = "Sizes",
		[PANE_EVENTS] = "Events",     [PANE_ADVICE] = "Advice",
	};

	return names[pane];
}

void screen_draw(struct canvas *canvas, const struct screen *screen)
{
	struct layout layout;
	struct area all =
		area_of(canvas, &(struct rect){0, 0, canvas->rows, canvas->columns});

	area_clear(&all);
	layout_of(canvas->rows, canvas->columns, screen->pane, &layout);
	if (layout.too_small)
		area_cut(&all, 0, 0, canvas->columns, "fragscope needs 36x8",
			 INK_WARNING);
}
