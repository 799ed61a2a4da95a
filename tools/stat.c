/* stat.c: `fragscope stat`: rows of figures at an interval, as vmstat prints them. */
#include "base/clock.h"
#include "base/units.h"
#include "engine/targets.h"
#include "help.h"
#include "source/source.h"
#include "verb.h"
#include "verbs.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)
#define DEFAULT_COLUMNS	    80

enum { THREADS_MAX = 64 };

/* The command line. */
struct request {
	struct pid_list pids;
	size_t pids_given; /* of PIDS; the rest were found by name */
	struct name_list names;
	bool arenas, bins, csv, json, no_header, once, quick, events, swap_in;
	bool or_preload; /* neither a source was given nor what only the heap has */
	const char *output;
	int64_t pause_ns;
	uint64_t threads;
	uint64_t unusable_for_bytes;
	unsigned source, residency;
	int64_t interval_ns;
	uint64_t count; /* 0: until all targets end */
};

struct target {
	struct source *source; /* null once it ended */
	struct sample *sample;
	char missing[SAMPLE_TEXT]; /* what was last said to be missing */
};

/* How long targets were stopped, for --pause. */
struct stopped {
	uint64_t readings, longest_ns, total_ns;
};

struct session {
	const struct request *request;
	const struct frontend *frontend;
	struct target *target;
	size_t target_count;
	size_t alive;
	int fd;
	struct view *view;
	struct stopped stopped;
	int status; /* what to exit with */
};

/* clang-format off */
static const char *const residency_choices[] = {"auto", "scan", "pagemap", NULL};

#define FIELD(name) offsetof(struct request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Read"),
	ROW_NAMES("Read"),
	{.name = "arenas", .kind = OPTION_FLAG, .offset = FIELD(arenas),
	 .help = "Print a row for each arena after that of the process."},
	{.name = "bins", .kind = OPTION_FLAG, .offset = FIELD(bins),
	 .help = "Add each arena's bins, as malloc_info reports them, or an allocator's size classes; needs --json, implies --arenas."},
	ROW_CSV("Print CSV: a header, then every figure, unscaled."),
	ROW_JSON("Print JSON: one object a line, unscaled."),
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Write the rows to FILE instead of standard output; what it held is lost."},
	{.name = "no-header", .kind = OPTION_FLAG, .offset = FIELD(no_header),
	 .help = "Print rows only: no header, no headings, no '#' lines."},
	{.name = "once", .kind = OPTION_FLAG, .offset = FIELD(once),
	 .help = "Take one reading of each process and end."},
	{.name = "quick", .kind = OPTION_FLAG, .offset = FIELD(quick),
	 .help = "Do not walk the heap: read bin heads and tops only. Figures that need the walk are absent."},
	{.name = "events", .kind = OPTION_FLAG, .offset = FIELD(events),
	 .help = "Count by eBPF probes how often the heap grew and allocations failed since the row before; see fragscope-trace(1)."},
	ROW_SWAP_IN(swap_in, ", at each reading that finds them out."),
	{.name = "pause", .kind = OPTION_TIME, .value = "TIME", .fallback = "100ms",
	 .offset = FIELD(pause_ns),
	 .help = "Stop the process while its heap is read, for TIME at most (100ms unless given), so that it cannot change meanwhile."},
	{.name = "threads", .kind = OPTION_COUNT, .value = "N", .limit = THREADS_MAX,
	 .offset = FIELD(threads),
	 .help = "Read with N threads (1 unless given)."},
	ROW_SOURCE(source, SOURCE_BY_DEFAULT),
	{.name = "residency", .kind = OPTION_CHOICE, .choices = residency_choices,
	 .offset = FIELD(residency),
	 .help = "How resident pages are learned: PAGEMAP_SCAN (scan), /proc/PID/pagemap, or the best that the kernel has (auto, the default)."},
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
	static const char *const of_quick[] = {"bins", NULL};
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
	};

	for (size_t i = 0; i < sizeof(heap_options) / sizeof(heap_options[0]); i++)
		if (options_given(command, parsed, heap_options[i].name) &&
		    !(source == SOURCE_PRELOAD && heap_options[i].preload))
			return heap_options[i].name;
	return NULL;
}

static int check_source(const struct command *command, const struct request *request,
			const struct parsed *parsed, struct fault *fault)
{
	const char *option = not_served(command, parsed, request->source);

	if (request->source == SOURCE_HEAP || !option)
		return 0;
	return usage_fault(fault, command,
			   "--%s needs the heap, which --source %s does not read", option,
			   source_choices[request->source]);
}

