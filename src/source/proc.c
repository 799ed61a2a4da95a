/* The kernel's view alone: for any process, whatever allocator it uses. */
#include "source/driver.h"
#include "source/kernel.h"

#include <stdio.h>

static int count_mapping(const struct mapping *mapping, void *context)
{
	(void)mapping;
	++*(uint64_t *)context;
	return 0;
}

static int proc_open(struct source *source, struct fault *fault)
{
	(void)fault;
	snprintf(source->description, sizeof(source->description),
		 "process %d (%s), source proc: the kernel's figures only",
		 source->process.pid, source->process.comm);
	return 0;
}

static int proc_read(struct source *source, struct sample *sample, struct fault *fault)
{
	uint64_t mappings = 0;
	int error = source_usage(source, sample, fault);

	if (error)
		return error;
	error = maps_scan(&source->process, count_mapping, &mappings);
	if (error)
		return source_unreadable(source, "maps", error, fault);
	if (!source->options.quick)
		figure_set(&sample->fig, FIG_MAPPINGS, mappings);
	return 0;
}

static void proc_close(struct source *source)
{
	(void)source;
}

static unsigned proc_arenas(const struct source *source)
{
	(void)source;
	return 0;
}

const struct driver proc_driver = {proc_open, proc_read, proc_close, proc_arenas};
