/* test_ring.c: the ring of samples: what is written is read, nothing torn is taken for
 * whole, and no bytes that a program may put there do harm. */
#include "ipc/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/process.h"

#include <cmocka.h>

enum { RACE_SAMPLES = 20000, FUZZ_ROUNDS = 3000 };

static struct ring_header good_header(void)
{
	return (struct ring_header){
		.magic = RING_MAGIC,
		.version = RING_VERSION,
		.header_bytes = RING_HEADER_BYTES,
		.slot_bytes = RING_SLOT_BYTES,
		.slots = RING_SLOTS,
		.name = "glibc-2.36",
	};
}

/* A ring in memory of the right name; *FD stays open. */
static void *make_ring(int *fd)
{
	struct ring_header *ring;

	*fd = memfd_create(RING_MEMFD, MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, RING_BYTES), 0);
	ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_true(ring != MAP_FAILED);
	*ring = good_header();
	return ring;
}

/* A ring whose reader is this process, too. */
struct both {
	void *memory;
	int fd;
	struct process process;
	struct ring ring;
	struct ring_sample sample;
	struct ring_sample got;
};

static void both_open(struct both *both)
{
	struct fault fault;

	both->memory = make_ring(&both->fd);
	assert_int_equal(process_open(&both->process, getpid(), &fault), 0);
	assert_int_equal(ring_attach(&both->ring, &both->process), 0);
}

static void both_close(struct both *both)
{
	ring_detach(&both->ring);
	process_close(&both->process);
	munmap(both->memory, RING_BYTES);
	close(both->fd);
}

/* Every word of a sample tells its number. */
static void fill(struct ring_sample *sample, uint64_t number, uint32_t arenas)
{
	uint64_t *word = (uint64_t *)(void *)sample;

	for (size_t i = 0; i < sizeof(*sample) / sizeof(*word); i++)
		word[i] = number;
	sample->arenas_filled = arenas;
	sample->classes_filled = arenas;
}

static bool is_filled(const struct ring_sample *sample, uint64_t number)
{
	const uint64_t *word = sample->value;

	for (size_t i = 0; i < RING_FIGURES; i++)
		if (word[i] != number)
			return false;
	word = (const uint64_t *)(const void *)sample->arena;
	for (size_t i = 0; i < sample->arenas_filled * sizeof(sample->arena[0]) / 8; i++)
		if (word[i] != number)
			return false;
	word = (const uint64_t *)(const void *)sample->class;
	for (size_t i = 0; i < sample->classes_filled * sizeof(sample->class[0]) / 8; i++)
		if (word[i] != number)
			return false;
	return sample->number == number;
}

static void headers_are_judged(void **state)
{
	struct ring_header header = good_header();

	(void)state;
	assert_int_equal(ring_judge(&header, RING_BYTES), 0);
	assert_int_equal(ring_judge(&header, RING_BYTES - 4096), -EPROTO);
	header.version = RING_VERSION + 1;
	assert_int_equal(ring_judge(&header, RING_BYTES), -ENOTSUP);
	header = good_header();
	header.magic++;
	assert_int_equal(ring_judge(&header, RING_BYTES), -EPROTO);
	header = good_header();
	header.slots = 0;
	assert_int_equal(ring_judge(&header, RING_BYTES), -EPROTO);
	header = good_header();
	memset(header.name, 'x', sizeof(header.name));
	assert_int_equal(ring_judge(&header, RING_BYTES), -EPROTO);
}

static void the_latest_is_read(void **state)
{
	static struct both both;

	(void)state;
	both_open(&both);
	assert_int_equal(ring_latest(&both.ring, &both.got), -EAGAIN);
	for (uint64_t i = 0; i < 3 * RING_SLOTS; i++) {
		fill(&both.sample, i, (uint32_t)(i % (RING_ARENAS + 1)));
		ring_publish(both.memory, &both.sample);
		assert_int_equal(ring_latest(&both.ring, &both.got), 0);
		assert_true(is_filled(&both.got, i));
	}
	both_close(&both);
}

