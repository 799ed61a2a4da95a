/* alert.c: `fragscope alert`: the command line and the rules. */
#include "engine/alert.h"

#include "base/privilege.h"
#include "base/units.h"
#include "help.h"
#include "source/source.h"
#include "verb.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)

enum { DEFAULT_PERCENT = 2 }; /* of a processor, for readings */

/* clang-format off */
#define FIELD(name) offsetof(struct alert_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Watch"),
	ROW_NAMES("Watch"),
	{.name = "follow", .kind = OPTION_FLAG, .offset = FIELD(follow),
	 .help = "Wait for processes of NAME that do not exist yet, and when one ends, for another in its place."},
	{.name = "rule", .letter = 'r', .kind = OPTION_TEXTS, .value = "RULE",
	 .offset = FIELD(rules),
	 .help = "Alert by RULE, '[NAME:] CONDITION [for TIME] [until CONDITION] [severity S]'; may be repeated. See fragscope-rules(5)."},
	{.name = "file", .letter = 'f', .kind = OPTION_FILES, .value = "FILE",
	 .offset = FIELD(files),
	 .help = "Also alert by the rules in FILE, a section each; may be repeated. SIGHUP reads them again."},
	{.name = "check", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(check),
	 .help = "Only check the rules in FILE: print them as understood, or the line and column of the first error."},
	ROW_JSON("Print JSON: one object an alert's begin or end, a line each."),
	{.name = "once", .kind = OPTION_FLAG, .offset = FIELD(once),
	 .help = "End with exit status 2 when the first alert begins."},
	{.name = "exec", .kind = OPTION_FILE, .value = "COMMAND", .offset = FIELD(command),
	 .help = "Run COMMAND by the shell for each begin and end: facts in its environment, JSON as its input."},
	{.name = "syslog", .kind = OPTION_FLAG, .offset = FIELD(to_syslog),
	 .help = "Also send each line to the system log."},
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(replay),
	 .help = "Watch a recording instead of processes: a file of 'fragscope record', or CSV or JSON that stat, run or alert wrote; -p and -n choose among those in it."},
	{.name = "record", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(record),
	 .help = "Write every sample to FILE as 'fragscope stat --json' does; overwrites FILE."},
	ROW_SOURCE(source, SOURCE_BY_DEFAULT),
	{.name = "quick", .kind = OPTION_FLAG, .offset = FIELD(quick),
	 .help = "Do not walk the heap: read bin heads and tops only. Rules about figures that need the walk stay silent; a message says so."},
	ROW_BUDGET(budget_ns, "A larger one (unless given: one that takes 2% of a processor)"),
	ROW_SWAP_IN(swap_in, ", at each reading that finds them swapped out."),
	{.name = "events", .kind = OPTION_FLAG, .offset = FIELD(events),
	 .help = "Count growths and failed allocations by eBPF probes, also if no rule needs them yet."},
	ROW_HELP,
};

const struct command command_alert;
static int run(const struct command *command, int argc, char **argv);

const struct command command_alert = {
	.name = "alert",
	.synopsis = "-p PID[,PID...] [-r RULE]... [OPTION...] [INTERVAL [COUNT]]",
	.summary = "reports when a heap goes bad, by rules",
	.description =
		"Reads the heaps of running processes every INTERVAL (1 second unless given), COUNT times or until the processes end, and prints a line when an alert begins and when it ends. Without rules it watches for two signs: the largest free chunk is broken up, and free chunks multiply. fragscope-rules(5) has the language of rules.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 2,
	.run = run,
};
/* clang-format on */

/* ---- rules ---- */

static int check_file(const char *file, struct fault *fault)
{
	static struct rules rules;
	int error = alert_rules_add_file(&rules, file, fault);

	if (error)
		return error;
	printf("%s: %s\n", file, units_counted_text(rules.count, "rule").s);
	for (unsigned i = 0; i < rules.count; i++)
		printf("  %s: %s\n", rules.rule[i].name, rules.rule[i].text);
	return 0;
}

/* ---- the command line ---- */

/* A recording has been made: what says how to read a process means nothing to it. */
static int check_replay(const struct command *command, const char *file,
			const struct parsed *parsed, struct fault *fault)
{
	static const char *const live[] = {"follow", "record",	"source", "quick",
					   "events", "swap-in", "budget", NULL};
	int error = options_exclude(command, parsed, "replay", live, fault);

	if (error)
		return error;
	if (parsed->operand_count)
		return usage_fault(fault, command, "--replay takes no INTERVAL");
	if (!strcmp(file, "-"))
		return usage_fault(fault, command,
				   "--replay reads its file twice: it cannot be '-'");
	return 0;
}

static int check(const struct command *command, const struct alert_request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	if (request->replay)
		return check_replay(command, request->replay, parsed, fault);
	if (request->source != SOURCE_HEAP && request->quick)
		return usage_fault(fault, command,
				   "--quick needs the heap, which --source %s does not "
				   "read",
				   source_choices[request->source]);
	if (request->source != SOURCE_HEAP && request->swap_in)
		return usage_fault(fault, command,
				   "--swap-in needs the heap, which --source %s does not "
				   "read",
				   source_choices[request->source]);
	if (options_given(command, parsed, "budget") &&
	    (request->source != SOURCE_HEAP || request->quick))
		return usage_fault(fault, command,
				   "--budget needs a walk over the heap, which %s does "
				   "without",
				   request->quick ? "--quick" : "that --source");
	if (request->follow && !request->names.count)
		return usage_fault(fault, command, "--follow needs --name");
	if (!request->pids.count && !request->names.count && !request->check)
		return no_process_fault(fault, command, parsed);
	return 0;
}

static int take_operands(const struct command *command, struct alert_request *request,
			 const struct parsed *parsed, struct fault *fault)
{
	int error = options_interval(command, parsed, &request->interval_ns,
				     &request->count, fault);

	if (error)
		return error;
	request->or_preload = !options_given(command, parsed, "source") &&
			      !request->quick && !request->swap_in && !request->budget_ns;
	if (!options_given(command, parsed, "budget") && !request->quick)
		request->budget_ns = request->interval_ns / 100 * DEFAULT_PERCENT;
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct alert_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct alert_request){.interval_ns = DEFAULT_INTERVAL_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = take_operands(command, request, parsed, fault);
	return error ? error : check(command, request, parsed, fault);
}

static atomic_bool reload_asked;

static void ask_reload(int signal)
{
	(void)signal;
	atomic_store(&reload_asked, true);
}

static void wake(int signal)
{
	(void)signal;
}

static void catch_signals(struct alert_request *request, struct frontend *frontend)
{
	*frontend = *verb_frontend();
	request->frontend = frontend;
	if (request->replay)
		return;
	request->reload = &reload_asked;
	verb_catch(frontend, SIGHUP, ask_reload);
	verb_catch(frontend, SIGCHLD, wake);
}

static int watch_all(struct alert_request *request, int *status, struct fault *fault)
{
	struct frontend frontend;
	int error;

	catch_signals(request, &frontend);
	error = alert_run(request, status, fault);
	request->frontend = NULL;
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct alert_request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && (request.check || request.replay))
		privilege_drop();
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error && request.check)
		error = check_file(request.check, &fault);
	else if (!error)
		error = watch_all(&request, &status, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	name_list_free(&request.rules);
	name_list_free(&request.files);
	return error ? verb_failed(command, &fault) : status;
}
