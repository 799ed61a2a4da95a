/* test_mapped.c: which places among look-alikes are malloc's mapped chunks. */
#include "glibc/mapped.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, PAGES = 256, PLACES = 64, REGIONS = 8 };

#define BASE UINT64_C(0x7f0000000000)

/* Memory of PAGES pages from BASE on; those beyond and in gaps are not there. */
struct fixture {
	struct memory memory; /* first: a struct memory is what the callbacks get */
	uint8_t bytes[PAGES * PAGE];
	uint8_t flags[PAGES];
	struct region region[REGIONS];
	struct regions regions;
	struct mapped_place place[PLACES];
	struct pages *pages;
	struct mapped_search search;
	struct mapped_last last;
	unsigned reads; /* pieces of memory */
};

static struct fixture *now;

static int read_bytes(struct memory *memory, const struct span *spans, unsigned count)
{
	struct fixture *fixture = (struct fixture *)memory;

	fixture->reads += count;
	for (unsigned i = 0; i < count; i++) {
		if (spans[i].addr < BASE ||
		    spans[i].addr + spans[i].len > BASE + sizeof(fixture->bytes))
			return (int)i;
		memcpy(spans[i].to, fixture->bytes + (spans[i].addr - BASE),
		       spans[i].len);
	}
	return (int)count;
}

static int read_flags(struct memory *memory, uint64_t start, unsigned count,
		      uint8_t *flags)
{
	struct fixture *fixture = (struct fixture *)memory;

	for (unsigned i = 0; i < count; i++) {
		uint64_t page = (start - BASE) / PAGE + i;

		flags[i] = page < PAGES ? fixture->flags[page] : 0;
	}
	return 0;
}

static int setup(void **state)
{
	(void)state;
	now = calloc(1, sizeof(*now));
	if (!now)
		return -1;
	now->memory = (struct memory){
		.read = read_bytes, .pages = read_flags, .page_shift = 12};
	now->pages = pages_new(&now->memory, 16);
	now->regions.region = now->region;
	now->search = (struct mapped_search){
		.memory = &now->memory,
		.pages = now->pages,
		.regions = &now->regions,
		.heap_max_bytes = 64 << 20,
		.place = now->place,
		.place_capacity = PLACES,
		.last = &now->last,
	};
	return now->pages ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	pages_free(now->pages);
	free(now);
	return 0;
}

/* A mapping of pages [FROM, TO), all resident. */
static void map(unsigned from, unsigned to)
{
	now->region[now->regions.count++] = (struct region){
		BASE + (uint64_t)from * PAGE, BASE + (uint64_t)to * PAGE, false};
	memset(now->flags + from, PAGE_RESIDENT, to - from);
	memset(now->bytes + (size_t)from * PAGE, 0xaa, (size_t)(to - from) * PAGE);
}

/* What looks like an mmapped chunk of COUNT pages at page AT. */
static void look_alike(unsigned at, unsigned count)
{
	uint64_t field = (uint64_t)count * PAGE;
	uint64_t header[2] = {0};

	header[1] = field - (now->search.has_trailer ? 16 : 0);
	header[1] |= CHUNK_MMAPPED;
	memcpy(now->bytes + (size_t)at * PAGE, header, sizeof(header));
}

/* The same, and malloc counts it. */
static void chunk(unsigned at, unsigned count)
{
	look_alike(at, count);
	now->search.wanted_chunks++;
	now->search.wanted_bytes += (uint64_t)count * PAGE;
}

/* With what the last search found, unless FORGETS. */
static void search(bool forgets)
{
	if (forgets)
		now->last = (struct mapped_last){0};
	pages_forget(now->pages);
	now->search.is_exact = false;
	now->reads = 0;
	mapped_find(&now->search);
}

static void found_again(unsigned resident_pages)
{
	search(false);
	assert_true(now->search.is_exact);
	assert_int_equal(now->search.chunks, now->search.wanted_chunks);
	assert_int_equal(now->search.bytes, now->search.wanted_bytes);
	assert_int_equal(now->search.resident_bytes, (uint64_t)resident_pages * PAGE);
}

static void found(unsigned resident_pages)
{
	search(true);
	assert_true(now->search.is_exact);
	assert_int_equal(now->search.chunks, now->search.wanted_chunks);
	assert_int_equal(now->search.resident_bytes, (uint64_t)resident_pages * PAGE);
}

