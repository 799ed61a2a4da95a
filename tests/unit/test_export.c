/* test_export.c: which group a process is of, what a scrape is answered with, names that
 * want to break it, and the file for node_exporter. */
#include "export/http.h"
#include "export/listen.h"
#include "export/population.h"
#include "export/textfile.h"
#include "target/grouping.h"
#include "view/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID    "3f29a1b7c04d5e6f3f29a1b7c04d5e6f3f29a1b7c04d5e6f3f29a1b7c04d5e6f"
#define OTHER "00000000c04d5e6f3f29a1b7c04d5e6f3f29a1b7c04d5e6f3f29a1b7c04d5e6f"
#define UID   "8c6f5c4e-1f0a-4b52-9d3c-0e7a2b1c4d5e"
#define SLICE "kubepods-burstable-pod8c6f5c4e_1f0a_4b52_9d3c_0e7a2b1c4d5e.slice"

/* ---- groups ---- */

static void groups_by_cgroup(void **state)
{
	static const struct {
		const char *text;
		enum group_kind kind;
		const char *name, *pod;
	} cases[] = {
		{"0::/\n", GROUP_NAME, "", ""},
		{"", GROUP_NAME, "", ""},
		{"nonsense\n:::\n", GROUP_NAME, "", ""},
		{"0::/user.slice/user-1000.slice/session-3.scope\n", GROUP_NAME, "", ""},
		{"0::/init.scope\n", GROUP_NAME, "", ""},
		{"0::/system.slice/nginx.service\n", GROUP_UNIT, "nginx.service", ""},
		{"0::/system.slice/system-getty.slice/getty@tty1.service\n", GROUP_UNIT,
		 "getty@tty1.service", ""},
		/* What a unit delegates is its own to name. */
		{"0::/system.slice/evil.service/nginx.service\n", GROUP_UNIT,
		 "evil.service", ""},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/"
		 "nginx.service\n",
		 GROUP_UNIT, "user@1000.service/nginx.service", ""},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/"
		 "b.service\n",
		 GROUP_UNIT, "user@1000.service/a.service", ""},
		{"0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope\n", GROUP_UNIT,
		 "machine-qemu\\x2d1\\x2dweb.scope", ""},
		/* Version 1: named hierarchy and controllers. */
		{"12:pids:/system.slice/cron.service\n4:memory:/system.slice/"
		 "cron.service\n1:name=systemd:/system.slice/cron.service\n0::/\n",
		 GROUP_UNIT, "cron.service", ""},
		{"5:memory:/\n1:name=systemd:/system.slice/cron.service\n", GROUP_UNIT,
		 "cron.service", ""},
		/* Docker, by either of its drivers. */
		{"0::/system.slice/docker-" ID ".scope\n", GROUP_CONTAINER, ID, ""},
		{"4:memory:/docker/" ID "\n1:name=systemd:/docker/" ID "\n",
		 GROUP_CONTAINER, ID, ""},
		{"0::/system.slice/docker-" ID ".scope/system.slice/nginx.service\n",
		 GROUP_CONTAINER, ID, ""},
		{"0::/docker/" ID "/docker/" OTHER "\n", GROUP_CONTAINER, ID, ""},
		/* containerd and CRI-O under Kubernetes. */
		{"0::/kubepods.slice/kubepods-burstable.slice/" SLICE
		 "/cri-containerd-" ID ".scope\n",
		 GROUP_CONTAINER, ID, UID},
		{"0::/kubepods/burstable/pod" UID "/" ID "\n", GROUP_CONTAINER, ID, UID},
		{"0::/kubepods.slice/" SLICE "/crio-" ID ".scope/container\n",
		 GROUP_CONTAINER, ID, UID},
		{"0::/system.slice/containerd.service/" SLICE ":cri-containerd:" ID "\n",
		 GROUP_CONTAINER, ID, UID},
		/* What watches a container is of the pod alone. */
		{"0::/kubepods.slice/" SLICE "/crio-conmon-" ID ".scope\n", GROUP_POD,
		 UID, UID},
		{"0::/kubepods/besteffort/pod" UID "\n", GROUP_POD, UID, UID},
		{"0::/kubepods/pod8c6f5c4e1f0a4b529d3c0e7a2b1c4d5e/" ID "\n",
		 GROUP_CONTAINER, ID, "8c6f5c4e1f0a4b529d3c0e7a2b1c4d5e"},
		/* podman. */
		{"0::/machine.slice/libpod-" ID ".scope/container\n", GROUP_CONTAINER, ID,
		 ""},
		/* Neither: a digit too few or too many, a pod without a UID. */
		{"0::/docker/" ID "0\n", GROUP_NAME, "", ""},
		{"0::/tripod/podium/pod-1234\n", GROUP_NAME, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct grouping group;
		char text[1024];

		strcpy(text, cases[i].text);
		grouping_parse(text, &group);
		if (group.kind != cases[i].kind || strcmp(group.name, cases[i].name) ||
		    strcmp(group.pod, cases[i].pod))
			fail_msg("%s: %s '%s' '%s'", cases[i].text,
				 group_kind_name(group.kind), group.name, group.pod);
	}
}

