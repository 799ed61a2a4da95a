/* detach.c: `fragscope detach`: ends the sampler in a process. */
#include "engine/attach.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

/* The command line. */
struct detach_request {
	struct pid_list pids;
};

/* clang-format off */
#define FIELD(name) offsetof(struct detach_request, name)

static const struct option_spec options[] = {
	ROW_PID("Detach from"),
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_detach = {
	.name = "detach",
	.synopsis = "-p PID",
	.summary = "the end of the sampler in a process",
	.description =
		"Ends the thread that 'fragscope attach' or 'fragscope run' has put into process PID, and closes what it opened. Its library stays mapped; 'attach' can start it again.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.takes_pid = true,
	.run = run,
};

/* clang-format on */

static int run(const struct command *command, int argc, char **argv)
{
	struct detach_request request = {0};
	struct parsed parsed;
	struct fault fault;
	int error = options_parse(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = options_take_pid(command, &parsed, &request.pids, &fault);
	if (!error && !parsed.help)
		error = detach_sampler(request.pids.pid[0], verb_frontend(), &fault);
	free(request.pids.pid);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
