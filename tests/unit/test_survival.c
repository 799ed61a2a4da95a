/* test_survival.c: what a sample of chunks says of who keeps memory: one stack whose
 * chunks stay, one whose chunks go, one whose chunks are replaced at the same address. */
#include "analysis/survival.h"
#include "view/fold.h"
#include "view/survivors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STAYS, GOES, PASSED_ON, STACKS, PER_BURST = 20, BURSTS = 20, CHUNK = 80 };

#define SECOND INT64_C(1000000000)
#define WATCH  UINT64_C(100000000)
#define WEIGHT 5.0
/* A second of allocations: 20 samples in a tenth of a second, each of them for 5. */
#define TRUE_BYTES_PER_S (PER_BURST * WEIGHT * CHUNK * 10)

static struct survival *survival;
static unsigned forgotten;

static int setup(void **state)
{
	(void)state;
	forgotten = 0;
	return survival_new(&survival, STACKS, 2000, true);
}

static int teardown(void **state)
{
	(void)state;
	survival_free(survival);
	return 0;
}

static void forget(uint64_t chunk, void *context)
{
	(void)chunk;
	(void)context;
	forgotten++;
}

static uint64_t chunk_of(unsigned burst, unsigned stack, unsigned i)
{
	return 0x10000 + (uint64_t)((burst * STACKS + stack) * PER_BURST + i) * CHUNK;
}

static void burst(unsigned number)
{
	for (unsigned stack = 0; stack < STACKS; stack++)
		for (unsigned i = 0; i < PER_BURST; i++)
			assert_true(survival_add(survival, chunk_of(number, stack, i),
						 CHUNK, stack));
	/* Of those that are passed on each second a tenth is seen freed, in a tenth of
	 * one; the looks find them in use nonetheless. */
	for (unsigned old = number < 9 ? 0 : number - 9; old < number; old++)
		for (unsigned i = 0; i < 2; i++)
			survival_freed(survival,
				       chunk_of(old, PASSED_ON, (number - old) * 2 + i));
	survival_end_burst(survival, number * 2 * SECOND, WATCH, WEIGHT);
}

static void look(unsigned last, bool is_whole)
{
	survival_begin_look(survival);
	survival_begin_stretch(survival);
	for (unsigned number = 0; number <= last; number++)
		for (unsigned stack = 0; stack < STACKS; stack++)
			for (unsigned i = 0; i < PER_BURST; i++) {
				uint64_t chunk = chunk_of(number, stack, i);

				survival_see(survival, chunk, chunk + CHUNK,
					     stack != GOES);
			}
	survival_end_look(survival, (last * 2 + 2) * SECOND, is_whole, forget, NULL);
}

static void who_keeps_is_told_from_who_does_not(void **state)
{
	struct survival_rate rate;

	(void)state;
	for (unsigned i = 0; i < BURSTS; i++) {
		burst(i);
		look(i, true);
	}
	assert_true(survival_reached(survival, 2));
	assert_false(survival_reached(survival, 3));
	survival_rate(survival, STAYS, 2, 1, &rate);
	assert_true(rate.bytes_per_s > 0.99 * TRUE_BYTES_PER_S &&
		    rate.bytes_per_s < 1.01 * TRUE_BYTES_PER_S);
	assert_true(rate.low < rate.bytes_per_s && rate.low > TRUE_BYTES_PER_S / 2);
	assert_true(rate.high > rate.bytes_per_s && rate.high < TRUE_BYTES_PER_S * 1.5);
	assert_true(rate.freed == 0 && rate.again == 0);
	survival_rate(survival, GOES, 0, 1, &rate);
	assert_true(rate.bytes_per_s > 0.99 * TRUE_BYTES_PER_S);
	survival_rate(survival, GOES, 1, 1, &rate);
	assert_true(rate.samples == 0 && rate.bytes_per_s == 0);
	survival_rate(survival, PASSED_ON, 2, 1, &rate);
	assert_true(rate.again > 100 && rate.freed == rate.again);
	assert_true(rate.bytes_per_s < TRUE_BYTES_PER_S / 20);
	survival_rate(survival, STAYS, 2, 3, &rate);
	assert_true(rate.bytes_per_s > 2.97 * TRUE_BYTES_PER_S);
}

/* A chunk with another size at the same address is another chunk. */
static void another_size_is_another_chunk(void **state)
{
	struct survival_rate rate;

	(void)state;
	survival_add(survival, 0x1000, 64, STAYS);
	survival_add(survival, 0x2000, 64, STAYS);
	survival_end_burst(survival, 0, WATCH, 1);
	survival_begin_look(survival);
	survival_see(survival, 0x1000, 0x1040, true);
	survival_see(survival, 0x1040, 0x1fff, true);
	survival_see(survival, 0x2000, 0x2050, true);
	survival_end_look(survival, 2 * SECOND, true, forget, NULL);
	survival_rate(survival, STAYS, 1, 1, &rate);
	assert_true(rate.samples == 1);
	assert_true(forgotten == 1);
	/* Nothing has watched since: it may have been passed on. */
	assert_true(rate.low == 0);
}

