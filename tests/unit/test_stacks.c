/* test_stacks.c: the sample of allocations: what threads put into its table is read, and
 * no bytes that a program may put there do harm; and what a sample says of the whole is
 * true as often as its interval promises. */
#include "analysis/estimate.h"
#include "ipc/stack_table.h"
#include "target/process.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MEAN = 1000,
	TRIALS = 4000,
	THREADS = 4,
	TURNS = 30000,
	KEPT = 500, /* of each thread */
	FUZZ_ROUNDS = 400,
};

static double random_share(uint64_t *random)
{
	return (double)(random_next(random) >> 11) / (double)(UINT64_C(1) << 53);
}

/* ---- estimates ---- */

struct outcome {
	unsigned inside, below, above;
	double sum, true_sum;
};

/* COUNT blocks of FROM to TO bytes, of which a sample is taken. */
static void try_once(uint64_t *random, unsigned count, uint64_t from, uint64_t to,
		     struct outcome *outcome)
{
	struct estimate estimate = {0};
	double true_bytes = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = from + random_next(random) % (to - from + 1);
		double chance = estimate_chance(bytes, MEAN);

		true_bytes += (double)bytes;
		if (random_share(random) < chance)
			estimate_add(&estimate, (double)bytes, chance);
	}
	outcome->sum += estimate.sum;
	outcome->true_sum += true_bytes;
	if (true_bytes < estimate_low(&estimate) - 1e-6)
		outcome->below++;
	else if (true_bytes > estimate_high(&estimate) + 1e-6)
		outcome->above++;
	else
		outcome->inside++;
}

static void check_trials(unsigned count, uint64_t from, uint64_t to, double least)
{
	struct outcome outcome = {0};
	uint64_t random = 88172645463325252U + count;

	for (unsigned i = 0; i < TRIALS; i++)
		try_once(&random, count, from, to, &outcome);
	assert_true(fabs(outcome.sum / outcome.true_sum - 1) < 0.02);
	assert_true(outcome.inside > TRIALS * least);
	assert_true(outcome.below < TRIALS * 0.04);
}

static void test_estimates(void **state)
{
	(void)state;
	check_trials(2000, 64, 64, 0.94);
	check_trials(300, 16, 512, 0.94);
	check_trials(100, 100, 5000, 0.94);
	check_trials(3000, 1, 100, 0.94);
	check_trials(50, 64, 64, 0.93); /* three samples */
	/* Nearly all are in the sample, and the rare one that is not leaves no trace. */
	check_trials(20, 4000, 9000, 0.92);
}

/* A few samples say little, and one of a block that is always sampled says all. */
static void test_few(void **state)
{
	struct estimate few = {0}, large = {0}, none = {0};

	(void)state;
	estimate_add(&few, 64, estimate_chance(64, 524288));
	assert_true(few.sum > 524288 && few.sum < 524288 * 1.001);
	assert_true(estimate_low(&few) >= 64 && estimate_low(&few) < few.sum / 10);
	assert_true(estimate_high(&few) > 4 * few.sum);
	estimate_add(&large, 1e9, estimate_chance(1000000000, 524288));
	assert_true(estimate_low(&large) == 1e9 && estimate_high(&large) == 1e9);
	assert_true(estimate_low(&none) == 0 && estimate_high(&none) == 0);
	none.unseen_high = few.unseen_high = 1000;
	assert_true(estimate_low(&none) == 0 && estimate_high(&none) == 1000);
	assert_true(estimate_high(&few) > 4 * few.sum);
	/* No more than all there is: 8192 times 64 bytes are 512K. */
	few.most = 100000;
	assert_true(estimate_value(&few) == 100000 && estimate_high(&few) == 100000);
	assert_true(estimate_low(&few) >= 64 && estimate_low(&few) < 100000);
	few.most = 1000000;
	assert_true(estimate_value(&few) < 600000 && estimate_high(&few) == 1000000);
}

/* ---- the table ---- */

struct both {
	void *memory;
	struct process process;
	struct stack_table *table;
};

static void open_both(struct both *both)
{
	const struct stack_header header = {.pid = getpid(),
					    .state = STACK_STATE_ON,
					    .mean_bytes = MEAN,
					    .name = "me"};
	int fd = memfd_create(STACK_TABLE_MEMFD, MFD_CLOEXEC);
	struct fault fault;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, STACK_TABLE_BYTES), 0);
	both->memory =
		mmap(NULL, STACK_TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(both->memory != MAP_FAILED);
	close(fd);
	stack_table_begin(both->memory, &header);
	assert_int_equal(process_open(&both->process, getpid(), &fault), 0);
	assert_int_equal(stack_table_open(&both->table, &both->process), 0);
}

