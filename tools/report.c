/* report.c: `fragscope report`: what ails a process's memory, told once. */
#include "view/report.h"

#include "analysis/course.h"
#include "base/clock.h"
#include "base/take.h"
#include "base/units.h"
#include "help.h"
#include "source/source.h"
#include "targets.h"
#include "tracer.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_FOR_NS	INT64_C(10000000000)
#define LEAST_WAIT_NS	INT64_C(500000000)
#define POLL_NS		INT64_C(100000000)
#define DEFAULT_REQUEST (UINT64_C(1) << 20)

enum {
	READINGS = 120, /* at most, of however long a time */
	STACKS = 1024,
	STACKS_TOLD = 5,
	STACK_BYTES = 16384,
	EVENTS_PER_SECOND = 20,
	MAP_CELLS = 960,
};

/* The command line. */
struct request {
	struct pid_list pids;
	struct name_list names;
	bool json, no_events;
	const char *html;
	int64_t for_ns;
	uint64_t unusable_for_bytes;
	unsigned source;
};

/* What a report is made of. Too large for a stack. */
struct session {
	const struct request *request;
	int pid;
	struct source *source;
	struct sample *sample;
	struct tracer *tracer; /* null: no events */
	struct fold *fold;
	struct probe_counts total;
	uint64_t events;
	struct course *course;
	struct heap_map *map;
	uint64_t readings;
	bool has_ended;
	struct bounds bounds;
	bool has_bounds;
	struct room room;
	struct room_reach reach[ROOM_KINDS];
	struct oom_rank oom;
	struct smaps smaps;
	struct pins pins;
	struct verdict_others others;
	struct verdict verdict[VERDICT_KINDS];
	struct report_course told_course[COURSE_FIGURES];
	struct track_point point[COURSE_FIGURES][COURSE_POINTS];
	struct fold_row row[STACKS_TOLD];
	char describe[320];
	char no_events[FAULT_TEXT], no_pins[FAULT_TEXT];
	char answer[512];
	struct report report;
};

/* clang-format off */
static const char *const source_choices[] = {"heap", "proc", "preload", NULL};

#define FIELD(name) offsetof(struct request, name)

static const struct option_spec options[] = {
	{.name = "pid", .letter = 'p', .kind = OPTION_PIDS, .value = "PID",
	 .offset = FIELD(pids),
	 .help = "Report on this process."},
	{.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME",
	 .offset = FIELD(names),
	 .help = "Report on the one process whose name or program file is NAME."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "Watch it for TIME (10s unless given) to tell where it is heading; 0: one reading."},
	{.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json),
	 .help = "Print one JSON object, unscaled."},
	{.name = "no-events", .kind = OPTION_FLAG, .offset = FIELD(no_events),
	 .help = "Use no eBPF probes: who made the heap grow is not told."},
	{.name = "source", .kind = OPTION_CHOICE, .choices = source_choices,
	 .offset = FIELD(source),
	 .help = "Where figures come from, as for stat. Unless given: the heap, else the sampler, else /proc alone."},
	{.name = "unusable", .kind = OPTION_BYTES, .value = "SIZE",
	 .offset = FIELD(unusable_for_bytes),
	 .help = "The request size for which the share of useless free memory is told (1M unless given)."},
	{.name = "help", .letter = 'h', .kind = OPTION_HELP,
	 .help = "Print this help."},
};

const struct command command_report;
static int run(const struct command *command, int argc, char **argv);