static void long_names_are_cut(void **state)
{
	char text[4096] = "0::/system.slice/";
	struct grouping group;

	(void)state;
	memset(text + strlen(text), 'x', 3000);
	strcat(text, ".service\n");
	grouping_parse(text, &group);
	assert_int_equal(group.kind, GROUP_UNIT);
	assert_int_equal(strlen(group.name), sizeof(group.name) - 1);
}

/* ---- looks at /proc ---- */

static void looks_take_a_quarter_of_the_share(void **state)
{
	static const struct selection_by nobody = {.min_rss_bytes = UINT64_MAX};
	struct population *population;
	int64_t cpu_ns;

	(void)state;
	assert_int_equal(population_new(&population, &nobody), 0);
	assert_int_equal(population_scan(population, 0, NULL), 0);
	cpu_ns = population_scan_cpu_ns(population);
	assert_true(cpu_ns > 0);
	assert_int_equal(population_fresh_ns(population, 0, 0.5), 8 * cpu_ns);
	assert_int_equal(population_fresh_ns(population, 9 * cpu_ns, 0.5), 9 * cpu_ns);
	population_free(population);
}

/* ---- the formats ---- */

static void check_line(const char *value, const char *want)
{
	char buf[1024], line[1024];
	static const struct metric_family family = {.name = "x"};
	struct text text;

	text_init(&text, buf, sizeof(buf));
	metrics_begin(&text, &family);
	metrics_label(&text, "group", value);
	metrics_u64(&text, 7);
	snprintf(line, sizeof(line), "fragscope_x{group=\"%s\"} 7\n", want);
	assert_string_equal(buf, line);
}

/* What is shown of VALUE makes the same label. */
static void check_label(const char *value, const char *want)
{
	char shown[METRIC_LABEL_BYTES + 1];

	check_line(value, want);
	metrics_shown(value, shown, sizeof(shown));
	check_line(shown, want);
}

static void check_shown(const char *value, size_t size, const char *want)
{
	char shown[16];

	metrics_shown(value, shown, size);
	assert_string_equal(shown, want);
}

static void names_are_as_shown(void **state)
{
	(void)state;
	check_shown("a\"b\\\n", 16, "a\"b\\\n");
	check_shown("a\x01", 16, "a\xef\xbf\xbd");
	check_shown("a\xff", 16, "a\xef\xbf\xbd");
	check_shown("abcd", 4, "abc");
	check_shown("ab\xc3\xa9", 4, "ab");
	check_shown("ab\x01", 5, "ab");
	check_shown("abc\"", 5, "abc\"");
}

static void names_break_nothing(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{"nginx", "nginx"},
		{"", ""},
		{"a\"b", "a\\\"b"},
		{"a\\b", "a\\\\b"},
		{"a\nb", "a\\nb"},
		{"\"} 1\n# EOF\n", "\\\"} 1\\n# EOF\\n"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"a\xff\xfe", "a\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc3", "\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"a\tb\x1b[31m", "a\xef\xbf\xbd"
				 "b\xef\xbf\xbd[31m"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_label(cases[i].value, cases[i].want);
}

/* Never within a character or an escape. */
static void labels_are_bounded(void **state)
{
	char value[2 * METRIC_LABEL_BYTES + 1], want[2 * METRIC_LABEL_BYTES + 1];

	(void)state;
	memset(value, '"', sizeof(value) - 1);
	value[sizeof(value) - 1] = want[0] = '\0';
	for (int i = 0; i < METRIC_LABEL_BYTES / 2; i++)
		strcat(want, "\\\"");
	check_label(value, want);
}

static void families(void **state)
{
	static const struct metric_family counter = {"reads_bytes", METRIC_COUNTER,
						     "bytes", "A \"word\" \\ more."};
	char buf[512];
	struct text text;

	(void)state;
	text_init(&text, buf, sizeof(buf));
	metrics_family(&text, METRICS_OPENMETRICS, &counter);
	metrics_begin(&text, &counter);
	metrics_double(&text, 1.5, 3);
	metrics_end(&text, METRICS_OPENMETRICS);
	assert_string_equal(buf,
			    "# HELP fragscope_reads_bytes A \\\"word\\\" \\\\ more.\n"
			    "# TYPE fragscope_reads_bytes counter\n"
			    "# UNIT fragscope_reads_bytes bytes\n"
			    "fragscope_reads_bytes_total 1.500\n# EOF\n");
	text_clear(&text);
	metrics_family(&text, METRICS_PROMETHEUS, &counter);
	metrics_end(&text, METRICS_PROMETHEUS);
	assert_string_equal(buf,
			    "# HELP fragscope_reads_bytes_total A \"word\" \\\\ more.\n"
			    "# TYPE fragscope_reads_bytes_total counter\n");
}

/* A metric's name ends with its unit, and no two are called the same. */
static void catalogue(void **state)
{
	static const char *const ends[] = {
		[UNIT_BYTES] = "_bytes",
		[UNIT_COUNT] = "",
		[UNIT_RATIO] = "_ratio",
		[UNIT_NS] = "_seconds",
	};

	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		const char *name = figure_info[f].metric;
		const char *end = ends[figure_info[f].unit];

		if (!name)
			continue;
		assert_string_equal(name + strlen(name) - strlen(end), end);
		assert_true(figure_info[f].scope & SCOPE_PROCESS);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(name));
		for (unsigned g = 0; g < f; g++)
			if (figure_info[g].metric)
				assert_string_not_equal(figure_info[g].metric, name);
	}
}

