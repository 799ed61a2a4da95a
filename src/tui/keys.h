/* keys.h: what can be pressed and what it does: one table, which the terminal, the
 * footer, the help and the verb share. No terminal library here. */
#ifndef FRAGSCOPE_TUI_KEYS_H
#define FRAGSCOPE_TUI_KEYS_H

#include <stddef.h>
#include <stdint.h>

/* What is pressed: a Unicode code point, or one of these, which are beyond Unicode. */
enum key_code {
	PRESS_NONE = 0,
	PRESS_TAB = 9,
	PRESS_ENTER = 10,
	PRESS_ESCAPE = 27,
	PRESS_UP = 0x110000,
	PRESS_DOWN,
	PRESS_LEFT,
	PRESS_RIGHT,
	PRESS_PAGE_UP,
	PRESS_PAGE_DOWN,
	PRESS_HOME,
	PRESS_END,
	PRESS_BACKSPACE,
	PRESS_DELETE,
	PRESS_BACK_TAB,
	PRESS_F1, /* F2 to F12 follow */
	PRESS_F12 = PRESS_F1 + 11,
};

enum action {
	ACTION_NONE,
	ACTION_PANE, /* ARGUMENT: which, from 0 */
	ACTION_NEXT_TARGET,
	ACTION_PREVIOUS_TARGET,
	ACTION_PICK, /* back to the list of processes */
	ACTION_PAUSE,
	ACTION_EARLIER, /* one reading */
	ACTION_LATER,
	ACTION_MUCH_EARLIER, /* ten */
	ACTION_MUCH_LATER,
	ACTION_LIVE, /* to the latest reading */
	ACTION_ZOOM_IN,
	ACTION_ZOOM_OUT,
	ACTION_UP,
	ACTION_DOWN,
	ACTION_LEFT,
	ACTION_RIGHT,
	ACTION_PAGE_UP,
	ACTION_PAGE_DOWN,
	ACTION_FIRST,
	ACTION_LAST,
	ACTION_ENTER,
	ACTION_SORT,
	ACTION_REVERSE,
	ACTION_FILTER,
	ACTION_NEXT_ARENA,
	ACTION_PREVIOUS_ARENA,
	ACTION_CHANGES, /* show which cells of the map changed */
	ACTION_TRIM,
	ACTION_WRITE,
	ACTION_HELP,
	ACTION_LEAVE, /* close what is open, drop the filter */
	ACTION_QUIT,
};

/* Where a key does something; bits. */
enum key_place {
	PLACE_OVERVIEW = 1 << 0,
	PLACE_ARENAS = 1 << 1,
	PLACE_MAP = 1 << 2,
	PLACE_SIZES = 1 << 3,
	PLACE_EVENTS = 1 << 4,
	PLACE_ADVICE = 1 << 5,
	PLACE_PICKER = 1 << 6,
	PLACE_PANES = (1 << 6) - 1,
	PLACE_ANY = (1 << 7) - 1,
};

/* One key. Several may do the same; those without NAME are not shown: a neighbour stands
 * for them. LABEL is one short word for the footer, null where it is not shown there;
 * HELP is half a sentence for the help, null where a neighbour's tells of it. */
struct key_binding {
	uint32_t code;
	enum action action;
	unsigned argument;
	unsigned places;
	const char *name;
	const char *label;
	const char *help;
};

extern const struct key_binding key_bindings[];
extern const size_t key_binding_count;

/* What CODE does at PLACE, one of the bits; null: nothing. The first of the table holds.
 */
const struct key_binding *key_find(uint32_t code, unsigned place);

#endif
