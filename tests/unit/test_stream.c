/* test_stream.c: recordings by the calls that also read processes: whose sample comes
 * next, when a process ends, who is chosen, and at which interval it was recorded; and
 * what `stat`, `alert` and `report` make of that. */
#include "base/clock.h"
#include "engine/alert.h"
#include "engine/reporter.h"
#include "engine/stat.h"
#include "engine/stream.h"
#include "source/replay.h"
#include "top/session.h"
#include "top/top.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_S INT64_C(1000000000)
#define START_NS (1700000000 * NS_PER_S)

enum { TEXT = 1 << 20, WEB = 11, DB = 12, DECAY = 30 };

static const struct frontend nobody;
static struct fault fault;
static char text[TEXT], other[TEXT];

/* ---- recordings ---- */

struct recording {
	int fd;
	char name[64];
	struct view *view;
	struct sample *sample;
};

static void begin(struct recording *recording)
{
	const struct view_options wanted = {.format = VIEW_JSON};

	recording->fd = memfd_create("recording", 0);
	assert_true(recording->fd >= 0);
	snprintf(recording->name, sizeof(recording->name), "/proc/self/fd/%d",
		 recording->fd);
	recording->sample = sample_new(1, false);
	assert_int_equal(view_open(&recording->view, recording->fd, &wanted), 0);
}

/* A row of PID after MS milliseconds, with so many bytes free. */
static void add(struct recording *recording, int pid, int64_t ms, uint64_t free_bytes)
{
	struct sample *sample = recording->sample;

	sample_clear(sample);
	sample->time_ns = START_NS + ms * 1000000;
	sample->pid = pid;
	snprintf(sample->comm, sizeof(sample->comm), "%s", pid == WEB ? "web" : "db");
	figure_set(&sample->fig, FIG_RSS_BYTES, 100 << 20);
	figure_set(&sample->fig, FIG_FREE_BYTES, free_bytes);
	assert_int_equal(view_sample(recording->view, sample), 0);
}

static void end(struct recording *recording)
{
	view_close(recording->view);
	sample_free(recording->sample);
	close(recording->fd);
}

/* Of WEB from the start, of DB from halfway on, every 2 seconds each. */
static void make_two(struct recording *recording)
{
	begin(recording);
	for (int i = 0; i < 10; i++) {
		add(recording, WEB, i * 2000, 1000);
		if (i >= 5)
			add(recording, DB, i * 2000 + 3, i < 8 ? 1000 : 5000);
	}
}

static size_t take_text(int fd, char *to)
{
	ssize_t length = pread(fd, to, TEXT - 1, 0);

	assert_true(length >= 0 && length < TEXT - 1);
	to[length] = '\0';
	return (size_t)length;
}

/* ---- what comes ---- */

/* "s11 s11 e11 ." for samples, ends and the end of PIDs; or the error behind them. */
static void hear(struct stream *stream, char *heard, size_t room)
{
	struct stream_target *target;
	size_t used = 0;
	int news;

	do {
		news = stream_next(stream, &target, &fault);
		assert_true(used < room);
		if (news == STREAM_SAMPLE || news == STREAM_ENDED)
			used += (size_t)snprintf(heard + used, room - used, "%c%d ",
						 news == STREAM_SAMPLE ? 's' : 'e',
						 target->pid);
		if (news == STREAM_SAMPLE)
			assert_int_equal(target->sample->pid, target->pid);
	} while (news == STREAM_SAMPLE || news == STREAM_ENDED);
	if (news == STREAM_OVER)
		snprintf(heard + used, room - used, ".");
	else
		snprintf(heard + used, room - used, "%d", news);
}

/* What is heard of FILE with OPTIONS. */
static const char *heard_of(const char *file, struct stream_options options)
{
	static char heard[512];
	struct stream *stream;

	options.recording = file;
	if (stream_open(&stream, &options, &fault))
		return fault.text;
	hear(stream, heard, sizeof(heard));
	stream_close(stream);
	return heard;
}

static void an_end_is_heard_at_once(void **state)
{
	struct recording recording;

	(void)state;
	begin(&recording);
	add(&recording, WEB, 0, 1);
	add(&recording, DB, 1, 1);
	add(&recording, WEB, 2, 1);
	add(&recording, DB, 3, 1);
	add(&recording, DB, 5, 1);
	assert_string_equal(heard_of(recording.name, (struct stream_options){0}),
			    "s11 s12 s11 e11 s12 s12 e12 .");
	end(&recording);
}

