/* test_memory.c: which bytes lie on resident pages, over a memory made by hand; and that
 * nothing is read that does not. */
#include "target/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Some pages in the middle of the address space, over three blocks of flags. A page's
 * bytes are the low byte of its number. */
#define PAGE  UINT64_C(4096)
#define FIRST (UINT64_C(1000) * PAGES_BLOCK)

enum { PAGES = 3 * PAGES_BLOCK };

struct fake {
	struct memory memory;
	uint8_t flags[PAGES];
	unsigned looks;
	unsigned reads;
	uint64_t unreadable; /* a page that cannot be read though it is resident */
	int error;	     /* what reads return, when not 0 */
	bool blind;	     /* no flags can be had */
};

static int fake_read(struct memory *memory, const struct span *spans, unsigned count)
{
	struct fake *fake = (struct fake *)memory;

	if (fake->error)
		return fake->error;
	for (unsigned i = 0; i < count; i++) {
		uint64_t first = spans[i].addr / PAGE;
		uint64_t last = (spans[i].addr + spans[i].len - 1) / PAGE;

		fake->reads++;
		for (uint64_t page = first; page <= last; page++) {
			assert_in_range(page, FIRST, FIRST + PAGES - 1);
			assert_true(fake->flags[page - FIRST] & PAGE_RESIDENT);
			if (page == fake->unreadable)
				return i;
		}
		memset(spans[i].to, first & 0xff, spans[i].len);
	}
	return count;
}

static int fake_pages(struct memory *memory, uint64_t start, unsigned count,
		      uint8_t *flags)
{
	struct fake *fake = (struct fake *)memory;

	fake->looks++;
	assert_int_equal(start % PAGE, 0);
	if (fake->blind)
		return -EIO;
	for (unsigned i = 0; i < count; i++) {
		uint64_t page = start / PAGE + i;

		flags[i] = page >= FIRST && page < FIRST + PAGES
				   ? fake->flags[page - FIRST]
				   : 0;
	}
	return 0;
}

static struct fake fake;
static struct pages *pages;

static int set_up(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.memory = (struct memory){fake_read, fake_pages, 12};
	memset(fake.flags, PAGE_RESIDENT, sizeof(fake.flags));
	pages = pages_new(&fake.memory, 4);
	return pages ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	pages_free(pages);
	return 0;
}

static uint64_t at(uint64_t page, uint64_t offset)
{
	return (FIRST + page) * PAGE + offset;
}

static void bytes_are_counted_by_the_byte(void **state)
{
	(void)state;
	fake.flags[1] = 0;
	fake.flags[3] = PAGE_SWAPPED;
	assert_int_equal(pages_resident_bytes(pages, at(0, 0), at(0, 0)), 0);
	assert_int_equal(pages_resident_bytes(pages, at(0, 5), at(0, 6)), 1);
	assert_int_equal(pages_resident_bytes(pages, at(0, 0), at(1, 0)), PAGE);
	assert_int_equal(pages_resident_bytes(pages, at(0, 4000), at(1, 4000)), 96);
	assert_int_equal(pages_resident_bytes(pages, at(1, 1), at(1, 4095)), 0);
	assert_int_equal(pages_resident_bytes(pages, at(1, 4095), at(2, 1)), 1);
	assert_int_equal(pages_resident_bytes(pages, at(0, 1), at(4, 4095)),
			 3 * PAGE - 2);
	assert_int_equal(pages_swapped_bytes(pages, at(0, 0), at(8, 0)), PAGE);
	assert_int_equal(pages_swapped_bytes(pages, at(3, 10), at(3, 30)), 20);
	assert_int_equal(pages_swapped_bytes(pages, at(2, 0), at(3, 1)), 1);
}

