#include "engine/record_looks.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "recording/recording.h"
#include "view/owners.h"

#include <errno.h>
#include <stdlib.h>

enum {
	CELLS = 1024,	   /* of all maps of a process together */
	CELLS_LEAST = 16,  /* of one */
	CELL_BYTES = 4096, /* finer ones are for who looks closer at a live process */
};

enum { PATH_BYTES = 1024 };

#define OWNERS_BYTES (UINT64_C(64) << 20) /* for tables; beyond it a sample is taken */

struct record_looks {
	struct record_looks_options options;
	const struct frontend *frontend;
	struct heap_map *map;
	struct owners *owners;
};

void record_looks_ask(const struct record_looks_options *options,
		      struct source_options *source)
{
	if (!options->maps_ns && !options->owners_ns)
		return;
	source->survey = true;
	source->sizes = options->maps_ns != 0;
	source->map_cells = RECORDING_CELLS;
}

int record_looks_new(struct record_looks **looks,
		     const struct record_looks_options *options,
		     const struct frontend *frontend)
{
	struct record_looks *new = alloc_touched(sizeof(*new));

	*looks = new;
	if (!new)
		return -ENOMEM;
	new->options = *options;
	new->frontend = frontend;
	new->map = heap_map_new(RECORDING_CELLS, 0);
	new->owners = alloc_touched(sizeof(*new->owners));
	if (new->map &&new->owners)
		return 0;
	record_looks_free(new);
	*looks = NULL;
	return -ENOMEM;
}

void record_looks_free(struct record_looks *looks)
{
	if (!looks)
		return;
	heap_map_free(looks->map);
	free(looks->owners);
	free(looks);
}

/* Whether what is to be done every INTERVAL_NS is due; *NEXT_NS: when it is again. */
static bool is_due(int64_t *next_ns, int64_t interval_ns)
{
	int64_t now_ns = clock_monotonic_ns();

	if (!interval_ns || now_ns < *next_ns)
		return false;
	*next_ns = now_ns + interval_ns;
	return true;
}

/* ---- maps and sizes ---- */

/* Many arenas have coarser maps, and small ones no more cells than pages. */
static unsigned cells_for(const struct sample *sample, const struct arena_row *row)
{
	unsigned cells = CELLS / (sample->arena_count ? sample->arena_count : 1);
	uint64_t pages = cells;

	if (figure_has(&row->fig, FIG_SYSTEM_BYTES))
		pages = row->fig.v[FIG_SYSTEM_BYTES].u / CELL_BYTES + 1;
	if (cells > RECORDING_CELLS)
		cells = RECORDING_CELLS;
	if (cells > pages)
		cells = (unsigned)pages;
	return cells < CELLS_LEAST ? CELLS_LEAST : cells;
}

/* RESULT and WHY are of a look at TARGET that came to nothing. That a process does not
 * answer, or has ended, its readings say. */
static void say_once(struct record_looks *looks, struct record_looks_state *state,
		     const struct stream_target *target, int result,
		     const struct fault *why)
{
	if (state->is_told || result >= 0 || result == -ENOENT)
		return;
	state->is_told = true;
	frontend_message(looks->frontend,
			 "process %d (%s) could not be looked at for the recording: %s",
			 target->pid, target->sample->comm, why->text);
}

static int take_map(struct record_looks *looks, struct record_looks_state *state,
		    struct recorder *recorder, unsigned life,
		    const struct stream_target *target, const struct arena_row *row,
		    struct fault *fault)
{
	struct heap_map *map = looks->map;
	struct fault why;
	int result;

	map->arena = row->index;
	map->from = map->to = 0;
	map->cell_capacity = cells_for(target->sample, row);
	result = source_map_more(target->source, map, &why);
	if (result == -EAGAIN)
		result = source_map(target->source, map, &why);
	if (result == SOURCE_READ)
		return recorder_map(recorder, life, map, fault);
	say_once(looks, state, target, result, &why);
	return 0;
}

static bool has_sizes(const struct sample *sample)
{
	for (unsigned i = 0; i < sample->arena_count; i++)
		if (sample->arena[i].bins &&
		    (sample->arena[i].bins->split || sample->arena[i].bins->sized))
			return true;
	return false;
}

static int take_maps(struct record_looks *looks, struct record_looks_state *state,
		     struct recorder *recorder, unsigned life,
		     const struct stream_target *target, struct fault *fault)
{
	const struct sample *sample = target->sample;
	int error = 0;

	if (has_sizes(sample))
		error = recorder_sizes(recorder, life, sample, fault);
	for (unsigned i = 0; i < sample->arena_count && !error; i++)
		error = take_map(looks, state, recorder, life, target, &sample->arena[i],
				 fault);
	return error;
}

/* ---- owners ---- */

/* Each once more for who asks the file. */
static int add_owners(struct record_looks *looks, struct recorder *recorder,
		      unsigned life, struct fault *fault)
{
	const struct owners *owners = looks->owners;
	int error = recorder_owners(recorder, life, owners, fault);
	char line[PATH_BYTES];

	for (unsigned i = 0; i < owners->count && !error; i++) {
		owners_line(&owners->owner[i], line, sizeof(line));
		error = recorder_owner(recorder, life, owners, i, line, fault);
	}
	return error;
}

static int take_owners(struct record_looks *looks, struct record_looks_state *state,
		       struct recorder *recorder, unsigned life,
		       const struct stream_target *target, struct fault *fault)
{
	const struct owners_options wanted = {
		.arena = BLOCKERS_ALL_ARENAS,
		.to_bytes = UINT64_MAX,
		.memory_bytes = OWNERS_BYTES,
		.threads = 1,
	};
	struct fault why;
	int result =
		source_owners(target->source, looks->owners, &wanted, NULL, NULL, &why);

	if (result == SOURCE_READ)
		return add_owners(looks, recorder, life, fault);
	say_once(looks, state, target, result, &why);
	return 0;
}

int record_looks_take(struct record_looks *looks, struct record_looks_state *state,
		      struct recorder *recorder, unsigned life,
		      const struct stream_target *target, struct fault *fault)
{
	int error = 0;

	/* A process that has just executed another program may have no heap yet. */
	if (!target->source || !target->sample->arena_count)
		return 0;
	if (is_due(&state->maps_ns, looks->options.maps_ns))
		error = take_maps(looks, state, recorder, life, target, fault);
	if (!error && is_due(&state->owners_ns, looks->options.owners_ns))
		error = take_owners(looks, state, recorder, life, target, fault);
	return error;
}
