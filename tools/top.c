/* top.c: `fragscope top`: the command line, the loop of the screen, and the signals. */
#include "top/top.h"

#include "base/clock.h"
#include "base/privilege.h"
#include "base/units.h"
#include "engine/targets.h"
#include "help.h"
#include "options.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)
#define DEFAULT_UNUSABLE    UINT64_C(65536)
#define DEFAULT_ZOOM_NS	    INT64_C(120000000000)
#define TICK_NS		    INT64_C(1000000000)
#define LEAST_CPU_NS	    INT64_C(5000000000)

/* Of what all this may cost: what the screen and the events do not use is for readings,
 * and what they do is paid for by them. */
#define DRAWING_SHARE 0.25
#define EVENTS_SHARE  0.25

enum {
	DEFAULT_PERCENT = 1,
	SPEED_MAX = 1000000,
	/* The largest screen that is drawn whole; what lies beyond stays blank. */
	CELLS_MAX = 512 * 256,
	INPUTS_AT_ONCE = 64,
	EXITS = 4, /* of the descriptors that are waited for, the first target's */

};

/* clang-format off */
struct top_request {
	struct top_options top;
	struct pid_list pids;
	size_t pids_given; /* the rest were found by name */
	struct name_list names;
};

#define FIELD(name) offsetof(struct top_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Watch"),
	ROW_NAMES("Watch"),
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(top.replay),
	 .help = "Show a recording that 'fragscope stat' wrote as CSV or JSON."},
	{.name = "speed", .kind = OPTION_COUNT, .value = "N", .limit = SPEED_MAX,
	 .offset = FIELD(top.speed),
	 .help = "Play the recording N times as fast as it was made (1 unless given)."},
	ROW_SOURCE(top.source, SOURCE_BY_DEFAULT),
	ROW_SWAP_IN(top.swap_in, ", at each reading that finds them out."),
	{.name = "max-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100,
	 .offset = FIELD(top.max_cost_percent),
	 .help = "Take at most PERCENT of a processor (1 unless given): where readings take long there are fewer of them, whatever INTERVAL says."},
	{.name = "no-events", .kind = OPTION_FLAG, .offset = FIELD(top.no_events),
	 .help = "Put no eBPF probes in place: no growths, failures and kills."},
	{.name = "no-color", .kind = OPTION_FLAG, .offset = FIELD(top.no_color),
	 .help = "Use no colours, as with NO_COLOR in the environment."},
	{.name = "ascii", .kind = OPTION_FLAG, .offset = FIELD(top.ascii),
	 .help = "Draw with ASCII alone, as in a locale without UTF-8."},
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_top = {
	.name = "top",
	.synopsis = "[-p PID[,PID...]] [OPTION...] [INTERVAL]",
	.summary = "the same figures and their trends on the whole screen",
	.description =
		"Shows where the memory of running processes is, how broken their free memory is "
		"and where both are heading, on the terminal, with a reading every INTERVAL (1 "
		"second unless given). Without a process it lets you choose one. '?' shows the "
		"keys.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

/* Options that cannot stand together. */
static int check_pairs(const struct command *command, const struct top_request *request,
		       const struct parsed *parsed, struct fault *fault)
{
	static const char *const live[] = {"pid",	"name",	   "source", "max-cost",
					   "no-events", "swap-in", NULL};
	int error;

	if (!options_given(command, parsed, "replay"))
		return options_given(command, parsed, "speed")
			       ? usage_fault(fault, command, "--speed needs --replay")
			       : 0;
	error = options_exclude(command, parsed, "replay", live, fault);
	if (error)
		return error;
	if (!strcmp(request->top.replay, "-"))
		return usage_fault(
			fault, command,
			"--replay needs a file: standard input is the keyboard");
	if (parsed->operand_count)
		return usage_fault(fault, command,
				   "--replay takes no INTERVAL: --speed "
				   "says how fast it is played");
	return 0;
}

static int add_named(struct top_request *request, struct fault *fault)
{
	request->pids_given = request->pids.count;
	return targets_all_named(&request->names, &request->pids, fault);
}

static int read_request(const struct command *command, int argc, char **argv,
			struct top_request *request, struct parsed *parsed,
			struct fault *fault)
{
	const char *interval;
	int error;

	*request = (struct top_request){.top = {
						.interval_ns = DEFAULT_INTERVAL_NS,
						.speed = 1,
						.max_cost_percent = DEFAULT_PERCENT,
					}};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	interval = parsed->operand_count ? parsed->operand[0] : NULL;
	if (interval && (units_parse_ns(interval, &request->top.interval_ns) ||
			 !request->top.interval_ns))
		return usage_fault(fault, command,
				   "INTERVAL '%s' is not a time above 0: seconds, or a "
				   "number with ns, us, ms, s, m or h",
				   interval);
	request->top.or_preload =
		!options_given(command, parsed, "source") && !request->top.swap_in;
	if (request->top.source != SOURCE_HEAP && request->top.swap_in)
		return usage_fault(fault, command,
				   "--swap-in needs the heap, which --source %s does not "
				   "read",
				   source_choices[request->top.source]);
	error = check_pairs(command, request, parsed, fault);
	if (!error)
		error = add_named(request, fault);
	request->top.targets = request->pids.count;
	if (!error && request->pids.count > TOP_TARGETS)
		error = usage_fault(
			fault, command,
			"%zu processes, and at most %d can be watched at once",
			request->pids.count, TOP_TARGETS);
	return error;
}

/* ---- signals ---- */

static volatile sig_atomic_t stop_asked, suspend_asked, refresh_asked;

/* The second one ends the program at once, should the first not have come through. */
static void on_stop(int signal)
{
	if (stop_asked) {
		struct sigaction deadly = {.sa_handler = SIG_DFL};

		term_rescue();
		sigaction(signal, &deadly, NULL);
		raise(signal);
	}
	stop_asked = 1;
}

static void on_suspend(int signal)
{
	(void)signal;
	suspend_asked = 1;
}

static void on_continue(int signal)
{
	(void)signal;
	refresh_asked = 1;
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

/* ---- the loop ---- */

void top_say(struct top *top, bool bad, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(top->message, sizeof(top->message), format, args);
	va_end(args);
	top->message_bad = bad;
	top->dirty = true;
}

/* The share of a core that this process took over the last ten seconds or so, and not
 * below five. Where something was excused the marks from before say too much. */
static void measure_own_cpu(struct top *top, int64_t now_ns)
{
	struct top_cpu *cpu = &top->cpu;
	const struct top_cpu_mark *oldest;
	int64_t used_ns, excused_ns;

	if (!top->feed)
		return;
	used_ns = feed_used_ns(top->feed, &excused_ns);
	if (excused_ns != cpu->excused_ns)
		*cpu = (struct top_cpu){.excused_ns = excused_ns};
	oldest = &cpu->mark[cpu->count < TOP_CPU_MARKS ? 0 : cpu->next];
	if (cpu->count && now_ns - oldest->at_ns >= LEAST_CPU_NS) {
		cpu->known = true;
		cpu->share = (double)(used_ns - oldest->used_ns) /
			     (double)(now_ns - oldest->at_ns);
	}
	cpu->mark[cpu->next] = (struct top_cpu_mark){now_ns, used_ns};
	cpu->next = (cpu->next + 1) % TOP_CPU_MARKS;
	if (cpu->count < TOP_CPU_MARKS)
		cpu->count++;
	top->dirty = true;
}

/* How long the screen, which has changed, is left as it was; 0: it is drawn now. */
static int64_t drawing_wait_ns(struct top *top)
{
	struct account *account = &top->drawing;

	if (!top->feed || top->pressed)
		return 0;
	account_gain(account, account->share, clock_monotonic_ns());
	return account_wait_ns(account, 0);
}

/* What a key asked for is drawn at once, and not paid for here: what came by itself would
 * have to wait for it. */
static void draw(struct top *top)
{
	int64_t cpu_ns = clock_thread_ns();

	top_draw(top);
	if (!top->pressed)
		account_pay(&top->drawing, clock_thread_ns() - cpu_ns);
	top->pressed = false;
}

static int64_t wait_ns(struct top *top, int64_t tick_ns)
{
	int64_t wait = tick_ns - clock_monotonic_ns(), replay;

	if (top->dirty && drawing_wait_ns(top) < wait)
		wait = drawing_wait_ns(top);
	if (top->replay) {
		replay = replayer_wait_ns(top->replay);
		if (replay >= 0 && replay < wait)
			wait = replay;
	}
	return wait > 0 ? wait : 0;
}

/* Until something is pressed, comes or is due. False: the terminal is gone. */
static bool wait_for_work(struct top *top, int64_t tick_ns, const sigset_t *mask)
{
	int64_t ns = wait_ns(top, tick_ns);
	const struct timespec timeout = {ns / 1000000000, ns % 1000000000};
	/* What is not there is passed over: its descriptor is negative. */
	struct pollfd fds[EXITS + TOP_TARGETS] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = top->feed ? feed_fd(top->feed) : -1, .events = POLLIN},
		{.fd = top->events ? events_fd(top->events) : -1, .events = POLLIN},
		{.fd = top->picking ? picker_fd(top->picker) : -1, .events = POLLIN},
	};
	unsigned exits = top->feed ? top->target_count : 0;

	for (unsigned i = 0; i < exits; i++)
		fds[EXITS + i] = (struct pollfd){.fd = feed_exit_fd(top->feed, (int)i),
						 .events = POLLIN};
	if (ppoll(fds, EXITS + exits, &timeout, mask) < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < exits; i++)
		if (fds[EXITS + i].revents)
			feed_hurry(top->feed, (int)i);
	return !(fds[0].revents & (POLLERR | POLLHUP | POLLNVAL));
}

