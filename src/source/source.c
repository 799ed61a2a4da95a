#include "source/source.h"

#include "base/clock.h"
#include "base/take.h"
#include "source/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct driver *const drivers[] = {
	[SOURCE_HEAP] = &heap_driver,
	[SOURCE_PROC] = &proc_driver,
	[SOURCE_PRELOAD] = &preload_driver,
};

static int open_probe(struct source *source, struct fault *fault)
{
	const struct probe_options counts_only = {.events_per_second = 1};

	return probe_open(&source->probe, &source->process, &counts_only, fault);
}

static void add_reason(struct source *source, enum exit_status status)
{
	size_t used = strlen(source->description);

	snprintf(source->description + used, sizeof(source->description) - used, "; %s",
		 status == EXIT_NOT_PERMITTED ? "its heap may not be read from outside"
					      : "it has no heap that can be read from "
						"outside");
}

/* The heap cannot be read from outside, as FAULT says: if there is a sampler in it, that
 * is the source, and the description says why. Otherwise FAULT stays. */
static int open_instead(struct source *source, int error, const struct fault *fault)
{
	if (fault->status != EXIT_NOT_PERMITTED && fault->status != EXIT_NO_SOURCE)
		return error;
	source->driver->close(source);
	source->state = NULL;
	source->options.source = SOURCE_PRELOAD;
	source->driver = drivers[SOURCE_PRELOAD];
	if (source->driver->open(source, NULL))
		return error;
	add_reason(source, fault->status);
	return 0;
}

static int open_driver(struct source *source, struct fault *fault)
{
	int error;

	source->driver = drivers[source->options.source];
	error = source->driver->open(source, fault);
	if (error && source->options.or_preload && source->options.source == SOURCE_HEAP)
		error = open_instead(source, error, fault);
	return error;
}

int source_open(struct source **source, int pid, const struct source_options *options,
		struct fault *fault)
{
	struct source *new = take(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "there is no memory left to start");
	new->options = *options;
	error = process_open(&new->process, pid, fault);
	if (error) {
		free(new);
		return error;
	}
	error = open_driver(new, fault);
	if (!error && options->events)
		error = open_probe(new, fault);
	if (error)
		source_close(new);
	else
		*source = new;
	return error;
}

static uint64_t since(const uint64_t *now, const uint64_t *before, unsigned from,
		      unsigned to)
{
	uint64_t sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += now[i] - before[i];
	return sum;
}

/* What the probes counted since the row before. Probes that detached themselves leave the
 * figures absent and the row partial. */
static int read_events(struct source *source, struct sample *sample, struct fault *fault)
{
	struct probe_counts now, *before = &source->seen;
	int error;

	if (probe_stopped(source->probe) == PROBE_FLOOD) {
		if (sample->status != STATUS_PARTIAL)
			snprintf(sample->missing, sizeof(sample->missing),
				 "events: above 5000 a second, where the probes detach");
		sample->status = STATUS_PARTIAL;
		return 0;
	}
	error = probe_total(source->probe, &now);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read the probes' counts: %s", strerror(-error));
	figure_set(&sample->fig, FIG_GROWTH_EVENTS,
		   since(now.events, before->events, 0, PROBE_FAILURE));
	figure_set(&sample->fig, FIG_GROWTH_BYTES,
		   since(now.bytes, before->bytes, 0, PROBE_FAILURE));
	figure_set(&sample->fig, FIG_FAILED_ALLOCATIONS,
		   since(now.events, before->events, PROBE_FAILURE, PROBE_FAILURE + 1));
	*before = now;
	return 0;
}

/* Whether memory that is just being taken away can be behind ERROR: from outside its
 * pages look swapped out or unmapped before the process itself has ended. */
static bool is_of_end(int error)
{
	return error == -ESRCH || error == -ENODATA || error == -EFAULT;
}

/* What ERROR of a reading comes to. The process is looked at last: what was read before
 * it was of this process. */