static void close_both(struct both *both)
{
	stack_table_close(both->table);
	process_close(&both->process);
	munmap(both->memory, STACK_TABLE_BYTES);
}

/* Each slot's stack says whose it is. */
static bool put(void *memory, uint64_t addr, uint64_t bytes)
{
	uint32_t number;
	struct stack_slot *slot = stack_table_slot(memory, &number);

	if (!slot)
		return false;
	slot->bytes = bytes;
	slot->time_ns = (int64_t)addr;
	slot->stack_bytes = sizeof(addr);
	memcpy(slot->stack, &addr, sizeof(addr));
	return stack_table_put(memory, addr, number);
}

static bool take(void *memory, uint64_t addr)
{
	uint32_t number;

	if (!stack_table_take(memory, addr, &number))
		return false;
	stack_table_free_slot(memory, number);
	return true;
}

static void check_sample(struct both *both, const struct stack_sample *sample)
{
	static struct stack_slot slot;
	uint64_t addr;

	assert_int_equal(stack_table_stack(both->table, sample, &slot), 0);
	memcpy(&addr, slot.stack, sizeof(addr));
	assert_int_equal(addr, sample->addr);
	assert_int_equal(sample->time_ns, (int64_t)addr);
}

static void test_table(void **state)
{
	struct both both;
	struct stack_sample *samples;
	unsigned count;

	(void)state;
	open_both(&both);
	assert_true(put(both.memory, 0x1010, 10));
	assert_true(put(both.memory, 0x7f0000002010, 20));
	assert_true(put(both.memory, 0x3010, 30));
	assert_true(take(both.memory, 0x3010));
	assert_false(take(both.memory, 0x3010));
	assert_int_equal(stack_table_read(both.table, &samples, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(samples[0].addr, 0x1010);
	assert_int_equal(samples[1].bytes, 20);
	check_sample(&both, &samples[0]);
	assert_true(take(both.memory, 0x1010));
	assert_true(put(both.memory, 0x1010, 10)); /* as it was, but another one */
	assert_int_equal(
		stack_table_stack(both.table, &samples[0], &(struct stack_slot){0}),
		-EAGAIN);
	assert_int_equal(stack_table_header(both.table)->mean_bytes, MEAN);
	free(samples);
	close_both(&both);
}

/* What has no room is counted; what goes makes room. */
static void test_full(void **state)
{
	struct both both;
	struct stack_sample *samples;
	unsigned count, refused = 0;

	(void)state;
	open_both(&both);
	for (uint64_t i = 1; i <= STACK_SLOTS + 100; i++)
		refused += !put(both.memory, i * 48, 48);
	assert_true(refused >= 100 && refused < 100 + STACK_SLOTS / 100);
	assert_int_equal(stack_table_read(both.table, &samples, &count), 0);
	assert_int_equal(count, STACK_SLOTS + 100 - refused);
	assert_int_equal(stack_table_header(both.table)->dropped, refused);
	assert_true(take(both.memory, samples[5].addr));
	assert_true(put(both.memory, samples[5].addr, 48));
	free(samples);
	close_both(&both);
}

/* Addresses whose windows begin with the same cell: as many as it has cells have room,
 * and each is found as long as it is there, whoever went before. */
static void test_collisions(void **state)
{
	uint64_t alike[STACK_WINDOW + 1];
	unsigned found = 0, left;
	struct stack_sample *samples;
	struct both both;

	(void)state;
	open_both(&both);
	for (uint64_t addr = 16; found <= STACK_WINDOW; addr += 16)
		if (stack_cell(addr) == STACK_CELLS - 2)
			alike[found++] = addr;
	for (unsigned i = 0; i <= STACK_WINDOW; i++) {
		assert_false(take(both.memory, alike[i]));
		assert_int_equal(put(both.memory, alike[i], 10), i < STACK_WINDOW);
	}
	for (unsigned i = 0; i < STACK_WINDOW; i += 2)
		assert_true(take(both.memory, alike[i]));
	for (unsigned i = 0; i < STACK_WINDOW; i++)
		assert_int_equal(take(both.memory, alike[i]), i % 2);
	assert_true(put(both.memory, alike[STACK_WINDOW], 10));
	assert_true(take(both.memory, alike[STACK_WINDOW]));
	assert_int_equal(stack_table_read(both.table, &samples, &left), 0);
	assert_int_equal(left, 0);
	assert_int_equal(stack_table_header(both.table)->dropped, 1);
	free(samples);
	close_both(&both);
}

/* ---- many threads ---- */

struct racer {
	pthread_t thread;
	void *memory;
	uint64_t base;
	atomic_uint *done;
};

static void *race(void *context)
{
	struct racer *racer = context;

	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t addr = racer->base + i % KEPT * 32;

		if (i >= KEPT)
			assert_true(take(racer->memory, addr));
		assert_true(put(racer->memory, addr, i + 1));
	}
	atomic_fetch_add(racer->done, 1);
	return NULL;
}

static void read_meanwhile(struct both *both, const atomic_uint *done)
{
	struct stack_sample *samples;
	unsigned count;

	do {
		assert_int_equal(stack_table_read(both->table, &samples, &count), 0);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(samples[i].time_ns, (int64_t)samples[i].addr);
		free(samples);
	} while (atomic_load(done) < THREADS);
}

static void test_threads(void **state)
{
	static struct racer racers[THREADS];
	struct stack_sample *samples;
	atomic_uint done = 0;
	struct both both;
	unsigned count;

	(void)state;
	open_both(&both);
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){.memory = both.memory,
					   .base = (i + 1) * UINT64_C(0x100000),
					   .done = &done};
		assert_int_equal(
			pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	read_meanwhile(&both, &done);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(racers[i].thread, NULL);
	assert_int_equal(stack_table_read(both.table, &samples, &count), 0);
	assert_int_equal(count, THREADS * KEPT);
	for (unsigned i = 0; i < count; i++) {
		check_sample(&both, &samples[i]);
		assert_true(samples[i].bytes > TURNS - KEPT);
	}
	assert_int_equal(stack_table_header(both.table)->dropped, 0);
	/* Slots that are given back are used again. */
	assert_true(stack_table_header(both.table)->used <= THREADS * (KEPT + 1));
	free(samples);
	close_both(&both);
}

/* ---- what a program may put there ---- */

static void damage(uint8_t *memory, uint64_t *random)
{
	static const size_t parts[] = {0, STACK_CELLS_AT, STACK_NUMBERS_AT,
				       STACK_SLOTS_AT,
				       STACK_SLOTS_AT + 64 * STACK_SLOT_BYTES};
	unsigned part = (unsigned)(random_next(random) % 4);
	size_t from = parts[part], bytes = parts[part + 1] - from;

	for (unsigned i = 0; i < 64; i++)
		memory[from + random_next(random) % bytes] = (uint8_t)random_next(random);
}

static void test_damage(void **state)
{
	uint64_t random = 4711;
	struct both both;

	(void)state;
	open_both(&both);
	for (uint64_t i = 1; i <= 64; i++)
		assert_true(put(both.memory, i * 4096, i));
	for (unsigned round = 0; round < FUZZ_ROUNDS; round++) {
		static struct stack_slot slot;
		struct stack_sample *samples = NULL;
		unsigned count = 0;

		damage(both.memory, &random);
		if (stack_table_read(both.table, &samples, &count))
			assert_null(samples);
		assert_true(count <= STACK_CELLS);
		for (unsigned i = 0; i < count; i++)
			if (!stack_table_stack(both.table, &samples[i], &slot))
				assert_true(slot.stack_bytes <= sizeof(slot.stack));
		free(samples);
	}
	close_both(&both);
}

/* Times that the clock never has, of which an age would overflow. */
static void test_times(void **state)
{
	struct both both;
	struct stack_sample *samples;
	unsigned count;

	(void)state;
	open_both(&both);
	assert_true(put(both.memory, 0x1010, 10));
	assert_true(put(both.memory, UINT64_C(1) << 63 | 0x10, 20));
	assert_int_equal(stack_table_read(both.table, &samples, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(samples[0].bytes, 10);
	free(samples);
	((struct stack_header *)both.memory)->start_ns = INT64_MIN;
	assert_int_equal(stack_table_read(both.table, &samples, &count), -EPROTO);
	assert_null(samples);
	close_both(&both);
}

static void test_none(void **state)
{
	struct stack_table *table;
	struct process process;
	struct fault fault;

	(void)state;
	assert_int_equal(process_open(&process, getpid(), &fault), 0);
	assert_int_equal(stack_table_open(&table, &process), -ENOENT);
	assert_null(table);
	process_close(&process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_estimates),  cmocka_unit_test(test_few),
		cmocka_unit_test(test_table),	   cmocka_unit_test(test_full),
		cmocka_unit_test(test_collisions), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_damage),	   cmocka_unit_test(test_times),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
