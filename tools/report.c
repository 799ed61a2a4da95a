/* report.c: `fragscope report`: what ails a process's memory, told once. */
#include "view/report.h"
#include "base/privilege.h"
#include "engine/reporter.h"
#include "engine/targets.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FOR_NS INT64_C(10000000000)
#define AT_MOST_NS     INT64_C(60000000000) /* of a time that was not given */

/* The command line. */
struct report_request {
	struct pid_list pids;
	struct name_list names;
	bool json, no_events, swap_in;
	const char *html, *replay, *at;
	int64_t for_ns, at_most_ns, budget_ns;
	uint64_t unusable_for_bytes;
	unsigned source;
};

/* clang-format off */
#define FIELD(name) offsetof(struct report_request, name)

static const struct option_spec options[] = {
	ROW_PID("Report on"),
	ROW_NAME("Report on"),
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "Watch it for TIME (10s unless given, or longer if readings take long) to see where it is heading; 0: one reading."},
	ROW_JSON("Print one JSON object, unscaled."),
	{.name = "html", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(html),
	 .help = "Also write the report as a page for a browser to FILE; overwrites FILE."},
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(replay),
	 .help = "Report on a recording instead: a file of 'fragscope record', or CSV or JSON that stat, run or alert wrote ('-': CSV or JSON on standard input); -p or -n chooses one process of several."},
	{.name = "at", .kind = OPTION_FILE, .value = "TIME", .offset = FIELD(at),
	 .help = "Of a recording: the report as it would have been at TIME (10:00, or 2026-11-29T10:00): of what was recorded before."},
	{.name = "no-events", .kind = OPTION_FLAG, .offset = FIELD(no_events),
	 .help = "Use no eBPF probes: the report does not say who made the heap grow."},
	ROW_SWAP_IN(swap_in, ". Without it the report then has the kernel's figures alone."),
	ROW_BUDGET(budget_ns, "A larger one"),
	ROW_SOURCE(source, "the heap, else the sampler, else /proc alone."),
	ROW_UNUSABLE,
	ROW_HELP,
};

const struct command command_report;
static int run(const struct command *command, int argc, char **argv);

const struct command command_report = {
	.name = "report",
	.synopsis = "-p PID | -n NAME | --replay FILE [OPTION...]",
	.summary = "what is wrong with a process's memory, and what helps",
	.description =
		"Watches a process for some seconds and says on one page whether it leaks, is fragmented, has too many arenas, keeps memory that a trim would return, or whether its memory is not malloc's at all: where the resident memory is, what helps, where it is heading, how fragmented the free memory is, who made it grow, and which limit is next. Every verdict comes with its figures.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 0,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

/* What a recording has is all there is. */
static int check_replay(const struct command *command, const struct parsed *parsed,
			struct fault *fault)
{
	static const char *const of_live[] = {
		"for", "no-events", "source", "swap-in", "unusable", "budget", NULL};

	return options_exclude(command, parsed, "replay", of_live, fault);
}

static int find_target(const struct command *command, const struct parsed *parsed,
		       struct report_request *request, struct fault *fault)
{
	int error = 0;

	if (!request->replay)
		error = targets_all_named(&request->names, &request->pids, fault);
	if (error)
		return error;
	if (!request->pids.count && !request->replay)
		return no_process_fault(fault, command, parsed);
	if (request->pids.count > 1)
		return usage_fault(fault, command,
				   "a report is on one process, and there are %zu: %d, "
				   "%d...",
				   request->pids.count, request->pids.pid[0],
				   request->pids.pid[1]);
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct report_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct report_request){.for_ns = DEFAULT_FOR_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	if (!options_given(command, parsed, "for"))
		request->at_most_ns = AT_MOST_NS;
	if (request->replay)
		error = check_replay(command, parsed, fault);
	else if (request->at)
		error = usage_fault(fault, command, "--at needs --replay");
	if (!error && request->source != SOURCE_HEAP && request->swap_in)
		error = usage_fault(fault, command,
				    "--swap-in needs the heap, which --source %s does "
				    "not read",
				    source_choices[request->source]);
	if (!error && request->source != SOURCE_HEAP && request->budget_ns)
		error = usage_fault(fault, command,
				    "--budget needs the heap, which --source %s does not "
				    "read",
				    source_choices[request->source]);
	return error ? error : find_target(command, parsed, request, fault);
}

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write the report to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int write_html(const struct report *report, const char *file, struct fault *fault)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int error;

	if (fd < 0)
		return write_fault(file, -errno, fault);
	error = report_html(report, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(file, error, fault) : 0;
}

static int write_report(const struct report_request *request, const struct report *report,
			struct fault *fault)
{
	int error = request->json ? report_json(report, STDOUT_FILENO)
				  : report_text(report, STDOUT_FILENO);

	if (error)
		return write_fault(NULL, error, fault);
	return request->html ? write_html(report, request->html, fault) : 0;
}

/* With --at, the span that ends then. False: it does not fit into SPAN. */
static bool until(const struct report_request *request, struct reporter_options *wanted,
		  char *span, size_t size)
{
	if (!request->at)
		return true;
	wanted->replay = span;
	return snprintf(span, size, "%s@..%s", request->replay, request->at) < (int)size;
}

static int make_report(const struct report_request *request, struct fault *fault)
{
	char span[2 * PATH_MAX];
	struct reporter_options wanted = {
		.frontend = verb_frontend(),
		.pid = request->pids.count ? request->pids.pid[0] : 0,
		.replay = request->replay,
		.pids = request->pids,
		.names = request->names,
		.source = request->source,
		.events = !request->no_events,
		.swap_in = request->swap_in,
		.budget_ns = request->budget_ns,
		.for_ns = request->for_ns,
		.at_most_ns = request->at_most_ns,
		.unusable_for_bytes = request->unusable_for_bytes,
	};
	struct reporter *reporter;
	int error;

	if (!until(request, &wanted, span, sizeof(span)))
		return fault_set(fault, EXIT_USAGE, -ENAMETOOLONG,
				 "--replay or --at: the name is too long");
	error = reporter_new(&reporter, &wanted, fault);
	if (!error)
		error = write_report(request, reporter_report(reporter), fault);
	reporter_free(reporter);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct report_request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && request.replay)
		privilege_drop();
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = make_report(&request, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
