/* record.c: `fragscope record`: one file of what was seen of processes over days. */
#include "engine/record.h"
#include "base/alloc_touched.h"
#include "engine/alert.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)

/* The command line. */
struct record_request {
	struct pid_list pids;
	struct name_list names, rules, files;
	bool follow, append, events, quick, swap_in;
	const char *output;
	unsigned source;
	int64_t keep_ns, maps_ns, owners_ns, budget_ns;
	uint64_t max_bytes;
	int64_t interval_ns;
	uint64_t count; /* 0: until all targets end */
};

/* clang-format off */
#define FIELD(name) offsetof(struct record_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Record"),
	ROW_NAMES("Record"),
	{.name = "follow", .kind = OPTION_FLAG, .offset = FIELD(follow),
	 .help = "With -n: wait for processes of that name, and record those that take the place of one that ended."},
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Record to FILE, an SQLite database, which must not exist yet. After SIGHUP it is closed and opened again by its name."},
	{.name = "append", .kind = OPTION_FLAG, .offset = FIELD(append),
	 .help = "Append to FILE if it exists."},
	{.name = "keep", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(keep_ns),
	 .help = "Drop readings older than TIME (2d is two days); what minutes and hours say of them stays."},
	{.name = "max-size", .kind = OPTION_BYTES, .value = "SIZE", .offset = FIELD(max_bytes),
	 .help = "Drop the oldest readings, then the oldest minutes, so that FILE does not grow beyond SIZE (1M at least)."},
	{.name = "maps", .kind = OPTION_TIME, .value = "INTERVAL", .offset = FIELD(maps_ns),
	 .help = "Record the map of each arena and the free chunks by their size, too, every INTERVAL (such as 5m)."},
	{.name = "owners", .kind = OPTION_TIME, .value = "INTERVAL", .offset = FIELD(owners_ns),
	 .help = "Record who holds the chunks that pin free memory, too, every INTERVAL (such as 1h); see fragscope-owners(1)."},
	{.name = "events", .kind = OPTION_FLAG, .offset = FIELD(events),
	 .help = "Attach eBPF probes to the processes: record each growth, failed allocation, moved threshold and kill with its stack, and count growths and failures between two readings."},
	{.name = "rule", .letter = 'r', .kind = OPTION_TEXTS, .value = "RULE", .offset = FIELD(rules),
	 .help = "Record the alerts of this rule; may be repeated. See fragscope-rules(5)."},
	{.name = "file", .letter = 'f', .kind = OPTION_FILES, .value = "FILE", .offset = FIELD(files),
	 .help = "Record the alerts of the rules in FILE; may be repeated."},
	{.name = "quick", .kind = OPTION_FLAG, .offset = FIELD(quick),
	 .help = "Do not walk the heap: read bin heads and tops only. Figures that need the walk are absent."},
	ROW_BUDGET(budget_ns, "A heap for which that is not enough"),
	ROW_SWAP_IN(swap_in, ", at each reading that finds them swapped out."),
	ROW_SOURCE(source, SOURCE_BY_DEFAULT),
	ROW_HELP,
};

const struct command command_record;
static int run(const struct command *command, int argc, char **argv);

const struct command command_record = {
	.name = "record",
	.synopsis = "-p PID[,PID...] | -n NAME -o FILE [OPTION...] [INTERVAL [COUNT]]",
	.summary = "one file of all figures over days",
	.description =
		"Reads the heaps of running processes every INTERVAL (1 second unless given), "
		"COUNT times or until they end, and keeps all figures of the processes and "
		"their arenas in one file, with where and how each process runs. A file that "
		"is cut off by kill -9 or a loss of power stays readable. stat, top, report and "
		"alert take it with --replay, and diff compares two.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 2,
	.run = run,
};
/* clang-format on */

static int check(const struct command *command, const struct record_request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	if (!request->output)
		return usage_fault(fault, command, "no file given: use -o FILE");
	if (!request->pids.count && !request->names.count)
		return no_process_fault(fault, command, parsed);
	if (request->follow && !request->names.count)
		return usage_fault(fault, command, "--follow needs -n NAME");
	if (request->max_bytes && request->max_bytes < 1 << 20)
		return usage_fault(fault, command, "--max-size: 1M at least");
	if ((request->maps_ns || request->owners_ns) &&
	    (request->source != SOURCE_HEAP || request->quick))
		return usage_fault(
			fault, command,
			"--maps and --owners need a walk of the heap: leave out "
			"%s",
			request->quick ? "--quick" : "--source");
	if (request->quick && request->budget_ns)
		return usage_fault(fault, command,
				   "--quick and --budget exclude each other");
	if (request->source != SOURCE_HEAP &&
	    (request->quick || request->swap_in || request->budget_ns))
		return usage_fault(
			fault, command,
			"--quick, --swap-in and --budget need the heap, which --source "
			"%s does not read",
			source_choices[request->source]);
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct record_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct record_request){.interval_ns = DEFAULT_INTERVAL_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = options_interval(command, parsed, &request->interval_ns, &request->count,
				 fault);
	return error ? error : check(command, request, parsed, fault);
}

static atomic_bool reopen_asked;

static void ask_reopen(int signal)
{
	(void)signal;
	atomic_store(&reopen_asked, true);
}

/* The rules that were given, in memory that the caller frees; null: there are none. */
static int take_rules(const struct record_request *request, struct rules **rules,
		      struct fault *fault)
{
	const struct alert_request wanted = {
		.rules = request->rules,
		.files = request->files,
	};

	*rules = NULL;
	if (!request->rules.count && !request->files.count)
		return 0;
	*rules = alloc_touched(sizeof(**rules));
	if (!*rules)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	return alert_rules(&wanted, request->interval_ns, *rules, fault);
}

static int record(const struct record_request *request, const struct parsed *parsed,
		  int *status, struct fault *fault)
{
	struct frontend frontend = *verb_frontend();
	struct record_options wanted = {
		.stream =
			{
				.frontend = &frontend,
				.pids = request->pids,
				.names = request->names,
				.follow = request->follow,
				.interval_ns = request->interval_ns,
				.count = request->count,
			},
		.file = request->output,
		.append = request->append,
		.keep_ns = request->keep_ns,
		.max_bytes = request->max_bytes,
		.looks = {request->maps_ns, request->owners_ns},
		.events = request->events,
		.reopen = &reopen_asked,
	};
	struct rules *rules;
	int error = take_rules(request, &rules, fault);

	wanted.rules = rules;
	verb_catch(&frontend, SIGHUP, ask_reopen);
	wanted.stream.source = (struct source_options){
		.source = request->source,
		.arenas = request->source != SOURCE_PROC,
		.quick = request->quick,
		.events = request->events,
		.or_preload = !options_given(&command_record, parsed, "source"),
		.go_on = true,
		.over_exec = true,
		.swap_in = request->swap_in,
		.budget_ns = request->budget_ns,
		.threads = 1,
		.hurry = frontend.stop,
	};
	if (!error)
		error = record_run(&wanted, status, fault);
	free(rules);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct record_request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = record(&request, &parsed, &status, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	name_list_free(&request.rules);
	name_list_free(&request.files);
	return error ? verb_failed(command, &fault) : status;
}
