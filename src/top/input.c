#include "top/input.h"

#include "top/actions.h"

static unsigned place_of(const struct top *top)
{
	return top->picking.on ? PLACE_PICKER : PLACE(top->selection.pane);
}

/* The rows follow while the filter is typed. */
static void type(struct top *top, uint32_t code)
{
	struct selection *selection = &top->selection;

	if (code == PRESS_ESCAPE)
		selection->filter[0] = '\0';
	if (code == PRESS_ESCAPE || code == PRESS_ENTER)
		selection->is_typing = false;
	else
		typed_add(selection->filter, code);
}

/* What stands over everything goes with any key, which does nothing else; quitting is
 * quitting. */
static bool covers(const struct top *top, const struct action *action)
{
	return (top->help || *top->said.title) && !(action && action->always);
}

static void act(struct top *top, const struct action *action, int argument)
{
	top->said.message[0] = '\0';
	action->act(top, argument);
}

static void unknown(struct top *top, uint32_t code)
{
	if (top->picking.on && picking_type(&top->picking, code))
		top->said.message[0] = '\0';
	else if (top->picking.on)
		top_message(top, false, "this key does nothing here: F1 for help");
	else
		top_message(top, false, "this key does nothing here: ? for help");
}

static void press(struct top *top, uint32_t code)
{
	const struct action *action;
	int argument = 0;

	if (top->selection.is_typing && !top->picking.on) {
		type(top, code);
		return;
	}
	action = action_of_key(&top_actions, code, place_of(top), &argument);
	if (covers(top, action))
		top_leave(top);
	else if (action)
		act(top, action, argument);
	else
		unknown(top, code);
}

static void click(struct top *top, const struct cell *cell)
{
	enum spot spot = cell->spot;
	const struct action *action;

	if (spot == SPOT_KEY && cell->index < top_actions.count) {
		press(top, top_actions.action[cell->index].keys[0]);
		return;
	}
	action = action_of_spot(&top_actions, spot, place_of(top));
	if (covers(top, NULL))
		top_leave(top);
	else if (action)
		act(top, action, (int)cell->index);
}

void top_input(struct top *top, const struct term_input *input)
{
	const struct cell *cell;

	top->dirty = true;
	switch (input->kind) {
	case TERM_KEY:
		press(top, input->code);
		break;
	case TERM_CLICK:
		cell = canvas_at(top->canvas, input->row, input->column);
		if (cell)
			click(top, cell);
		break;
	case TERM_WHEEL:
		press(top, input->step < 0 ? PRESS_WHEEL_UP : PRESS_WHEEL_DOWN);
		break;
	default:
		break;
	}
}
