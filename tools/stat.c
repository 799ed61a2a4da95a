/* stat.c: `fragscope stat`: rows of figures at an interval, as vmstat prints them. */
#include "engine/stat.h"
#include "base/privilege.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)

enum { THREADS_MAX = 64 };

/* The command line. */
struct stat_request {
	struct pid_list pids;
	struct name_list names;
	bool follow, arenas, bins, csv, json, no_header, once, quick, events, swap_in;
	bool intervals, append;
	bool or_preload; /* neither a source was given nor what only the heap has */
	const char *output, *replay;
	int64_t pause_ns, budget_ns;
	uint64_t threads;
	uint64_t unusable_for_bytes;
	unsigned source, residency;
	int64_t interval_ns;
	uint64_t count; /* 0: until all targets end */
};

/* clang-format off */
static const char *const threads_choices[] = {"auto", NULL};
static const char *const residency_choices[] = {"auto", "scan", "pagemap", NULL};

#define FIELD(name) offsetof(struct stat_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Read"),
	ROW_NAMES("Read"),
	{.name = "follow", .kind = OPTION_FLAG, .offset = FIELD(follow),
	 .help = "With --name: wait for a process of that name, and when one ends, for another in its place."},
	{.name = "arenas", .kind = OPTION_FLAG, .offset = FIELD(arenas),
	 .help = "Print a row for each arena after that of the process."},
	{.name = "bins", .kind = OPTION_FLAG, .offset = FIELD(bins),
	 .help = "Add each arena's bins, as malloc_info reports them, or an allocator's size classes; needs --json, implies --arenas."},
	ROW_CSV("Print CSV: a header, then every figure, unscaled."),
	ROW_JSON("Print JSON: one object a line, unscaled."),
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Write the rows to FILE instead of standard output; overwrites FILE. After SIGHUP it is opened again by its name."},
	{.name = "append", .kind = OPTION_FLAG, .offset = FIELD(append),
	 .help = "With --output: append to FILE if it exists."},
	{.name = "no-header", .kind = OPTION_FLAG, .offset = FIELD(no_header),
	 .help = "Print rows only: no header, no headings, no '#' lines."},
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(replay),
	 .help = "Print the rows of a recording instead: a file of 'fragscope record', or CSV or JSON that stat, run or alert wrote ('-': CSV or JSON on standard input); -p and -n choose among its processes."},
	{.name = "once", .kind = OPTION_FLAG, .offset = FIELD(once),
	 .help = "Take one reading of each process and end."},
	{.name = "quick", .kind = OPTION_FLAG, .offset = FIELD(quick),
	 .help = "Do not walk the heap: read bin heads and tops only. Figures that need the walk are absent."},
	ROW_BUDGET(budget_ns, "A heap for which that is not enough"),
	{.name = "intervals", .kind = OPTION_FLAG, .offset = FIELD(intervals),
	 .help = "Add to CSV a _low and a _high column for each figure that --budget can estimate; JSON has them anyway."},
	{.name = "events", .kind = OPTION_FLAG, .offset = FIELD(events),
	 .help = "Count by eBPF probes how often the heap grew and allocations failed since the row before; see fragscope-trace(1)."},
	ROW_SWAP_IN(swap_in, ", at each reading that finds them swapped out."),
	{.name = "pause", .kind = OPTION_TIME, .value = "TIME", .fallback = "100ms",
	 .offset = FIELD(pause_ns),
	 .help = "Stop the process while its heap is read, for TIME at most (100ms unless given), so that it cannot change meanwhile."},
	{.name = "threads", .kind = OPTION_COUNT, .value = "N|auto", .limit = THREADS_MAX,
	 .choices = threads_choices, .offset = FIELD(threads),
	 .help = "Read with N threads (1 unless given); auto: with up to 4 if the process is large and processors are idle."},
	ROW_SOURCE(source, SOURCE_BY_DEFAULT),
	{.name = "residency", .kind = OPTION_CHOICE, .choices = residency_choices,
	 .offset = FIELD(residency),
	 .help = "How resident pages are found: PAGEMAP_SCAN (scan), /proc/PID/pagemap, or the best that the kernel has (auto, the default)."},
	ROW_UNUSABLE,
	ROW_HELP,
};

const struct command command_stat;
static int run(const struct command *command, int argc, char **argv);

const struct command command_stat = {
	.name = "stat",
	.synopsis = "-p PID[,PID...] [OPTION...] [INTERVAL [COUNT]]",
	.summary = "rows of figures at an interval, as vmstat prints them",
	.description =
		"Reads the heaps of running processes from outside and prints a row of figures "
		"every INTERVAL (1 second unless given; 0.5, 500ms and 5m are understood, 0 "
		"is back to back), COUNT times or until the processes end. 'fragscope help "
		"figures' says what the figures mean.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 2,
	.run = run,
};
/* clang-format on */

/* Options that cannot stand together, and why. */
static int check_pairs(const struct command *command, const struct parsed *parsed,
		       struct fault *fault)
{
	static const char *const of_csv[] = {"json", "bins", NULL};
	static const char *const of_quick[] = {"bins", "budget", NULL};
	int error = options_exclude(command, parsed, "csv", of_csv, fault);

	return error ? error : options_exclude(command, parsed, "quick", of_quick, fault);
}

