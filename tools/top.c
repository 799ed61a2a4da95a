/* top.c: `fragscope top`: the command line, the loop of the screen, and the signals. */
#include "top/loop.h"
#include "top/session.h"

#include "base/privilege.h"
#include "base/units.h"
#include "engine/targets.h"
#include "help.h"
#include "options.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)

enum {
	DEFAULT_PERCENT = 1,
	SPEED_MAX = 1000000,
	/* The largest screen that is drawn whole; what lies beyond stays blank. */
	CELLS_MAX = 512 * 256,
};

/* clang-format off */
#define FIELD(name) offsetof(struct top_options, name)

static const struct option_spec options[] = {
	ROW_PIDS("Watch"),
	ROW_NAMES("Watch"),
	{.name = "follow", .kind = OPTION_FLAG, .offset = FIELD(follow),
	 .help = "With --name: wait for a process of that name, and watch those that start later as well."},
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(replay),
	 .help = "Show a recording: a file of 'fragscope record', or CSV or JSON that stat, run or alert wrote; -p and -n choose among its processes."},
	{.name = "speed", .kind = OPTION_COUNT, .value = "N", .limit = SPEED_MAX,
	 .offset = FIELD(speed),
	 .help = "Play the recording N times as fast as it was made (1 unless given)."},
	ROW_SOURCE(source, SOURCE_BY_DEFAULT),
	ROW_SWAP_IN(swap_in, ", at each reading that finds them swapped out."),
	{.name = "max-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100,
	 .offset = FIELD(max_cost_percent),
	 .help = "Take at most PERCENT of a processor (1 unless given): if readings take long there are fewer of them, whatever INTERVAL says."},
	{.name = "no-events", .kind = OPTION_FLAG, .offset = FIELD(no_events),
	 .help = "Put no eBPF probes in place: no growths, failures and kills."},
	{.name = "no-color", .kind = OPTION_FLAG, .offset = FIELD(no_color),
	 .help = "Use no colours, as with NO_COLOR in the environment."},
	{.name = "ascii", .kind = OPTION_FLAG, .offset = FIELD(ascii),
	 .help = "Draw with ASCII alone, as in a locale without UTF-8."},
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_top = {
	.name = "top",
	.synopsis = "[-p PID[,PID...]] [OPTION...] [INTERVAL]",
	.summary = "the same figures and their trends on the whole screen",
	.description =
		"Shows where the memory of running processes is, how fragmented their free memory is and where both are heading, on the terminal, with a reading every INTERVAL (1 second unless given). Without a process it lets you choose one. '?' shows the keys.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

/* Options that cannot stand together. */
static int check_pairs(const struct command *command, const struct top_options *request,
		       const struct parsed *parsed, struct fault *fault)
{
	static const char *const live[] = {"follow",	"source",  "max-cost",
					   "no-events", "swap-in", NULL};
	int error;

	if (!request->replay)
		return options_given(command, parsed, "speed")
			       ? usage_fault(fault, command, "--speed needs --replay")
			       : 0;
	error = options_exclude(command, parsed, "replay", live, fault);
	if (error)
		return error;
	if (!strcmp(request->replay, "-"))
		return usage_fault(
			fault, command,
			"--replay needs a file: standard input is the keyboard");
	if (parsed->operand_count)
		return usage_fault(fault, command,
				   "--replay takes no INTERVAL: --speed "
				   "says how fast it is played");
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct top_options *request, struct parsed *parsed,
			struct fault *fault)
{
	const char *interval;
	int error;

	*request = (struct top_options){
		.interval_ns = DEFAULT_INTERVAL_NS,
		.speed = 1,
		.max_cost_percent = DEFAULT_PERCENT,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	interval = parsed->operand_count ? parsed->operand[0] : NULL;
	if (interval &&
	    (units_parse_ns(interval, &request->interval_ns) || !request->interval_ns))
		return usage_fault(fault, command,
				   "INTERVAL '%s' is not a time above 0: seconds, or a "
				   "number with ns, us, ms, s, m or h",
				   interval);
	request->or_preload =
		!options_given(command, parsed, "source") && !request->swap_in;
	if (request->source != SOURCE_HEAP && request->swap_in)
		return usage_fault(fault, command,
				   "--swap-in needs the heap, which --source %s does not "
				   "read",
				   source_choices[request->source]);
	if (!request->replay && request->pids.count > TARGETS_MAX)
		return usage_fault(fault, command,
				   "%zu processes, and at most %d can be watched at once",
				   request->pids.count, TARGETS_MAX);
	if (request->follow && !request->names.count)
		return usage_fault(fault, command, "--follow needs --name");
	return check_pairs(command, request, parsed, fault);
}

/* ---- signals ---- */

static struct top_signals signals;

/* The second one ends the program at once, should the first not have come through. */
static void on_stop(int signal)
{
	if (signals.stop) {
		struct sigaction deadly = {.sa_handler = SIG_DFL};

		term_rescue();
		sigaction(signal, &deadly, NULL);
		raise(signal);
	}
	signals.stop = 1;
}

static void on_suspend(int signal)
{
	(void)signal;
	signals.suspend = 1;
}

static void on_continue(int signal)
{
	(void)signal;
	signals.refresh = 1;
}

/* Catches what comes with a terminal, and blocks it: the threads that are started from
 * here never take one in the place of the screen's, which waits with *BEFORE. */
static void catch_signals(sigset_t *before)
{
	static const struct {
		int number;
		void (*handler)(int);
	} caught[] = {
		{SIGINT, on_stop},     {SIGTERM, on_stop},     {SIGHUP, on_stop},
		{SIGTSTP, on_suspend}, {SIGCONT, on_continue}, {SIGPIPE, SIG_IGN},
	};
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGWINCH);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		struct sigaction action = {.sa_handler = caught[i].handler}, was;

		sigemptyset(&action.sa_mask);
		sigaction(caught[i].number, NULL, &was);
		/* Whoever had it ignored, such as nohup, meant it. */
		if (was.sa_handler != SIG_IGN)
			sigaction(caught[i].number, &action, NULL);
		if (caught[i].handler != SIG_IGN)
			sigaddset(&block, caught[i].number);
	}
	pthread_sigmask(SIG_BLOCK, &block, before);
}

