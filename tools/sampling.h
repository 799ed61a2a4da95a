/* sampling.h: how often and of what the sampler takes samples: the options of the verbs
 * that put it into a program, and the settings that they become. */
#ifndef FRAGSCOPE_SAMPLING_H
#define FRAGSCOPE_SAMPLING_H

#include "base/text.h"
#include "options.h"

struct sampling {
	bool no_children;
	int64_t interval_ns, detail_ns;
	uint64_t cost_percent;
};

#define SAMPLING_DEFAULTS                          \
	{                                          \
		.interval_ns = INT64_C(1000000000) \
	}

/* clang-format off */
/* Rows of a verb whose values have such a struct as "sampling". */
#define ROWS_SAMPLING \
	{.name = "interval", .letter = 'i', .kind = OPTION_TIME, .value = "TIME", \
	 .offset = FIELD(sampling.interval_ns), \
	 .help = "Take a sample every TIME (1s unless given, 1ms at least)."}, \
	{.name = "detail", .kind = OPTION_TIME, .value = "TIME", \
	 .offset = FIELD(sampling.detail_ns), \
	 .help = "Ask for arenas and bins every TIME at most (with every sample unless given): that takes longest."}, \
	{.name = "sampler-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100, \
	 .offset = FIELD(sampling.cost_percent), \
	 .help = "Spend at most PERCENT of the time on samples (1 unless given); fewer are taken if they are expensive."}

#define ROW_NO_CHILDREN(of) \
	{.name = "no-children", .kind = OPTION_FLAG, .offset = FIELD(sampling.no_children), \
	 .help = "Take no samples of " of "."}
/* clang-format on */

/* Adds to SETTINGS what was given: what was not stays as it is set already. 0, or -EINVAL
 * and FAULT. */
int sampling_settings(const struct command *command, const struct parsed *parsed,
		      const struct sampling *sampling, struct text *settings,
		      struct fault *fault);

#endif
