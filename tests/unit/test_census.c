/* test_census.c: processes come, end and are replaced while the census is used. */
#include "source/census.h"
#include "source/source.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE_BYTES = 16 << 20 };

static struct census *census;
static struct fault fault;

static void idle_processors_read_large_heaps(void **state)
{
	const uint64_t large = UINT64_C(1) << 30;

	(void)state;
	assert_int_equal(source_readers(large, 64, 0.5), 4);
	assert_int_equal(source_readers(large, 4, 0.9), 3);
	assert_int_equal(source_readers(large, 2, 0), 2);
	assert_int_equal(source_readers(large, 2, 0.5), 1);
	assert_int_equal(source_readers(large, 2, 50), 1);
	assert_int_equal(source_readers(large, 1, 0), 1);
	assert_int_equal(source_readers(1 << 20, 64, 0), 1);
}

static int set_up(void **state)
{
	(void)state;
	return census_new(&census);
}

static int tear_down(void **state)
{
	(void)state;
	census_free(census);
	return 0;
}

/* A child, which waits: it must not outlive a test that failed. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* A child that is larger than the others, beyond doubt. */
static pid_t start_large_child(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		char *memory = malloc(LARGE_BYTES);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(memory, 1, LARGE_BYTES);
		if (write(ready[1], memory, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The place of PID, or the number of rows. */
static size_t find(pid_t pid)
{
	size_t i = 0;

	while (i < census_count(census) && census_at(census, i)->pid != pid)
		i++;
	return i;
}

static void check_order(void)
{
	for (size_t i = 0; i < census_count(census); i++) {
		const struct census_row *row = census_at(census, i);

		assert_true(figure_has(&row->fig, FIG_RSS_BYTES));
		assert_true(row->fig.v[FIG_RSS_BYTES].u > 0);
		assert_true(!i ||
			    row->fig.v[FIG_RSS_BYTES].u <=
				    census_at(census, i - 1)->fig.v[FIG_RSS_BYTES].u);
		assert_true(memchr(row->why_not, '\0', sizeof(row->why_not)));
		assert_true(*row->comm);
	}
	assert_null(census_at(census, census_count(census)));
}

static void an_empty_census_has_no_rows(void **state)
{
	(void)state;
	assert_int_equal(census_count(census), 0);
	assert_null(census_at(census, 0));
}

static void children_come_and_go(void **state)
{
	pid_t child[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		child[i] = start_child();
	assert_int_equal(census_scan(census, &fault), 0);
	check_order();
	assert_int_equal(find(getpid()), census_count(census));
	for (int i = 0; i < 20; i++)
		assert_true(find(child[i]) < census_count(census));
	for (int i = 0; i < 20; i += 2)
		end_child(child[i]);
	assert_int_equal(census_scan(census, &fault), 0);
	check_order();
	for (int i = 0; i < 20; i++)
		assert_true((find(child[i]) < census_count(census)) == i % 2);
	for (int i = 1; i < 20; i += 2)
		end_child(child[i]);
}

/* With room for few, the largest have it, whoever was met first, again and again. */
static void the_largest_are_kept(void **state)
{
	pid_t child[10];

	(void)state;
	for (int i = 0; i < 10; i++)
		child[i] = i == 5 ? start_large_child() : start_child();
	assert_int_equal(census_scan(census, &fault), 0);
	assert_int_equal(census_left_out(census), 0);
	census_limit(census, 4);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(census_scan(census, &fault), 0);
		check_order();
		assert_in_range(census_count(census), 1, 4);
		/* Whoever else is there: the small ones are not in place of the large
		 * one.
		 */
		for (int i = 0; i < 10; i++)
			assert_true(find(child[5]) <= find(child[i]));
		/* Others come and go meanwhile. */
		assert_true(census_left_out(census) > 0);
	}
	census_limit(census, 0);
	assert_int_equal(census_scan(census, &fault), 0);
	assert_int_equal(census_count(census), 0);
	assert_true(census_left_out(census) >= 10);
	for (int i = 0; i < 10; i++)
		end_child(child[i]);
}

static void a_zombie_has_no_row(void **state)
{
	pid_t child = start_child();
	siginfo_t info;

	(void)state;
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(census_scan(census, &fault), 0);
	assert_int_equal(find(child), census_count(census));
	waitpid(child, NULL, 0);
}

static void who_has_ended_says_so(void **state)
{
	pid_t child = start_child();
	size_t i;

	(void)state;
	assert_int_equal(census_scan(census, &fault), 0);
	i = find(child);
	assert_true(i < census_count(census));
	assert_false(census_at(census, i)->probed);
	end_child(child);
	census_probe(census, i, UINT64_MAX);
	assert_true(census_at(census, i)->probed);
	assert_non_null(strstr(census_at(census, i)->why_not, "no such process"));
	/* What was known of its size is still there. */
	assert_true(figure_has(&census_at(census, i)->fig, FIG_RSS_BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_processors_read_large_heaps),
		cmocka_unit_test_setup_teardown(an_empty_census_has_no_rows, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(children_come_and_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_largest_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_zombie_has_no_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_has_ended_says_so, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
