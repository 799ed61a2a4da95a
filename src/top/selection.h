/* selection.h: which pane is shown, and in each of them how its list is sorted, filtered
 * and where it stands. Knows samples and nothing of the screen. */
#ifndef FRAGSCOPE_SELECTION_H
#define FRAGSCOPE_SELECTION_H

#include "tui/screen.h"

#include <stdbool.h>
#include <stdint.h>

enum { TYPED_BYTES = 64 };

/* How a table is sorted. */
struct sorting {
	unsigned column;
	bool ascending;
};

struct selection {
	enum pane pane;
	bool is_typing; /* the filter */
	char filter[TYPED_BYTES];
	struct sorting arenas, processes; /* by enum arena_column, process_column */
	unsigned arena; /* index: selected, and whose map and sizes are shown */
	bool all_sizes; /* the sizes of all arenas together */
	unsigned event, verdict;
};

void selection_open(struct selection *selection);

/* COLUMN, or if the table is sorted by that one already, the other way round; ASCENDING
 * is the way that a column of that kind is sorted at first. */
void sorting_by(struct sorting *sorting, unsigned column, bool ascending);

/* What is typed: CODE, printable ASCII or PRESS_BACKSPACE, to TYPED of TYPED_BYTES.
 * False: it is neither. */
bool typed_add(char *typed, uint32_t code);

/* Where BY rows from AT is, in a list of COUNT. */
unsigned moved(unsigned at, int64_t by, unsigned count);

/* The arena BY rows from the selected one in ORDER, positions in SAMPLE. */
unsigned selection_arena_by(const struct selection *selection,
			    const struct sample *sample, const unsigned *order,
			    unsigned count, int64_t by);

/* The arena behind (1) or before (-1) the selected one in SAMPLE; where the free sizes
 * are shown those of all arenas stand before the first. */
unsigned selection_arena_step(struct selection *selection, const struct sample *sample,
			      int by);

#endif