static void fit(struct top *top)
{
	unsigned rows, columns;

	term_size(top->term, &rows, &columns);
	canvas_resize(top->canvas, rows, columns);
	top->dirty = top->pressed = true;
}

static void obey_signals(struct top *top)
{
	if (stop_asked)
		top->quit = true;
	if (suspend_asked) {
		suspend_asked = 0;
		term_suspend(top->term);
		refresh_asked = 1;
	}
	if (refresh_asked) {
		refresh_asked = 0;
		term_refresh(top->term);
		fit(top);
	}
}

/* What was pressed, not all of it at once: a paste shall not keep the screen waiting. */
static void take_input(struct top *top)
{
	for (unsigned i = 0; i < INPUTS_AT_ONCE && !top->quit; i++) {
		struct term_input input;

		term_read(top->term, &input);
		if (input.kind == TERM_NOTHING)
			return;
		top->pressed = true;
		if (input.kind == TERM_RESIZED)
			fit(top);
		else
			top_press(top, &input);
	}
}

/* MASK lets the signals in. They are blocked only between the last look at what they left
 * and the wait, so that none is slept over. */
static void loop(struct top *top, const sigset_t *mask)
{
	int64_t tick_ns = clock_monotonic_ns();
	sigset_t blocked;

	fit(top);
	for (;;) {
		pthread_sigmask(SIG_SETMASK, mask, &blocked);
		take_input(top);
		top_take(top);
		top_wish(top);
		if (clock_monotonic_ns() >= tick_ns) {
			measure_own_cpu(top, clock_monotonic_ns());
			tick_ns = clock_monotonic_ns() + TICK_NS;
		}
		if (top->dirty && !top->quit && !drawing_wait_ns(top))
			draw(top);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		obey_signals(top);
		if (top->quit || !wait_for_work(top, tick_ns, mask))
			return;
	}
}