/* The first option that was given and that SOURCE cannot serve; or null. */
static const char *not_served(const struct command *command, const struct parsed *parsed,
			      enum sample_source source)
{
	static const struct {
		const char *name;
		bool preload; /* the sampler serves it */
	} heap_options[] = {
		{"arenas", true},     {"bins", true},	   {"quick", false},
		{"events", true},     {"pause", false},	   {"threads", false},
		{"residency", false}, {"unusable", false}, {"swap-in", false},
		{"budget", false},
	};

	for (size_t i = 0; i < sizeof(heap_options) / sizeof(heap_options[0]); i++)
		if (options_given(command, parsed, heap_options[i].name) &&
		    !(source == SOURCE_PRELOAD && heap_options[i].preload))
			return heap_options[i].name;
	return NULL;
}

static int check_source(const struct command *command, const struct stat_request *request,
			const struct parsed *parsed, struct fault *fault)
{
	const char *option = not_served(command, parsed, request->source);

	if (request->source == SOURCE_HEAP || !option)
		return 0;
	return usage_fault(fault, command,
			   "--%s needs the heap, which --source %s does not read", option,
			   source_choices[request->source]);
}

/* A recording has been made: what says how to read a process means nothing to it. */
static int check_replay(const struct command *command, const struct stat_request *request,
			const struct parsed *parsed, struct fault *fault)
{
	static const char *const live[] = {"follow",	"once",	    "quick",   "events",
					   "swap-in",	"pause",    "threads", "source",
					   "residency", "unusable", "budget",  NULL};
	int error = options_exclude(command, parsed, "replay", live, fault);

	if (!error && request->replay && parsed->operand_count)
		error = usage_fault(fault, command, "--replay takes no INTERVAL");
	return error;
}

static int check(const struct command *command, const struct stat_request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	int error = check_pairs(command, parsed, fault);

	if (!error)
		error = check_replay(command, request, parsed, fault);
	if (!error)
		error = check_source(command, request, parsed, fault);
	if (error)
		return error;
	if (request->bins && !request->json)
		return usage_fault(fault, command, "--bins needs --json");
	if (request->intervals && !request->csv)
		return usage_fault(fault, command, "--intervals needs --csv");
	if (options_given(command, parsed, "budget") && !request->budget_ns)
		return usage_fault(fault, command, "option '--budget': 0 reads nothing");
	if (request->follow && !request->names.count)
		return usage_fault(fault, command, "--follow needs --name");
	if (request->append && !request->output)
		return usage_fault(fault, command, "--append needs --output");
	if (request->once && parsed->operand_count)
		return usage_fault(fault, command,
				   "--once takes no INTERVAL and no COUNT");
	if (options_given(command, parsed, "pause") && !request->pause_ns)
		return usage_fault(fault, command, "option '--pause': 0 stops nothing");
	return 0;
}

static int take_operands(const struct command *command, struct stat_request *request,
			 const struct parsed *parsed, struct fault *fault)
{
	int error;

	if (!request->pids.count && !request->names.count && !request->replay)
		return no_process_fault(fault, command, parsed);
	error = options_interval(command, parsed, &request->interval_ns, &request->count,
				 fault);
	if (error)
		return error;
	if (request->once)
		request->count = 1;
	request->arenas |= request->bins;
	request->or_preload = !options_given(command, parsed, "source") &&
			      !not_served(command, parsed, SOURCE_PRELOAD);
	return 0;
}

/* The command line, read and checked. */
static int read_request(const struct command *command, int argc, char **argv,
			struct stat_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct stat_request){
		.interval_ns = DEFAULT_INTERVAL_NS,
		.threads = 1,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = take_operands(command, request, parsed, fault);
	return error ? error : check(command, request, parsed, fault);
}

static atomic_bool reopen_asked;

static void ask_reopen(int signal)
{
	(void)signal;
	atomic_store(&reopen_asked, true);
}

static int print_rows(const struct stat_request *request, int *status,
		      struct fault *fault)
{
	struct frontend own = *verb_frontend();
	const struct frontend *frontend = &own;
	const struct stat_options wanted = {
		.stream =
			{
				.frontend = frontend,
				.recording = request->replay,
				.pids = request->pids,
				.names = request->names,
				.follow = request->follow,
				.interval_ns = request->interval_ns,
				.count = request->count,
				.source =
					{
						.source = request->source,
						.residency = request->residency,
						.arenas = request->arenas,
						.bins = request->bins,
						.quick = request->quick,
						.events = request->events,
						.or_preload = request->or_preload,
						.go_on = true,
						.over_exec = true,
						.swap_in = request->swap_in,
						.threads = (unsigned)request->threads,
						.pause_ns = request->pause_ns,
						.budget_ns = request->budget_ns,
						.unusable_for_bytes =
							request->unusable_for_bytes,
						.hurry = frontend->stop,
					},
			},
		.view =
			{
				.format = request->json	 ? VIEW_JSON
					  : request->csv ? VIEW_CSV
							 : VIEW_TEXT,
				.header = !request->no_header,
				.arenas = request->arenas,
				.intervals = request->intervals,
			},
		.output = request->output,
		.append = request->append,
		.reopen = request->output ? &reopen_asked : NULL,
	};

	if (request->output)
		verb_catch(&own, SIGHUP, ask_reopen);
	return stat_run(&wanted, status, fault);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct stat_request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && request.replay)
		privilege_drop();
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = print_rows(&request, &status, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	if (!error)
		return status;
	return verb_failed(command, &fault);
}
