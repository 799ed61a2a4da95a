#include "tui/panes.h"

const struct pane_info panes[PANE_COUNT] = {
	[PANE_OVERVIEW] = {"Overview", overview_draw},
	[PANE_ARENAS] = {"Arenas", arenas_draw},
	[PANE_MAP] = {"Map", map_draw},
	[PANE_SIZES] = {"Sizes", sizes_draw},
	[PANE_EVENTS] = {"Events", events_draw},
	[PANE_ADVICE] = {"Advice", advice_draw},
	[PANE_PROCESSES] = {"Procs", processes_draw},
};