/* ---- opening and closing ---- */

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static int open_feed(struct top *top, struct fault *fault)
{
	const struct top_options *asked = top->options;
	double share = (double)asked->max_cost_percent / 100;
	const struct feed_options wanted = {
		.source = {.source = asked->source,
			   .arenas = true,
			   .sizes = true,
			   .survey = true,
			   .or_preload = asked->or_preload,
			   .go_on = true,
			   .swap_in = asked->swap_in,
			   .threads = 1},
		.interval_ns = asked->interval_ns,
		.share = share,
	};
	int error = feed_new(&top->feed, &wanted, fault);

	account_open(&top->drawing, share * DRAWING_SHARE, clock_monotonic_ns());
	if (!error && !asked->no_events)
		error = events_new(&top->events, top->feed, share * EVENTS_SHARE, fault);
	return error;
}

/* A process found by name may end before it is opened; that is an error only when no
 * other is left. */
static int open_targets(struct top *top, const struct top_request *request,
			struct fault *fault)
{
	size_t count = request->pids.count;
	int error = open_feed(top, fault);

	rules_add_defaults(&top->rules, request->top.interval_ns);
	for (size_t i = 0; !error && i < count; i++) {
		error = top_attach(top, request->pids.pid[i], fault);
		if (error == -ESRCH && i >= request->pids_given &&
		    (i + 1 < count || top->target_count))
			error = 0;
	}
	return !error && !count ? top_pick(top, fault) : error;
}

static int open_replay(struct top *top, struct fault *fault)
{
	const struct top_options *asked = top->options;
	int error =
		replayer_open(&top->replay, asked->replay, (double)asked->speed, fault);

	if (!error)
		rules_add_defaults(&top->rules, replayer_interval_ns(top->replay));
	for (unsigned i = 0; !error && i < replayer_targets(top->replay); i++)
		error = top_add(top, replayer_pid(top->replay, i),
				replayer_comm(top->replay, i),
				replayer_arenas(top->replay, i), fault);
	return error;
}

static int open_all(struct top *top, const struct top_request *request,
		    struct fault *fault)
{
	const struct term_options wanted = {.no_color = request->top.no_color,
					    .ascii = request->top.ascii};
	int error = term_check(fault);

	if (error)
		return error;
	if (canvas_new(&top->canvas, CELLS_MAX))
		return out_of_memory(fault);
	error = request->top.replay ? open_replay(top, fault)
				    : open_targets(top, request, fault);
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
	bool idle;

	term_close(top->term);
	idle = !top->feed || feed_idle(top->feed);
	events_free(top->events);
	if (!idle) {
		left_behind = top;
		return;
	}
	feed_free(top->feed);
	picker_free(top->picker);
	replayer_close(top->replay);
	top_free_targets(top);
	canvas_free(top->canvas);
	free(top);
}

static int run_top(const struct top_request *request, struct fault *fault)
{
	struct top *top = calloc(1, sizeof(*top));
	sigset_t before;
	int error;

	if (!top)
		return out_of_memory(fault);
	top->options = &request->top;
	top->time.zoom_ns = DEFAULT_ZOOM_NS;
	top->ascending = true;
	top->map.wish.target = -1;
	catch_signals(&before);
	error = open_all(top, request, fault);
	if (!error)
		loop(top, &before);
	close_all(top);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct top_request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && request.top.replay)
		privilege_drop();
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = run_top(&request, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
