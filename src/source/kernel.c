#include "source/kernel.h"

#include "target/usage.h"

#include <string.h>

int source_unreadable(const struct source *source, const char *name, int error,
		      struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot read /proc/%d/%s (%s): %s",
			 source->process.pid, name, source->process.comm,
			 strerror(-error));
}

int source_usage(struct source *source, struct sample *sample, struct fault *fault)
{
	return source_usage_by(source, sample, source->options.quick, fault);
}

int source_usage_by(struct source *source, struct sample *sample, bool quick,
		    struct fault *fault)
{
	struct usage usage;
	int error = quick ? usage_quick(&source->process, &usage)
			  : usage_exact(&source->process, &usage);

	if (error)
		return source_unreadable(source, quick ? "status" : "smaps_rollup", error,
					 fault);
	figure_set(&sample->fig, FIG_RSS_BYTES, usage.rss_bytes);
	figure_set(&sample->fig, FIG_SWAP_BYTES, usage.swap_bytes);
	if (usage.has_pss)
		figure_set(&sample->fig, FIG_PSS_BYTES, usage.pss_bytes);
	if (usage.has_huge)
		figure_set(&sample->fig, FIG_ANON_HUGE_BYTES, usage.anon_huge_bytes);
	return 0;
}

static int count_mapping(const struct mapping *mapping, void *context)
{
	(void)mapping;
	++*(uint64_t *)context;
	return 0;
}

int source_mappings(struct source *source, struct sample *sample, struct fault *fault)
{
	uint64_t mappings = 0;
	int error = maps_scan(&source->process, count_mapping, &mappings);

	if (error)
		return source_unreadable(source, "maps", error, fault);
	figure_set(&sample->fig, FIG_MAPPINGS, mappings);
	return 0;
}