/* ---- what a client takes ---- */

static void formats_by_accept(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format want;
	} cases[] = {
		{NULL, METRICS_PROMETHEUS},
		{"", METRICS_PROMETHEUS},
		{"*/*", METRICS_PROMETHEUS},
		{"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", METRICS_PROMETHEUS},
		{"application/openmetrics-text", METRICS_OPENMETRICS},
		/* Prometheus 2.42. */
		{"application/openmetrics-text;version=1.0.0,application/"
		 "openmetrics-text;version=0.0.1;q=0.75,text/"
		 "plain;version=0.0.4;q=0.5,*/*;q=0.1",
		 METRICS_OPENMETRICS},
		{"text/plain;version=0.0.4, application/openmetrics-text; q=0.5",
		 METRICS_PROMETHEUS},
		{"application/openmetrics-text;q=0", METRICS_PROMETHEUS},
		{"APPLICATION/OpenMetrics-Text ; Q=0.3 , text/plain;q=0.2",
		 METRICS_OPENMETRICS},
		{"application/openmetrics-textual", METRICS_PROMETHEUS},
		{",,;;q=,", METRICS_PROMETHEUS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (http_format(cases[i].accept) != cases[i].want)
			fail_msg("%s", cases[i].accept);
}

static void gzip_by_header(void **state)
{
	(void)state;
	assert_false(http_takes_gzip(NULL));
	assert_false(http_takes_gzip("identity"));
	assert_false(http_takes_gzip("gzip;q=0"));
	assert_false(http_takes_gzip("gzipped"));
	assert_true(http_takes_gzip("gzip"));
	assert_true(http_takes_gzip("deflate, gzip;q=0.5, br"));
}

/* ---- addresses ---- */

static void addresses(void **state)
{
	static const char *const wrong[] = {
		"",	      "9877",  "localhost:9877", "::1:9877", "127.0.0.1:65536",
		"127.0.0.1:", "[::1]", "127.0.0.1:+1",	 "unix:"};
	struct listener listener;
	struct fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(listen_at(&listener, wrong[i], &fault) < 0);
		assert_int_equal(fault.status, EXIT_USAGE);
		assert_int_equal(listener.fd, -1);
	}
	assert_int_equal(listen_at(&listener, "127.0.0.1:0", &fault), 0);
	assert_true(listener.is_local);
	assert_memory_equal(listener.where, "http://127.0.0.1:", 17);
	listen_end(&listener);
	assert_int_equal(listen_at(&listener, "0.0.0.0:0", &fault), 0);
	assert_false(listener.is_local);
	listen_end(&listener);
}

/* ---- the file ---- */

static void files_are_replaced(void **state)
{
	char folder[] = "/tmp/test_export_XXXXXX", path[64], got[16] = "";
	struct textfile file;
	struct fault fault;
	FILE *in;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.prom", folder);
	assert_int_equal(textfile_init(&file, path, &fault), 0);
	assert_int_equal(textfile_write(&file, "one\n", 4, &fault), 0);
	assert_int_equal(textfile_write(&file, "two\n", 4, &fault), 0);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(got, sizeof(got), in));
	assert_string_equal(got, "two\n");
	fclose(in);
	/* Nobody's link is followed. */
	assert_int_equal(symlink("/dev/null", file.temp), 0);
	assert_int_not_equal(textfile_write(&file, "three", 5, &fault), 0);
	assert_int_not_equal(access(file.temp, F_OK), 0);
	unlink(path);
	rmdir(folder);
	assert_int_not_equal(textfile_init(&file, "/nowhere/a.prom", &fault), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_by_cgroup),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(looks_take_a_quarter_of_the_share),
		cmocka_unit_test(names_break_nothing),
		cmocka_unit_test(names_are_as_shown),
		cmocka_unit_test(labels_are_bounded),
		cmocka_unit_test(families),
		cmocka_unit_test(catalogue),
		cmocka_unit_test(formats_by_accept),
		cmocka_unit_test(gzip_by_header),
		cmocka_unit_test(addresses),
		cmocka_unit_test(files_are_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