static void some_are_chosen(void **state)
{
	int db[] = {DB}, both[] = {DB, WEB}, none[] = {13};
	char *web[] = {"web"};
	struct recording recording;

	(void)state;
	begin(&recording);
	add(&recording, WEB, 0, 1);
	add(&recording, DB, 1, 1);
	assert_string_equal(
		heard_of(recording.name, (struct stream_options){.pids = {db, 1}}),
		"s12 e12 .");
	assert_string_equal(
		heard_of(recording.name, (struct stream_options){.names = {web, 1}}),
		"s11 e11 .");
	assert_string_equal(
		heard_of(recording.name,
			 (struct stream_options){.pids = {db, 1}, .names = {web, 1}}),
		"s11 e11 s12 e12 .");
	assert_string_equal(
		heard_of(recording.name, (struct stream_options){.pids = {both, 2}}),
		"s11 e11 s12 e12 .");
	assert_non_null(strstr(
		heard_of(recording.name, (struct stream_options){.pids = {none, 1}}),
		"has no rows of process 13; it has those of 11 web (1 "
		"reading), 12 db (1 reading)"));
	end(&recording);
}

static void a_name_is_as_the_kernel_cuts_it(void **state)
{
	struct contents contents = {0};
	struct sample *sample = sample_new(0, false);
	char *name[] = {"a-name-that-is-longer-than-fifteen"};

	(void)state;
	sample->pid = 1;
	snprintf(sample->comm, sizeof(sample->comm), "%.15s", name[0]);
	assert_int_equal(contents_add(&contents, sample), 0);
	assert_int_equal(contents_choose(&contents, "x", NULL, 0, name, 1, &fault), 0);
	name[0] = "a-name";
	assert_int_equal(contents_choose(&contents, "x", NULL, 0, name, 1, &fault),
			 -ESRCH);
	contents_free(&contents);
	sample_free(sample);
}

/* The second process joins halfway: the mean of both would be 2.6 seconds. */
static void the_interval_is_that_of_each_process(void **state)
{
	struct recording recording;
	struct stream *stream;
	struct stream_options options = {0};

	(void)state;
	make_two(&recording);
	options.recording = recording.name;
	assert_int_equal(stream_open(&stream, &options, &fault), 0);
	assert_int_equal(stream_interval_ns(stream), 2 * NS_PER_S);
	assert_int_equal(stream_targets(stream), 2);
	assert_true(stream_is_several(stream));
	stream_close(stream);
	end(&recording);
}

static void what_is_wrong_comes_last(void **state)
{
	struct recording recording;

	(void)state;
	begin(&recording);
	add(&recording, WEB, 0, 1);
	add(&recording, WEB, 1, 1);
	assert_int_equal(write(recording.fd, "{", 1), 1);
	assert_string_equal(heard_of(recording.name, (struct stream_options){0}),
			    "s11 s11 e11 -71");
	assert_non_null(strstr(fault.text, "line 3: it is cut short"));
	end(&recording);
}