static int check(const struct command *command, const struct request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	int error = check_pairs(command, parsed, fault);

	if (!error)
		error = check_source(command, request, parsed, fault);
	if (error)
		return error;
	if (request->bins && !request->json)
		return usage_fault(fault, command, "--bins needs --json");
	if (request->once && parsed->operand_count)
		return usage_fault(fault, command,
				   "--once takes no INTERVAL and no COUNT");
	if (options_given(command, parsed, "pause") && !request->pause_ns)
		return usage_fault(fault, command, "option '--pause': 0 stops nothing");
	return 0;
}

static int take_operands(const struct command *command, struct request *request,
			 const struct parsed *parsed, struct fault *fault)
{
	int error;

	if (!request->pids.count && !request->names.count)
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

static int add_named(struct request *request, struct fault *fault)
{
	request->pids_given = request->pids.count;
	return targets_all_named(&request->names, &request->pids, fault);
}

/* The command line, read and checked, names looked up. */
static int read_request(const struct command *command, int argc, char **argv,
			struct request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct request){
		.interval_ns = DEFAULT_INTERVAL_NS,
		.threads = 1,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = take_operands(command, request, parsed, fault);
	if (!error)
		error = check(command, request, parsed, fault);
	return error ? error : add_named(request, fault);
}

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static int open_target(const struct session *session, struct target *target, int pid,
		       struct fault *fault)
{
	const struct request *request = session->request;
	const struct source_options wanted = {
		.source = request->source,
		.residency = request->residency,
		.arenas = request->arenas,
		.bins = request->bins,
		.quick = request->quick,
		.events = request->events,
		.or_preload = request->or_preload,
		.go_on = true,
		.swap_in = request->swap_in,
		.threads = (unsigned)request->threads,
		.pause_ns = request->pause_ns,
		.unusable_for_bytes = request->unusable_for_bytes,
		.hurry = session->frontend->stop,
	};
	int error = source_open(&target->source, pid, &wanted, fault);

	if (error)
		return error;
	target->sample = source_sample(target->source);
	if (target->sample)
		return 0;
	source_close(target->source);
	return out_of_memory(fault);
}

/* A process found by name may end before it is opened; that is an error only when no
 * other is left. */
static int open_targets(struct session *session, struct fault *fault)
{
	const struct request *request = session->request;
	size_t count = request->pids.count;
	int error = 0;

	session->target = calloc(count, sizeof(*session->target));
	if (!session->target)
		return out_of_memory(fault);
	for (size_t i = 0; !error && i < count; i++) {
		struct target *target = &session->target[session->target_count];

		error = open_target(session, target, request->pids.pid[i], fault);
		if (!error)
			session->target_count++;
		else if (error == -ESRCH && i >= request->pids_given &&
			 (i + 1 < count || session->target_count))
			error = 0;
	}
	session->alive = session->target_count;
	return error;
}

static const char *output_name(const struct request *request)
{
	return request->output ? request->output : "standard output";
}

static int write_fault(const struct request *request, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write rows to %s: %s",
			 output_name(request), strerror(-error));
}

static int open_output(struct session *session, struct fault *fault)
{
	const char *file = session->request->output;

	if (!file)
		return 0;
	session->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return session->fd < 0 ? write_fault(session->request, -errno, fault) : 0;
}

/* The terminal's size, or else COLUMNS, or else 80; headings come again on terminals
 * only. */
static void fit(int fd, struct view_options *wanted)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	uint64_t width = 0;

	if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_row)
		wanted->lines = size.ws_row;
	if (!size.ws_col && columns &&
	    (units_parse_count(columns, &width) || width > 10000))
		width = 0;
	wanted->columns = size.ws_col ? size.ws_col
			  : width     ? (unsigned)width
				      : DEFAULT_COLUMNS;
}

static int open_view(struct session *session, struct fault *fault)
{
	const struct request *request = session->request;
	struct view_options wanted = {
		.format = request->json	 ? VIEW_JSON
			  : request->csv ? VIEW_CSV
					 : VIEW_TEXT,
		.header = !request->no_header,
		.arenas = request->arenas,
		.several = session->target_count > 1,
	};
	int error;

	fit(session->fd, &wanted);
	if (view_open(&session->view, session->fd, &wanted))
		return out_of_memory(fault);
	error = view_header(session->view);
	for (size_t i = 0; !error && i < session->target_count; i++)
		error = view_note(session->view,
				  source_describe(session->target[i].source));
	return error ? write_fault(request, error, fault) : 0;
}

static void end_target(struct session *session, struct target *target,
		       const struct fault *fault)
{
	frontend_message(session->frontend, "%s", fault->text);
	source_close(target->source);
	target->source = NULL;
	session->alive--;
}

/* Whether ONE and OTHER differ in their digits at most: the sizes that they tell of
 * change with every row. */
static bool same_words(const char *one, const char *other)
{
	static const char digits[] = "0123456789";

	for (;; one++, other++) {
		one += strspn(one, digits);
		other += strspn(other, digits);
		if (*one != *other || !*one)
			return *one == *other;
	}
}

