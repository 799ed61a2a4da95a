#include "tui/keys.h"

/* How far CODE is behind the first key of ACTION, or 0 for its other keys; -1: it is none
 * of them. */
static int offset_of(const struct action *action, uint32_t code)
{
	if (action->span && code >= action->keys[0] &&
	    code < action->keys[0] + action->span)
		return (int)(code - action->keys[0]);
	for (unsigned i = 0; i < ACTION_KEYS; i++)
		if (action->keys[i] == code)
			return 0;
	return -1;
}

const struct action *action_of_key(const struct actions *actions, uint32_t code,
				   unsigned place, int *argument)
{
	for (size_t i = 0; code != PRESS_NONE && i < actions->count; i++) {
		const struct action *action = &actions->action[i];
		int offset = offset_of(action, code);

		if (offset < 0 || !(action->places & place))
			continue;
		*argument = action->argument + offset;
		return action;
	}
	return NULL;
}

const struct action *action_of_spot(const struct actions *actions, enum spot spot,
				    unsigned place)
{
	for (size_t i = 0; spot != SPOT_NONE && i < actions->count; i++)
		if (actions->action[i].spot == spot && actions->action[i].places & place)
			return &actions->action[i];
	return NULL;
}

bool action_is_shown(const struct action *action, unsigned place)
{
	return action->name && action->help && action->places & place;
}