static int settle(struct source *source, int error, struct fault *fault)
{
	enum process_state state = process_state(&source->process);

	if (state == PROCESS_RUNS && is_of_end(error) && process_exits(&source->process))
		state = PROCESS_EXITED;
	/* What a sampler left behind is true of the process that it was in. */
	if (state != PROCESS_RUNS && (error || !source->options.follow)) {
		process_tell_end(&source->process, state, fault);
		return SOURCE_ENDED;
	}
	return error;
}

int source_read(struct source *source, struct sample *sample, struct fault *fault)
{
	int64_t begin = clock_monotonic_ns();
	int error;

	sample_clear(sample);
	sample->time_ns = clock_realtime_ns();
	sample->pid = source->process.pid;
	sample->source = source->options.source;
	snprintf(sample->comm, sizeof(sample->comm), "%s", source->process.comm);
	memcpy(sample->allocator, source->allocator, sizeof(sample->allocator));
	error = source->driver->read(source, sample, fault);
	if (!error && source->probe)
		error = read_events(source, sample, fault);
	error = settle(source, error, fault);
	if (error)
		return error;
	figure_set(&sample->fig, FIG_READ_NS, clock_monotonic_ns() - begin);
	return SOURCE_READ;
}

/* Whether SOURCE can look at single chunks; HAS_DRIVER: its driver can. */
static bool can_survey(const struct source *source, bool has_driver, struct fault *fault)
{
	if (!has_driver)
		fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			  "source %s cannot tell what lies where in a heap: only "
			  "source heap can",
			  sample_source_name(source->options.source));
	else if (!source->options.survey || source->options.quick)
		fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			  "this source was not opened to look at single chunks");
	else
		return true;
	return false;
}

int source_map(struct source *source, struct heap_map *map, struct fault *fault)
{
	int64_t begin = clock_monotonic_ns();
	int error;

	if (!can_survey(source, source->driver->map, fault))
		return -ENOTSUP;
	heap_map_clear(map);
	map->time_ns = clock_realtime_ns();
	error = settle(source, source->driver->map(source, map, fault), fault);
	map->read_ns = clock_monotonic_ns() - begin;
	return error;
}

int source_pins(struct source *source, struct pins *pins, struct fault *fault)
{
	int64_t begin = clock_monotonic_ns();
	int error;

	if (!can_survey(source, source->driver->pins, fault))
		return -ENOTSUP;
	*pins = (struct pins){.arena = pins->arena, .time_ns = clock_realtime_ns()};
	error = settle(source, source->driver->pins(source, pins, fault), fault);
	pins->read_ns = clock_monotonic_ns() - begin;
	return error;
}

int source_owners(struct source *source, struct owners *owners,
		  const struct owners_options *options, owners_progress_fn *progress,
		  void *context, struct fault *fault)
{
	int64_t begin = clock_monotonic_ns();
	uint64_t chunk[OWNERS_MAX];
	int error;

	if (!can_survey(source, source->driver->owners, fault))
		return -ENOTSUP;
	*owners = (struct owners){.time_ns = clock_realtime_ns()};
	error = source->driver->owners(source, owners, chunk, options, progress, context,
				       fault);
	error = settle(source, error, fault);
	for (unsigned i = 0; i < owners->count && !error; i++)
		if (source_guess(source, chunk[i], owners->owner[i].guess))
			owners->owner[i].guess[0] = '\0';
	owners->read_ns = clock_monotonic_ns() - begin;
	return error;
}

struct sample *source_sample(const struct source *source)
{
	return sample_new(source->driver->arenas(source),
			  source->options.bins || source->options.sizes);
}

int source_exit_fd(const struct source *source)
{
	return source->process.pidfd;
}

const char *source_describe(const struct source *source)
{
	return source->description;
}

const char *source_comm(const struct source *source)
{
	return source->process.comm;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	source->driver->close(source);
	probe_close(source->probe);
	process_close(&source->process);
	free(source);
}