/* What a look could not reach is neither kept nor gone, for some looks. */
static void what_was_not_read_is_not_gone(void **state)
{
	struct survival_rate rate;

	(void)state;
	survival_add(survival, 0x1000, 64, STAYS);
	survival_end_burst(survival, 0, WATCH, 1);
	survival_begin_look(survival);
	survival_end_look(survival, 2 * SECOND, false, forget, NULL);
	assert_true(forgotten == 0);
	survival_rate(survival, STAYS, 1, 1, &rate);
	assert_true(rate.samples == 0);
	survival_begin_look(survival);
	survival_see(survival, 0x1000, 0x1040, true);
	survival_end_look(survival, 4 * SECOND, false, forget, NULL);
	survival_rate(survival, STAYS, 1, 1, &rate);
	assert_true(rate.samples == 1);
	survival_begin_look(survival);
	survival_end_look(survival, 6 * SECOND, true, forget, NULL);
	assert_true(forgotten == 1);
}

/* Chunks that go in later bursts, and with which the looks then find nothing in use:
 * those would have been known to go without the bursts. */
static void who_is_seen_to_go_by_looks_is_no_error(void **state)
{
	struct survival_rate rate;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		survival_add(survival, 0x10000 + i * CHUNK, CHUNK, STAYS);
	survival_end_burst(survival, 0, WATCH, 1);
	for (unsigned turn = 1; turn <= 4; turn++) {
		survival_begin_look(survival);
		for (unsigned i = 0; i < 20; i++)
			survival_see(survival, 0x10000 + i * CHUNK,
				     0x10000 + (i + 1) * CHUNK, i > turn);
		survival_end_look(survival, turn * 3 * SECOND, true, forget, NULL);
		survival_freed(survival, 0x10000 + (turn + 1) * CHUNK);
		survival_end_burst(survival, turn * 3 * SECOND, WATCH, 1);
	}
	survival_rate(survival, STAYS, 2, 1, &rate);
	/* The fourth goes after the last look. */
	assert_true(rate.freed == 3);
	assert_true(rate.again == 0);
	assert_true(rate.low > 0 && rate.bytes_per_s > 0);
}

/* At 10 s a second's chunks have been through an age at which they are replaced and one
 * at which they are not: each counts for as long as it lasts. */
static double kept_after_a_minute(unsigned young_again)
{
	struct survival_rate rate;
	unsigned chunks = 200;

	survival_free(survival);
	assert_true(survival_new(&survival, STACKS, 2000, true) == 0);
	for (unsigned i = 0; i < chunks; i++)
		survival_add(survival, 0x10000 + i * CHUNK, CHUNK, STAYS);
	survival_end_burst(survival, 0, WATCH, 1);
	for (unsigned turn = 1; turn <= 30; turn++) {
		survival_begin_look(survival);
		for (unsigned i = 0; i < chunks; i++)
			survival_see(survival, 0x10000 + i * CHUNK,
				     0x10000 + (i + 1) * CHUNK, true);
		survival_end_look(survival, turn * 2 * SECOND, true, forget, NULL);
		if (turn <= 4)
			for (unsigned i = 0; i < young_again; i++)
				survival_freed(survival, 0x10000 + (turn * young_again +
								    i) * CHUNK);
		survival_end_burst(survival, turn * 2 * SECOND, WATCH, 1);
	}
	survival_rate(survival, STAYS, 3, 1, &rate);
	assert_true(rate.samples == chunks - 4 * young_again);
	assert_true(rate.again == 4 * young_again);
	assert_true(rate.low <= rate.bytes_per_s && rate.bytes_per_s <= rate.high);
	return rate.bytes_per_s / ((double)rate.samples * CHUNK * 10);
}

static void each_age_has_its_own_rate(void **state)
{
	double kept = kept_after_a_minute(1);

	(void)state;
	/* 4 in some 79 seconds of being watched at an age that lasts 10 s. Were it the
	 * rate for all of the minute, 0.05 * 60 = 3 and nearly none would be left. */
	assert_true(kept > exp(-0.65) && kept < exp(-0.4));
	assert_true(kept_after_a_minute(0) > 0.999);
}

/* Short bursts of a leak and of a cache twice as large, which drops what one burst saw
 * handed out at one instant: bursts met that at no age before 10 s, but after. */
static void sample_a_leak_and_a_cache(unsigned leak, unsigned cache)
{
	enum { STEPS = 25, OLD = 6, CLUMP = 8 };

	for (unsigned number = 0; number < STEPS; number++) {
		for (unsigned i = 0; i < PER_BURST; i++) {
			survival_add(survival, chunk_of(number, 1, i), CHUNK, cache);
			if (i % 2)
				survival_add(survival, chunk_of(number, 0, i), CHUNK,
					     leak);
		}
		for (unsigned i = 0; i < CLUMP && number >= OLD && number % 3 == 0; i++)
			survival_freed(survival, chunk_of(number - OLD, 1, i));
		survival_end_burst(survival, number * 2 * SECOND, WATCH / 3, WEIGHT);
		survival_begin_look(survival);
		for (unsigned old = 0; old <= number; old++)
			for (unsigned i = 0; i < 2 * PER_BURST; i++) {
				uint64_t chunk = chunk_of(old, 0, i);

				survival_see(survival, chunk, chunk + CHUNK, true);
			}
		survival_end_look(survival, (number * 2 + 2) * SECOND, true, forget,
				  NULL);
	}
}

