#include "engine/reporter.h"

#include "analysis/trend.h"
#include "analysis/trend_store.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/units.h"
#include "engine/progress.h"
#include "engine/report_events.h"
#include "engine/report_looks.h"
#include "engine/stream.h"
#include "source/source.h"
#include "target/bounds.h"
#include "target/oom.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Between two readings: of a short time there are ENOUGH all the same. */
#define USUAL_WAIT_NS INT64_C(500000000)
#define LEAST_WAIT_NS INT64_C(50000000)
#define POLL_NS	      INT64_C(100000000)

enum {
	COURSE_PERCENT = 50, /* of a processor */
	READINGS = 120,	     /* at most, of however long a time */
	ENOUGH = 12,	     /* for a trend, with some that may be lost */
};

/* What a report is made of. Too large for a stack. */
struct reporter {
	const struct reporter_options *options;
	int pid;
	struct source *source;	   /* of a live process */
	struct stream *stream;	   /* of a recording: SAMPLE is its own */
	struct progress *progress; /* null: nobody sees it */
	struct sample *sample;	   /* the latest */
	struct sample *next;	   /* the one that is being read */
	struct report_events events;
	struct report_looks looks;
	struct trend_store *store;
	uint64_t readings;
	bool has_ended;	    /* or never was: a recording */
	bool is_unreadable; /* since the last reading, and the user knows */
	struct bounds bounds;
	bool has_bounds;
	struct headroom headroom;
	struct headroom_reach reach[HEADROOM_KINDS];
	struct oom_rank oom;
	struct verdict verdict[VERDICT_KINDS];
	struct report_series shown_series[TREND_STORE_FIGURES];
	struct track_point point[TREND_STORE_FIGURES][TREND_STORE_POINTS];
	char describe[FAULT_TEXT];
	char no_limits[FAULT_TEXT];
	char answer[512];
	struct report report;
};

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* Why something is not told; what was said first stays. */
__attribute__((format(printf, 2, 3))) static void because(char to[FAULT_TEXT],
							  const char *format, ...)
{
	va_list args;

	if (to[0])
		return;
	va_start(args, format);
	vsnprintf(to, FAULT_TEXT, format, args);
	va_end(args);
}

/* ---- opening ---- */

static int64_t step_of(int64_t for_ns)
{
	int64_t wait_ns =
		for_ns / ENOUGH < USUAL_WAIT_NS ? for_ns / ENOUGH : USUAL_WAIT_NS;

	if (wait_ns < LEAST_WAIT_NS)
		wait_ns = LEAST_WAIT_NS;
	return wait_ns > for_ns / READINGS ? wait_ns : for_ns / READINGS;
}

/* What a reading of the course may take of processor time. */
static int64_t budget_of(const struct reporter_options *options)
{
	if (options->budget_ns)
		return options->budget_ns;
	return options->for_ns ? step_of(options->for_ns) / 100 * COURSE_PERCENT : 0;
}

static int open_as(struct reporter *reporter, enum sample_source source,
		   struct fault *fault)
{
	bool is_heap = source == SOURCE_HEAP;
	const struct source_options wanted = {
		.source = source,
		.arenas = source != SOURCE_PROC,
		.sizes = is_heap,
		.survey = is_heap,
		.or_preload = is_heap && !reporter->options->swap_in,
		.go_on = is_heap,
		.swap_in = is_heap && reporter->options->swap_in,
		.budget_ns = is_heap ? budget_of(reporter->options) : 0,
		.map_cells = REPORT_MAP_CELLS,
		.unusable_for_bytes = reporter->options->unusable_for_bytes,
		.hurry = frontend_stop_flag(reporter->options->frontend),
	};

	return source_open(&reporter->source, reporter->pid, &wanted, fault);
}

/* Of a process without a heap that can be read, the kernel's figures and the limits are
 * worth a report all the same; that it is so is told. */
