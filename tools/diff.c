/* diff.c: `fragscope diff`: before and after, figure by figure. */
#include "engine/diff.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"
#include "view/diff.h"

#include <errno.h>
#include <fcntl.h>
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
	bool json, arenas, bins;
	const char *html;
	int64_t for_ns, interval_ns;
};

/* clang-format off */
#define FIELD(name) offsetof(struct diff_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Of recordings of several processes, compare"),
	{.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME[,NAME...]",
	 .offset = FIELD(names),
	 .help = "The same, by the process's name; may be repeated."},
	{.name = "arenas", .kind = OPTION_FLAG, .offset = FIELD(arenas),
	 .help = "Also compare the arenas one by one, as far as the recordings have them: the first 16."},
	{.name = "bins", .kind = OPTION_FLAG, .offset = FIELD(bins),
	 .help = "Also compare the free memory by the size of its chunks, where recordings have it (record --maps, or stat --bins --json)."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "Watch running processes for TIME (60s unless given)."},
	{.name = "interval", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(interval_ns),
	 .help = "Read running processes every TIME (1s unless given)."},
	ROW_JSON("Print one JSON object, unscaled."),
	{.name = "html", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(html),
	 .help = "Also write the comparison as a page for a browser, with both courses drawn over each other, to FILE; overwrites FILE."},
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

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int write_html(const struct diff *diff, const char *file, struct fault *fault)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int error;

	if (fd < 0)
		return write_fault(file, -errno, fault);
	error = diff_html(diff, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(file, error, fault) : 0;
}

static int write_diff(const struct diff_request *request, const struct diff *diff,
		      struct fault *fault)
{
	int error = request->json ? diff_json(diff, STDOUT_FILENO)
				  : diff_text(diff, STDOUT_FILENO);

	if (error)
		return write_fault(NULL, error, fault);
	return request->html ? write_html(diff, request->html, fault) : 0;
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
		.arenas = request->arenas,
		.sizes = request->bins,
	};
	static struct diff diff;
	struct diff_side side[2] = {{.count = 0}, {.count = 0}};
	int error = diff_gather(side, &wanted, fault);

	if (!error && diff_of(&side[0], &side[1], &diff))
		error = fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	else if (!error)
		error = write_diff(request, &diff, fault);
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
