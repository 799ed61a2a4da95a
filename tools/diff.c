/* diff.c: `fragscope diff`: before and after, figure by figure. */
#include "engine/diff.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"
#include "view/diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FOR_NS	    INT64_C(60000000000)
#define DEFAULT_INTERVAL_NS INT64_C(1000000000)

/* The command line. */
struct diff_request {
	struct pid_list pids;
	struct name_list names;
	bool json;
	int64_t for_ns, interval_ns;
};

/* clang-format off */
#define FIELD(name) offsetof(struct diff_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Of recordings of several processes, compare"),
	{.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME[,NAME...]",
	 .offset = FIELD(names),
	 .help = "The same, by the process's name; may be repeated."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "Watch running processes for TIME (60s unless given)."},
	{.name = "interval", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(interval_ns),
	 .help = "Read running processes every TIME (1s unless given)."},
	ROW_JSON("Print one JSON object, unscaled."),
	ROW_HELP,
};

const struct command command_diff;
static int run(const struct command *command, int argc, char **argv);

const struct command command_diff = {
	.name = "diff",
	.synopsis = "BEFORE AFTER [OPTION...]",
	.summary = "before and after: which figures changed by more than chance",
	.description =
		"Compares the figures of a process before and after a change: medians, growth "
		"an hour, and the 95% interval of each difference; first it says what else "
		"was different, such as another allocator or setting. BEFORE and AFTER are recordings (of "
		"record, stat or run), spans of one (FILE@10:00-11:00, "
		"FILE@2026-11-29T10:00..2026-11-30T02:00), or PIDs of running processes, "
		"which are watched for some time.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 2,
	.run = run,
};
/* clang-format on */

static int read_request(const struct command *command, int argc, char **argv,
			struct diff_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct diff_request){
		.for_ns = DEFAULT_FOR_NS,
		.interval_ns = DEFAULT_INTERVAL_NS,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	if (parsed->operand_count != 2)
		return usage_fault(fault, command,
				   "two operands are needed: BEFORE and AFTER");
	if (request->interval_ns <= 0)
		return usage_fault(fault, command, "--interval: more than 0");
	return 0;
}

static int compare(const struct diff_request *request, const struct parsed *parsed,
		   struct fault *fault)
{
	const struct diff_options wanted = {
		.frontend = verb_frontend(),
		.what = {parsed->operand[0], parsed->operand[1]},
		.pids = request->pids,
		.names = request->names,
		.for_ns = request->for_ns,
		.interval_ns = request->interval_ns,
	};
	struct diff_side side[2] = {{.count = 0}, {.count = 0}};
	struct diff diff;
	int error = diff_gather(side, &wanted, fault);

	if (!error && diff_of(&side[0], &side[1], &diff))
		error = fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	else if (!error)
		error = diff_write(&diff, request->json, STDOUT_FILENO);
	if (error && !*fault->text)
		fault_set(fault, EXIT_FAILED, error, "cannot write: %s",
			  strerror(-error));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct diff_request request;
	struct parsed parsed;
	struct fault fault = {.text = ""};
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = compare(&request, &parsed, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