static int open_source(struct reporter *reporter, struct fault *fault)
{
	int error =
		open_as(reporter, (enum sample_source)reporter->options->source, fault);

	if (error && fault->status == EXIT_NO_SOURCE && error != -EINVAL &&
	    reporter->options->source == SOURCE_HEAP) {
		struct fault at_heap = *fault;

		/* Not one that cannot be read: one that is not there, or empty. */
		reporter->looks.no_heap = error == -ENOENT || error == -ENODATA;
		error = open_as(reporter, SOURCE_PROC, fault);
		if (!error)
			frontend_message(reporter->options->frontend, "%s", at_heap.text);
		if (!error)
			snprintf(reporter->looks.no_blockers,
				 sizeof(reporter->looks.no_blockers), "%s", at_heap.text);
	}
	if (error)
		return error;
	snprintf(reporter->describe, sizeof(reporter->describe), "%s",
		 source_describe(reporter->source));
	reporter->sample = source_sample(reporter->source);
	reporter->next = source_sample(reporter->source);
	return reporter->sample && reporter->next ? 0 : out_of_memory(fault);
}

/* Without probes the report says why it does not know who made the heap grow. */
static int open_events(struct reporter *reporter, struct fault *fault)
{
	const struct reporter_options *options = reporter->options;

	if (options->events && options->for_ns)
		return report_events_open(&reporter->events, reporter->pid,
					  options->frontend, fault);
	because(reporter->events.missing, "%s",
		options->events ? "one reading is no time to watch" : "--no-events");
	return 0;
}

/* ---- readings ---- */

static void read_bounds(struct reporter *reporter)
{
	struct privilege before = privilege_raise();
	int error = bounds_read(reporter->pid, &reporter->bounds);

	privilege_restore(before);

	reporter->has_bounds = reporter->bounds.has & BOUNDS_HAS_SIZES;
	if (reporter->has_bounds)
		headroom_of(&reporter->bounds, &reporter->sample->fig,
			    &reporter->headroom);
	else
		because(reporter->no_limits, "%s", strerror(-error));
}

static void count_cost(struct report_cost *cost, const struct figures *fig)
{
	uint64_t ns = figure_has(fig, FIG_READ_NS) ? fig->v[FIG_READ_NS].u : 0;

	cost->read_ns += ns;
	if (ns > cost->longest_ns)
		cost->longest_ns = ns;
}

static void take_sample(struct reporter *reporter, const struct sample *sample)
{
	progress_done(reporter->progress, ++reporter->readings);
	count_cost(&reporter->report.cost, &sample->fig);
	trend_store_add(reporter->store, sample,
			reporter->has_bounds ? &reporter->headroom : NULL);
}

/* A report is of the readings that there are, if there are any. */
static int miss_reading(struct reporter *reporter, int result, struct fault *fault)
{
	if (result == SOURCE_NOTHING_NEW)
		return reporter->readings
			       ? 0
			       : fault_set(fault, EXIT_FAILED, -EINTR,
					   "stopped before the first reading of process "
					   "%d",
					   reporter->pid);
	if (!reporter->readings)
		return -ETIMEDOUT;
	if (reporter->is_unreadable)
		return 0;
	progress_clear(reporter->progress);
	frontend_message(reporter->options->frontend, "%s", fault->text);
	reporter->is_unreadable = true;
	return 0;
}

/* What the user allowed, and what it came to. */
static void tell_swapped_in(const struct reporter *reporter)
{
	const struct figures *fig = &reporter->sample->fig;
	char bytes[16];
	struct text text;

	if (!figure_has(fig, FIG_SWAPPED_IN_BYTES) || !fig->v[FIG_SWAPPED_IN_BYTES].u)
		return;
	text_init(&text, bytes, sizeof(bytes));
	units_bytes(&text, fig->v[FIG_SWAPPED_IN_BYTES].u);
	progress_clear(reporter->progress);
	frontend_message(
		reporter->options->frontend,
		"process %d (%s): pages with malloc's records were swapped in: %s",
		reporter->pid, reporter->sample->comm, bytes);
}

/* One reading. A process that ends while it is watched is reported on as it was. 0, or
 * -errno and FAULT. */