static void what_goes_later_counts_before(void **state)
{
	struct survival_rate leak, cache;

	(void)state;
	sample_a_leak_and_a_cache(STAYS, GOES);
	assert_true(survival_reached(survival, 2) && !survival_reached(survival, 3));
	survival_rate(survival, STAYS, 2, 1, &leak);
	survival_rate(survival, GOES, 2, 1, &cache);
	assert_true(cache.again == 7 * 8 && cache.samples > leak.samples);
	/* By itself that age would say: all of it stays. */
	assert_true(cache.bytes_per_s < leak.bytes_per_s / 4);
	assert_true(cache.low <= cache.bytes_per_s && cache.bytes_per_s <= cache.high);
	/* Eight that go together are seen or not as one. */
	assert_true(cache.low < leak.low / 4 && cache.high > 20 * cache.low);
	assert_true(leak.low > leak.bytes_per_s / 4);
}

static unsigned stack_named(struct fold *fold, const char *function)
{
	struct event event = {.has = EVENT_HAS_STACK};

	event.frame[event.frame_count++] = (struct frame){.function = function};
	return fold_number(fold, &event);
}

static const char *written(const struct survivors_run *run, enum survivors_format format)
{
	static char text[4096];
	struct survivors_writer *writer = survivors_writer_new(fold_numbers(run->fold));
	int file = memfd_create("survivors", MFD_CLOEXEC);
	ssize_t length;

	assert_true(writer && survivors_write(writer, run, format, file) == 0);
	length = pread(file, text, sizeof(text) - 1, 0);
	assert_true(length > 0);
	text[length] = '\0';
	close(file);
	survivors_writer_free(writer);
	return text;
}

static void the_leak_comes_first_in_all_forms(void **state)
{
	static const enum survivors_format formats[] = {SURVIVORS_TEXT, SURVIVORS_JSON,
							SURVIVORS_FOLDED};
	struct survivors_run run = {.comm = "test", .dilation = 1};
	const char *text, *leak;
	struct fold *fold;

	(void)state;
	assert_int_equal(fold_new(&fold, 8), 0);
	survival_free(survival);
	assert_int_equal(survival_new(&survival, fold_numbers(fold), 2000, true), 0);
	sample_a_leak_and_a_cache(stack_named(fold, "leak"), stack_named(fold, "cache"));
	run.survival = survival;
	run.fold = fold;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		text = written(&run, formats[i]);
		leak = strstr(text, "leak");
		assert_true(leak && strstr(leak, "cache"));
	}
	text = written(&run, SURVIVORS_TEXT);
	assert_non_null(strstr(text, "# ~ is an estimate"));
	/* Of the leak enough is known, of the cache little. */
	leak = strstr(text, "leak");
	assert_true(leak && strchr(leak, '~') &&
		    strchr(strstr(text, "stack\n"), '~') > leak);
	fold_free(fold);
}

/* What a burst saw while the machine stood still says nothing, then or later. */
static void a_burst_that_is_dropped_counts_for_nothing(void **state)
{
	struct survival_rate rate;

	(void)state;
	survival_add(survival, 0x1000, 64, STAYS);
	survival_end_burst(survival, 0, WATCH, 1);
	survival_begin_look(survival);
	survival_see(survival, 0x1000, 0x1040, true);
	survival_end_look(survival, 2 * SECOND, true, forget, NULL);
	survival_add(survival, 0x2000, 64, STAYS);
	survival_freed(survival, 0x1000);
	survival_drop_burst(survival);
	survival_end_burst(survival, 3 * SECOND, WATCH, 1);
	survival_begin_look(survival);
	survival_see(survival, 0x1000, 0x1040, true);
	survival_see(survival, 0x2000, 0x2040, true);
	survival_end_look(survival, 6 * SECOND, true, forget, NULL);
	survival_rate(survival, STAYS, 0, 1, &rate);
	assert_true(rate.samples == 1 && rate.freed == 0 && rate.again == 0);
	survival_rate(survival, STAYS, 1, 1, &rate);
	assert_true(rate.samples == 1);
	assert_true(forgotten == 2 && survival_room(survival) == 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_keeps_is_told_from_who_does_not,
						setup, teardown),
		cmocka_unit_test_setup_teardown(another_size_is_another_chunk, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_was_not_read_is_not_gone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_is_seen_to_go_by_looks_is_no_error,
						setup, teardown),
		cmocka_unit_test_setup_teardown(each_age_has_its_own_rate, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_goes_later_counts_before, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_leak_comes_first_in_all_forms, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_burst_that_is_dropped_counts_for_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
