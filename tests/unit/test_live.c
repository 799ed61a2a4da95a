/* test_live.c: a reader of a live process hands the processor over by itself, between the
 * calls that hold the target's lock on its mappings. */
#include "base/clock.h"
#include "source/source.h"
#include "target/live.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 64 << 10, MS = 1000000, BLOCKS = 20000, READINGS = 2000 };

static atomic_uint yields;

/* In place of libc's: what the library calls. */
int sched_yield(void)
{
	atomic_fetch_add(&yields, 1);
	return 0;
}

static void read_for(struct live_memory *live, const char *from, char *to, int64_t ns)
{
	const struct span span = {(uintptr_t)from, to, BYTES};
	int64_t end_ns = clock_thread_ns() + ns;

	while (clock_thread_ns() < end_ns)
		if (live->memory.read(&live->memory, &span, 1) != 1)
			fail_msg("cannot read the own memory");
}

/* So often, in processor time, that the kernel does not. */
static void turns_are_of_processor_time(void **state)
{
	struct live_memory *live = calloc(1, sizeof(*live));
	char *from = calloc(1, BYTES), *to = malloc(BYTES);
	struct process process;
	struct fault fault;

	(void)state;
	assert_true(live && from && to);
	if (process_open(&process, getpid(), &fault))
		skip();
	live_init(live, &process, PAGEMAP_FILE);
	yields = 0;
	read_for(live, from, to, 5 * MS);
	assert_int_equal(yields, 0);
	live->takes_turns = true;
	read_for(live, from, to, 50 * MS);
	print_message("%u turns in 50 ms\n", (unsigned)yields);
	assert_in_range(yields, 15, 50 * MS / 600000 + 2);
	process_close(&process);
	free(live);
	free(from);
	free(to);
}

static pid_t start_heap(void)
{
	int ready[2];
	char word;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < BLOCKS; i++)
			free(malloc(i % 2000) ? malloc(100) : NULL);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &word, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* Readings of PID until YIELDS is not 0, READINGS at most. False: there is no heap of
 * glibc's to read, as under the sanitizers. */
static bool read_process(pid_t pid, int64_t budget_ns)
{
	const struct source_options options = {
		.source = SOURCE_HEAP, .threads = 1, .budget_ns = budget_ns};
	struct source *source;
	struct sample *sample;
	struct fault fault = {.text = ""};

	if (source_open(&source, pid, &options, &fault)) {
		print_message("# %s\n", fault.text);
		return false;
	}
	sample = source_sample(source);
	yields = 0;
	for (unsigned i = 0; i < READINGS && !yields; i++) {
		sample_clear(sample);
		assert_int_equal(source_read(source, sample, &fault), SOURCE_READ);
		if (!budget_ns && i == 20)
			break;
	}
	sample_free(sample);
	source_close(source);
	return true;
}

static void readings_with_a_budget_take_turns(void **state)
{
	pid_t pid = start_heap();

	(void)state;
	if (read_process(pid, 0)) {
		assert_int_equal(yields, 0);
		assert_true(read_process(pid, 10 * MS));
		assert_true(yields > 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_are_of_processor_time),
		cmocka_unit_test(readings_with_a_budget_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