static int read_once(struct reporter *reporter, struct fault *fault)
{
	struct sample *next = reporter->next;
	int result = source_read(reporter->source, next, fault);

	if (result == SOURCE_ENDED && reporter->readings) {
		reporter->has_ended = true;
		progress_clear(reporter->progress);
		frontend_message(reporter->options->frontend, "%s", fault->text);
		return 0;
	}
	if (result == SOURCE_ENDED) {
		fault->status = EXIT_FAILED; /* nothing was seen */
		return -ESRCH;
	}
	if (result == SOURCE_UNREADABLE || result == SOURCE_NOTHING_NEW)
		return miss_reading(reporter, result, fault);
	if (result != SOURCE_READ)
		return result;
	reporter->is_unreadable = false;
	/* The report is of the latest reading that it can judge by. */
	if (reporter->readings && sample_is_consistent(reporter->sample) &&
	    !sample_is_consistent(next)) {
		take_sample(reporter, next);
		return 0;
	}
	reporter->next = reporter->sample;
	reporter->sample = next;
	tell_swapped_in(reporter);
	read_bounds(reporter);
	take_sample(reporter, next);
	return 0;
}

static void wait_until(struct reporter *reporter, int64_t due_ns)
{
	while (!frontend_stops(reporter->options->frontend)) {
		int64_t now_ns = clock_monotonic_ns();

		report_events_poll(&reporter->events);
		if (now_ns >= due_ns)
			return;
		clock_wait_until(now_ns + POLL_NS < due_ns ? now_ns + POLL_NS : due_ns,
				 &reporter->options->frontend->waiting);
	}
}

/* A reading that is longer than its turn leaves turns out, unless that leaves too few for
 * a trend: then the next begins at once. */
static int64_t next_turn(int64_t due_ns, int64_t step_ns, int64_t for_ns)
{
	int64_t now_ns = clock_monotonic_ns();
	int64_t turn_ns = due_ns;

	while (turn_ns <= now_ns)
		turn_ns += step_ns;
	return (turn_ns - due_ns) * TREND_MIN > for_ns ? now_ns : turn_ns;
}

/* How long it is watched, as it stands. */
static int64_t watched_ns(const struct reporter *reporter)
{
	const struct reporter_options *options = reporter->options;
	bool is_short = reporter->readings < TREND_MIN && !reporter->is_unreadable;

	return is_short && options->at_most_ns > options->for_ns ? options->at_most_ns
								 : options->for_ns;
}

/* The stop signals are let in from here on: what they ask for is seen within POLL_NS. */
static int watch(struct reporter *reporter, struct fault *fault)
{
	int64_t for_ns = reporter->options->for_ns;
	int64_t step_ns = step_of(for_ns);
	int64_t begin_ns = clock_monotonic_ns();
	int64_t due_ns = begin_ns;
	int error;

	pthread_sigmask(SIG_SETMASK, &reporter->options->frontend->reading, NULL);
	error = read_once(reporter, fault);
	while (!error && !reporter->has_ended &&
	       !frontend_stops(reporter->options->frontend) &&
	       due_ns + step_ns <= begin_ns + watched_ns(reporter)) {
		due_ns = next_turn(due_ns, step_ns, for_ns);
		/* The last reading took all the time there was. */
		if (due_ns > begin_ns + watched_ns(reporter))
			break;
		wait_until(reporter, due_ns);
		if (!frontend_stops(reporter->options->frontend))
			error = read_once(reporter, fault);
	}
	return error;
}

/* Whether a budget has kept anything from the last reading. */
static bool was_short(const struct sample *sample)
{
	return sample->status == STATUS_ESTIMATED ||
	       (sample->source == SOURCE_HEAP &&
		!figure_has(&sample->fig, FIG_PSS_BYTES));
}

/* The last reading of the course is what the report is about: where it was an estimate,
 * the heap is read whole now. */
static int read_whole(struct reporter *reporter, struct fault *fault)
{
	if (reporter->has_ended || !was_short(reporter->sample))
		return 0;
	source_set_budget(reporter->source, 0);
	return read_once(reporter, fault);
}

