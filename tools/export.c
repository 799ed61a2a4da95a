/* export.c: `fragscope export`: metrics of this host's processes for Prometheus. */
#include "export/export.h"

#include "base/alloc_touched.h"
#include "engine/alert.h"
#include "help.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_INTERVAL_NS INT64_C(15000000000)
#define LEAST_INTERVAL_NS   INT64_C(1000000000)

enum {
	DEFAULT_PERCENT = 1,
	DEFAULT_TOP = 50,
	TOP_MOST = 1000,
	DEFAULT_MIN_RSS = 32 << 20,
};

/* The command line. */
struct export_request {
	struct selection_by by;
	struct name_list rules, files;
	const char *listen, *textfile;
	bool by_pid, swap_in, events;
	uint64_t top, max_cost_percent;
	int64_t interval_ns;
	uint64_t count; /* not taken */
};

/* clang-format off */
#define FIELD(name) offsetof(struct export_request, name)

static const struct option_spec options[] = {
	{.name = "pid", .letter = 'p', .kind = OPTION_PIDS, .value = "PID[,PID...]",
	 .offset = FIELD(by.pids), .help = "Export these processes; may be repeated."},
	{.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME[,NAME...]",
	 .offset = FIELD(by.names),
	 .help = "Export every process whose name or program file is NAME, also those that come later; may be repeated."},
	{.name = "unit", .kind = OPTION_NAMES, .value = "UNIT[,UNIT...]", .offset = FIELD(by.units),
	 .help = "Export the processes of this systemd unit, with or without .service; may be repeated."},
	{.name = "container", .kind = OPTION_NAMES, .value = "ID[,ID...]", .offset = FIELD(by.containers),
	 .help = "Export the processes of the containers whose ids begin with ID; may be repeated."},
	{.name = "pod", .kind = OPTION_NAMES, .value = "UID[,UID...]", .offset = FIELD(by.pods),
	 .help = "Export the processes of the pod with this UID; may be repeated."},
	{.name = "min-rss", .kind = OPTION_BYTES, .value = "SIZE", .offset = FIELD(by.min_rss_bytes),
	 .help = "Only processes with SIZE resident at least: 32M if all are exported, 0 if any of the options above chooses, unless given."},
	{.name = "rule", .letter = 'r', .kind = OPTION_TEXTS, .value = "RULE", .offset = FIELD(rules),
	 .help = "Judge the readings of each process by RULE, as alert does: a gauge says of how many processes of a group the alert is on; may be repeated. See fragscope-rules(5)."},
	{.name = "file", .letter = 'f', .kind = OPTION_FILES, .value = "FILE", .offset = FIELD(files),
	 .help = "Also judge them by the rules in FILE; may be repeated."},
	{.name = "listen", .kind = OPTION_FILE, .value = "ADDRESS", .offset = FIELD(listen),
	 .help = "Answer scrapes at ADDRESS: HOST:PORT with a numeric HOST, or unix:PATH. Unless given: the socket that systemd passes, or 127.0.0.1:9877."},
	{.name = "textfile", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(textfile),
	 .help = "Write the metrics to FILE every INTERVAL, for node_exporter's textfile collector. Nothing is listened at then unless --listen or systemd says so."},
	{.name = "top", .kind = OPTION_COUNT, .value = "N", .limit = TOP_MOST, .offset = FIELD(top),
	 .help = "Series of the N largest groups (50 unless given), the others summed up as one."},
	{.name = "label-pid", .kind = OPTION_FLAG, .offset = FIELD(by_pid),
	 .help = "A series a process, with its name and PID as labels, not a series a group: each restart makes new ones."},
	{.name = "max-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100,
	 .offset = FIELD(max_cost_percent),
	 .help = "Take PERCENT of one processor at most for everything (1 unless given): heaps are read less often, then."},
	{.name = "events", .kind = OPTION_FLAG, .offset = FIELD(events),
	 .help = "Count growths, failed allocations and kills of the chosen processes by eBPF probes; 32 processes at a time."},
	ROW_SWAP_IN(swap_in, ", at each reading that finds them swapped out."),
	ROW_HELP,
};

const struct command command_export;
static int run(const struct command *command, int argc, char **argv);

const struct command command_export = {
	.name = "export",
	.synopsis = "[-p PID | -n NAME | --unit UNIT | --container ID | --pod UID]... [OPTION...] [INTERVAL]",
	.summary = "metrics of a host's processes for Prometheus",
	.description =
		"Answers scrapes with where the memory of the chosen processes is, or of all large "
		"ones: a series a group, which is a systemd unit, a container, a pod or else a name. "
		"What /proc says is of the scrape; heaps are read in the background, each every "
		"INTERVAL (15 seconds unless given) or as often as --max-cost allows.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.run = run,
};
/* clang-format on */

static bool is_chosen(const struct selection_by *by)
{
	return by->pids.count || by->names.count || by->units.count ||
	       by->containers.count || by->pods.count;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct export_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct export_request){
		.interval_ns = DEFAULT_INTERVAL_NS,
		.top = DEFAULT_TOP,
		.max_cost_percent = DEFAULT_PERCENT,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = options_interval(command, parsed, &request->interval_ns, &request->count,
				 fault);
	if (error)
		return error;
	if (request->interval_ns < LEAST_INTERVAL_NS)
		return usage_fault(fault, command, "INTERVAL: 1 second at least");
	if (request->events && (!is_chosen(&request->by) || request->by_pid))
		return usage_fault(fault, command,
				   "--events needs processes that are chosen (-p, -n, "
				   "--unit, --container, --pod), and no --label-pid");
	if (!options_given(command, parsed, "min-rss") && !is_chosen(&request->by))
		request->by.min_rss_bytes = DEFAULT_MIN_RSS;
	return 0;
}

/* Of events there is no figure in these readings. */
static int check_rules(const struct rules *rules, struct fault *fault)
{
	static const enum figure of_events[] = {FIG_GROWTH_EVENTS, FIG_GROWTH_BYTES,
						FIG_FAILED_ALLOCATIONS};

	for (size_t i = 0; i < sizeof(of_events) / sizeof(of_events[0]); i++)
		if (rules_need(rules, of_events[i]))
			return fault_set(fault, EXIT_USAGE, -EINVAL,
					 "export has no %s for rules: use 'fragscope "
					 "alert'",
					 figure_info[of_events[i]].name);
	return 0;
}

/* The rules that were given, in memory that the caller frees; null: there are none. */
static int take_rules(const struct export_request *request, struct rules **rules,
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
	return alert_rules(&wanted, request->interval_ns, *rules, fault)
		       ? -EINVAL
		       : check_rules(*rules, fault);
}

static int export(const struct export_request *request, struct fault *fault)
{
	struct export_options wanted = {
		.frontend = verb_frontend(),
		.by = request->by,
		.listen = request->listen,
		.textfile = request->textfile,
		.top = request->top,
		.by_pid = request->by_pid,
		.swap_in = request->swap_in,
		.events = request->events,
		.share = (double)request->max_cost_percent / 100,
		.interval_ns = request->interval_ns,
	};

	struct rules *rules;
	int error = take_rules(request, &rules, fault);

	wanted.rules = rules;
	if (!error)
		error = export_run(&wanted, fault);
	free(rules);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct export_request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = export(&request, &fault);
	free(request.by.pids.pid);
	name_list_free(&request.by.names);
	name_list_free(&request.by.units);
	name_list_free(&request.by.containers);
	name_list_free(&request.by.pods);
	name_list_free(&request.rules);
	name_list_free(&request.files);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
