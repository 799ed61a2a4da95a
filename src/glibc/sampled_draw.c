/* sampled_draw.c: which cells and pieces are looked at: strata of neighbours, and some of
 * each by chance. */
#include "glibc/sampled_state.h"

#include <math.h>
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

	*stratum = (struct estimate_stratum){cells, draw->cells, drawn, group, 0};
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

/* The part of what is drawn that is SEGMENT's due: half by its cells, half by its bytes.
 * A cell has as much that is resident wherever it is, and a large one more that may be
 * free. */
static double part_of(const struct sampler *sampler,
		      const struct sampled_segment *segment, uint64_t end)
{
	double cells = (double)(end - segment->first);

	return (cells / (double)sampler->cells + ldexp(cells, (int)segment->shift) *
							 SAMPLED_CELL /
							 (double)sampler->wide) /
	       2;
}

/* The cells from FIRST on are numbered on by those of the next segment. */
static uint64_t end_of(const struct sampler *sampler, unsigned i)
{
	return i + 1 < sampler->segments ? sampler->segment[i + 1].first : sampler->cells;
}

static double parts_of(const struct sampler *sampler, unsigned from, unsigned to)
{
	double part = 0;

	for (unsigned i = from; i < to; i++)
		part += part_of(sampler, &sampler->segment[i], end_of(sampler, i));
	return part;
}

/* Draws about WANTED cells of the segments [FROM, TO), and of those with cells of one
 * size apart. */
static void draw_segments(struct sampler *sampler, unsigned from, unsigned to,
			  double wanted, uint32_t group)
{
	double all = parts_of(sampler, from, to);

	for (unsigned n; from < to; from = n) {
		uint32_t shift = sampler->segment[from].shift,
			 stratum = sampler->draw.strata;
		uint64_t first = sampler->segment[from].first;

		for (n = from; n < to && sampler->segment[n].shift == shift; n++)
			;
		sampler_draw_of(sampler, first, end_of(sampler, n - 1) - first,
				(uint64_t)(wanted * (parts_of(sampler, from, n) / all)),
				group);
		for (; stratum < sampler->draw.strata; stratum++)
			sampler->draw.stratum[stratum].shift = shift;
	}
}

/* Of each arena where that leaves some for all of them: the cells of one lie side by
 * side.
 */
void sampler_draw_cells(struct sampler *sampler, uint64_t wanted)
{
	unsigned arenas = 0;

	for (unsigned i = 0; i < sampler->heap->arena_count; i++)
		arenas += sampler->arena[i].cells != 0;
	sampler->by_arena = arenas * CELLS_OF_GROUP <= wanted;
	if (!sampler->by_arena) {
		draw_segments(sampler, 0, sampler->segments, (double)wanted, 0);
		return;
	}
	for (unsigned from = 0, to; from < sampler->segments; from = to) {
		uint32_t arena = sampler->segment[from].arena;
		double some;

		for (to = from;
		     to < sampler->segments && sampler->segment[to].arena == arena; to++)
			;
		some = (double)wanted * parts_of(sampler, from, to);
		draw_segments(sampler, from, to, some > CENSUS ? some : CENSUS, arena);
	}
}

uint32_t sampler_group_of(const struct sampler *sampler, uint32_t arena)
{
	return sampler->by_arena ? arena : 0;
}