/* ---- opening and closing ---- */

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static int open_all(struct top *top, const struct top_options *request,
		    struct fault *fault)
{
	const struct term_options wanted = {.no_color = request->no_color,
					    .ascii = request->ascii};
	int error = term_check(fault);

	if (error)
		return error;
	if (canvas_new(&top->canvas, CELLS_MAX))
		return out_of_memory(fault);
	error = session_open(top, fault);
	if (error)
		return error;
	error = term_open(&top->term, &wanted, fault);
	if (!error)
		top->canvas->ascii = term_ascii(top->term);
	return error;
}

/* What a reading that was not waited for still uses: no leak. */
static const struct top *volatile left_behind;

/* The terminal first. A reading that is under way may take seconds and is not waited for:
 * the end of the process ends it, and what it reads is not changed by that. */
static void close_all(struct top *top)
{
	term_close(top->term);
	if (!session_close(top)) {
		left_behind = top;
		return;
	}
	canvas_free(top->canvas);
	free(top);
}

static int run_top(const struct top_options *request, struct fault *fault)
{
	struct top *top = calloc(1, sizeof(*top));
	sigset_t before;
	int error;

	if (!top)
		return out_of_memory(fault);
	top->options = request;
	timeline_open(&top->time);
	selection_open(&top->selection);
	inspection_open(&top->inspection);
	holders_open(&top->holders);
	catch_signals(&before);
	error = open_all(top, request, fault);
	if (!error)
		top_loop(top, &signals, &before);
	close_all(top);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct top_options request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && request.replay)
		privilege_drop();
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = run_top(&request, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