static void each_is_read_once_in_order(void **state)
{
	static struct both both;
	uint64_t missed;

	(void)state;
	both_open(&both);
	assert_int_equal(ring_next(&both.ring, &both.got, &missed), -EAGAIN);
	for (uint64_t i = 0; i < 2 * RING_SLOTS + 5; i++) {
		fill(&both.sample, i, 1);
		ring_publish(both.memory, &both.sample);
	}
	assert_int_equal(ring_next(&both.ring, &both.got, &missed), 0);
	assert_int_equal(missed, RING_SLOTS + 6);
	assert_true(is_filled(&both.got, RING_SLOTS + 6));
	for (uint64_t i = RING_SLOTS + 7; i < 2 * RING_SLOTS + 5; i++) {
		assert_int_equal(ring_next(&both.ring, &both.got, &missed), 0);
		assert_int_equal(missed, 0);
		assert_true(is_filled(&both.got, i));
	}
	assert_int_equal(ring_next(&both.ring, &both.got, &missed), -EAGAIN);
	both_close(&both);
}

/* By process_vm_readv as by the file: an address space may be read where a file may not
 * be opened, and the other way round. */
static void memory_will_do_without_a_file(void **state)
{
	static struct both both;

	(void)state;
	both_open(&both);
	assert_true(both.ring.memory.fd >= 0);
	ring_detach(&both.ring);
	fill(&both.sample, 0, 7);
	ring_publish(both.memory, &both.sample);
	assert_int_equal(ring_latest(&both.ring, &both.got), 0);
	assert_true(is_filled(&both.got, 0));
	both_close(&both);
}

static void a_changed_word_is_seen(void **state)
{
	static struct ring_slot slot;
	uint64_t *word = (uint64_t *)(void *)&slot.sample;

	(void)state;
	fill(&slot.sample, 5, 2);
	slot.sequence = 12;
	slot.check = ring_check(&slot.sample);
	assert_true(ring_is_whole(&slot, 12, 5));
	assert_false(ring_is_whole(&slot, 13, 5));
	assert_false(ring_is_whole(&slot, 12, 6));
	for (size_t i = 0; i < sizeof(slot.sample) / sizeof(*word); i++) {
		bool used = &word[i] < (uint64_t *)(void *)&slot.sample.arena[2] ||
			    (&word[i] >= (uint64_t *)(void *)slot.sample.class &&
			     &word[i] < (uint64_t *)(void *)&slot.sample.class[2]);

		word[i] ^= 1;
		assert_int_equal(ring_is_whole(&slot, 12, 5), !used);
		word[i] ^= 1;
	}
	slot.sample.arenas_filled = RING_ARENAS + 1;
	assert_false(ring_is_whole(&slot, 12, 5));
	slot.sample.arenas_filled = 2;
	assert_true(ring_is_whole(&slot, 12, 5));
	slot.sample.classes_filled = RING_CLASSES + 1;
	assert_false(ring_is_whole(&slot, 12, 5));
}

static void write_without_rest(void *memory)
{
	static struct ring_sample sample;

	for (uint64_t i = 0;; i++) {
		fill(&sample, i, (uint32_t)(i % (RING_ARENAS + 1)));
		ring_publish(memory, &sample);
	}
}