/* CSV and JSON say in each row what is missing; people are told when it changes. */
static void tell_missing(const struct session *session, struct target *target)
{
	const struct sample *sample = target->sample;

	if (session->request->csv || session->request->json || !*sample->missing ||
	    same_words(target->missing, sample->missing))
		return;
	memcpy(target->missing, sample->missing, sizeof(target->missing));
	frontend_message(session->frontend, "process %d (%s): the rows are partial: %s",
			 sample->pid, sample->comm, sample->missing);
}

static void count_stop(struct stopped *stopped, const struct figures *fig)
{
	uint64_t ns;

	if (!figure_has(fig, FIG_PAUSE_NS))
		return;
	ns = fig->v[FIG_PAUSE_NS].u;
	stopped->readings++;
	stopped->total_ns += ns;
	if (ns > stopped->longest_ns)
		stopped->longest_ns = ns;
}

/* One reading of TARGET. A target that ends or fails is left out from then on; only an
 * output that cannot be written ends the run. */
static int read_target(struct session *session, struct target *target,
		       struct fault *fault)
{
	int result = source_read(target->source, target->sample, fault);
	int error;

	if (result == SOURCE_NOTHING_NEW)
		return 0;
	if (result != SOURCE_READ && result != SOURCE_UNREADABLE) {
		end_target(session, target, fault);
		if (result != SOURCE_ENDED)
			session->status = fault->status;
		return 0;
	}
	count_stop(&session->stopped, &target->sample->fig);
	tell_missing(session, target);
	error = view_sample(session->view, target->sample);
	return error ? write_fault(session->request, error, fault) : 0;
}

static int read_all(struct session *session, struct fault *fault)
{
	int error = 0;

	for (size_t i = 0;
	     !error && !frontend_stops(session->frontend) && i < session->target_count;
	     i++)
		if (session->target[i].source)
			error = read_target(session, &session->target[i], fault);
	return error;
}

/* The next instant of the grid that began at DUE_NS; those that a long reading has let
 * pass are left out, not made up for. */
static int64_t next_due(int64_t due_ns, int64_t interval_ns)
{
	int64_t late_ns = clock_monotonic_ns() - due_ns;

	if (!interval_ns)
		return due_ns;
	return due_ns + (late_ns / interval_ns + 1) * interval_ns;
}

/* Outside the waits the stop signals are blocked only between the test whether an end is
 * asked for and the wait, so that none is lost. */
static int loop(struct session *session, struct fault *fault)
{
	const struct request *request = session->request;
	int64_t due_ns = clock_monotonic_ns();
	sigset_t blocked;
	int error = 0;

	for (uint64_t row = 1;; row++) {
		pthread_sigmask(SIG_SETMASK, &session->frontend->reading, &blocked);
		error = read_all(session, fault);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		if (error || frontend_stops(session->frontend) || !session->alive ||
		    row == request->count)
			return error;
		due_ns = next_due(due_ns, request->interval_ns);
		clock_wait_until(due_ns, &session->frontend->waiting);
		if (frontend_stops(session->frontend))
			return 0;
	}
}

static void tell_stopped(const struct session *session)
{
	const struct stopped *stopped = &session->stopped;
	char longest[16], total[16];
	struct text text;

	text_init(&text, longest, sizeof(longest));
	units_ns(&text, stopped->longest_ns);
	text_init(&text, total, sizeof(total));
	units_ns(&text, stopped->total_ns);
	frontend_message(session->frontend,
			 "stopped for %llu reading(s): %s at the longest, %s in all",
			 (unsigned long long)stopped->readings, longest, total);
}

static int close_session(struct session *session, struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; i < session->target_count; i++) {
		if (session->target[i].source)
			source_close(session->target[i].source);
		sample_free(session->target[i].sample);
	}
	free(session->target);
	if (session->view)
		view_close(session->view);
	if (session->request->output && session->fd >= 0 && close(session->fd))
		error = write_fault(session->request, -errno, fault);
	return error;
}

/* The stop signals are blocked while the sources start their threads, which then never
 * take one in the waiting thread's place. 0, or -errno and FAULT; *STATUS is what to exit
 * with when all went well for the rows. */
static int run_session(const struct request *request, int *status, struct fault *fault)
{
	struct session session = {
		.request = request, .frontend = verb_frontend(), .fd = STDOUT_FILENO};
	struct fault at_close;
	int error;

	error = open_targets(&session, fault);
	if (!error)
		error = open_output(&session, fault);
	if (!error)
		error = open_view(&session, fault);
	if (!error)
		error = loop(&session, fault);
	if (session.stopped.readings)
		tell_stopped(&session);
	*status = session.status;
	if (close_session(&session, &at_close) && !error) {
		*fault = at_close;
		error = -EIO;
	}
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = run_session(&request, &status, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	if (!error)
		return status;
	return verb_failed(command, &fault);
}
