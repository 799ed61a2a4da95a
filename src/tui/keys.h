/* keys.h: what can be pressed, and the shape of the table that says what it does. The
 * footer, the help and the man page show the same rows that keys and the mouse act by. */
#ifndef FRAGSCOPE_TUI_KEYS_H
#define FRAGSCOPE_TUI_KEYS_H

#include "tui/canvas.h"
#include "tui/layout.h"

#include <stdbool.h>
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
	PRESS_WHEEL_UP,
	PRESS_WHEEL_DOWN,
	PRESS_F1, /* F2 to F12 follow */
	PRESS_F2,
	PRESS_F10 = PRESS_F1 + 9,
	PRESS_F12 = PRESS_F1 + 11,
};

/* Where an action is possible; bits. */
#define PLACE(pane)  (1U << (pane))
#define PLACE_PANES  (PLACE(PANE_COUNT) - 1)
#define PLACE_PICKER PLACE(PANE_COUNT)
#define PLACE_ANY    (PLACE_PANES | PLACE_PICKER)

enum { ACTION_KEYS = 3 };

/* Whoever acts: not known here. */
struct top;
typedef void action_fn(struct top *top, int argument);

/* One thing that can be done. KEYS do it, and with a SPAN the SPAN - 1 codes behind the
 * first key too: how far behind it is added to ARGUMENT. A click on SPOT does it with the
 * spot's index. Several rows may do the same; those without NAME are not shown: a
 * neighbour stands for them. LABEL is one short word for the footer, null where it is not
 * shown there; HELP is half a sentence for the help, null where a neighbour's says it. */
struct action {
	uint32_t keys[ACTION_KEYS];
	unsigned span;
	enum spot spot;
	unsigned places;
	bool always; /* also while something stands over the panes */
	const char *name, *label, *help;
	action_fn *act;
	int argument;
};

struct actions {
	const struct action *action;
	size_t count;
};

/* What CODE does at PLACE, one of the bits, and with which *ARGUMENT; null: nothing. The
 * first of the table holds. */
const struct action *action_of_key(const struct actions *actions, uint32_t code,
				   unsigned place, int *argument);

/* The same for a click on SPOT. */
const struct action *action_of_spot(const struct actions *actions, enum spot spot,
				    unsigned place);

/* Whether ACTION is explained at PLACE. */
bool action_is_shown(const struct action *action, unsigned place);

#endif