static void nothing_torn_is_read(void **state)
{
	static struct both both;
	uint64_t missed, next = 0;
	unsigned read = 0;
	pid_t writer;

	(void)state;
	both_open(&both);
	writer = fork();
	assert_true(writer >= 0);
	if (!writer)
		write_without_rest(both.memory);
	for (unsigned i = 0; i < RACE_SAMPLES; i++) {
		int error = i % 2 ? ring_next(&both.ring, &both.got, &missed)
				  : ring_latest(&both.ring, &both.got);

		assert_true(!error || error == -EAGAIN);
		if (error)
			continue;
		read++;
		assert_true(is_filled(&both.got, both.got.number));
		if (i % 2) {
			assert_true(both.got.number >= next);
			next = both.got.number + 1;
		}
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	both_close(&both);
	assert_true(read > RACE_SAMPLES / 10);
}

/* Bytes of a ring at work are changed at random, its counts most of all. */
static void any_bytes_are_borne(void **state)
{
	static struct both both;
	uint64_t missed;

	(void)state;
	srand(4711);
	both_open(&both);
	for (unsigned round = 0; round < FUZZ_ROUNDS; round++) {
		struct ring_header *header = both.memory;
		uint64_t *word = both.memory;
		int error;

		fill(&both.sample, round, (uint32_t)rand() % RING_ARENAS);
		header->published = (uint64_t)rand() << (rand() % 40);
		ring_publish(both.memory, &both.sample);
		for (unsigned i = 0; i < 4; i++)
			word[512 + (unsigned)rand() % ((RING_BYTES - 4096) / 8)] =
				(uint64_t)rand();
		if (round % 3 == 0)
			header->published = ((uint64_t)rand() << 33) + (uint64_t)rand();
		error = ring_latest(&both.ring, &both.got);
		assert_true(error <= 0 && (error || ring_is_possible(&both.got)));
		error = ring_next(&both.ring, &both.got, &missed);
		assert_true(error <= 0 && (error || ring_is_possible(&both.got)));
	}
	both_close(&both);
}

static void a_ring_that_is_cut_off_is_an_error(void **state)
{
	static struct both both;
	struct ring other;

	(void)state;
	both_open(&both);
	fill(&both.sample, 0, 0);
	ring_publish(both.memory, &both.sample);
	assert_int_equal(ftruncate(both.fd, 4096), 0);
	assert_int_equal(ring_latest(&both.ring, &both.got), -EFAULT);
	assert_int_equal(ftruncate(both.fd, 0), 0);
	assert_int_equal(ring_latest(&both.ring, &both.got), -EFAULT);
	assert_true(ring_attach(&other, &both.process) < 0);
	both_close(&both);
}

/* This ring is not sealed: it must not be mapped for the request. */
static void a_trim_that_nobody_serves_is_an_error(void **state)
{
	static struct both both;
	struct ring_header *header;
	int64_t took_ns = -1;

	(void)state;
	both_open(&both);
	header = both.memory;
	assert_int_equal(ring_trim(&both.ring, 20000000, &took_ns), -ETIMEDOUT);
	assert_int_equal(header->trim_asked, 1);
	header->trim_done = 2;
	header->trim_ns = 4711;
	assert_int_equal(ring_trim(&both.ring, 20000000, &took_ns), 0);
	assert_int_equal(took_ns, 4711);
	header->trim_done = 3;
	header->trim_result = -ENOTSUP;
	assert_int_equal(ring_trim(&both.ring, 20000000, &took_ns), -ENOTSUP);
	both_close(&both);
}

static void no_ring_is_no_ring(void **state)
{
	struct process process;
	struct fault fault;
	struct ring ring;

	(void)state;
	assert_int_equal(process_open(&process, getpid(), &fault), 0);
	assert_int_equal(ring_attach(&ring, &process), -ENOENT);
	ring_detach(&ring);
	process_close(&process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_judged),
		cmocka_unit_test(the_latest_is_read),
		cmocka_unit_test(each_is_read_once_in_order),
		cmocka_unit_test(memory_will_do_without_a_file),
		cmocka_unit_test(a_changed_word_is_seen),
		cmocka_unit_test(nothing_torn_is_read),
		cmocka_unit_test(any_bytes_are_borne),
		cmocka_unit_test(a_ring_that_is_cut_off_is_an_error),
		cmocka_unit_test(a_trim_that_nobody_serves_is_an_error),
		cmocka_unit_test(no_ring_is_no_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
