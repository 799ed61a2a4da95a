#include "tui/keys.h"

/* In the footer's order: what is needed most stands first, since narrow screens cut it.
 * Function keys are there for those who come from htop. */
/* clang-format off */
const struct key_binding key_bindings[] = {
	{'?', ACTION_HELP, 0, PLACE_PANES, "?", "help", "this help"},
	{'q', ACTION_QUIT, 0, PLACE_PANES, "q", "quit", "quit"},
	{PRESS_F1 + 9, ACTION_QUIT, 0, PLACE_PANES, NULL, NULL, NULL},
	{'1', ACTION_PANE, 0, PLACE_PANES, "1-6", "panes", "overview, arenas, heap map, free sizes, events, advice (also F1 to F6)"},
	{'2', ACTION_PANE, 1, PLACE_PANES, NULL, NULL, NULL},
	{'3', ACTION_PANE, 2, PLACE_PANES, NULL, NULL, NULL},
	{'4', ACTION_PANE, 3, PLACE_PANES, NULL, NULL, NULL},
	{'5', ACTION_PANE, 4, PLACE_PANES, NULL, NULL, NULL},
	{'6', ACTION_PANE, 5, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 0, ACTION_PANE, 0, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 1, ACTION_PANE, 1, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 2, ACTION_PANE, 2, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 3, ACTION_PANE, 3, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 4, ACTION_PANE, 4, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_F1 + 5, ACTION_PANE, 5, PLACE_PANES, NULL, NULL, NULL},
	{'p', ACTION_PAUSE, 0, PLACE_PANES, "p", "pause", "hold the screen, and let it go on (also Space)"},
	{' ', ACTION_PAUSE, 0, PLACE_PANES, NULL, NULL, NULL},

	/* The map needs the arrows itself, so that these two walk through time everywhere. */
	{PRESS_LEFT, ACTION_EARLIER, 0, PLACE_PANES & ~PLACE_MAP, "arrows", "time", "one reading back or on; all panes show that instant (in the heap map: , and .)"},
	{PRESS_RIGHT, ACTION_LATER, 0, PLACE_PANES & ~PLACE_MAP, NULL, NULL, NULL},
	{',', ACTION_EARLIER, 0, PLACE_PANES, NULL, NULL, NULL},
	{'.', ACTION_LATER, 0, PLACE_PANES, NULL, NULL, NULL},
	{'<', ACTION_MUCH_EARLIER, 0, PLACE_PANES, "< >", NULL, "ten readings back or on"},
	{'>', ACTION_MUCH_LATER, 0, PLACE_PANES, NULL, NULL, NULL},
	{'l', ACTION_LIVE, 0, PLACE_PANES, "l", NULL, "to the latest reading"},
	{'+', ACTION_ZOOM_IN, 0, PLACE_PANES, "+ -", "zoom", "less or more time in the graphs; in the heap map: fewer or more addresses"},
	{'=', ACTION_ZOOM_IN, 0, PLACE_PANES, NULL, NULL, NULL},
	{'-', ACTION_ZOOM_OUT, 0, PLACE_PANES, NULL, NULL, NULL},
	{'_', ACTION_ZOOM_OUT, 0, PLACE_PANES, NULL, NULL, NULL},
	{'s', ACTION_SORT, 0, PLACE_ARENAS, "s", "sort", "sort the arenas by the next column"},
	{'S', ACTION_REVERSE, 0, PLACE_ARENAS, "S", NULL, "the other way round"},
	{'/', ACTION_FILTER, 0, PLACE_ARENAS | PLACE_EVENTS, "/", "filter", "show only the rows that hold a text; Enter keeps it, Esc drops it"},
	{'a', ACTION_NEXT_ARENA, 0, PLACE_MAP | PLACE_SIZES, "a A", "arena", "the next arena, the one before"},
	{'A', ACTION_PREVIOUS_ARENA, 0, PLACE_MAP | PLACE_SIZES, NULL, NULL, NULL},
	{'c', ACTION_CHANGES, 0, PLACE_MAP, "c", "changes", "mark the cells that changed since the reading before"},
	{PRESS_ENTER, ACTION_ENTER, 0, PLACE_PICKER, "Enter", "attach", NULL},
	{PRESS_ENTER, ACTION_ENTER, 0, PLACE_PANES, "Enter", NULL, "of an arena: its heap map; of a cell: what is in it"},
	{PRESS_TAB, ACTION_NEXT_TARGET, 0, PLACE_PANES, "Tab", "next", "the next process"},
	{PRESS_BACK_TAB, ACTION_PREVIOUS_TARGET, 0, PLACE_PANES, NULL, NULL, NULL},
	{'P', ACTION_PICK, 0, PLACE_PANES, "P", NULL, "the list of processes"},
	{'t', ACTION_TRIM, 0, PLACE_PANES, "t", "trim?", "what malloc_trim(0) would give back; nothing is touched"},
	{'w', ACTION_WRITE, 0, PLACE_PANES, "w", "write", "write the screen, the figures and the graphs to files"},

	{PRESS_UP, ACTION_UP, 0, PLACE_ANY, NULL, NULL, NULL},
	{PRESS_DOWN, ACTION_DOWN, 0, PLACE_ANY, NULL, NULL, NULL},
	{'k', ACTION_UP, 0, PLACE_PANES, NULL, NULL, NULL},
	{'j', ACTION_DOWN, 0, PLACE_PANES, NULL, NULL, NULL},
	{PRESS_LEFT, ACTION_LEFT, 0, PLACE_MAP, NULL, NULL, NULL},
	{PRESS_RIGHT, ACTION_RIGHT, 0, PLACE_MAP, NULL, NULL, NULL},
	{PRESS_PAGE_UP, ACTION_PAGE_UP, 0, PLACE_ANY, NULL, NULL, NULL},
	{PRESS_PAGE_DOWN, ACTION_PAGE_DOWN, 0, PLACE_ANY, NULL, NULL, NULL},
	{PRESS_HOME, ACTION_FIRST, 0, PLACE_ANY, NULL, NULL, NULL},
	{PRESS_END, ACTION_LAST, 0, PLACE_ANY, NULL, NULL, NULL},
	{PRESS_ESCAPE, ACTION_LEAVE, 0, PLACE_PICKER, "Esc", "leave", NULL},
	{PRESS_F1 + 9, ACTION_QUIT, 0, PLACE_PICKER, "F10", "quit", NULL},
	{PRESS_ESCAPE, ACTION_LEAVE, 0, PLACE_PANES, "Esc", NULL, "close what is open, drop the filter"},
};
/* clang-format on */

const size_t key_binding_count = sizeof(key_bindings) / sizeof(key_bindings[0]);

const struct key_binding *key_find(uint32_t code, unsigned place)
{
	for (size_t i = 0; i < key_binding_count; i++)
		if (key_bindings[i].code == code && key_bindings[i].places & place)
			return &key_bindings[i];
	return NULL;
}
