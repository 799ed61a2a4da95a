#include "engine/diff_events.h"

#include "engine/event_stack.h"
#include "recording/recording.h"
#include "sample/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct diff_side *side;
	const struct contents *contents;
	struct event_stack stack;
};

/* Of alerts, thresholds and kills there is nothing to add up. */
static bool is_counted(const char *kind, bool *is_failure)
{
	for (unsigned k = 0; k < EVENT_KINDS; k++)
		if (!strcmp(kind, event_kind_name(k))) {
			*is_failure = k == EVENT_FAILURE;
			return k <= EVENT_FAILURE;
		}
	return false;
}

static int take(const struct recorded_event *event, void *context)
{
	struct reading *reading = context;
	const struct content *process =
		contents_find(reading->contents, event->life->pid);
	const char *stack;
	bool is_failure;

	if (!process || !process->is_chosen || !is_counted(event->kind, &is_failure))
		return 0;
	stack = event_stack_read(&reading->stack, event->json);
	if (!stack)
		return 0;
	return growths_add(&reading->side->growths, event->time_ns, stack, is_failure,
			   event->bytes);
}

int diff_read_events(struct diff_side *side, const char *file,
		     const struct contents *contents, struct fault *fault)
{
	struct recording *recording;
	struct reading *reading;
	int error;

	if (!side->count || !recording_is_database(file))
		return 0;
	reading = calloc(1, sizeof(*reading));
	if (!reading)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	reading->side = side;
	reading->contents = contents;
	error = recording_open(&recording, file, fault);
	if (!error) {
		error = recording_events(recording, side->first_ns, side->last_ns, 0,
					 take, reading, fault);
		recording_close(recording);
	}
	if (error == -ENOMEM)
		fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	free(reading);
	return error;
}

/* ---- free chunks by size ---- */

/* The looks at one life in the time of SIDE, from the last one back; how many there are.
 * Each is given to SIDE in a second pass, in the order of time. */
struct looks {
	size_t count, capacity;
	int64_t *time_ns;
};

static int find_looks(struct looks *looks, struct recording *recording,
		      const struct recorded_life *life, const struct diff_side *side,
		      struct fault *fault)
{
	const struct sample *sample;
	int64_t at_ns = side->last_ns;
	int result;

	looks->count = 0;
	while (!(result =
			 recording_sizes(recording, life->life, at_ns, &sample, fault)) &&
	       sample->time_ns >= side->first_ns && sample->time_ns <= at_ns) {
		if (looks->count == looks->capacity) {
			size_t capacity = looks->capacity ? 2 * looks->capacity : 64;
			int64_t *more =
				reallocarray(looks->time_ns, capacity, sizeof(*more));

			if (!more)
				return fault_set(fault, EXIT_FAILED, -ENOMEM,
						 "out of memory");
			looks->time_ns = more;
			looks->capacity = capacity;
		}
		looks->time_ns[looks->count++] = sample->time_ns;
		at_ns = sample->time_ns - 1;
	}
	return result < 0 ? result : 0;
}

static int read_life(struct diff_side *side, struct recording *recording,
		     const struct recorded_life *life, struct looks *looks,
		     struct fault *fault)
{
	const struct sample *sample;
	int error = find_looks(looks, recording, life, side, fault);

	for (size_t i = looks->count; !error && i--;) {
		error = recording_sizes(recording, life->life, looks->time_ns[i], &sample,
					fault);
		if (!error && diff_add_sizes(side, sample))
			error = fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	}
	return error;
}

int diff_read_sizes(struct diff_side *side, const char *file,
		    const struct contents *contents, struct fault *fault)
{
	struct recording *recording;
	struct looks looks = {0};
	int error;

	if (!side->count || !recording_is_database(file))
		return 0;
	error = recording_open(&recording, file, fault);
	if (error)
		return error;
	for (unsigned i = 0; !error && i < recording_lives(recording); i++) {
		const struct recorded_life *life = recording_life(recording, i);
		const struct content *process = contents_find(contents, life->pid);

		if (process && process->is_chosen)
			error = read_life(side, recording, life, &looks, fault);
	}
	free(looks.time_ns);
	recording_close(recording);
	return error;
}