static void unclear(void)
{
	search(true);
	assert_false(now->search.is_exact);
}

static void chunks_alone(void **state)
{
	(void)state;
	map(0, 10);
	chunk(0, 4);
	chunk(4, 6);
	map(20, 25);
	chunk(20, 5);
	found(15);
}

static void none(void **state)
{
	(void)state;
	map(0, 10);
	look_alike(3, 2);
	found(0);
	assert_int_equal(now->search.place_count, 0);
}

/* Pages of other memory that begin as a chunk does lie before the chunks. */
static void look_alikes_come_first(void **state)
{
	(void)state;
	map(0, 100);
	for (unsigned i = 0; i < 20; i++)
		look_alike(3 * i, 1 + i % 3);
	chunk(70, 11);
	chunk(81, 13);
	map(110, 120);
	chunk(113, 5);
	now->flags[90] = now->flags[91] = 0;
	found(27);
}

/* What is none reaches over one that is. */
static void a_look_alike_hides_a_chunk(void **state)
{
	(void)state;
	map(0, 100);
	look_alike(10, 60);
	chunk(20, 31);
	chunk(80, 7);
	chunk(90, 10);
	found(48);
}

/* Chunks that make up their mappings leave no doubt, whatever lies elsewhere. */
static void whole_mappings_are_taken(void **state)
{
	(void)state;
	map(0, 10);
	chunk(0, 10);
	map(20, 40);
	look_alike(25, 10);
	now->flags[30] = 0;
	found(10);
}

/* They are kept, and the rest is chosen. */
static void the_rest_is_chosen(void **state)
{
	(void)state;
	map(0, 30);
	look_alike(2, 10);
	look_alike(15, 3);
	chunk(20, 4);
	map(40, 50);
	chunk(40, 10);
	now->flags[5] = 0;
	found(14);
}

static void two_ways_are_none(void **state)
{
	(void)state;
	map(0, 30);
	chunk(2, 5);
	look_alike(12, 5);
	now->flags[14] = 0;
	unclear();
	/* Unless they come to the same. */
	now->flags[14] = PAGE_RESIDENT;
	pages_forget(now->pages);
	found(5);
}

static void what_does_not_add_up_is_none(void **state)
{
	(void)state;
	map(0, 30);
	chunk(2, 5);
	chunk(12, 6);
	now->search.wanted_bytes += PAGE;
	unclear();
	now->search.wanted_bytes -= PAGE;
	now->search.wanted_chunks++;
	unclear();
	assert_int_equal(now->search.chunks, 2);
}

/* Among hundreds that are alike there is no choosing for ever. */
static void choosing_ends(void **state)
{
	(void)state;
	map(0, 200);
	for (unsigned i = 0; i < 60; i++)
		look_alike(3 * i, 1 + i % 2);
	now->search.wanted_chunks = 30;
	now->search.wanted_bytes = UINT64_C(59) * PAGE;
	now->flags[1] = 0;
	mapped_find(&now->search);
	assert_false(now->search.is_exact);
}

/* From 2.43 on the mapping has 16 bytes behind the chunk, and mremap_chunk counts too
 * many. */
static void drifted_counts(void **state)
{
	(void)state;
	now->search.has_trailer = true;
	map(0, 30);
	look_alike(1, 2);
	chunk(4, 5);
	chunk(12, 6);
	now->search.wanted_bytes += 3 * 16;
	found(11);
	/* As often as not to tell any more, but all are found. */
	memset(now->bytes + PAGE, 0, 16);
	now->search.wanted_bytes += 600 * 16;
	found(11);
}

/* While malloc counts the same, the headers of what was found are looked at, and nothing
 * else. */
static void as_before(void **state)
{
	(void)state;
	map(0, 100);
	chunk(60, 5);
	map(120, 130);
	chunk(120, 10);
	found_again(15);
	assert_in_range(now->reads, 50, 200);
	now->flags[62] = 0;
	/* One more place that looks so is no reason to doubt. */
	look_alike(10, 5);
	found_again(14);
	assert_int_equal(now->reads, 2);
	/* Another block in its place, or its page is not there. */
	memset(now->bytes + (size_t)60 * PAGE, 0, 16);
	found_again(15);
	assert_in_range(now->reads, 12, 200);
	look_alike(60, 5);
	now->flags[10] = 0;
	found_again(14);
	/* Its mapping has gone, or is shorter. */
	now->region[1].end -= PAGE;
	search(false);
	assert_false(now->search.is_exact);
	now->region[1].end += PAGE;
	search(true);
	/* Malloc counts more. */
	chunk(80, 2);
	found_again(16);
	assert_in_range(now->reads, 50, 200);
}

