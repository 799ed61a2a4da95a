/* test_worker.c: a thread for calls that may never return: it is waited for as long as it
 * makes headway, given up, and used again. */
#include "base/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_NS INT64_C(800000000)
#define EVER_NS	    INT64_C(1000000000000)

/* A call that waits until it is let go. */
struct gate {
	sem_t open;
	atomic_int passed;
};

static void wait_at(void *context)
{
	struct gate *gate = context;

	while (sem_wait(&gate->open))
		continue;
	atomic_fetch_add(&gate->passed, 1);
}

static void note(void *context)
{
	atomic_fetch_add((atomic_int *)context, 1);
}

static void a_little_while(void)
{
	const struct timespec time = {.tv_nsec = 1000000};

	nanosleep(&time, NULL);
}

static struct worker *worker_of(int64_t patience_ns, const atomic_ulong *beats,
				const atomic_bool *hurry)
{
	struct worker *worker = NULL;

	assert_int_equal(worker_new(&worker, patience_ns, beats, hurry), 0);
	return worker;
}

static void test_runs(void **state)
{
	struct worker *worker = worker_of(EVER_NS, NULL, NULL);
	atomic_int count = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(worker_run(worker, note, &count), 0);
	assert_int_equal(count, 1000);
	assert_true(worker_cpu_ns(worker) > 0);
	worker_end(worker, note, &count);
	assert_int_equal(count, 1001);
}

static void test_gives_up(void **state)
{
	struct worker *worker = worker_of(EVER_NS, NULL, NULL);
	struct gate gate = {.passed = 0};
	atomic_int count = 0;

	(void)state;
	worker_set_patience(worker, PATIENCE_NS);
	sem_init(&gate.open, 0, 0);
	assert_int_equal(worker_run(worker, wait_at, &gate), -ETIMEDOUT);
	assert_true(worker_is_busy(worker));
	assert_int_equal(worker_run(worker, note, &count), -EBUSY);
	sem_post(&gate.open);
	while (worker_is_busy(worker))
		a_little_while();
	assert_int_equal(gate.passed, 1);
	assert_int_equal(worker_run(worker, note, &count), 0);
	assert_int_equal(count, 1);
	worker_end(worker, note, &count);
	assert_int_equal(count, 2);
}

/* Who ends a worker that is held does not wait; what is to be done last is done then. */
static void test_ends_while_held(void **state)
{
	struct worker *worker = worker_of(PATIENCE_NS, NULL, NULL);
	static struct gate gate;
	static atomic_int count;

	(void)state;
	sem_init(&gate.open, 0, 0);
	assert_int_equal(worker_run(worker, wait_at, &gate), -ETIMEDOUT);
	worker_end(worker, note, &count);
	assert_int_equal(count, 0);
	sem_post(&gate.open);
	while (!count)
		a_little_while();
	assert_int_equal(gate.passed, 1);
}

static void test_hurries(void **state)
{
	atomic_bool hurry = true;
	struct worker *worker = worker_of(EVER_NS, NULL, &hurry);
	struct gate gate = {.passed = 0};
	atomic_int count = 0;

	(void)state;
	sem_init(&gate.open, 0, 0);
	assert_int_equal(worker_run(worker, wait_at, &gate), -ETIMEDOUT);
	sem_post(&gate.open);
	while (worker_is_busy(worker))
		a_little_while();
	worker_end(worker, note, &count);
	assert_int_equal(count, 1);
}

/* Work for a while, by the thread itself or by others that beat for it. */
struct task {
	atomic_ulong beats;
	bool by_beats;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void take_long(void *context)
{
	struct task *task = context;
	int64_t end_ns = now_ns() + 3 * PATIENCE_NS;

	while (now_ns() < end_ns) {
		if (!task->by_beats)
			continue;
		atomic_fetch_add(&task->beats, 1);
		a_little_while();
	}
}

static void test_headway(void **state)
{
	(void)state;
	for (int by_beats = 0; by_beats < 2; by_beats++) {
		struct task task = {.by_beats = by_beats};
		struct worker *worker = worker_of(PATIENCE_NS, &task.beats, NULL);
		atomic_int count = 0;

		assert_int_equal(worker_run(worker, take_long, &task), 0);
		worker_end(worker, note, &count);
	}
}

/* What is to be done last may free what the worker was told of. */
static void free_slowly(void *context)
{
	munmap(context, sizeof(atomic_ulong));
	for (int i = 0; i < 300; i++)
		a_little_while();
}

static void test_frees_what_beats(void **state)
{
	atomic_ulong *beats = mmap(NULL, sizeof(*beats), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct worker *worker;

	(void)state;
	assert_ptr_not_equal(beats, MAP_FAILED);
	worker = worker_of(EVER_NS, beats, NULL);
	worker_end(worker, free_slowly, beats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_ends_while_held),
		cmocka_unit_test(test_hurries),
		cmocka_unit_test(test_headway),
		cmocka_unit_test(test_frees_what_beats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
