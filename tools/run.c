/* run.c: `fragscope run`: starts a command with the sampler preloaded into it, stands
 * between it and who started it without being noticed, and writes its samples to a file.
 */
#include "engine/launch.h"
#include "engine/loadable.h"
#include "engine/sampler.h"
#include "engine/sampler_rows.h"
#include "help.h"
#include "sampling.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 250 }; /* columns of text: a file is as wide as it likes */

/* The command line. */
struct run_request {
	bool arenas, csv, json, no_header;
	const char *output;
	struct sampling sampling;
	uint64_t stacks_bytes;
	char settings[128]; /* of what was given: what was not stays as it is set already
			     */
	char **words;
};

/* clang-format off */
#define FIELD(name) offsetof(struct run_request, name)

static const struct option_spec options[] = {
	ROWS_SAMPLING,
	{.name = "stacks", .kind = OPTION_BYTES, .value = "SIZE", .fallback = "512K",
	 .offset = FIELD(stacks_bytes),
	 .help = "Sample allocations with their stacks as well, one every SIZE allocated on average (512K): for 'owners --by stack'."},
	ROW_NO_CHILDREN("the command's children, whatever they execute"),
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Write every sample of the command as a row to FILE; overwrites FILE."},
	ROW_CSV("Write CSV; needs --output."),
	ROW_JSON("Write JSON, one object a line; needs --output."),
	{.name = "arenas", .kind = OPTION_FLAG, .offset = FIELD(arenas),
	 .help = "Write a row for each arena after that of the process; needs --output."},
	{.name = "no-header", .kind = OPTION_FLAG, .offset = FIELD(no_header),
	 .help = "Write rows only: no header, no headings, no '#' lines; needs --output."},
	{.name = "max-cost", .kind = OPTION_GONE,
	 .help = "what samples may cost the command is --sampler-cost PERCENT"},
	ROW_HELP,
};

const struct command command_run;
static int run(const struct command *command, int argc, char **argv);

const struct command command_run = {
	.name = "run",
	.synopsis = "[OPTION...] [--] COMMAND [ARGUMENT...]",
	.summary = "a command with the sampler in it, for stat to read",
	.description =
		"Starts COMMAND with a library preloaded that takes a sample of its allocator "
		"every second. 'fragscope stat -p PID --source preload' reads these samples, "
		"also where the heap itself may not be read or is not glibc's. COMMAND has "
		"its own input, output and signals, and its exit status is that of run.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.takes_command = true,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

static int check(const struct command *command, const struct run_request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	static const char *const of_rows[] = {"csv", "json", "arenas", "no-header"};

	if (request->csv && request->json)
		return usage_fault(fault, command, "--csv and --json exclude each other");
	for (size_t i = 0; i < sizeof(of_rows) / sizeof(of_rows[0]); i++)
		if (!request->output && options_given(command, parsed, of_rows[i]))
			return usage_fault(fault, command, "--%s needs --output",
					   of_rows[i]);
	if (options_given(command, parsed, "stacks") && !request->stacks_bytes)
		return usage_fault(fault, command, "option '--stacks': 0 is no size");
	if (!parsed->words)
		return usage_fault(fault, command, "no command given");
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct run_request *request, struct parsed *parsed,
			struct fault *fault)
{
	struct text settings;
	int error;

	*request = (struct run_request){.sampling = SAMPLING_DEFAULTS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	request->words = parsed->words;
	text_init(&settings, request->settings, sizeof(request->settings));
	if (options_given(command, parsed, "stacks"))
		sampler_setting(&settings, "stacks", (int64_t)request->stacks_bytes, "");
	error = sampling_settings(command, parsed, &request->sampling, &settings, fault);
	return error ? error : check(command, request, parsed, fault);
}

/* ---- the environment that the command gets ---- */

/* Sets NAME to FIRST, SEPARATOR and what it was. */
static int put_before(const char *name, const char *first, char separator)
{
	const char *before = getenv(name);
	char *value;
	int error;

	if (!before || !*before)
		return setenv(name, first, 1) ? -errno : 0;
	if (asprintf(&value, "%s%c%s", first, separator, before) < 0)
		return -ENOMEM;
	error = setenv(name, value, 1) ? -errno : 0;
	free(value);
	return error;
}

/* What a program above this one has set for its children is not meant for the command. */
static int set_variable(const struct run_request *request)
{
	const char *before = getenv("FRAGSCOPE");
	int error = 0;

	if (before && strstr(before, "pid="))
		error = put_before("FRAGSCOPE", "pid=0", ',');
	if (!error && *request->settings)
		error = put_before("FRAGSCOPE", request->settings, ',');
	return error;
}

/* The sampler's library, and behind it the one that stands before malloc. */
static int find_libraries(const struct run_request *request, char paths[2 * PATH_MAX],
			  struct fault *fault)
{
	char path[PATH_MAX], stacks[PATH_MAX] = "";
	int error = sampler_find(path, fault);

	if (!error && request->stacks_bytes)
		error = sampler_find_stacks(path, stacks, fault);
	if (error)
		return error;
	if (strpbrk(path, ": "))
		return fault_set(fault, EXIT_NO_SOURCE, -EINVAL,
				 "the loader cannot preload '%s': it takes spaces and "
				 "colons for separators",
				 path);
	snprintf(paths, 2 * PATH_MAX, "%s%s%s", path, *stacks ? ":" : "", stacks);
	return 0;
}

static int set_environment(const struct run_request *request, struct fault *fault)
{
	char paths[2 * PATH_MAX];
	int error = find_libraries(request, paths, fault);

	if (error)
		return error;
	error = put_before("LD_PRELOAD", paths, ':');
	if (!error)
		error = set_variable(request);
	if (error)
		return fault_set(fault, EXIT_FAILED, error, "out of memory");
	return 0;
}

static int open_rows(const struct run_request *request, struct sampler_rows *rows,
		     struct fault *fault)
{
	const struct view_options wanted = {
		.format = request->json	 ? VIEW_JSON
			  : request->csv ? VIEW_CSV
					 : VIEW_TEXT,
		.header = !request->no_header,
		.arenas = request->arenas,
		.columns = WIDE,
	};

	return request->output ? sampler_rows_open(rows, &wanted, fault) : 0;
}

/* 0 and the command's *STATUS as shells give it, or -errno and FAULT. */
static int run_command(const struct run_request *request, int *status,
		       struct fault *fault)
{
	const struct frontend frontend = {.message = verb_message};
	struct sampler_rows rows = {
		.frontend = &frontend,
		.rows = {.file = request->output, .what = "rows"},
		.arenas = request->arenas,
		.interval_ns = request->sampling.interval_ns,
	};
	struct launch launch;
	int error = loadable_check(request->words[0], request->stacks_bytes > 0, fault);

	if (!error)
		error = set_environment(request, fault);
	if (!error)
		error = open_rows(request, &rows, fault);
	if (!error)
		error = launch_start(&launch, request->words, fault);
	if (error)
		return error;
	launch_let_go(request->output ? rows.rows.fd : -1);
	sampler_rows_begin(&rows, launch.pid);
	while (!launch_wait(&launch, sampler_rows_due_ns(&rows), status))
		sampler_rows_tend(&rows);
	sampler_rows_close(&rows);
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct run_request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = run_command(&request, &status, &fault);
	return error ? verb_failed(command, &fault) : status;
}