static void blocks_are_joined(void **state)
{
	uint64_t edge = PAGES_BLOCK;

	(void)state;
	fake.flags[edge - 1] = 0;
	fake.flags[edge + PAGES_BLOCK] = 0;
	assert_int_equal(pages_resident_bytes(pages, at(0, 0), at(PAGES, 0)),
			 (PAGES - 2) * PAGE);
	assert_int_equal(pages_resident_bytes(pages, at(edge, 0) - 8, at(edge, 8)), 8);
	assert_true(pages_run_end(pages, at(0, 0), at(PAGES, 0)) == at(edge - 1, 0));
	assert_true(pages_run_end(pages, at(edge, 0), at(PAGES, 0)) == at(2 * edge, 0));
	assert_true(pages_next_resident(pages, at(edge - 1, 7), at(PAGES, 0)) ==
		    at(edge, 0));
	/* Outside of everything. */
	assert_int_equal(pages_resident_bytes(pages, at(0, 0) - 5 * PAGE, at(1, 0)),
			 PAGE);
	assert_int_equal(pages_resident_bytes(pages, at(PAGES, 0), at(PAGES + 600, 0)),
			 0);
}

static void searches_end_where_they_are_told(void **state)
{
	(void)state;
	memset(fake.flags + 2, 0, 10);
	assert_true(pages_next_resident(pages, at(0, 9), at(1, 0)) == at(0, 9));
	assert_true(pages_next_resident(pages, at(2, 9), at(5, 3)) == at(5, 3));
	assert_true(pages_next_resident(pages, at(2, 9), at(20, 0)) == at(12, 0));
	assert_true(pages_next_resident(pages, at(5, 0), at(5, 0)) == at(5, 0));
	assert_true(pages_run_end(pages, at(0, 9), at(1, 3)) == at(1, 3));
	assert_true(pages_run_end(pages, at(0, 9), at(9, 0)) == at(2, 0));
	assert_true(pages_run_end(pages, at(3, 9), at(9, 0)) == at(3, 9));
	assert_true(pages_all_resident(pages, at(0, 0), 2 * PAGE));
	assert_false(pages_all_resident(pages, at(0, 0), 2 * PAGE + 1));
	assert_false(pages_all_resident(pages, at(0, 0), 0));
	assert_false(pages_all_resident(pages, at(0, 0), -at(0, 0)));
	assert_false(pages_all_resident(pages, UINT64_MAX - 7, 8));
	assert_false(pages_all_resident(pages, UINT64_MAX - 7, 4));
}

static void flags_are_learned_once_and_forgotten(void **state)
{
	(void)state;
	pages_resident_bytes(pages, at(0, 0), at(PAGES, 0));
	assert_int_equal(fake.looks, 3);
	pages_resident_bytes(pages, at(0, 0), at(PAGES, 0));
	assert_int_equal(fake.looks, 3);
	fake.flags[0] = 0;
	assert_true(pages_all_resident(pages, at(0, 0), 8));
	pages_forget(pages);
	assert_false(pages_all_resident(pages, at(0, 0), 8));
	assert_int_equal(fake.looks, 4);
	/* Four slots: the fifth block takes the place of the first. */
	pages_block(pages, at(4 * PAGES_BLOCK, 0));
	pages_block(pages, at(0, 0));
	assert_int_equal(fake.looks, 6);
}

/* Of pages in blocks of 16: what is not known, in one call. */
static void a_stretch_is_learned_in_one_look(void **state)
{
	uint8_t flags[PAGES_BLOCK];
	struct pages *narrow = pages_new_narrow(&fake.memory, 256);

	(void)state;
	assert_non_null(narrow);
	fake.flags[5] = PAGE_SWAPPED;
	fake.flags[9] = 0;
	pages_copy(narrow, at(2, 0), 40, flags);
	assert_int_equal(fake.looks, 1);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(flags[i], fake.flags[2 + i]);
	assert_true(pages_all_resident(narrow, at(10, 0), 38 * PAGE));
	assert_int_equal(fake.looks, 1);
	assert_false(pages_all_resident(narrow, at(48, 0) - 1, PAGES * PAGE));
	/* What lies behind one that is known, what lies before it, and what is longer
	 * than may be asked for at once. */
	pages_forget(narrow);
	fake.looks = 0;
	pages_block(narrow, at(32, 0));
	pages_copy(narrow, at(33, 0), 40, flags);
	assert_int_equal(fake.looks, 2);
	pages_copy(narrow, at(20, 0), 20, flags);
	assert_int_equal(fake.looks, 3);
	pages_copy(narrow, at(101, 0), PAGES_BLOCK, flags);
	assert_int_equal(fake.looks, 5);
	for (unsigned i = 0; i < PAGES_BLOCK; i++)
		assert_int_equal(flags[i], fake.flags[101 + i]);
	fake.blind = true;
	pages_copy(narrow, at(1000, 0), 3, flags);
	assert_true(!flags[0] && !flags[1] && !flags[2]);
	pages_free(narrow);
	/* As wide ones. */
	fake.blind = false;
	pages_copy(pages, at(3, 0), PAGES_BLOCK, flags);
	for (unsigned i = 0; i < PAGES_BLOCK; i++)
		assert_int_equal(flags[i], fake.flags[3 + i]);
}

