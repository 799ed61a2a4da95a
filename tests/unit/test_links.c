/* test_links.c: notes of listed chunks: found where they are, in any order of segments,
 * and room that ends is told. */
#include "glibc/links.h"
#include "glibc/tcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* A segment of chunks, each of which leads to the one before it. */
static struct link_chain segment(uint64_t from, unsigned arena)
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
	links_keep(links, segment(HIGH, 1));
	links_keep(links, segment(LOW, 0));
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
	links_keep(links, segment(HIGH, 1));
	links_keep(links, segment(LOW, 0));
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

static void cached_chunks_leave_room_for_others(void **state)
{
	struct link_chain chain = {0};
	unsigned noted = 0;

	(void)state;
	for (struct link link = {.kind = LINK_CACHED, .bin = 63, .bytes = 0x410};;
	     noted++) {
		link.at = LOW + (uint64_t)noted * 0x410;
		if (!links_note(links, &chain, 0, &link))
			break;
	}
	assert_int_equal(noted, BLOCKS / 2 * LINKS_IN_BLOCK);
	assert_false(links_overflowed(links));
	for (unsigned i = 0; i < noted; i++) {
		struct link link = fast(HIGH + (uint64_t)i * 0x40, 0);

		assert_true(links_note(links, &chain, 0, &link));
	}
}

/* ---- a thread's cache, followed in the notes ---- */

enum { LISTED = 3, LIST_BYTES = 0x410, PAGE = 4096 };

#define CACHE (HIGH + 0x10)

/* A page with a cache's structure, one with the chunks of its list. */
struct cache_memory {
	struct memory memory;
	uint8_t structure[PAGE];
	uint8_t list[PAGE];
	unsigned list_reads;
};

static int read_cache(struct memory *memory, const struct span *spans, unsigned count)
{
	struct cache_memory *cache = (struct cache_memory *)memory;

	for (unsigned i = 0; i < count; i++) {
		bool in_list = spans[i].addr >= LOW && spans[i].addr < LOW + PAGE;

		if (!in_list && (spans[i].addr < HIGH || spans[i].addr >= HIGH + PAGE))
			return (int)i;
		cache->list_reads += in_list;
		memcpy(spans[i].to,
		       (in_list ? cache->list : cache->structure) + spans[i].addr % PAGE,
		       spans[i].len);
	}
	return (int)count;
}

static int all_resident(struct memory *memory, uint64_t start, unsigned count,
			uint8_t *flags)
{
	(void)memory;
	(void)start;
	memset(flags, PAGE_RESIDENT, count);
	return 0;
}

static uint64_t listed_at(unsigned i)
{
	return LOW + (uint64_t)i * LIST_BYTES / GLIBC_ALIGN * GLIBC_ALIGN;
}

static void put(uint8_t *at, uint64_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* What the target has: a list of the largest chunks. */
static void make_cache(struct cache_memory *cache, const struct malloc_layout *layout)
{
	unsigned bin = layout->tcache.small_bins - 1U;
	uint8_t *raw = cache->structure + CACHE % PAGE;

	memset(cache, 0, sizeof(*cache));
	cache->memory = (struct memory){read_cache, all_resident, 12};
	raw[2 * bin] = LISTED;
	put(raw + layout->tcache.entries + 8 * bin, listed_at(0) + 16);
	for (unsigned i = 0; i < LISTED; i++) {
		uint64_t at = listed_at(i);
		uint64_t to = i + 1 < LISTED ? listed_at(i + 1) + 16 : 0;

		put(cache->list + at % PAGE + 8, LIST_BYTES | CHUNK_PREV_INUSE);
		put(cache->list + at % PAGE + 16, to ^ (at + 16) >> 12);
	}
}

/* What a walk noted: as it is, or as it was when the list went elsewhere. */
static void note_cache(const struct malloc_layout *layout, bool is_right)
{
	struct link_chain chain = {0};

	for (unsigned i = 0; i < LISTED; i++) {
		bool ends = i + 1 == LISTED || (!is_right && i == 1);
		struct link link = {.kind = LINK_CACHED,
				    .at = listed_at(i),
				    .bytes = LIST_BYTES,
				    .bin = layout->tcache.small_bins - 1U,
				    .way = ends ? LINK_END : LINK_NEXT,
				    .to = listed_at(i + 1)};

		assert_true(links_note(links, &chain, 0, &link));
	}
	links_keep(links, chain);
	links_sort(links);
}

static const struct malloc_layout *layout_of(unsigned minor)
{
	for (unsigned i = 0; i < layout_count; i++)
		if (layouts[i].first_minor <= minor && minor <= layouts[i].last_minor)
			return &layouts[i];
	return NULL;
}

/* A list is read only where it is no longer what was noted. */
static void check_cache(bool is_right)
{
	static struct cache_memory memory;
	const struct malloc_layout *layout = layout_of(36);
	uint64_t address = CACHE, chunk[2 * LISTED], mark;
	struct malloc_par par = {.tcache_count = 7};
	struct tcache_search search = {.memory = &memory.memory,
				       .layout = layout,
				       .par = &par,
				       .links = links,
				       .address = &address,
				       .count = 1};
	struct tcache_met met = {chunk, 2 * LISTED, 0};
	struct tcache_totals totals = {0};

	assert_non_null(layout);
	make_cache(&memory, layout);
	note_cache(layout, is_right);
	search.pages = pages_new(&memory.memory, 8);
	search.reader = chain_reader_new(&memory.memory, search.pages);
	assert_int_equal(tcache_read(&search, &totals, NULL, &met), 0);
	assert_int_equal(totals.chunks, LISTED);
	assert_int_equal(totals.in_doubt_bytes, 0);
	assert_int_equal(met.count, LISTED);
	assert_int_equal(tcache_met_twice(&met, &mark), 0);
	assert_int_equal(memory.list_reads != 0, !is_right);
	chain_reader_free(search.reader);
	pages_free(search.pages);
}

static void a_cache_is_followed_in_the_notes(void **state)
{
	(void)state;
	check_cache(true);
}

static void a_cache_that_changed_is_read(void **state)
{
	(void)state;
	check_cache(false);
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
		TEST(cached_chunks_leave_room_for_others),
		TEST(a_cache_is_followed_in_the_notes),
		TEST(a_cache_that_changed_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
