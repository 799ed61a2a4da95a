/* trim.c: `fragscope trim`: has the sampler inside a program ask its allocator to give
 * back what it can, tells what came of it and whether that lasted; or only predicts it.
 */
#include "engine/trim.h"
#include "base/text.h"
#include "base/units.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"
#include "view/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WATCH_NS INT64_C(60000000000)
#define DEFAULT_FOR_NS	 INT64_C(10000000000)

/* The command line. */
struct trim_request {
	struct pid_list pids;
	struct trim_options how;
	bool json;
	int64_t watch_ns;
};

/* clang-format off */
#define FIELD(name) offsetof(struct trim_request, name)

static const struct option_spec options[] = {
	ROW_PID("Trim"),
	{.name = "dry-run", .kind = OPTION_FLAG, .offset = FIELD(how.dry_run),
	 .help = "Predict from outside; call nothing."},
	{.name = "attach", .kind = OPTION_FLAG, .offset = FIELD(how.attach),
	 .help = "Needs no sampler: stops the process for some ms, and has one of its threads call malloc_trim(0) when all are where that is safe."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(how.for_ns),
	 .help = "Look for a moment that is safe for TIME at most (10s unless given); needs --attach."},
	{.name = "watch", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(watch_ns),
	 .help = "Count the page faults of TIME after the trim (1m unless given; 0: none)."},
	ROW_JSON("Write JSON: one object, unscaled."),
	{.name = "", .letter = 'n', .kind = OPTION_GONE,
	 .help = "-n is no longer short for --dry-run: write --dry-run"},
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_trim = {
	.name = "trim",
	.synopsis = "-p PID [OPTION...]",
	.summary = "free memory returned, and whether that was useful",
	.description =
		"Makes the sampler in process PID, which 'fragscope run' put there, call malloc_trim(0), or another allocator's equivalent, and prints what the process returned, how long that took, and how many page faults followed. With --attach a thread of the process itself makes the call. With --dry-run it only predicts.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.takes_pid = true,
	.run = run,
};

/* clang-format on */

/* ---- the command line ---- */

static int read_request(const struct command *command, int argc, char **argv,
			struct trim_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct trim_request){.watch_ns = DEFAULT_WATCH_NS,
					 .how.for_ns = DEFAULT_FOR_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = options_take_pid(command, parsed, &request->pids, fault);
	if (error)
		return error;
	if (options_given(command, parsed, "for") && !request->how.attach)
		return usage_fault(fault, command, "--for needs --attach");
	if (request->how.dry_run && options_given(command, parsed, "watch"))
		return usage_fault(fault, command,
				   "--watch and --dry-run exclude each other");
	return 0;
}

/* ---- the output ---- */

static void print_text(const struct trim *trim, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char buffer[32];
		struct text text;

		if (!trim_has(trim, i))
			continue;
		text_init(&text, buffer, sizeof(buffer));
		if (trim_result_info[i].unit == TRIM_BYTES)
			units_bytes(&text, trim_value(trim, i));
		else if (trim_result_info[i].unit == TRIM_TIME)
			units_ns(&text, trim_value(trim, i));
		else
			text_u64(&text, trim_value(trim, i));
		printf("%-10s %8s%s%s\n", trim_result_info[i].label, buffer,
		       *trim_result_info[i].remark ? "  " : "",
		       trim_result_info[i].remark);
	}
	fflush(stdout);
}

static void print_json(const struct trim *trim)
{
	char buffer[1024];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_string(&text, "{\"pid\":");
	text_u64(&text, (uint64_t)trim_pid(trim));
	json_member_string(&text, "comm", trim_comm(trim));
	for (unsigned i = 0; i < TRIM_RESULTS; i++)
		if (trim_has(trim, i))
			json_member_u64(&text, trim_result_info[i].name,
					trim_value(trim, i));
	text_string(&text, "}");
	puts(buffer);
}

/* What is known already is printed at once, but in JSON. */
static int work(const struct trim_request *request, struct trim *trim,
		struct fault *fault)
{
	int error;

	if (!request->json)
		print_text(trim, 0, TRIM_THREADS);
	if (request->how.dry_run && !request->how.attach)
		return 0;
	error = trim_now(trim, fault);
	if (error)
		return error;
	if (!request->json)
		print_text(trim, TRIM_THREADS, TRIM_WATCHED);
	if (request->watch_ns && !request->how.dry_run)
		trim_watch(trim, request->watch_ns);
	if (!request->json)
		print_text(trim, TRIM_WATCHED, TRIM_RESULTS);
	return 0;
}

static int trim_process(const struct trim_request *request, struct fault *fault)
{
	struct trim *trim = NULL;
	int error = trim_open(&trim, request->pids.pid[0], &request->how, verb_frontend(),
			      fault);

	if (error)
		return error;
	error = work(request, trim, fault);
	if (!error && request->json)
		print_json(trim);
	trim_close(trim);
	return error;
}

static int check_output(struct fault *fault)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	return fault_set(fault, EXIT_FAILED, -errno, "cannot write: %s", strerror(errno));
}

static int run(const struct command *command, int argc, char **argv)
{
	struct trim_request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = trim_process(&request, &fault);
	if (!error)
		error = check_output(&fault);
	free(request.pids.pid);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
