/* test_engine.c: the parts of the engines that need no process to look at: messages,
 * rows, sinks of alerts, commands, and what is refused. */
#include "base/clock.h"
#include "engine/alert.h"
#include "engine/frontend.h"
#include "engine/launch.h"
#include "engine/reporter.h"
#include "engine/rows.h"
#include "engine/stat.h"
#include "engine/tracer.h"
#include "engine/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct frontend nobody;
static struct fault fault;

/* ---- frontends ---- */

static char heard[512];

static void hear(const char *line)
{
	snprintf(heard, sizeof(heard), "%s", line);
}

static void messages_reach_the_user(void **state)
{
	atomic_bool stop = false;
	const struct frontend frontend = {.message = hear, .stop = &stop};

	(void)state;
	frontend_message(&frontend, "%d of %s", 3, "them");
	assert_string_equal(heard, "3 of them");
	assert_false(frontend_stops(&frontend));
	atomic_store(&stop, true);
	assert_true(frontend_stops(&frontend));
	assert_ptr_equal(frontend_stop_flag(&frontend), &stop);
}

static void nobody_hears_and_nobody_stops(void **state)
{
	(void)state;
	frontend_message(NULL, "%s", "x");
	frontend_message(&nobody, "%s", "x");
	assert_false(frontend_stops(NULL));
	assert_false(frontend_stops(&nobody));
	assert_null(frontend_stop_flag(NULL));
}

/* ---- rows ---- */

static void rows_say_where_they_cannot_go(void **state)
{
	const struct view_options csv = {.format = VIEW_CSV, .header = true};
	struct rows rows = {.file = "/no/such/file", .what = "samples"};
	struct rows full = {.file = "/dev/full", .what = "rows"};

	(void)state;
	assert_int_equal(rows_open(&rows, &csv, &fault), -ENOENT);
	assert_string_equal(fault.text, "cannot write samples to /no/such/file: No such "
					"file or directory");
	assert_int_equal(rows_close(&rows, &fault), 0);
	assert_int_equal(rows_open(&full, &csv, &fault), -ENOSPC);
	assert_string_equal(fault.text,
			    "cannot write rows to /dev/full: No space left on device");
	rows_close(&full, NULL);
}

static void rows_are_written_as_they_come(void **state)
{
	const struct view_options json = {.format = VIEW_JSON};
	struct sample *sample = sample_new(0, false);
	int fd = memfd_create("rows", 0);
	struct rows rows = {.what = "rows"};
	char name[64], text[8192];
	ssize_t length;

	(void)state;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	rows.file = name;
	sample->pid = 7;
	assert_int_equal(rows_open(&rows, &json, &fault), 0);
	assert_int_equal(rows_note(&rows, "not in JSON", &fault), 0);
	assert_int_equal(rows_sample(&rows, sample, &fault), 0);
	length = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(length > 0);
	text[length] = '\0';
	assert_non_null(strstr(text, "\"pid\":7,"));
	assert_null(strstr(text, "not in JSON"));
	assert_int_equal(rows_close(&rows, &fault), 0);
	sample_free(sample);
	close(fd);
}

/* ---- where alerts go ---- */

/* An alert that begins goes to SINK with standard output on FD. */
static void begin_alert(struct alert_sink *sink, int fd)
{
	static struct rule rule = {.name = "much"};
	const struct alert alert = {
		.kind = ALERT_BEGIN, .rule = &rule, .pid = 7, .comm = "test"};
	int before = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	alert_sink_take(&alert, sink);
	dup2(before, STDOUT_FILENO);
	close(before);
}

static void one_alert_is_enough_with_once(void **state)
{
	struct alert_request request = {.frontend = &nobody, .json = true, .once = true};
	struct alert_sink sink = {0};
	int fd = memfd_create("alerts", 0);
	off_t after_one;

	(void)state;
	assert_int_equal(alert_sink_open(&sink, &request, &fault), 0);
	assert_false(alert_sink_done(&sink));
	begin_alert(&sink, fd);
	assert_true(sink.fired);
	assert_true(alert_sink_done(&sink));
	after_one = lseek(fd, 0, SEEK_CUR);
	assert_true(after_one > 0);
	begin_alert(&sink, fd);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), after_one);
	assert_int_equal(alert_sink_close(&sink, &fault), 0);
	close(fd);
}

static void an_alert_that_is_not_written_ends_it(void **state)
{
	struct alert_request request = {.frontend = &nobody};
	struct alert_sink sink = {0};
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(alert_sink_open(&sink, &request, &fault), 0);
	begin_alert(&sink, fd);
	assert_true(alert_sink_done(&sink));
	assert_int_equal(alert_sink_close(&sink, &fault), -ENOSPC);
	assert_non_null(strstr(fault.text, "cannot write alerts to standard output"));
	close(fd);
}

