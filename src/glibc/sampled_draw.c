/* sampled_draw.c: which cells and pieces are looked at: strata of neighbours, and some of
 * each by chance. */
#include "glibc/sampled_state.h"

#include <string.h>

enum {
	DRAWN_OF_STRATUM = 2,
	CELLS_OF_GROUP = 8, /* fewer, and arenas are not told apart */
};

static struct estimate_stratum *add_stratum(struct sampler *sampler, uint64_t from,
					    uint64_t cells, uint32_t drawn,
					    uint32_t group)
{
	struct estimate_draw *draw = &sampler->draw;
	struct estimate_stratum *stratum = &draw->stratum[draw->strata++];

	*stratum = (struct estimate_stratum){cells, draw->cells, drawn, group};
	memset(&draw->cell[draw->cells], 0, drawn * sizeof(*draw->cell));
	estimate_draw_numbers(&sampler->random, from, cells, drawn,
			      &sampler->number[draw->cells]);
	draw->cells += drawn;
	return stratum;
}

/* Draws about WANTED of the CELLS from FROM on. */
void sampler_draw_of(struct sampler *sampler, uint64_t from, uint64_t cells,
		     uint64_t wanted, uint32_t group)
{
	uint64_t room = sampler->draw.cell_capacity - sampler->draw.cells, strata;

	wanted = wanted < room ? wanted : room;
	if (room < CENSUS) {
		sampler->overflowed |= cells != 0;
		return;
	}
	if (cells <= wanted || cells <= CENSUS) {
		if (cells)
			add_stratum(sampler, from, cells, (uint32_t)cells, group);
		return;
	}
	strata = wanted / DRAWN_OF_STRATUM;
	strata = strata ? strata : 1;
	for (uint64_t i = 0; i < strata; i++) {
		uint64_t start = cells * i / strata, end = cells * (i + 1) / strata;

		add_stratum(sampler, from + start, end - start, DRAWN_OF_STRATUM, group);
	}
}

/* Of each arena where that leaves some for all of them: the cells of one lie side by
 * side.
 */
void sampler_draw_cells(struct sampler *sampler, uint64_t wanted)
{
	unsigned arenas = 0;
	uint64_t from = 0;

	for (unsigned i = 0; i < sampler->heap->arena_count; i++)
		arenas += sampler->arena[i].cells != 0;
	sampler->by_arena = arenas * CELLS_OF_GROUP <= wanted;
	if (!sampler->by_arena) {
		sampler_draw_of(sampler, 0, sampler->cells, wanted, 0);
		return;
	}
	for (unsigned i = 0; i < sampler->heap->arena_count; i++) {
		uint64_t cells = sampler->arena[i].cells;
		uint64_t some = (uint64_t)((double)wanted * (double)cells /
					   (double)(sampler->cells + 1));

		if (!cells)
			continue;
		sampler_draw_of(sampler, from, cells, some > CENSUS ? some : CENSUS, i);
		from += cells;
	}
}

uint32_t sampler_group_of(const struct sampler *sampler, uint32_t arena)
{
	return sampler->by_arena ? arena : 0;
}
