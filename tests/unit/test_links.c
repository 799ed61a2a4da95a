/* test_links.c: notes of listed chunks: found where they are, in any order of stretches,
 * and room that ends is told. */
#include "glibc/links.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BLOCKS = 64, CHUNKS = 3000, APART = 4096 };

#define LOW  UINT64_C(0x555555560000)
#define HIGH UINT64_C(0x7f0000000000)

static struct links *links;

static int setup(void **state)
{
	(void)state;
	links = links_new(BLOCKS, true);
	assert_non_null(links);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	links_free(links);
	return 0;
}

static struct link fast(uint64_t at, uint64_t to)
{
	return (struct link){.kind = LINK_FAST,
			     .at = at,
			     .bytes = 0x40,
			     .bin = 2,
			     .way = to ? LINK_NEXT : LINK_END,
			     .to = to};
}

/* A stretch of chunks, each of which leads to the one before it. */
static struct link_chain stretch(uint64_t from, unsigned arena)
{
	struct link_chain chain = {0};

	for (unsigned i = 0; i < CHUNKS; i++) {
		uint64_t at = from + (uint64_t)i * APART;
		struct link link = fast(at, i ? at - APART : 0);

		assert_true(links_note(links, &chain, arena, &link));
	}
	return chain;
}

static void every_note_is_found(void **state)
{
	struct link link;
	unsigned count = 0;
	uint64_t last = 0;

	(void)state;
	links_keep(links, stretch(HIGH, 1));
	links_keep(links, stretch(LOW, 0));
	links_sort(links);
	for (uint32_t i = links_next(links, LINKS_NONE); i != LINKS_NONE;
	     i = links_next(links, i), count++) {
		links_get(links, i, &link);
		assert_true(link.at > last);
		assert_int_equal(links_find(links, link.at), i);
		assert_int_equal(links_find(links, link.at + 16), LINKS_NONE);
		assert_int_equal(links_arena(links, i), link.at >= HIGH);
		if (link.at == LOW || link.at == HIGH)
			assert_int_equal(link.way, LINK_END);
		else
			assert_int_equal(link.to, link.at - APART);
		last = link.at;
	}
	assert_int_equal(count, 2 * CHUNKS);
	assert_int_equal(links_find(links, LOW - APART), LINKS_NONE);
	assert_int_equal(links_find(links, HIGH - APART), LINKS_NONE);
}

static void chunks_that_crowd_are_found(void **state)
{
	struct link_chain chain = {0};
	struct link link;

	(void)state;
	/* All but one at the end of what the block holds. */
	link = fast(LOW, 0);
	assert_true(links_note(links, &chain, 0, &link));
	for (unsigned i = 0; i < 200; i++) {
		link = fast(LOW + (128 << 20) + i * 0x40, LOW);
		assert_true(links_note(links, &chain, 0, &link));
	}
	links_keep(links, chain);
	links_sort(links);
	for (unsigned i = 0; i < 200; i++)
		assert_true(links_find(links, LOW + (128 << 20) + i * 0x40) !=
			    LINKS_NONE);
	assert_true(links_find(links, LOW) != LINKS_NONE);
}

static void a_run_comes_behind_its_chunks(void **state)
{
	struct link_chain chain = {0};
	struct link link = fast(LOW + 0x40, HIGH);
	struct link run = {.kind = LINK_RUN, .at = LOW + 0x80, .bytes = 0x80};
	uint32_t i;

	(void)state;
	assert_true(links_note(links, &chain, 0, &link));
	assert_true(links_note(links, &chain, 0, &run));
	links_keep(links, chain);
	links_sort(links);
	i = links_find(links, LOW + 0x40);
	links_get(links, i, &link);
	/* Too far away for a note. */
	assert_int_equal(link.way, LINK_FAR);
	i = links_next(links, i);
	links_get(links, i, &link);
	assert_int_equal(link.kind, LINK_RUN);
	assert_int_equal(link.at, LOW + 0x80);
	assert_int_equal(link.bytes, 0x80);
	assert_int_equal(links_next(links, i), LINKS_NONE);
}

static void what_is_marked_is_left_as_addresses(void **state)
{
	uint32_t capacity, count = 0;
	uint64_t *address;

	(void)state;
	links_keep(links, stretch(HIGH, 1));
	links_keep(links, stretch(LOW, 0));
	links_sort(links);
	for (uint32_t i = links_next(links, LINKS_NONE); i != LINKS_NONE;
	     i = links_next(links, i))
		if (count++ % 3 == 0)
			assert_true(links_mark(links, i));
	count = links_to_addresses(links);
	assert_int_equal(count, 2 * CHUNKS / 3);
	address = links_room(links, &capacity);
	assert_true(count <= capacity);
	for (unsigned i = 0; i < count; i++) {
		uint64_t from = i < CHUNKS / 3 ? LOW : HIGH;

		assert_int_equal(address[i],
				 from + (uint64_t)(i % (CHUNKS / 3)) * 3 * APART);
	}
}

static void room_ends_and_comes_back(void **state)
{
	struct link_chain chain = {0};
	struct link link;
	unsigned noted = 0;

	(void)state;
	do
		link = fast(LOW + (uint64_t)noted * 0x40, 0);
	while (links_note(links, &chain, 0, &link) && ++noted);
	assert_int_equal(noted, BLOCKS * LINKS_IN_BLOCK);
	assert_true(links_overflowed(links));
	links_drop(links, chain);
	chain = (struct link_chain){0};
	assert_true(links_note(links, &chain, 0, &link));
	links_reset(links);
	assert_false(links_overflowed(links));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_note_is_found),
		TEST(chunks_that_crowd_are_found),
		TEST(a_run_comes_behind_its_chunks),
		TEST(what_is_marked_is_left_as_addresses),
		TEST(room_ends_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
