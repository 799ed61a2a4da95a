#include "top/selection.h"

#include <string.h>

void selection_open(struct selection *selection)
{
	*selection = (struct selection){
		.arenas = {ARENA_INDEX, true},
		.processes = {PROCESSES_RSS, false},
	};
}

void sorting_by(struct sorting *sorting, unsigned column, bool ascending)
{
	sorting->ascending = sorting->column == column ? !sorting->ascending : ascending;
	sorting->column = column;
}

bool typed_add(char *typed, uint32_t code)
{
	size_t length = strlen(typed);

	if (code == PRESS_BACKSPACE) {
		typed[length ? length - 1 : 0] = '\0';
		return true;
	}
	/* Names of programs and addresses are what is looked for. */
	if (code < ' ' || code > '~')
		return false;
	if (length + 1 < TYPED_BYTES) {
		typed[length] = (char)code;
		typed[length + 1] = '\0';
	}
	return true;
}

unsigned moved(unsigned at, int64_t by, unsigned count)
{
	int64_t to = (int64_t)at + by;

	if (!count || to < 0)
		return 0;
	return to < count ? (unsigned)to : count - 1;
}

unsigned selection_arena_by(const struct selection *selection,
			    const struct sample *sample, const unsigned *order,
			    unsigned count, int64_t by)
{
	unsigned at = 0;

	if (!count)
		return selection->arena;
	while (at < count - 1 && sample->arena[order[at]].index != selection->arena)
		at++;
	return sample->arena[order[moved(at, by, count)]].index;
}

unsigned selection_arena_step(struct selection *selection, const struct sample *sample,
			      int by)
{
	int at = 0, lowest = selection->pane == PANE_SIZES ? -1 : 0;
	int count = (int)sample->arena_count;

	if (!count)
		return selection->arena;
	while (at < count - 1 && sample->arena[at].index != selection->arena)
		at++;
	if (lowest < 0 && selection->all_sizes)
		at = -1;
	at += by;
	if (at < lowest)
		at = count - 1;
	if (at >= count)
		at = lowest;
	selection->all_sizes = at < 0;
	return at < 0 ? selection->arena : sample->arena[at].index;
}
