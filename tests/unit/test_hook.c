/* test_hook.c: the bounds of the commands that alerts run: how many at a time, how many a
 * minute, how many wait, and for how long one may run; by a clock of our own. */
#include "engine/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_S INT64_C(1000000000)
#define START_NS (1000 * NS_PER_S)

enum {
	PATIENCE_MS = 60000,
	BURST = 10, /* what hook.c lets start at once, and then one each two seconds */
	QUEUE = 32,
};

static struct hook *hook;
/* Commands write a byte into OUT each; they inherit OUT[1], so that its end is theirs. */
static int out[2];
static unsigned started;
static char text[256]; /* the command: HOOK keeps it */

static void run(const char *command)
{
	static const struct frontend frontend;
	struct fault fault;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(out[0], F_SETFD, FD_CLOEXEC), 0);
	snprintf(text, sizeof(text), "printf . >&%d; %s", out[1], command);
	if (hook_new(&hook, text, &frontend, &fault))
		fail_msg("%s", fault.text);
	started = 0;
}

static void stop(void)
{
	hook_finish(hook, 0);
	/* What waited has been started by the real clock. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(out[0]);
}

static void add(const char *name)
{
	static struct rule rule;
	const struct alert alert = {
		.kind = ALERT_BEGIN, .rule = &rule, .pid = 7, .comm = "test"};

	snprintf(rule.name, sizeof(rule.name), "%s", name);
	hook_add(hook, &alert, "{}");
}

static void add_many(unsigned count)
{
	static unsigned number;

	while (count--) {
		char name[16];

		snprintf(name, sizeof(name), "rule-%u", ++number);
		add(name);
	}
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void count_starts(void)
{
	char byte;

	while (read(out[0], &byte, 1) == 1)
		started++;
}

/* At NOW_NS, until every command has ended and no more are started. */
static void settle(int64_t now_ns)
{
	hook_poll(hook, now_ns);
	for (unsigned ms = 0; has_children(); ms++) {
		assert_true(ms < PATIENCE_MS);
		usleep(1000);
		hook_poll(hook, now_ns);
	}
	count_starts();
}

static void so_many_a_minute(void **state)
{
	int64_t now_ns = START_NS;

	(void)state;
	run("exit 0");
	add_many(QUEUE);
	settle(now_ns);
	assert_int_equal(started, BURST);
	settle(now_ns + 2 * NS_PER_S - 1);
	assert_int_equal(started, BURST);
	settle(now_ns + 2 * NS_PER_S);
	assert_int_equal(started, BURST + 1);
	add_many(BURST + 1);
	for (unsigned s = 3; s <= 60; s++)
		settle(now_ns + s * NS_PER_S);
	assert_int_equal(started, BURST + 30);
	stop();
	close(out[1]);
}

static void what_does_not_fit_is_left_out(void **state)
{
	(void)state;
	run("exit 0");
	add_many(QUEUE + 8);
	for (unsigned i = 0; i < QUEUE; i++)
		settle(START_NS + i * 60 * NS_PER_S);
	assert_int_equal(started, QUEUE);
	assert_false(hook_busy(hook));
	stop();
	close(out[1]);
}

/* Waits until so many have begun. */
static void await_starts(unsigned count)
{
	for (unsigned ms = 0; started < count; ms++) {
		assert_true(ms < PATIENCE_MS);
		usleep(1000);
		count_starts();
	}
}

/* Whether all that could write into the pipe has gone. */
static bool all_gone(void)
{
	struct pollfd end = {.fd = out[0]};

	close(out[1]);
	return poll(&end, 1, PATIENCE_MS) == 1 && end.revents & POLLHUP;
}

static void one_that_hangs_is_killed_after_a_minute(void **state)
{
	(void)state;
	run("trap '' TERM HUP; sleep 1000; sleep 1000");
	add("hangs");
	hook_poll(hook, START_NS);
	await_starts(1);
	hook_poll(hook, START_NS + 60 * NS_PER_S);
	hook_poll(hook, START_NS + 60 * NS_PER_S);
	assert_true(hook_busy(hook));
	settle(START_NS + 60 * NS_PER_S + 1);
	assert_false(hook_busy(hook));
	/* And what it had started, too. */
	assert_true(all_gone());
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_a_minute),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(one_that_hangs_is_killed_after_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
