#include "engine/report_looks.h"

#include "base/clock.h"
#include "base/units.h"
#include "target/huge.h"

#include <stdio.h>
#include <stdlib.h>

#define OWNERS_MOST_RSS (UINT64_C(1) << 30)

enum {
	OWNERS_LEAST_PINNED = 16 << 20,
	OWNERS_MEMORY = 32 << 20,
};

static void find_blockers(struct report_looks *looks)
{
	struct fault fault = {0};

	looks->blockers.arena = BLOCKERS_ALL_ARENAS;
	if (looks->no_blockers[0])
		return;
	if (source_blockers(looks->source, &looks->blockers, &fault) != SOURCE_READ)
		snprintf(looks->no_blockers, sizeof(looks->no_blockers), "%s",
			 fault.text);
}

/* The most that one would release first; who needs fewer chunks for it, of equals. */
static int by_release(const void *a, const void *b)
{
	const struct blocker *x = a, *y = b;

	if (x->unlocked_bytes != y->unlocked_bytes)
		return x->unlocked_bytes < y->unlocked_bytes ? 1 : -1;
	if (x->chunks != y->chunks)
		return x->chunks < y->chunks ? -1 : 1;
	return (x->addr > y->addr) - (x->addr < y->addr);
}

static void identify_blockers(struct report_looks *looks)
{
	if (looks->no_blockers[0])
		return;
	qsort(looks->blockers.best, looks->blockers.best_count,
	      sizeof(looks->blockers.best[0]), by_release);
	for (unsigned i = 0; i < looks->blockers.best_count; i++) {
		char *identity = looks->identity_text[i];

		if (!source_identify(looks->source, looks->blockers.best[i].addr,
				     identity) &&
		    *identity)
			looks->identity[i] = identity;
	}
}

/* The arena with most free and resident; the main one when that is not known. */
static unsigned fullest_arena(const struct sample *sample)
{
	uint64_t most = 0;
	unsigned best = 0;

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct figures *fig = &sample->arena[i].fig;

		if (!figure_has(fig, FIG_FREE_RESIDENT_BYTES) ||
		    fig->v[FIG_FREE_RESIDENT_BYTES].u <= most)
			continue;
		most = fig->v[FIG_FREE_RESIDENT_BYTES].u;
		best = sample->arena[i].index;
	}
	return best;
}

/* Room for the map of the fullest arena, if there is still something to look at. */
static bool take_map(struct report_looks *looks)
{
	if (looks->no_blockers[0])
		return false;
	looks->map = heap_map_new(REPORT_MAP_CELLS, 0);
	if (looks->map)
		looks->map->arena = fullest_arena(looks->sample);
	return looks->map;
}

static void drop_map(struct report_looks *looks)
{
	heap_map_free(looks->map);
	looks->map = NULL;
}

/* By what the last reading found: one pass for both. False: it takes looks of their own.
 */
static bool look_at_both(struct report_looks *looks)
{
	struct fault fault;

	looks->blockers.arena = BLOCKERS_ALL_ARENAS;
	if (!take_map(looks))
		return false;
	if (source_look_closer(looks->source, &looks->blockers, looks->map, &fault) ==
	    SOURCE_READ)
		return true;
	drop_map(looks);
	return false;
}

static void look_at_map(struct report_looks *looks)
{
	struct fault fault;

	if (take_map(looks) &&
	    source_map(looks->source, looks->map, &fault) != SOURCE_READ)
		drop_map(looks);
}

static void look_at_mappings(struct report_looks *looks)
{
	struct huge settings;
	bool knows_huge = !huge_read(&settings);

	if (source_smaps(looks->source, &looks->smaps))
		return;
	non_malloc_of(&looks->smaps, &looks->sample->fig, &looks->non_malloc);
	looks->non_malloc.no_heap = looks->no_heap;
	huge_refill_of(&looks->smaps, knows_huge ? &settings : NULL, &looks->huge);
}

/* What does not pin much is not worth a look at all memory; nor is a heap for which that
 * takes seconds: it is there to be asked for by name. */
static void look_at_owners(struct report_looks *looks)
{
	const struct owners_options wanted = {
		.arena = BLOCKERS_ALL_ARENAS,
		.to_bytes = UINT64_MAX,
		.memory_bytes = OWNERS_MEMORY,
	};
	const struct figures *fig = &looks->sample->fig;
	struct fault fault = {0};

	if (looks->no_blockers[0] || looks->blockers.pinned_bytes < OWNERS_LEAST_PINNED)
		return;
	if (figure_has(fig, FIG_RSS_BYTES) && fig->v[FIG_RSS_BYTES].u > OWNERS_MOST_RSS)
		snprintf(looks->no_owners, sizeof(looks->no_owners),
			 "that needs a search of %s; run 'fragscope owners -p %d'",
			 units_bytes_text(fig->v[FIG_RSS_BYTES].u).s, looks->sample->pid);
	else if (source_owners(looks->source, &looks->owners, &wanted, NULL, NULL,
			       &fault) != SOURCE_READ)
		snprintf(looks->no_owners, sizeof(looks->no_owners), "%s", fault.text);
	else
		looks->has_owners = true;
}

void report_looks_take(struct report_looks *looks, struct source *source,
		       const struct sample *sample)
{
	int64_t begin_ns = clock_monotonic_ns();

	looks->source = source;
	looks->sample = sample;
	if (!look_at_both(looks)) {
		find_blockers(looks);
		look_at_map(looks);
	}
	identify_blockers(looks);
	look_at_owners(looks);
	look_at_mappings(looks);
	looks->survey_ns = (uint64_t)(clock_monotonic_ns() - begin_ns);
}

void report_looks_fill(const struct report_looks *looks, struct report *report)
{
	if (looks->non_malloc.is_known) {
		report->smaps = &looks->smaps;
		report->other_anon_bytes = looks->non_malloc.anon_bytes;
	}
	if (looks->no_blockers[0])
		report->why_no_blockers = looks->no_blockers;
	else
		report->blockers = &looks->blockers;
	report->identity = looks->identity;
	report->owners = looks->has_owners ? &looks->owners : NULL;
	report->why_no_owners = looks->no_owners[0] ? looks->no_owners : NULL;
	report->map = looks->map;
	report->cost.survey_ns = looks->survey_ns;
}

void report_looks_release(struct report_looks *looks)
{
	heap_map_free(looks->map);
}
