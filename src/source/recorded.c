/* recorded.c: the driver of recordings: the samples of a file in its order, of one
 * process or of all. */
#include "source/driver.h"
#include "source/replay.h"

enum { ARENAS = 8 }; /* room for so many at first */

static int open_file(struct source *source, struct fault *fault)
{
	struct replay *replay = NULL;
	int error = replay_open(&replay, source->options.recording, fault);

	source->state = replay;
	return error;
}

/* A sample that has got more arenas than SAMPLE has room for makes room for some more. */
static int copy(struct sample *sample, const struct sample *from)
{
	int error = 0;

	sample_clear(sample);
	if (from->arena_count > sample->arena_capacity)
		error = sample_grow(sample, 2 * from->arena_count);
	return error ? error : sample_copy(sample, from);
}

static int read_next(struct source *source, struct sample *sample, struct fault *fault)
{
	const struct sample *from;
	int result, error;

	do
		result = replay_next(source->state, &from, fault);
	while (result == SOURCE_READ && source->process.pid &&
	       from->pid != source->process.pid);
	if (result != SOURCE_READ)
		return result;
	error = copy(sample, from);
	return error ? fault_set(fault, EXIT_FAILED, error, "out of memory") : 0;
}

static void close_file(struct source *source)
{
	replay_close(source->state);
}

static unsigned arenas(const struct source *source)
{
	(void)source;
	return ARENAS;
}

static const char *describe(const struct source *source)
{
	return replay_describe(source->state);
}

const struct driver recording_driver = {
	.open = open_file,
	.read = read_next,
	.close = close_file,
	.arenas = arenas,
	.describe = describe,
};