const struct command command_report = {
	.name = "report",
	.synopsis = "-p PID [OPTION...]",
	.summary = "what ails a process's memory, and what to do about it",
	.description =
		"Watches a process for some seconds and tells on one page whether it leaks, is "
		"fragmented, has too many arenas, keeps memory that a trim would return, or "
		"whether its memory is not malloc's at all: where the resident memory is, how "
		"broken the free memory, where it is heading, who made it grow, which limit is "
		"next, and what helps. A verdict is given with its figures or not at all.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 0,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

static int find_target(const struct command *command, struct request *request,
		       struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; !error && i < request->names.count; i++)
		error = targets_named(request->names.name[i], &request->pids, fault);
	if (error)
		return error;
	if (!request->pids.count)
		return usage_fault(fault, command,
				   "no process given: use -p PID or -n NAME");
	if (request->pids.count > 1)
		return usage_fault(fault, command,
				   "a report is on one process, and there are %zu: %d, "
				   "%d...",
				   request->pids.count, request->pids.pid[0],
				   request->pids.pid[1]);
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct request){
		.for_ns = DEFAULT_FOR_NS,
		.unusable_for_bytes = DEFAULT_REQUEST,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	if (!options_given(command, parsed, "source"))
		request->source = SOURCE_HEAP;
	return find_target(command, request, fault);
}

/* ---- opening ---- */

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static int open_as(struct session *session, enum sample_source source,
		   struct fault *fault)
{
	bool is_heap = source == SOURCE_HEAP;
	const struct source_options wanted = {
		.source = source,
		.arenas = source != SOURCE_PROC,
		.bins = is_heap,
		.survey = is_heap,
		.or_preload = is_heap,
		.threads = 1,
		.unusable_for_bytes = session->request->unusable_for_bytes,
	};

	return source_open(&session->source, session->pid, &wanted, fault);
}

/* Of a process without a heap that can be read, the kernel's figures and the limits are
 * worth a report all the same; that it is so is told. */
static int open_source(struct session *session, struct fault *fault)
{
	int error = open_as(session, (enum sample_source)session->request->source, fault);

	if (error && fault->status == EXIT_NO_SOURCE && error != -EINVAL &&
	    session->request->source == SOURCE_HEAP) {
		struct fault at_heap = *fault;

		error = open_as(session, SOURCE_PROC, fault);
		if (!error)
			verb_tell("%s", at_heap.text);
		if (!error)
			snprintf(session->no_pins, sizeof(session->no_pins), "%s",
				 at_heap.text);
	}
	if (error)
		return error;
	session->sample = source_sample(session->source);
	return session->sample ? 0 : out_of_memory(fault);
}

/* Without probes the report says why it does not know who made the heap grow. */
static int open_tracer(struct session *session, struct fault *fault)
{
	const struct tracer_options wanted = {
		.events_per_second = EVENTS_PER_SECOND,
		.stack_bytes = STACK_BYTES,
		.kinds = (1U << EVENT_KILL) - 1,
	};
	struct fault why;

	if (fold_new(&session->fold, STACKS))
		return out_of_memory(fault);
	if (session->request->no_events) {
		snprintf(session->no_events, sizeof(session->no_events), "--no-events");
		return 0;
	}
	if (!session->request->for_ns) {
		snprintf(session->no_events, sizeof(session->no_events),
			 "one reading is no time to watch");
		return 0;
	}
	if (tracer_open(&session->tracer, session->pid, &wanted, &why)) {
		session->tracer = NULL;
		snprintf(session->no_events, sizeof(session->no_events), "%s", why.text);
	}
	return 0;
}

static int open_session(struct session *session, struct fault *fault)
{
	int error = open_source(session, fault);

	if (!error)
		error = open_tracer(session, fault);
	if (!error && course_new(&session->course))
		error = out_of_memory(fault);
	return error;
}

static void close_session(struct session *session)
{
	if (session->tracer)
		tracer_close(session->tracer);
	fold_free(session->fold);
	course_free(session->course);
	heap_map_free(session->map);
	sample_free(session->sample);
	source_close(session->source);
}

/* ---- watching ---- */

static void read_bounds(struct session *session)
{
	bounds_read(session->pid, &session->bounds);
	session->has_bounds = session->bounds.has & BOUNDS_HAS_SIZES;
	if (session->has_bounds)
		room_of(&session->bounds, &session->sample->fig, &session->room);
}

