/* The kernel's view alone: for any process, whatever allocator it uses. */
#include "source/driver.h"
#include "source/kernel.h"

#include <stdio.h>

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
	int error = source_usage(source, sample, fault);

	return error ? error : source_mappings(source, sample, fault);
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

const struct driver proc_driver = {
	.open = proc_open,
	.read = proc_read,
	.close = proc_close,
	.arenas = proc_arenas,
};