static void what_cannot_be_looked_at_is_not_resident(void **state)
{
	char byte;

	(void)state;
	fake.blind = true;
	assert_int_equal(pages_resident_bytes(pages, at(0, 0), at(9, 0)), 0);
	assert_int_equal(memory_fetch(&fake.memory, pages, at(0, 0), &byte, 1), -ENODATA);
	assert_int_equal(fake.reads, 0);
}

static void a_fetch_reads_resident_pages_only(void **state)
{
	uint8_t to[16];

	(void)state;
	fake.flags[3] = PAGE_SWAPPED;
	assert_int_equal(memory_fetch(&fake.memory, pages, at(2, 4080), to, 16), 0);
	assert_int_equal(to[15], (FIRST + 2) & 0xff);
	assert_int_equal(memory_fetch(&fake.memory, pages, at(2, 4081), to, 16),
			 -ENODATA);
	assert_int_equal(memory_fetch(&fake.memory, pages, at(3, 0), to, 16), -ENODATA);
	assert_int_equal(memory_fetch(&fake.memory, pages, 16, to, 16), -ENODATA);
	assert_int_equal(fake.reads, 1);
	fake.unreadable = FIRST + 5;
	assert_int_equal(memory_fetch(&fake.memory, pages, at(5, 0), to, 16), -EFAULT);
	fake.error = -ESRCH;
	assert_int_equal(memory_fetch(&fake.memory, pages, at(6, 0), to, 16), -ESRCH);
}

static void many_fetches_stand_alone(void **state)
{
	enum { SPANS = MEMORY_SPANS };
	static uint8_t to[SPANS][8];
	struct span span[SPANS];
	bool ok[SPANS];

	(void)state;
	for (unsigned i = 0; i < SPANS; i++) {
		span[i] = (struct span){at(i, 0), to[i], 8};
		if (i % 7 == 0)
			fake.flags[i] = 0;
	}
	fake.unreadable = FIRST + 50;
	assert_int_equal(memory_fetch_many(&fake.memory, pages, span, SPANS, ok), 0);
	for (unsigned i = 0; i < SPANS; i++) {
		assert_int_equal(ok[i], i % 7 != 0 && i != 50);
		if (ok[i])
			assert_int_equal(to[i][7], (FIRST + i) & 0xff);
	}
	/* The last span of all is the one that cannot be read; and none is resident. */
	fake.unreadable = FIRST + 53;
	assert_int_equal(memory_fetch_many(&fake.memory, pages, span + 52, 2, ok), 0);
	assert_true(ok[0] && !ok[1]);
	assert_int_equal(memory_fetch_many(&fake.memory, pages, span + 49, 1, ok), 0);
	assert_false(ok[0]);
	assert_int_equal(memory_fetch_many(&fake.memory, pages, span, 0, ok), 0);
	fake.error = -ESRCH;
	assert_int_equal(memory_fetch_many(&fake.memory, pages, span, SPANS, ok), -ESRCH);
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_FAKE(bytes_are_counted_by_the_byte),
		WITH_FAKE(blocks_are_joined),
		WITH_FAKE(searches_end_where_they_are_told),
		WITH_FAKE(flags_are_learned_once_and_forgotten),
		WITH_FAKE(a_stretch_is_learned_in_one_look),
		WITH_FAKE(what_cannot_be_looked_at_is_not_resident),
		WITH_FAKE(a_fetch_reads_resident_pages_only),
		WITH_FAKE(many_fetches_stand_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