/* ---- commands ---- */

static int status_of(const char *script)
{
	char *words[] = {"sh", "-c", (char *)script, NULL};
	struct launch launch;
	int status = -1;

	assert_int_equal(launch_start(&launch, words, &fault), 0);
	assert_int_equal(launch_wait(&launch, 0, &status), 1);
	return status;
}

static void a_command_ends_as_in_a_shell(void **state)
{
	(void)state;
	assert_int_equal(status_of("exit 0"), 0);
	assert_int_equal(status_of("exit 7"), 7);
	assert_int_equal(status_of("kill -9 $$"), 137);
}

static void what_is_no_command_is_told(void **state)
{
	char *missing[] = {"/no/such/command", NULL}, *file[] = {"/etc/passwd", NULL};
	struct launch launch;

	(void)state;
	assert_int_equal(launch_start(&launch, missing, &fault), -ENOENT);
	assert_int_equal(fault.status, EXIT_NOT_FOUND);
	assert_int_equal(launch_start(&launch, file, &fault), -EACCES);
	assert_int_equal(fault.status, EXIT_NOT_RUNNABLE);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* It waits for the end of a pipe; what is sent to this process is sent on to it. */
static void a_command_is_waited_for(void **state)
{
	char script[64], *words[] = {"sh", "-c", script, NULL};
	struct launch launch;
	int ends[2], status = -1;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETFD, FD_CLOEXEC), 0);
	snprintf(script, sizeof(script), "trap 'exit 5' USR1; read x <&%d", ends[0]);
	assert_int_equal(launch_start(&launch, words, &fault), 0);
	assert_int_equal(launch_wait(&launch, clock_monotonic_ns() + 1, &status), 0);
	assert_int_equal(status, -1);
	close(ends[1]);
	assert_int_equal(launch_wait(&launch, 0, &status), 1);
	assert_int_equal(status, 1);
	close(ends[0]);
}

/* ---- processes that are gone ---- */

static int gone_pid(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void who_is_gone_is_refused(void **state)
{
	int pid = gone_pid(), status;
	const struct tracer_options tracing = {.events_per_second = 1};
	const struct reporter_options reporting = {.pid = pid, .frontend = &nobody};
	const struct trim_options options = {.dry_run = true};
	const struct stat_options rows = {
		.stream = {.frontend = &nobody,
			   .pids = {&pid, 1},
			   .source = {.threads = 1}},
	};
	struct reporter *reporter;
	struct tracer *tracer;
	struct trim *trim;

	(void)state;
	assert_int_equal(tracer_open(&tracer, pid, &tracing, &fault), -ESRCH);
	assert_int_equal(trim_open(&trim, pid, &options, &nobody, &fault), -ESRCH);
	assert_int_equal(reporter_new(&reporter, &reporting, &fault), -ESRCH);
	assert_int_equal(stat_run(&rows, &status, &fault), -ESRCH);
	assert_non_null(strstr(fault.text, "process"));
}

static void what_a_trim_tells_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRIM_RESULTS; i++) {
		assert_non_null(trim_result_info[i].name);
		assert_non_null(trim_result_info[i].label);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(trim_result_info[i].name,
						trim_result_info[j].name);
	}
}

/* ---- lists ---- */

static void a_process_is_in_a_list_once(void **state)
{
	struct pid_list list = {NULL, 0};

	(void)state;
	assert_int_equal(pid_list_add(&list, 7), 0);
	assert_int_equal(pid_list_add(&list, 8), 0);
	assert_int_equal(pid_list_add(&list, 7), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(targets_named("no-such-process-at-all", &list, &fault), -ESRCH);
	assert_int_equal(list.count, 2);
	free(list.pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_reach_the_user),
		cmocka_unit_test(nobody_hears_and_nobody_stops),
		cmocka_unit_test(rows_say_where_they_cannot_go),
		cmocka_unit_test(rows_are_written_as_they_come),
		cmocka_unit_test(one_alert_is_enough_with_once),
		cmocka_unit_test(an_alert_that_is_not_written_ends_it),
		cmocka_unit_test(a_command_ends_as_in_a_shell),
		cmocka_unit_test(what_is_no_command_is_told),
		cmocka_unit_test(a_command_is_waited_for),
		cmocka_unit_test(who_is_gone_is_refused),
		cmocka_unit_test(what_a_trim_tells_has_a_name),
		cmocka_unit_test(a_process_is_in_a_list_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