/* What was unclear is left so for some searches, as long as malloc counts the same. */
static void unclear_as_before(void **state)
{
	(void)state;
	map(0, 30);
	chunk(2, 5);
	look_alike(12, 5);
	now->flags[14] = 0;
	unclear();
	memset(now->bytes + (size_t)12 * PAGE, 0, 16);
	for (unsigned i = 0; i < 16; i++) {
		search(false);
		assert_false(now->search.is_exact);
		assert_int_equal(now->search.chunks, 2);
		assert_int_equal(now->reads, 0);
	}
	found_again(5);
	chunk(20, 3);
	found_again(8);
}

enum { AGAIN = 16 };
#define NO_TIME	  1
#define MUCH_TIME INT64_C(1000000000000)

/* With what the last search found, in a limited time: it is known that RESIDENT_PAGES
 * are resident, and not of UNKNOWN_PAGES more. */
static void bounded(int64_t ns, unsigned resident_pages, unsigned unknown_pages)
{
	now->search.ns = ns;
	now->search.is_bounded = false;
	search(false);
	assert_false(now->search.is_exact);
	assert_true(now->search.is_bounded);
	assert_int_equal(now->search.resident_bytes, (uint64_t)resident_pages * PAGE);
	assert_int_equal(now->search.unknown_bytes, (uint64_t)unknown_pages * PAGE);
}

/* Chunks that mappings begin with are known at once; what lies in other memory is not. */
static void without_time_starts_are_looked_at(void **state)
{
	(void)state;
	map(0, 200);
	look_alike(150, 30);
	chunk(170, 4);
	map(210, 220);
	chunk(210, 3);
	chunk(213, 5);
	now->flags[212] = 0;
	bounded(NO_TIME, 7, 4);
	assert_in_range(now->reads, 1, 100);
	/* And all of it where it is them all. */
	memset(now->bytes + (size_t)170 * PAGE, 0, 16);
	now->search.wanted_chunks--;
	now->search.wanted_bytes -= UINT64_C(4) * PAGE;
	found_again(7);
}

/* What was unmapped since the mappings were listed hides nothing behind it. */
static void without_time_gone_pages_are_passed(void **state)
{
	(void)state;
	map(0, 200);
	memset(now->flags, 0, 20);
	chunk(20, 5);
	chunk(25, 1);
	chunk(190, 2);
	bounded(NO_TIME, 6, 2);
}

/* What an earlier search knew for sure counts for as long as it stands. */
static void without_time_known_ones_stay(void **state)
{
	(void)state;
	map(0, 200);
	chunk(70, 5);
	chunk(120, 6);
	found_again(11);
	chunk(180, 7);
	bounded(NO_TIME, 11, 7);
	bounded(NO_TIME, 11, 7);
	/* One of them is gone, and so is malloc's count of it. */
	memset(now->bytes + (size_t)70 * PAGE, 0, 16);
	now->search.wanted_chunks--;
	now->search.wanted_bytes -= UINT64_C(5) * PAGE;
	bounded(NO_TIME, 6, 7);
	/* Others were mapped after malloc's records were read: those of before count. */
	now->search.wanted_chunks = 1;
	now->search.wanted_bytes = UINT64_C(6) * PAGE;
	map(210, 220);
	look_alike(210, 10);
	now->search.ns = NO_TIME;
	found_again(6);
	/* More than malloc counts say nothing. */
	now->search.wanted_bytes = UINT64_C(5) * PAGE;
	bounded(NO_TIME, 0, 5);
}

/* All pages are looked at where there is time. */
static void with_time_all_are_found(void **state)
{
	(void)state;
	map(0, 200);
	look_alike(10, 60);
	chunk(20, 31);
	chunk(80, 7);
	now->search.ns = MUCH_TIME;
	found_again(38);
	assert_false(now->search.is_bounded);
}

