/* attach.c: `fragscope attach`: puts the sampler into a process that is running. */
#include "engine/attach.h"
#include "base/text.h"
#include "engine/sampler.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_FOR_NS INT64_C(10000000000)
#define SHORTEST_NS    INT64_C(1000000)

/* The command line. */
struct attach_request {
	struct pid_list pids;
	bool no_children;
	int64_t interval_ns, detail_ns, for_ns;
	uint64_t sampler_cost_percent;
	char settings[128];
};

/* clang-format off */
#define FIELD(name) offsetof(struct attach_request, name)

static const struct option_spec options[] = {
	ROW_PID("Attach to"),
	{.name = "interval", .letter = 'i', .kind = OPTION_TIME, .value = "TIME",
	 .offset = FIELD(interval_ns),
	 .help = "Take a sample every TIME (1s unless given, 1ms at least)."},
	{.name = "detail", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(detail_ns),
	 .help = "Ask for arenas and bins every TIME at most (with every sample unless given): that takes longest."},
	{.name = "sampler-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100,
	 .offset = FIELD(sampler_cost_percent),
	 .help = "Spend at most PERCENT of the time on samples (1 unless given); fewer are taken if they are expensive."},
	{.name = "no-children", .kind = OPTION_FLAG, .offset = FIELD(no_children),
	 .help = "Take no samples of the processes that it forks."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "Look for a moment that is safe for TIME at most (10s unless given)."},
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_attach = {
	.name = "attach",
	.synopsis = "-p PID [OPTION...]",
	.summary = "the sampler of 'run', put into a process that is running",
	.description =
		"Stops process PID for some ms, and has one of its threads load the library that 'fragscope run' preloads, when all are where that is safe. 'stat --source preload' and 'trim' then work as if it had been started by 'run'. The library stays mapped until the process ends.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.takes_pid = true,
	.run = run,
};

/* clang-format on */

static void set_settings(const struct command *command, struct attach_request *request,
			 const struct parsed *parsed)
{
	struct text text;

	text_init(&text, request->settings, sizeof(request->settings));
	if (options_given(command, parsed, "interval"))
		sampler_setting(&text, "interval", request->interval_ns, "ns");
	if (options_given(command, parsed, "detail"))
		sampler_setting(&text, "detail", request->detail_ns, "ns");
	if (options_given(command, parsed, "sampler-cost"))
		sampler_setting(&text, "max_cost", (int64_t)request->sampler_cost_percent,
				"%");
	if (request->no_children)
		text_string(&text, text.length ? ",children=no" : "children=no");
}

static int read_request(const struct command *command, int argc, char **argv,
			struct attach_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct attach_request){.for_ns = DEFAULT_FOR_NS,
					   .interval_ns = SHORTEST_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (!error && !parsed->help)
		error = options_take_pid(command, parsed, &request->pids, fault);
	if (error || parsed->help)
		return error;
	if (request->interval_ns < SHORTEST_NS)
		return usage_fault(fault, command,
				   "option '--interval': the shortest is 1ms");
	set_settings(command, request, parsed);
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct attach_request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help) {
		help_command(stdout, command);
	} else if (!error) {
		const struct attach_options wanted = {
			.pid = request.pids.pid[0],
			.for_ns = request.for_ns,
			.settings = request.settings,
		};

		error = attach_sampler(&wanted, verb_frontend(), &fault);
	}
	free(request.pids.pid);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
