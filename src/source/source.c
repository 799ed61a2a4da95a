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
};

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
	new->driver = drivers[options->source];
	error = new->driver->open(new, fault);
	if (error)
		source_close(new);
	else
		*source = new;
	return error;
}

int source_read(struct source *source, struct sample *sample, struct fault *fault)
{
	int64_t begin = clock_monotonic_ns();
	enum process_state state;
	int error;

	sample_clear(sample);
	sample->time_ns = clock_realtime_ns();
	sample->pid = source->process.pid;
	sample->source = source->options.source;
	snprintf(sample->comm, sizeof(sample->comm), "%s", source->process.comm);
	memcpy(sample->allocator, source->allocator, sizeof(sample->allocator));
	error = source->driver->read(source, sample, fault);
	/* Looked at last: what was read before it was of this process. */
	state = process_state(&source->process);
	if (state == PROCESS_RUNS && error == -ESRCH && process_exits(&source->process))
		state = PROCESS_EXITED;
	if (state != PROCESS_RUNS) {
		process_tell_end(&source->process, state, fault);
		return SOURCE_ENDED;
	}
	if (error)
		return error;
	figure_set(&sample->fig, FIG_READ_NS, clock_monotonic_ns() - begin);
	return SOURCE_READ;
}

struct sample *source_sample(const struct source *source)
{
	return sample_new(source->driver->arenas(source), source->options.bins);
}

const char *source_describe(const struct source *source)
{
	return source->description;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	source->driver->close(source);
	process_close(&source->process);
	free(source);
}