/* How many searches without time it takes, none of which reads much. */
static unsigned searches_until_found(void)
{
	unsigned searches = 1;

	for (; searches < 20; searches++) {
		now->search.ns = NO_TIME;
		now->search.is_bounded = false;
		search(false);
		assert_in_range(now->reads, 1, 100);
		if (now->search.is_exact)
			break;
		assert_true(now->search.is_bounded);
	}
	assert_false(now->search.is_bounded);
	return searches;
}

/* Where there is not, some of them are at each search, and then all are known. */
static void in_parts_all_are_found(void **state)
{
	(void)state;
	map(0, 200);
	chunk(20, 31);
	chunk(80, 7);
	chunk(190, 2);
	assert_in_range(searches_until_found(), 3, 10);
	assert_int_equal(now->search.resident_bytes, UINT64_C(40) * PAGE);
	found_again(40);
	assert_int_equal(now->reads, 3);
	/* What goes in the meantime is not taken for what it was. */
	chunk(150, 3);
	bounded(NO_TIME, 40, 3);
	bounded(NO_TIME, 40, 3);
	memset(now->bytes + (size_t)20 * PAGE, 0, 16);
	look_alike(100, 31);
	assert_in_range(searches_until_found(), 1, 10);
	assert_int_equal(now->search.resident_bytes, UINT64_C(43) * PAGE);
}

/* A new one that is as large as one that was known is not taken for that. */
static void without_time_new_ones_are_found(void **state)
{
	(void)state;
	map(0, 20);
	map(30, 50);
	map(60, 80);
	chunk(0, 5);
	chunk(60, 7);
	found_again(12);
	chunk(30, 5);
	now->search.ns = NO_TIME;
	found_again(17);
}

/* What mremap_chunk counts too much, by more than a page, is not looked for. */
static void without_time_excess_is_no_chunk(void **state)
{
	(void)state;
	map(0, 200);
	chunk(20, 31);
	chunk(80, 7);
	now->search.has_trailer = true;
	memset(now->bytes, 0xaa, sizeof(now->bytes));
	look_alike(20, 31);
	look_alike(80, 7);
	now->search.wanted_bytes += 600 * 16;
	now->search.ns = MUCH_TIME;
	search(true);
	assert_true(now->search.is_exact);
	now->search.wanted_bytes += 16;
	now->search.ns = NO_TIME;
	now->search.is_bounded = false;
	search(false);
	assert_true(now->search.is_exact);
	assert_false(now->search.is_bounded);
	assert_int_equal(now->search.resident_bytes, UINT64_C(38) * PAGE);
}

/* A sweep whose chunks are no longer those that malloc counts is not gone on with, and
 * begins anew after some searches. */
static void in_parts_of_the_same_ones(void **state)
{
	(void)state;
	map(0, 200);
	chunk(20, 31);
	chunk(80, 7);
	bounded(NO_TIME, 0, 38);
	chunk(10, 3);
	for (unsigned i = 0; i < AGAIN; i++) {
		bounded(MUCH_TIME, 0, 41);
		assert_in_range(now->reads, 1, 10);
	}
	now->search.ns = MUCH_TIME;
	now->search.is_bounded = false;
	found_again(41);
}

/* What a short time left open is asked where there is no limit. */
static void after_no_time_all_are_found(void **state)
{
	(void)state;
	map(0, 200);
	look_alike(10, 60);
	chunk(20, 31);
	chunk(80, 7);
	bounded(NO_TIME, 0, 38);
	now->search.ns = 0;
	now->search.is_bounded = false;
	found_again(38);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(chunks_alone),
		TEST(none),
		TEST(look_alikes_come_first),
		TEST(a_look_alike_hides_a_chunk),
		TEST(whole_mappings_are_taken),
		TEST(the_rest_is_chosen),
		TEST(two_ways_are_none),
		TEST(what_does_not_add_up_is_none),
		TEST(choosing_ends),
		TEST(drifted_counts),
		TEST(as_before),
		TEST(unclear_as_before),
		TEST(without_time_starts_are_looked_at),
		TEST(without_time_gone_pages_are_passed),
		TEST(without_time_known_ones_stay),
		TEST(with_time_all_are_found),
		TEST(in_parts_all_are_found),
		TEST(in_parts_of_the_same_ones),
		TEST(without_time_new_ones_are_found),
		TEST(without_time_excess_is_no_chunk),
		TEST(after_no_time_all_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