static void count_cost(struct report_cost *cost, const struct figures *fig)
{
	uint64_t ns = figure_has(fig, FIG_READ_NS) ? fig->v[FIG_READ_NS].u : 0;

	cost->read_ns += ns;
	if (ns > cost->longest_ns)
		cost->longest_ns = ns;
}

/* One reading. A process that ends while it is watched is reported on as it was. 0, or
 * -errno and FAULT. */
static int read_once(struct session *session, struct fault *fault)
{
	struct sample *sample = source_sample(session->source);
	int result;

	if (!sample)
		return out_of_memory(fault);
	result = source_read(session->source, sample, fault);
	if (result != SOURCE_READ) {
		sample_free(sample);
		session->has_ended = true;
		if (result == SOURCE_ENDED && !session->readings) {
			fault->status = EXIT_FAILED; /* nothing was seen */
			return -ESRCH;
		}
		if (result != SOURCE_ENDED)
			return result;
		verb_tell("%s", fault->text);
		return 0;
	}
	sample_free(session->sample);
	session->sample = sample;
	session->readings++;
	count_cost(&session->report.cost, &sample->fig);
	read_bounds(session);
	course_add(session->course, sample, session->has_bounds ? &session->room : NULL);
	return 0;
}

static int take_event(struct event *event, void *context)
{
	struct session *session = context;

	session->events++;
	fold_add(session->fold, event);
	return 0;
}

/* The probes may end before the process does: the report says so. */
static void poll_tracer(struct session *session)
{
	struct fault why = {0};
	int result;

	if (!session->tracer || session->no_events[0])
		return;
	result = tracer_poll(session->tracer, take_event, session, &why);
	if (result < 0 || (result == TRACER_ENDED && why.status != EXIT_DONE))
		snprintf(session->no_events, sizeof(session->no_events), "%s", why.text);
}

static void wait_until(struct session *session, int64_t due_ns, const sigset_t *mask)
{
	while (!verb_stop_asked()) {
		int64_t now_ns = clock_monotonic_ns();

		poll_tracer(session);
		if (now_ns >= due_ns)
			return;
		clock_wait_until(now_ns + POLL_NS < due_ns ? now_ns + POLL_NS : due_ns,
				 mask);
	}
}

static int watch(struct session *session, const sigset_t *mask, struct fault *fault)
{
	int64_t for_ns = session->request->for_ns;
	int64_t step_ns =
		for_ns / READINGS > LEAST_WAIT_NS ? for_ns / READINGS : LEAST_WAIT_NS;
	int64_t begin_ns = clock_monotonic_ns();
	int64_t due_ns = begin_ns;
	int error = read_once(session, fault);

	while (!error && !session->has_ended && !verb_stop_asked() &&
	       due_ns + step_ns <= begin_ns + for_ns) {
		/* A reading that is longer than its turn leaves turns out. */
		while (due_ns <= clock_monotonic_ns())
			due_ns += step_ns;
		wait_until(session, due_ns, mask);
		if (!verb_stop_asked())
			error = read_once(session, fault);
	}
	return error;
}

/* ---- closer looks, once ---- */

static void look_at_pins(struct session *session)
{
	struct fault fault = {0};

	session->pins.arena = PINS_ALL_ARENAS;
	if (session->no_pins[0])
		return;
	if (session->has_ended)
		snprintf(session->no_pins, sizeof(session->no_pins),
			 "the process has ended");
	else if (source_pins(session->source, &session->pins, &fault) != SOURCE_READ)
		snprintf(session->no_pins, sizeof(session->no_pins), "%s", fault.text);
}

/* The arena with most free and resident; the main one when that is not known. */
static unsigned fullest_arena(const struct sample *sample)
{
	uint64_t most = 0;
	unsigned best = 0;

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct figures *fig = &sample->arena[i].fig;

		if (!figure_has(fig, FIG_FREE_RESIDENT_BYTES) ||
		    fig->v[FIG_FREE_RESIDENT_BYTES].u <= most)
			continue;
		most = fig->v[FIG_FREE_RESIDENT_BYTES].u;
		best = sample->arena[i].index;
	}
	return best;
}

