#include "sampling.h"

#include "engine/sampler.h"

#define SHORTEST_NS INT64_C(1000000)

int sampling_settings(const struct command *command, const struct parsed *parsed,
		      const struct sampling *sampling, struct text *settings,
		      struct fault *fault)
{
	if (sampling->interval_ns < SHORTEST_NS)
		return usage_fault(fault, command,
				   "option '--interval': the shortest is 1ms");
	if (options_given(command, parsed, "interval"))
		sampler_setting(settings, "interval", sampling->interval_ns, "ns");
	if (options_given(command, parsed, "detail"))
		sampler_setting(settings, "detail", sampling->detail_ns, "ns");
	if (options_given(command, parsed, "sampler-cost"))
		sampler_setting(settings, "max_cost", (int64_t)sampling->cost_percent,
				"%");
	if (sampling->no_children)
		text_string(settings, settings->length ? ",children=no" : "children=no");
	return 0;
}