static void look_closer(struct reporter *reporter)
{
	if (reporter->options->budget_ns)
		because(reporter->looks.no_blockers,
			"a look at all chunks is not within --budget");
	if (reporter->has_ended)
		because(reporter->looks.no_blockers, "the process has ended");
	else
		report_looks_take(&reporter->looks, reporter->source, reporter->sample);
}

/* ---- a recording ---- */

/* The one process of the recording, or that was chosen of several. */
static int choose_one(const struct reporter *reporter, struct fault *fault)
{
	if (stream_targets(reporter->stream) <= 1)
		return 0;
	return contents_several(stream_contents(reporter->stream),
				reporter->options->replay, "choose one with -p or -n",
				fault);
}

/* A line that is wrong ends a recording; what is before it is reported on. */
static int end_of_recording(const struct reporter *reporter, int news,
			    struct fault *fault)
{
	if (!reporter->readings && news >= 0)
		return fault_set(fault, EXIT_FAILED, -EINTR,
				 "stopped before the first reading");
	if (!reporter->readings)
		return news;
	if (news < 0)
		frontend_message(reporter->options->frontend,
				 "%s; the report is of the rows that were read",
				 fault->text);
	return 0;
}

static int read_all(struct reporter *reporter, struct fault *fault)
{
	struct stream_target *target;
	int news, error = choose_one(reporter, fault);

	if (error)
		return error;
	while ((news = stream_next(reporter->stream, &target, fault)) >= 0 &&
	       news != STREAM_OVER) {
		if (news != STREAM_SAMPLE)
			continue;
		error = choose_one(reporter, fault);
		if (error)
			return error;
		reporter->pid = target->pid;
		reporter->sample = target->sample;
		report_events_count(&reporter->events, &target->sample->fig);
		take_sample(reporter, target->sample);
	}
	return end_of_recording(reporter, news, fault);
}

/* The stream stays open: its sample is that of the report. */
static int read_recording(struct reporter *reporter, struct fault *fault)
{
	const struct reporter_options *options = reporter->options;
	const struct stream_options wanted = {
		.frontend = options->frontend,
		.recording = options->replay,
		.pids = options->pids,
		.names = options->names,
	};
	int error = stream_open(&reporter->stream, &wanted, fault);

	if (error)
		return error;
	reporter->has_ended = true;
	reporter->report.is_recorded = true;
	because(reporter->looks.no_blockers, "a recording does not have single chunks");
	because(reporter->no_limits, "a recording does not have limits");
	error = read_all(reporter, fault);
	if (!error)
		snprintf(reporter->describe, sizeof(reporter->describe),
			 "process %d (%s), %s, from %s", reporter->pid,
			 reporter->sample->comm, reporter->sample->allocator,
			 stream_describe(reporter->stream, NULL));
	if (!reporter->events.has_counts)
		because(reporter->events.missing,
			"the recording was made without --events");
	return error;
}

/* ---- the report ---- */

static void fill_series(struct reporter *reporter)
{
	struct report *report = &reporter->report;

	for (unsigned i = 0; i < TREND_STORE_FIGURES; i++) {
		struct report_series *series = &reporter->shown_series[i];

		series->f = trend_store_figure[i];
		series->is_estimated = trend_store_is_estimated(reporter->store, i);
		trend_store_trend(reporter->store, i, &series->trend);
		series->point = reporter->point[i];
		series->points =
			trend_store_points(reporter->store, i, reporter->point[i]);
	}
	report->series = reporter->shown_series;
	report->series_count = TREND_STORE_FIGURES;
}

static void fill_limits(struct reporter *reporter)
{
	struct report *report = &reporter->report;

	if (!reporter->has_bounds) {
		report->why_no_limits = reporter->no_limits;
		return;
	}
	trend_store_reach(reporter->store, &reporter->headroom, reporter->reach);
	report->bounds = &reporter->bounds;
	report->headroom = &reporter->headroom;
	report->reach = reporter->reach;
	if (!reporter->has_ended && !oom_rank_read(reporter->pid, &reporter->oom))
		report->oom = &reporter->oom;
}