/* What cannot be read twice is read as it comes. */
static void a_pipe_is_read_once(void **state)
{
	struct recording recording;
	char name[64];
	int ends[2], db[] = {DB};
	size_t length;

	(void)state;
	make_two(&recording);
	length = take_text(recording.fd, text);
	assert_int_equal(pipe(ends), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
	assert_int_equal(write(ends[1], text, length), length);
	assert_non_null(strstr(heard_of(name, (struct stream_options){.twice = true}),
			       "reads its file twice"));
	close(ends[1]);
	assert_string_equal(heard_of(name, (struct stream_options){.pids = {db, 1}}),
			    "s12 s12 s12 s12 s12 .");
	close(ends[0]);
	end(&recording);
}

static void a_stop_ends_it(void **state)
{
	const atomic_bool stop = true;
	const struct frontend frontend = {.stop = &stop};
	struct recording recording;

	(void)state;
	make_two(&recording);
	assert_string_equal(
		heard_of(recording.name, (struct stream_options){.frontend = &frontend}),
		".");
	end(&recording);
}

/* ---- what the engines make of it ---- */

static void stat_prints_what_was_recorded(void **state)
{
	struct stat_options options = {.view = {.format = VIEW_JSON}};
	struct recording recording;
	char name[64];
	int fd = memfd_create("rows", 0), status;

	(void)state;
	make_two(&recording);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	options.output = name;
	options.stream.recording = recording.name;
	options.stream.frontend = &nobody;
	assert_int_equal(stat_run(&options, &status, &fault), 0);
	assert_int_equal(status, 0);
	take_text(recording.fd, text);
	take_text(fd, other);
	assert_string_equal(text, other);
	close(fd);
	end(&recording);
}

/* What alert_run of FILE writes to standard output, in TEXT. */
static int alerts_of(const char *file, char *rule, char **name, int *status)
{
	struct alert_request request = {
		.frontend = &nobody,
		.replay = file,
		.rules = {&rule, rule ? 1 : 0},
		.json = !rule,
		.names = {name, name ? 1 : 0},
	};
	int fd = memfd_create("alerts", 0), before = dup(STDOUT_FILENO), error;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	error = alert_run(&request, status, &fault);
	dup2(before, STDOUT_FILENO);
	close(before);
	take_text(fd, text);
	close(fd);
	return error;
}

static unsigned count(const char *word)
{
	unsigned found = 0;

	for (const char *at = text; (at = strstr(at, word)); at++)
		found++;
	return found;
}

static void alerts_are_of_their_process(void **state)
{
	char *rule = "much: free > 2000", *web[] = {"web"};
	struct recording recording;
	int status;

	(void)state;
	make_two(&recording);
	assert_int_equal(alerts_of(recording.name, rule, NULL, &status), 0);
	assert_int_equal(count("BEGIN"), 1);
	assert_int_equal(count("db[12] much: free_bytes"), 1);
	assert_int_equal(count("END"), 1);
	assert_non_null(strstr(text, "no more readings"));
	assert_int_equal(alerts_of(recording.name, rule, web, &status), 0);
	assert_string_equal(text, "");
	end(&recording);
}

/* What is not known is no 0 in a page: these rows do not say how many chunks are free. */
static void check_page(const struct report *report)
{
	int fd = memfd_create("page", 0);

	assert_int_equal(report_html(report, fd), 0);
	take_text(fd, text);
	assert_non_null(strstr(text, "<p>4.88K free.</p>"));
	assert_null(strstr(text, "all of it in tops"));
	close(fd);
}

/* Whether REPORT in a form says WORDS. */
static bool says(int (*form)(const struct report *, int), const struct report *report,
		 const char *words)
{
	int fd = memfd_create("report", 0);

	assert_int_equal(form(report, fd), 0);
	take_text(fd, text);
	close(fd);
	return strstr(text, words);
}

/* Nobody may think that nothing was missed. */
static void check_skipped(const struct report *of)
{
	static int (*const forms[])(const struct report *,
				    int) = {report_text, report_html, report_json};
	static const char *const words[] = {"was not seen to grow", "33 probe calls",
					    "\"skipped\":33"};
	struct report none = *of, some = *of;

	none.growth = (struct report_growth){0};
	some.growth = (struct report_growth){.skipped = 33};
	for (unsigned i = 0; i < 3; i++) {
		assert_true(says(forms[i], &some, words[i]));
		assert_false(says(forms[i], &none, words[i]));
	}
}

/* A random sample says who holds, and not how much would come back. */
static void check_owners(const struct report *of)
{
	static int (*const forms[])(const struct report *,
				    int) = {report_text, report_html, report_json};
	static const char *const all[] = {"  3.00M  shelf", "<td>3.00M</td>",
					  "\"unlocked_bytes\":3145728"};
	static const char *const some[] = {"  97%    shelf", "<td>97%</td>",
					   "\"share\":0.970000"};
	static struct owners owners = {
		.asked_chunks = 5000,
		.count = 1,
		.owner[0] = {.name = "shelf",
			     .share = 0.97,
			     .unlocked_bytes = 3 << 20,
			     .step_count = 1,
			     .step[0] = {.chunks = 9}},
	};
	struct blockers blockers = {.pinning_chunks = 5000, .pinned_bytes = 4 << 20};
	struct report report = *of;

	report.blockers = &blockers;
	report.why_no_blockers = NULL;
	report.owners = &owners;
	for (unsigned i = 0; i < 3; i++) {
		owners.sampled_chunks = 0;
		assert_true(says(forms[i], &report, all[i]));
		assert_false(says(forms[i], &report, some[i]));
		owners.sampled_chunks = 300;
		assert_true(says(forms[i], &report, some[i]));
		assert_false(says(forms[i], &report, all[i]));
	}
	assert_true(says(report_text, &report, "a random sample of 300"));
}

/* The last reading may be of all the heap where those before were estimates. */
static void check_estimates(const struct report *of)
{
	static struct sample sample;
	static struct track_point point[2] = {{.min = 0, .max = 118 << 20}};
	struct report_series series[2] = {
		{.f = FIG_RSS_BYTES, .trend.is_known = true},
		{.f = FIG_LIVE_BYTES,
		 .is_estimated = true,
		 .point = point,
		 .points = 1,
		 .trend = {.is_known = true, .first = 3 << 20, .last = 17 << 20}}};
	struct report report = *of;

	figure_set(&sample.fig, FIG_LIVE_BYTES, 17 << 20);
	report.sample = &sample;
	report.series = series;
	report.series_count = 2;
	assert_true(says(report_text, &report,
			 "~3.00M ->  17.0M  between ~0 and ~118M, no trend\n  ~ marks"));
	figure_set_range(&sample.fig, FIG_LIVE_BYTES, 0, 118 << 20);
	assert_true(says(report_text, &report, "~3.00M -> ~17.0M"));
	assert_true(says(report_json, &report, "\"estimated\":true"));
	series[1].is_estimated = false;
	assert_false(says(report_text, &report, "marks what some readings estimated"));
	assert_false(says(report_json, &report, "\"estimated\":true"));
}

/* What the kernel counts as used is not what rows of limits have. */
static void check_cgroup_cache(const struct report *of)
{
	static struct bounds bounds = {
		.has = BOUNDS_HAS_CGROUP,
		.cgroup.max = {.is_set = true,
			       .limit_bytes = 100 << 20,
			       .used_bytes = 99 << 20,
			       .cache_bytes = 80 << 20},
	};
	static const char words[] = "counts 99.0M of the cgroup's 100M as used";
	static const struct headroom_reach reach[HEADROOM_KINDS];
	struct headroom headroom = {.nearest = -1};
	struct report report = *of;

	report.bounds = &bounds;
	report.headroom = &headroom;
	report.reach = reach;
	report.oom = NULL;
	assert_true(says(report_text, &report, words));
	assert_true(says(report_text, &report, "80.0M of that is"));
	assert_true(says(report_html, &report, words));
	bounds.cgroup.max.cache_bytes = 24 << 20;
	assert_false(says(report_text, &report, "of the cgroup's"));
	bounds.cgroup.max.cache_bytes = 60 << 20;
	bounds.cgroup.max.used_bytes = 89 << 20;
	assert_false(says(report_text, &report, "in the cgroup"));
	bounds.cgroup.max.used_bytes = 90 << 20;
	bounds.cgroup.max.is_set = false;
	assert_false(says(report_html, &report, "in the cgroup"));
}

static void a_report_is_on_one(void **state)
{
	int db[] = {DB}, web[] = {WEB};
	struct reporter_options options = {.frontend = &nobody};
	struct recording recording;
	struct reporter *reporter;
	const struct report *report;

	(void)state;
	make_two(&recording);
	options.replay = recording.name;
	assert_int_equal(reporter_new(&reporter, &options, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "11 web (10 readings), 12 db (5 readings)"));
	assert_non_null(strstr(fault.text, "choose one with -p or -n"));
	options.pids = (struct pid_list){db, 1};
	assert_int_equal(reporter_new(&reporter, &options, &fault), 0);
	report = reporter_report(reporter);
	assert_true(report->is_recorded);
	assert_int_equal(report->readings, 5);
	assert_int_equal(report->sample->pid, DB);
	assert_int_equal(report->sample->fig.v[FIG_FREE_BYTES].u, 5000);
	assert_non_null(strstr(report->describe, "process 12 (db)"));
	assert_null(report->blockers);
	assert_non_null(report->why_no_limits);
	check_page(report);
	check_skipped(report);
	check_estimates(report);
	check_cgroup_cache(report);
	check_owners(report);
	reporter_free(reporter);
	/* Rows of the other come behind its last. */
	options.pids = (struct pid_list){web, 1};
	assert_int_equal(reporter_new(&reporter, &options, &fault), 0);
	report = reporter_report(reporter);
	assert_int_equal(report->readings, 10);
	assert_int_equal(report->sample->pid, WEB);
	assert_int_equal(report->sample->fig.v[FIG_FREE_BYTES].u, 1000);
	reporter_free(reporter);
	end(&recording);
}

/* ---- the same by all verbs ---- */

/* What the two processes of tests/recordings would be, were the second started halfway: a
 * copy of the first, under another number. */
static void make_decays(struct recording *recording)
{
	const char *tree = getenv("FRAGSCOPE_BUILDDIR");
	const struct sample *from;
	struct sample *sample[DECAY];
	struct replay *replay;
	char path[4096];

	snprintf(path, sizeof(path), "%s/tests/recordings/fragmenter.json",
		 tree ? tree : ".");
	assert_int_equal(replay_open(&replay, path, &fault), 0);
	for (unsigned i = 0; i < DECAY; i++) {
		assert_int_equal(replay_next(replay, &from, &fault), 0);
		sample[i] = sample_new(from->arena_count, true);
		assert_int_equal(sample_copy(sample[i], from), 0);
	}
	replay_close(replay);
	begin(recording);
	for (unsigned i = 0; i < DECAY + DECAY / 2; i++) {
		if (i < DECAY)
			assert_int_equal(view_sample(recording->view, sample[i]), 0);
		if (i < DECAY / 2)
			continue;
		from = sample[i - DECAY / 2];
		sample[i - DECAY / 2]->pid = DB;
		sample[i - DECAY / 2]->time_ns += DECAY / 2 * NS_PER_S + 3000000;
		assert_int_equal(view_sample(recording->view, from), 0);
		sample_free(sample[i - DECAY / 2]);
	}
}

/* Whether TEXT, what `alert --json` wrote, has the event ROW of process PID. */
static bool is_alert(const struct event_row *row, int pid)
{
	char time[64], begin[128];
	struct text out;
	size_t name = strcspn(row->line, " ");

	text_init(&out, time, sizeof(time));
	clock_rfc3339(&out, row->time_ns);
	snprintf(begin, sizeof(begin), "{\"time\":\"%s\",\"event\":\"%s\"", time,
		 strstr(row->line, " begins: ") ? "begin" : "end");
	for (const char *at = text; (at = strstr(at, begin)); at++) {
		char line[4096], wanted[128];

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
		snprintf(wanted, sizeof(wanted), "\"rule\":\"%.*s\"", (int)name,
			 row->line);
		if (!strstr(line, wanted))
			continue;
		snprintf(wanted, sizeof(wanted), "\"pid\":%d,", pid);
		if (strstr(line, wanted))
			return true;
	}
	return false;
}

/* `alert` and `top` judge by the same windows, and know the same ends. */
static void all_verbs_give_the_same_alerts(void **state)
{
	struct top_options options = {.speed = 1};
	struct top *top = calloc(1, sizeof(*top));
	struct recording recording;
	unsigned alerts, found = 0;
	int status;

	(void)state;
	make_decays(&recording);
	assert_int_equal(alerts_of(recording.name, NULL, NULL, &status), 0);
	alerts = count("\"event\":");
	assert_true(count("\"pid\":12,") >= 2);
	assert_int_equal(count("\"pid\":12,"), alerts / 2);
	options.replay = recording.name;
	top->options = &options;
	timeline_open(&top->time);
	selection_open(&top->selection);
	inspection_open(&top->inspection);
	assert_int_equal(session_open(top, &fault), 0);
	assert_int_equal(top->targets.count, 2);
	while (session_step(top))
		;
	for (unsigned t = 0; t < top->targets.count; t++) {
		const struct top_target *target = &top->targets.target[t];

		for (size_t i = 0; i < target->event_count; i++)
			found += is_alert(target_event(target, i), target->pid);
		for (size_t i = 0; i < target->event_count; i++)
			assert_true(is_alert(target_event(target, i), target->pid));
	}
	assert_int_equal(found, alerts);
	session_close(top);
	free(top);
	end(&recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_heard_at_once),
		cmocka_unit_test(some_are_chosen),
		cmocka_unit_test(a_name_is_as_the_kernel_cuts_it),
		cmocka_unit_test(the_interval_is_that_of_each_process),
		cmocka_unit_test(what_is_wrong_comes_last),
		cmocka_unit_test(a_pipe_is_read_once),
		cmocka_unit_test(a_stop_ends_it),
		cmocka_unit_test(stat_prints_what_was_recorded),
		cmocka_unit_test(alerts_are_of_their_process),
		cmocka_unit_test(a_report_is_on_one),
		cmocka_unit_test(all_verbs_give_the_same_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
