/* attach.c: `fragscope attach`: puts the sampler into a process that is running. */
#include "engine/attach.h"
#include "help.h"
#include "sampling.h"
#include "verb.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_FOR_NS INT64_C(10000000000)

/* The command line. */
struct attach_request {
	struct pid_list pids;
	struct sampling sampling;
	int64_t for_ns;
	char settings[128];
};

/* clang-format off */
#define FIELD(name) offsetof(struct attach_request, name)

static const struct option_spec options[] = {
	ROW_PID("Attach to"),
	ROWS_SAMPLING,
	ROW_NO_CHILDREN("the processes that it forks"),
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

static int read_request(const struct command *command, int argc, char **argv,
			struct attach_request *request, struct parsed *parsed,
			struct fault *fault)
{
	struct text settings;
	int error;

	*request = (struct attach_request){.for_ns = DEFAULT_FOR_NS,
					   .sampling = SAMPLING_DEFAULTS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (!error && !parsed->help)
		error = options_take_pid(command, parsed, &request->pids, fault);
	if (error || parsed->help)
		return error;
	text_init(&settings, request->settings, sizeof(request->settings));
	return sampling_settings(command, parsed, &request->sampling, &settings, fault);
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
