/* test_account.c: what is used stays within the share, however it is used. */
#include "base/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

/* Uses of CPU_NS, as soon as they are allowed but no sooner than INTERVAL_NS after one
 * another, for FOR_NS: what they took in all. */
static int64_t use(struct account *account, double share, int64_t cpu_ns,
		   int64_t interval_ns, int64_t for_ns)
{
	int64_t used_ns = 0;

	for (int64_t now_ns = account->since_ns, end_ns = now_ns + for_ns;
	     now_ns < end_ns;) {
		int64_t wait_ns;

		account_gain(account, share, now_ns);
		account_pay(account, cpu_ns);
		used_ns += cpu_ns;
		wait_ns = account_wait_ns(account, 0);
		now_ns += wait_ns > interval_ns ? wait_ns : interval_ns;
	}
	return used_ns;
}

static void test_share_is_kept(void **state)
{
	static const int64_t costs[] = {MS, 9 * MS, 300 * MS, 3500 * MS};
	struct account account;

	(void)state;
	for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
		int64_t used_ns;

		account_open(&account, 0.01, 5 * SECOND);
		used_ns = use(&account, 0.01, costs[i], 500 * MS, 3600 * SECOND);
		/* The last one is paid for after the end. */
		assert_true(used_ns <= 36 * SECOND + costs[i]);
		/* And the share is made use of, where there is need for it. */
		if (costs[i] > 5 * MS)
			assert_true(used_ns > 35 * SECOND);
		else
			assert_int_equal(used_ns, 7200 * costs[i]);
	}
}

/* A quiet hour pays for two seconds' worth of a burst only. */
static void test_what_is_not_used_is_lost(void **state)
{
	struct account account;

	(void)state;
	account_open(&account, 0.01, 0);
	account_gain(&account, 0.01, 3600 * SECOND);
	account_pay(&account, 20 * MS);
	assert_int_equal(account_wait_ns(&account, 0), 0);
	account_pay(&account, 10 * MS);
	assert_int_equal(account_wait_ns(&account, 0), SECOND);
}

/* What is overdrawn is paid back, however much it is. */
static void test_what_is_overdrawn_stays(void **state)
{
	struct account account;

	(void)state;
	account_open(&account, 0.01, 0);
	account_pay(&account, 10 * SECOND);
	assert_int_equal(account_wait_ns(&account, 0), 1000 * SECOND);
	assert_int_equal(account_wait_ns(&account, (double)(10 * SECOND)), 0);
	account_gain(&account, 0.5, 600 * SECOND);
	/* The other share is of the time from now on. */
	assert_int_equal(account_wait_ns(&account, 0), 8 * SECOND);
	account_pay(&account, -4 * SECOND);
	assert_int_equal(account_wait_ns(&account, 0), 0);
}

/* Readings of 5 ms for an hour, with EVERY_NS between two things that cannot wait and
 * take REST_NS each: what the readings took. */
static int64_t readings(struct account *account, int64_t rest_ns, int64_t every_ns)
{
	int64_t used_ns = 0, next_ns = account->since_ns;

	for (int64_t now_ns = next_ns, end_ns = now_ns + 3600 * SECOND; now_ns < end_ns;
	     now_ns += 50 * MS) {
		if (rest_ns && now_ns >= next_ns) {
			account_owe(account, rest_ns);
			next_ns += every_ns;
		}
		account_gain(account, 0.01, now_ns);
		if (account_wait_ns(account, 0))
			continue;
		account_pay(account, 5 * MS);
		used_ns += 5 * MS;
	}
	return used_ns;
}

/* 0.4% for looks: 0.6% are left, however seldom the looks are and however long each. */
static void test_what_is_owed_is_paid(void **state)
{
	static const int64_t every[] = {50 * MS, SECOND, 7 * SECOND};
	struct account account;

	(void)state;
	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		int64_t used_ns;

		account_open(&account, 0.01, 0);
		used_ns = readings(&account, every[i] / 250, every[i]);
		assert_true(used_ns <= (int64_t)(21.7 * (double)SECOND));
		assert_true(used_ns >= (int64_t)(21.4 * (double)SECOND));
	}
}

/* Whoever asks without end leaves half, and all again half a minute after. */
static void test_half_is_left(void **state)
{
	struct account account;
	int64_t used_ns;

	(void)state;
	account_open(&account, 0.01, 0);
	used_ns = readings(&account, SECOND, SECOND);
	assert_true(used_ns >= 18 * SECOND &&
		    used_ns <= (int64_t)(18.1 * (double)SECOND));
	used_ns = readings(&account, 0, 0);
	assert_true(used_ns >= (int64_t)(35.8 * (double)SECOND) &&
		    used_ns <= 36 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_owed_is_paid),
		cmocka_unit_test(test_half_is_left),
		cmocka_unit_test(test_share_is_kept),
		cmocka_unit_test(test_what_is_not_used_is_lost),
		cmocka_unit_test(test_what_is_overdrawn_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
