/* picking.h: where somebody who chooses a process stands in the list of them. */
#ifndef FRAGSCOPE_PICKING_H
#define FRAGSCOPE_PICKING_H

#include "top/selection.h"

#include <stdbool.h>
#include <stdint.h>

struct picking {
	bool on;
	int pid; /* that is selected; 0: the first */
	char filter[TYPED_BYTES];
	struct sorting sorting; /* by enum candidate_column */
};

/* The list is shown from now on. */
void picking_start(struct picking *picking);

/* The row of LIST that is selected: it may be gone, or filtered out. */
unsigned picking_row(const struct picking *picking, const struct screen_picker *list);
void picking_move(struct picking *picking, const struct screen_picker *list, int64_t by);

/* The next column (1), or the one before (-1). */
void picking_sort_next(struct picking *picking, int by);
void picking_sort(struct picking *picking, unsigned column);

/* CODE is typed into the filter. False: it cannot be. */
bool picking_type(struct picking *picking, uint32_t code);

#endif