static void look_at_map(struct session *session)
{
	struct fault fault;

	if (session->has_ended || session->no_pins[0])
		return;
	session->map = heap_map_new(MAP_CELLS, 0);
	if (!session->map)
		return;
	session->map->arena = fullest_arena(session->sample);
	if (source_map(session->source, session->map, &fault) == SOURCE_READ)
		return;
	heap_map_free(session->map);
	session->map = NULL;
}

/* What of the anonymous memory is not malloc's. */
static uint64_t other_anon_bytes(const struct session *session)
{
	static const enum figure of_malloc[] = {
		FIG_LIVE_RESIDENT_BYTES, FIG_FREE_RESIDENT_BYTES,
		FIG_MMAPPED_RESIDENT_BYTES, FIG_ALLOCATOR_RESIDENT_BYTES};
	const struct figures *fig = &session->sample->fig;
	uint64_t sum = 0, all = session->smaps.rss_bytes[SMAPS_ANON];

	for (unsigned i = 0; i < sizeof(of_malloc) / sizeof(*of_malloc); i++)
		if (figure_has(fig, of_malloc[i]))
			sum += fig->v[of_malloc[i]].u;
	return all > sum ? all - sum : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *find_allocator(const struct smaps *smaps)
{
	static const char *const known[] = {"libjemalloc", "libtcmalloc", "libmimalloc"};

	for (unsigned i = 0; i < smaps->count; i++)
		for (unsigned k = 0; k < sizeof(known) / sizeof(*known); k++)
			if (!strncmp(base_name(smaps->name[i].name), known[k],
				     strlen(known[k])))
				return base_name(smaps->name[i].name);
	return "";
}

static void look_at_mappings(struct session *session)
{
	const struct smaps *smaps = &session->smaps;

	if (session->has_ended || smaps_read(session->pid, &session->smaps))
		return;
	session->others = (struct verdict_others){
		.is_known = true,
		.anon_bytes = other_anon_bytes(session),
		.shared_bytes = smaps->rss_bytes[SMAPS_SHARED],
		.file_bytes = smaps->rss_bytes[SMAPS_FILE],
		.stack_bytes = smaps->rss_bytes[SMAPS_STACK],
		.largest = smaps->count ? smaps->name[0].name : "",
		.largest_bytes = smaps->count ? smaps->name[0].rss_bytes : 0,
		.allocator = find_allocator(smaps),
	};
}

static void look_closer(struct session *session)
{
	int64_t begin_ns = clock_monotonic_ns();

	look_at_pins(session);
	look_at_map(session);
	look_at_mappings(session);
	session->report.cost.survey_ns = (uint64_t)(clock_monotonic_ns() - begin_ns);
}

/* ---- the report ---- */

static uint64_t sum(const uint64_t *values, unsigned from, unsigned to)
{
	uint64_t all = 0;

	for (unsigned i = from; i < to; i++)
		all += values[i];
	return all;
}

static void fill_growth(struct session *session)
{
	struct report_growth *growth = &session->report.growth;
	const struct probe_counts *total = &session->total;

	if (session->tracer &&
	    tracer_finish(session->tracer, take_event, session, &session->total) &&
	    !session->no_events[0])
		snprintf(session->no_events, sizeof(session->no_events),
			 "the probes' counts could not be read");
	if (session->no_events[0]) {
		growth->missing = session->no_events;
		return;
	}
	growth->growths = sum(total->events, 0, PROBE_FAILURE);
	growth->bytes = sum(total->bytes, 0, PROBE_FAILURE);
	growth->failures = total->events[PROBE_FAILURE];
	fold_add_unseen(session->fold, growth->growths, growth->bytes, growth->failures);
	growth->row = session->row;
	growth->rows = fold_best(session->fold, session->row, STACKS_TOLD);
}

static void fill_courses(struct session *session)
{
	struct report *report = &session->report;

	for (unsigned i = 0; i < COURSE_FIGURES; i++) {
		struct report_course *course = &session->told_course[i];

		course->f = course_figure[i];
		course_trend(session->course, i, &course->trend);
		course->point = session->point[i];
		course->points = course_points(session->course, i, session->point[i]);
	}
	report->course = session->told_course;
	report->courses = COURSE_FIGURES;
}

static void fill_limits(struct session *session)
{
	struct report *report = &session->report;

	if (!session->has_bounds) {
		report->why_no_limits = "the process has ended";
		return;
	}
	course_reach(session->course, &session->room, session->reach);
	report->bounds = &session->bounds;
	report->room = &session->room;
	report->reach = session->reach;
	if (!session->has_ended && !oom_rank_read(session->pid, &session->oom))
		report->oom = &session->oom;
}

static const struct verdict_trend *trend_of_figure(const struct session *session,
						   enum figure f)
{
	static const struct verdict_trend unknown;

	for (unsigned i = 0; i < COURSE_FIGURES; i++)
		if (session->told_course[i].f == f)
			return &session->told_course[i].trend;
	return &unknown;
}

static void judge(struct session *session)
{
	struct report *report = &session->report;
	struct verdict_input input = {
		.sample = session->sample,
		.pins = report->pins,
		.room = report->room,
		.reach = report->reach,
		.others = &session->others,
		.rss = *trend_of_figure(session, FIG_RSS_BYTES),
		.other = *trend_of_figure(session, FIG_OTHER_RESIDENT_BYTES),
		.watched_s = report->watched_s,
		.has_failures = !report->growth.missing,
		.failures = report->growth.failures,
	};

	course_held(session->course, &input.live);
	report->verdicts = verdicts_of(&input, session->verdict, VERDICT_KINDS);
	report->verdict = session->verdict;
	verdict_answer(&input, session->verdict, report->verdicts, session->answer,
		       sizeof(session->answer));
	report->answer = session->answer;
}

static uint64_t own_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void fill(struct session *session)
{
	struct report *report = &session->report;

	report->describe = session->describe;
	report->sample = session->sample;
	report->readings = session->readings;
	report->watched_s = course_span_s(session->course);
	if (session->others.is_known) {
		report->smaps = &session->smaps;
		report->other_anon_bytes = session->others.anon_bytes;
	}
	if (session->no_pins[0])
		report->why_no_pins = session->no_pins;
	else
		report->pins = &session->pins;
	report->map = session->map;
	fill_growth(session);
	fill_courses(session);
	fill_limits(session);
	judge(session);
	report->cost.events = session->events;
	report->cost.cpu_ns = own_cpu_ns();
}

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write the report to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int write_html(const struct session *session, struct fault *fault)
{
	const char *file = session->request->html;
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int error;

	if (fd < 0)
		return write_fault(file, -errno, fault);
	error = report_html(&session->report, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(file, error, fault) : 0;
}

static int write_report(const struct session *session, struct fault *fault)
{
	int error = session->request->json ? report_json(&session->report, STDOUT_FILENO)
					   : report_text(&session->report, STDOUT_FILENO);

	if (error)
		return write_fault(NULL, error, fault);
	return session->request->html ? write_html(session, fault) : 0;
}

static int run_session(struct session *session, struct fault *fault)
{
	sigset_t before;
	int error;

	verb_catch_stop(&before);
	error = open_session(session, fault);
	if (!error) {
		snprintf(session->describe, sizeof(session->describe), "%s",
			 source_describe(session->source));
		error = watch(session, &before, fault);
	}
	if (!error) {
		look_closer(session);
		fill(session);
		error = write_report(session, fault);
	}
	close_session(session);
	return error;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session *session;
	struct request request;
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help) {
		help_command(stdout, command);
	} else if (!error) {
		session = take(sizeof(*session));
		if (session) {
			session->request = &request;
			session->pid = request.pids.pid[0];
		}
		error = session ? run_session(session, &fault) : out_of_memory(&fault);
		free(session);
	}
	free(request.pids.pid);
	free(request.names.name);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