static const struct verdict_trend *trend_of_figure(const struct reporter *reporter,
						   enum figure f)
{
	static const struct verdict_trend unknown;

	for (unsigned i = 0; i < TREND_STORE_FIGURES; i++)
		if (reporter->shown_series[i].f == f)
			return &reporter->shown_series[i].trend;
	return &unknown;
}

static void judge(struct reporter *reporter)
{
	struct report *report = &reporter->report;
	struct verdict_input input = {
		.sample = reporter->sample,
		.blockers = report->blockers,
		.headroom = report->headroom,
		.reach = report->reach,
		.non_malloc = &reporter->looks.non_malloc,
		.huge = &reporter->looks.huge,
		.rss = *trend_of_figure(reporter, FIG_RSS_BYTES),
		.other = *trend_of_figure(reporter, FIG_OTHER_RESIDENT_BYTES),
		.pinned = *trend_of_figure(reporter, FIG_PINNED_BYTES),
		.chunks = *trend_of_figure(reporter, FIG_FREE_CHUNKS),
		.largest = *trend_of_figure(reporter, FIG_LARGEST_FREE_BYTES),
		.watched_s = report->watched_s,
		.has_failures = !report->growth.missing,
		.failures = report->growth.failures,
	};

	trend_store_held(reporter->store, &input.live);
	trend_store_arenas(reporter->store, &input.arenas);
	report->verdicts = verdicts_of(&input, reporter->verdict, VERDICT_KINDS);
	report->verdict = reporter->verdict;
	verdict_answer(&input, reporter->verdict, report->verdicts, reporter->answer,
		       sizeof(reporter->answer));
	report->answer = reporter->answer;
}

static void fill(struct reporter *reporter)
{
	struct report *report = &reporter->report;

	report->describe = reporter->describe;
	report->sample = reporter->sample;
	report->readings = reporter->readings;
	report->watched_s = trend_store_span_s(reporter->store);
	report_looks_fill(&reporter->looks, report);
	report_events_fill(&reporter->events, report);
	fill_series(reporter);
	fill_limits(reporter);
	judge(reporter);
	report->cost.cpu_ns = (uint64_t)(clock_process_ns() + clock_children_ns());
}

static int gather(struct reporter *reporter, struct fault *fault)
{
	int error = trend_store_new(&reporter->store);

	if (error)
		return out_of_memory(fault);
	if (reporter->options->replay)
		return read_recording(reporter, fault);
	error = open_source(reporter, fault);
	if (!error)
		error = open_events(reporter, fault);
	if (error)
		return error;
	reporter->progress = progress_begin("watching", reporter->options->for_ns);
	error = watch(reporter, fault);
	if (!error && !reporter->options->budget_ns)
		error = read_whole(reporter, fault);
	if (!error)
		look_closer(reporter);
	progress_end(reporter->progress);
	reporter->progress = NULL;
	return error;
}

int reporter_new(struct reporter **reporter, const struct reporter_options *options,
		 struct fault *fault)
{
	struct reporter *new = alloc_touched(sizeof(*new));
	int error;

	*reporter = NULL;
	if (!new)
		return out_of_memory(fault);
	new->options = options;
	new->pid = options->pid;
	error = gather(new, fault);
	if (error) {
		reporter_free(new);
		return error;
	}
	fill(new);
	*reporter = new;
	return 0;
}

void reporter_free(struct reporter *reporter)
{
	if (!reporter)
		return;
	report_events_close(&reporter->events);
	report_looks_release(&reporter->looks);
	trend_store_free(reporter->store);
	if (!reporter->stream)
		sample_free(reporter->sample);
	sample_free(reporter->next);
	stream_close(reporter->stream);
	source_close(reporter->source);
	free(reporter);
}

const struct report *reporter_report(const struct reporter *reporter)
{
	return &reporter->report;
}
