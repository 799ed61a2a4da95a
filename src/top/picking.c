#include "top/picking.h"

/* How a column is sorted at first. */
static bool at_first(unsigned column)
{
	return column != CANDIDATE_RSS;
}

void picking_start(struct picking *picking)
{
	*picking = (struct picking){.on = true, .sorting = {CANDIDATE_RSS, false}};
}

unsigned picking_row(const struct picking *picking, const struct screen_picker *list)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->candidate[i].pid == picking->pid)
			return i;
	return 0;
}

void picking_move(struct picking *picking, const struct screen_picker *list, int64_t by)
{
	if (list->count)
		picking->pid = list->candidate[moved(picking_row(picking, list), by,
						     list->count)]
				       .pid;
}

void picking_sort_next(struct picking *picking, int by)
{
	unsigned column = (picking->sorting.column + (unsigned)(CANDIDATE_SORTS + by)) %
			  CANDIDATE_SORTS;

	picking->sorting = (struct sorting){column, at_first(column)};
}

void picking_sort(struct picking *picking, unsigned column)
{
	if (column < CANDIDATE_SORTS)
		sorting_by(&picking->sorting, column, at_first(column));
}

bool picking_type(struct picking *picking, uint32_t code)
{
	if (!typed_add(picking->filter, code))
		return false;
	picking->pid = 0;
	return true;
}
