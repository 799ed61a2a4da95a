/* test_walk.c: the walk over segments of heap made by hand: what is counted, what a trim
 * would give back, what lies between chunks, and how a broken chain is survived. */
#include "glibc/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BASE UINT64_C(0x555500000000)

enum {
	PAGE = 4096,
	PAGES = 96,
	BYTES = PAGES * PAGE,
	FAST_MAX = 16,
	TCACHES = 8,
	MIN_SIZE = 32, /* MINSIZE of malloc.c */
};

/* A segment that is being built, and the memory in which it lies. */
struct segment {
	struct memory memory; /* first */
	uint8_t bytes[BYTES];
	uint8_t flags[PAGES];
	uint64_t at;	    /* where the next chunk begins */
	uint64_t free_size; /* of the chunk before, when that is in a bin; else 0 */
	uint64_t fast[FAST_MAX];
	uint64_t top;
	uint64_t flags_of_all;
	/* This word reads as WRONG the first WRONG_TIMES times. */
	uint64_t wrong_at;
	uint64_t wrong;
	unsigned wrong_times;
	unsigned reads;
	uint64_t tcache[TCACHES];
	struct address_list tcaches;
	struct walk_arena arena;
	struct walk walk;
	uint8_t buffer[WALK_WINDOW];
};

static struct segment segment;
static struct pages *pages;

static void *place(uint64_t addr)
{
	assert_in_range(addr, BASE, BASE + BYTES - 8);
	return segment.bytes + (addr - BASE);
}

static uint64_t word(uint64_t addr)
{
	uint64_t value;

	memcpy(&value, place(addr), sizeof(value));
	return value;
}

static void set_word(uint64_t addr, uint64_t value)
{
	memcpy(place(addr), &value, sizeof(value));
}

static bool is_resident(uint64_t addr, uint64_t bytes)
{
	for (uint64_t page = (addr - BASE) / PAGE; page * PAGE < addr + bytes - BASE;
	     page++)
		if (page >= PAGES || !(segment.flags[page] & PAGE_RESIDENT))
			return false;
	return addr >= BASE;
}

static void damage_copy(const struct span *span)
{
	if (!segment.wrong_times || segment.wrong_at < span->addr ||
	    segment.wrong_at + 8 > span->addr + span->len)
		return;
	memcpy((uint8_t *)span->to + (segment.wrong_at - span->addr), &segment.wrong, 8);
	segment.wrong_times--;
}

static int read_segment(struct memory *memory, const struct span *spans, unsigned count)
{
	(void)memory;
	assert_true(++segment.reads < 100000);
	for (unsigned i = 0; i < count; i++) {
		assert_true(is_resident(spans[i].addr, spans[i].len));
		memcpy(spans[i].to, place(spans[i].addr), spans[i].len);
		damage_copy(&spans[i]);
	}
	return count;
}

static int pages_of_segment(struct memory *memory, uint64_t start, unsigned count,
			    uint8_t *flags)
{
	(void)memory;
	for (unsigned i = 0; i < count; i++) {
		uint64_t addr = start + (uint64_t)i * PAGE;

		flags[i] = addr >= BASE && addr < BASE + BYTES
				   ? segment.flags[(addr - BASE) / PAGE]
				   : 0;
	}
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(&segment, 0, sizeof(segment));
	memset(segment.flags, PAGE_RESIDENT, sizeof(segment.flags));
	segment.memory = (struct memory){read_segment, pages_of_segment, 12};
	segment.at = BASE;
	segment.tcaches = (struct address_list){segment.tcache, TCACHES, 0};
	segment.arena = (struct walk_arena){
		.layout = &layouts[3], /* 2.35 to 2.41: the one with everything */
		.trim_unit_bytes = PAGE,
		.unusable_for_bytes = 64,
		.tcache_count_max = 7,
		.fast = segment.fast,
		.tcaches = &segment.tcaches,
		.bins = true,
	};
	pages = pages_new(&segment.memory, 8);
	return pages ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	pages_free(pages);
	return 0;
}

/* ---- building ---- */

static uint64_t put_header(uint64_t bytes)
{
	uint64_t at = segment.at;

	if (segment.free_size)
		set_word(at, segment.free_size);
	set_word(at + 8, bytes | (segment.free_size ? 0 : CHUNK_PREV_INUSE) |
				 segment.flags_of_all);
	segment.free_size = 0;
	segment.at += bytes;
	return at;
}

static uint64_t put_live(uint64_t bytes)
{
	return put_header(bytes);
}

static uint64_t put_free(uint64_t bytes)
{
	uint64_t at = put_header(bytes);

	/* A free chunk bears the one flag only. */
	set_word(at + 8, word(at + 8) & ~(uint64_t)CHUNK_NON_MAIN);
	segment.free_size = bytes;
	return at;
}

static uint64_t put_fast(uint64_t bytes)
{
	segment.fast[segment.arena.fast_count++] = segment.at;
	return put_header(bytes);
}

/* A live chunk that ends at OFFSET of the segment. */
static void put_live_to(uint64_t offset)
{
	put_live(BASE + offset - segment.at);
}

static void put_top(uint64_t bytes)
{
	segment.top = segment.at;
	put_header(bytes);
}

static void put_fences(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put_header(16);
}

/* ---- walking ---- */

static struct walk_segment top_segment(void)
{
	return (struct walk_segment){.start = BASE,
				     .stop = segment.top,
				     .end = segment.at,
				     .top = segment.top,
				     .ends = SEGMENT_TOP};
}

static const struct walk_totals *walk_segment(const struct walk_segment *range)
{
	struct walk *walk = &segment.walk;

	pages_forget(pages);
	walk_begin(walk, &segment.arena, &segment.memory, range, range->start,
		   range->stop);
	walk->pages = pages;
	walk->buffer = segment.buffer;
	assert_int_equal(walk_all(walk), 0);
	assert_true(walk->done);
	assert_int_equal(walk->totals.trimmable_bytes + walk->totals.pinned_bytes +
				 walk->totals.retained_bytes,
			 walk->totals.free_resident_bytes);
	return &walk->totals;
}

static const struct walk_totals *walk_to_top(void)
{
	struct walk_segment range = top_segment();

	return walk_segment(&range);
}

static void check_sound(const struct walk_totals *totals)
{
	assert_int_equal(totals->in_doubt_bytes, 0);
	assert_int_equal(totals->unread_bytes, 0);
	assert_int_equal(totals->foreign_bytes, 0);
}

/* ---- counting ---- */

static void chunks_are_counted(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_live(0x290);
	put_free(0x500);
	put_live(0x20);
	put_fast(0x30);
	put_live(0x40);
	put_free(0x20);
	put_live(0x1000);
	put_top(BASE + 3 * PAGE - segment.at);
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->chunks, 7);
	assert_int_equal(totals->free_chunks, 2);
	assert_int_equal(totals->free_bytes, 0x520);
	assert_int_equal(totals->fast_chunks, 1);
	assert_int_equal(totals->largest_bytes, 0x500);
	assert_int_equal(totals->unusable_bytes, 0x20 + 0x30);
	assert_int_equal(totals->top_bytes, segment.at - segment.top);
	assert_int_equal(totals->resident_bytes, 3 * PAGE);
	assert_int_equal(totals->bins[layout_bin_index(0x500) - 1].count, 1);
	assert_int_equal(totals->bins[layout_bin_index(0x20) - 1].total_bytes, 0x20);
	assert_true(segment.walk.has_top);
}

static void a_top_alone_is_a_heap(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_top(33 * PAGE);
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->chunks, 0);
	assert_int_equal(totals->top_bytes, 33 * PAGE);
}

/* Windows end anywhere: in the middle of headers, and before chunks larger than they are.
 */
static void windows_do_not_show(void **state)
{
	uint64_t free_bytes = 0, chunks = 0;
	const struct walk_totals *totals;

	(void)state;
	while (segment.at < BASE + 70 * PAGE) {
		uint64_t bytes = 0x20 + 16 * (chunks * 37 % 301);

		if (chunks % 50 == 49)
			bytes = WALK_WINDOW + 16;
		if (chunks++ % 2)
			put_live(bytes);
		else
			free_bytes += word(put_free(bytes) + 8) & ~UINT64_C(7);
	}
	put_live(0x20);
	put_top(BASE + BYTES - segment.at);
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->chunks, chunks + 1);
	assert_int_equal(totals->free_bytes, free_bytes);
	assert_int_equal(totals->free_chunks, (chunks + 1) / 2);
}

/* Two walks, cut at a chunk, find what one finds. */
static void a_walk_can_be_cut(void **state)
{
	struct walk_totals whole, parts = {0};
	struct walk_segment range;
	uint64_t cut;

	(void)state;
	put_live(0x290);
	put_free(0x3000);
	cut = put_live(0x70);
	put_free(0x2000);
	put_live(0x50);
	put_top(BASE + 9 * PAGE - segment.at);
	whole = *walk_to_top();
	range = top_segment();
	for (unsigned part = 0; part < 2; part++) {
		struct walk *walk = &segment.walk;

		walk_begin(walk, &segment.arena, &segment.memory, &range,
			   part ? cut : range.start, part ? range.stop : cut);
		walk->pages = pages;
		walk->buffer = segment.buffer;
		assert_int_equal(walk_all(walk), 0);
		assert_true(part || walk->place.at == cut);
		walk_add(&parts, &walk->totals, true);
	}
	assert_memory_equal(&whole, &parts, sizeof(whole));
}

/* ---- what a trim gives back ---- */

/* malloc.c, mtrim, for the free chunk [START, END): the bytes it advises away. */
static uint64_t mtrim_bytes(uint64_t start, uint64_t end)
{
	uint64_t size = end - start, aligned;

	if (size <= PAGE - 1 + 48)
		return 0;
	aligned = (start + 48 + PAGE - 1) & ~UINT64_C(4095);
	size -= aligned - start;
	return size > PAGE - 1 ? size & ~UINT64_C(4095) : 0;
}

/* A free chunk that begins and ends at, one step before and one behind a page's edge. */
static void trims_are_exact_at_page_edges(void **state)
{
	static const int starts[] = {-64, -48, -32, -16, 0, 16, 32};
	static const int ends[] = {-16, 0, 16};

	for (unsigned s = 0; s < sizeof(starts) / sizeof(*starts); s++) {
		for (unsigned e = 0; e < 3 * sizeof(ends) / sizeof(*ends); e++) {
			uint64_t start = BASE + PAGE + starts[s];
			uint64_t end = BASE + (2 + e / 3) * PAGE + ends[e % 3];
			const struct walk_totals *totals;
			uint64_t want = mtrim_bytes(start, end);

			tear_down(state);
			set_up(state);
			put_live_to(start - BASE);
			put_free(end - start);
			put_live(0x40);
			put_top(BASE + 6 * PAGE - segment.at);
			segment.arena.trim_unit_bytes = 0;
			totals = walk_to_top();
			check_sound(totals);
			assert_int_equal(totals->trimmable_bytes, want);
			assert_int_equal(totals->free_resident_bytes,
					 end - start + (BASE + 6 * PAGE - segment.top));
		}
	}
}

static void a_run_is_its_bytes(void **state)
{
	struct walk_totals totals = {0};

	(void)state;
	/* From one page's middle to another's: two whole pages between. */
	walk_free_run(&totals, pages, 12, BASE + 0x800, BASE + 3 * PAGE + 0x10);
	assert_int_equal(totals.trimmable_bytes, 2 * PAGE);
	assert_int_equal(totals.pinned_bytes, 0x800 + 0x10);
	assert_int_equal(totals.free_resident_bytes, 2 * PAGE + 0x810);
	/* What is not resident cannot be given back. */
	memset(&totals, 0, sizeof(totals));
	segment.flags[1] = 0;
	segment.flags[2] = PAGE_SWAPPED;
	pages_forget(pages);
	walk_free_run(&totals, pages, 12, BASE + 0x800, BASE + 4 * PAGE);
	assert_int_equal(totals.trimmable_bytes, PAGE);
	assert_int_equal(totals.pinned_bytes, 0x800);
}

/* A trim consolidates the fastbins first: neighbours become one chunk. */
static void fastbin_chunks_join_runs(void **state)
{
	const struct walk_totals *totals;
	uint64_t start, end;

	(void)state;
	put_live_to(PAGE - 0x80);
	start = put_fast(0x50);
	put_free(PAGE);
	put_fast(0x60);
	end = put_live(0x30);
	put_top(BASE + 4 * PAGE - segment.at);
	segment.arena.trim_unit_bytes = 0;
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(mtrim_bytes(start, end), PAGE);
	assert_int_equal(totals->trimmable_bytes, PAGE);
	assert_int_equal(totals->fast_chunks, 2);
	assert_int_equal(totals->free_chunks, 1);
	assert_int_equal(totals->largest_bytes, PAGE);
}

static void fastbin_chunks_make_runs_alone(void **state)
{
	const struct walk_totals *totals;
	uint64_t start, end;

	(void)state;
	put_live(0x90);
	start = segment.at;
	for (unsigned i = 0; i < FAST_MAX - 1; i++)
		put_fast(0x300);
	end = put_live(0x20);
	put_top(BASE + 5 * PAGE - segment.at);
	segment.arena.trim_unit_bytes = 0;
	totals = walk_to_top();
	assert_int_equal(totals->fast_chunks, FAST_MAX - 1);
	assert_true(mtrim_bytes(start, end) >= PAGE);
	assert_int_equal(totals->trimmable_bytes, mtrim_bytes(start, end));
	assert_int_equal(totals->free_bytes, 0);
}

/* A fastbin's address at which no chunk begins is passed over. */
static void false_fastbin_chunks_are_passed_over(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_live(0x90);
	segment.fast[0] = BASE + 0x10;
	segment.fast[1] = BASE + 0x90;
	segment.arena.fast_count = 2;
	put_live(0x40);
	put_live(0x40);
	put_top(BASE + 2 * PAGE - segment.at);
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->fast_chunks, 1);
}

/* malloc.c, systrim: what of a top of BYTES is given back in UNIT. */
static uint64_t systrim_bytes(uint64_t bytes, uint64_t unit)
{
	return bytes <= MIN_SIZE + 1 ? 0 : (bytes - MIN_SIZE - 1) / unit * unit;
}

static void check_top(uint64_t top_offset, uint64_t unit, uint64_t want)
{
	const struct walk_totals *totals;

	tear_down(NULL);
	set_up(NULL);
	put_live_to(top_offset);
	put_top(BASE + 8 * PAGE - segment.at);
	segment.arena.trim_unit_bytes = unit;
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->trimmable_bytes, want);
	assert_int_equal(totals->free_resident_bytes, 8 * PAGE - top_offset);
}

static void tops_are_given_back_in_units(void **state)
{
	static const int offsets[] = {-48, -32, -16, 0, 16, 32, 2048};

	(void)state;
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		for (unsigned page = 1; page <= 7; page++) {
			uint64_t offset = page * PAGE + offsets[i];
			uint64_t bytes = 8 * PAGE - offset;

			check_top(offset, PAGE, systrim_bytes(bytes, PAGE));
			check_top(offset, 4 * PAGE, systrim_bytes(bytes, 4 * PAGE));
			check_top(offset, 0, 0);
		}
	}
}

/* The fastbin chunk before the top becomes part of it. */
static void a_fastbin_chunk_joins_the_top(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_live_to(2 * PAGE - 0x40);
	put_fast(0x50);
	put_top(BASE + 4 * PAGE - segment.at);
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->top_bytes, 2 * PAGE - 0x10);
	assert_int_equal(totals->trimmable_bytes, 2 * PAGE);
	assert_int_equal(totals->free_resident_bytes, 2 * PAGE + 0x40);
}

/* ---- the ends of segments ---- */

static void a_non_main_heap_ends_with_its_fences(void **state)
{
	const struct walk_totals *totals;
	struct walk_segment range = {.start = BASE, .ends = SEGMENT_FENCE};

	(void)state;
	segment.arena.non_main = true;
	segment.flags_of_all = CHUNK_NON_MAIN;
	put_live(0x290);
	put_free(0x400);
	put_live_to(2 * PAGE - 32);
	segment.flags_of_all = 0;
	put_fences(1);
	set_word(segment.at + 8, CHUNK_PREV_INUSE);
	range.stop = range.end = BASE + 2 * PAGE;
	totals = walk_segment(&range);
	check_sound(totals);
	assert_int_equal(totals->chunks, 3);
	assert_int_equal(totals->free_bytes, 0x400);
	assert_int_equal(totals->fence_bytes, 32);
	assert_int_equal(totals->top_bytes, 0);
	assert_true(segment.walk.place.at == range.end);
}

/* The old top of a heap that was left behind is free up to the fence. */
static void a_free_end_before_the_fence(void **state)
{
	const struct walk_totals *totals;
	struct walk_segment range = {.start = BASE, .ends = SEGMENT_FENCE};

	(void)state;
	segment.arena.non_main = true;
	put_live_to(PAGE);
	put_free(2 * PAGE - 32);
	put_fences(1);
	set_word(segment.at + 8, CHUNK_PREV_INUSE);
	range.stop = range.end = BASE + 3 * PAGE;
	totals = walk_segment(&range);
	check_sound(totals);
	assert_int_equal(totals->free_bytes, 2 * PAGE - 32);
	assert_int_equal(totals->trimmable_bytes, mtrim_bytes(PAGE, 3 * PAGE - 32));
	assert_int_equal(totals->fence_bytes, 32);
}

static void a_mapped_segment_ends_with_two_fences(void **state)
{
	const struct walk_totals *totals;
	struct walk_segment range = {.start = BASE, .ends = SEGMENT_FENCES};

	(void)state;
	put_live(0x1000);
	put_free(0x1000);
	put_live_to(4 * PAGE - 32);
	put_fences(2);
	range.stop = range.end = BASE + 8 * PAGE; /* the region goes on with another's */
	totals = walk_segment(&range);
	check_sound(totals);
	assert_int_equal(totals->fence_bytes, 32);
	assert_true(segment.walk.place.at == BASE + 4 * PAGE);
}

/* ---- the program's own memory between chunks ---- */

static void put_foreign(uint64_t bytes, uint8_t fill)
{
	memset(place(segment.at), fill, bytes);
	segment.at += bytes;
}

static void foreign_memory_is_passed_over(void **state)
{
	static const unsigned fences[] = {2, 3};

	for (unsigned i = 0; i < 2; i++) {
		const struct walk_totals *totals;

		tear_down(state);
		set_up(state);
		put_live_to(2 * PAGE - 16 * fences[i]);
		put_fences(fences[i]);
		put_foreign(3 * PAGE + 48, 0xaa);
		put_live(0x500);
		put_free(0x700);
		put_live(0x30);
		put_top(BASE + 9 * PAGE - segment.at);
		totals = walk_to_top();
		assert_int_equal(totals->in_doubt_bytes, 0);
		assert_int_equal(totals->foreign_bytes, 3 * PAGE + 48);
		assert_int_equal(totals->foreign_resident_bytes, 3 * PAGE + 48);
		assert_int_equal(totals->fence_bytes, 16 * fences[i]);
		assert_int_equal(totals->chunks, 4);
		assert_int_equal(totals->free_bytes, 0x700);
		assert_int_equal(totals->resident_bytes, 9 * PAGE);
	}
}

/* Headers of chunks that lead nowhere, as a program's own allocator may leave them. */
static void foreign_memory_that_looks_like_chunks(void **state)
{
	const struct walk_totals *totals;
	uint64_t start;

	(void)state;
	put_live_to(PAGE - 32);
	put_fences(2);
	start = segment.at;
	put_foreign(2 * PAGE, 0);
	for (uint64_t at = start; at < segment.at; at += 0x40)
		set_word(at + 8, at % 0x100 ? 0x41 : 0x1051);
	set_word(segment.at - 0x40 + 8, 0x7771);
	put_live(0x500);
	for (unsigned i = 0; i < 40; i++)
		put_live(0x90);
	put_top(BASE + 9 * PAGE - segment.at);
	totals = walk_to_top();
	/* Some of it may pass for chunks, but the walk finds its way, and all is said. */
	assert_true(segment.walk.has_top);
	assert_true(totals->foreign_bytes + totals->in_doubt_bytes <= 2 * PAGE + 0x500);
	assert_int_equal(totals->top_bytes, segment.at - segment.top);
}

/* Memory of the program behind all of malloc's. */
static void foreign_memory_at_the_end_is_not_malloc(void **state)
{
	const struct walk_totals *totals;
	struct walk_segment range = {.start = BASE, .ends = SEGMENT_BREAK};

	(void)state;
	put_live_to(2 * PAGE - 32);
	put_fences(2);
	put_foreign(2 * PAGE, 0xaa);
	range.stop = range.end = segment.at;
	totals = walk_segment(&range);
	assert_int_equal(totals->in_doubt_bytes, 0);
	assert_int_equal(totals->foreign_bytes, 0);
	assert_true(segment.walk.place.at == BASE + 2 * PAGE);
}

/* ---- damage ---- */

static uint64_t build_long(void)
{
	uint64_t middle = 0;

	for (unsigned i = 0; segment.at < BASE + 40 * PAGE; i++) {
		if (!middle && segment.at > BASE + 20 * PAGE)
			middle = segment.at;
		if (i % 3)
			put_live(0x150);
		else
			put_free(0x250);
	}
	put_live(0x40);
	put_top(BASE + 44 * PAGE - segment.at);
	return middle;
}

static void a_break_is_in_doubt(void **state)
{
	const struct walk_totals *totals;
	struct walk_totals whole;
	uint64_t middle;

	(void)state;
	middle = build_long();
	whole = *walk_to_top();
	check_sound(&whole);
	set_word(middle + 8, 0x4141414141414141);
	totals = walk_to_top();
	assert_in_range(totals->in_doubt_bytes, 16, 2 * PAGE);
	assert_true(segment.walk.has_top);
	assert_int_equal(totals->top_bytes, whole.top_bytes);
	assert_true(totals->chunks + 20 > whole.chunks && totals->chunks < whole.chunks);
	assert_int_equal(totals->resident_bytes, whole.resident_bytes);
}

/* What was being changed when it was read is right when it is read again. */
static void a_passing_break_leaves_no_trace(void **state)
{
	static const uint64_t wrong[] = {0, 0x4141414141414141, 0x21, 0xfff1, 0x12, 0x10};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct walk_totals whole, *totals = &segment.walk.totals;
		uint64_t middle;

		tear_down(state);
		set_up(state);
		middle = build_long();
		whole = *walk_to_top();
		segment.wrong_at = middle + 8;
		segment.wrong = wrong[i];
		segment.wrong_times = 1;
		walk_to_top();
		assert_int_equal(segment.wrong_times, 0);
		assert_memory_equal(totals, &whole, sizeof(whole));
	}
}

static void a_strict_walk_gives_up(void **state)
{
	struct walk_segment range;
	struct walk *walk = &segment.walk;
	uint64_t middle;

	(void)state;
	middle = build_long();
	set_word(middle + 8, 0);
	range = top_segment();
	walk_begin(walk, &segment.arena, &segment.memory, &range, range.start,
		   range.stop);
	walk->pages = pages;
	walk->buffer = segment.buffer;
	walk->strict = true;
	assert_int_equal(walk_all(walk), 0);
	assert_true(walk->done && walk->failed);
}

static void swapped_pages_are_not_read(void **state)
{
	const struct walk_totals *totals;
	struct walk_totals whole;

	(void)state;
	build_long();
	whole = *walk_to_top();
	segment.flags[10] = segment.flags[11] = PAGE_SWAPPED;
	totals = walk_to_top();
	assert_in_range(totals->unread_bytes, 1, 2 * PAGE);
	assert_true(segment.walk.has_top);
	assert_int_equal(totals->resident_bytes, whole.resident_bytes - 2 * PAGE);
	assert_true(totals->chunks < whole.chunks);
	assert_true(totals->in_doubt_bytes < PAGE);
}

/* A chunk whose middle is swapped out has its header, and the next one, in memory. */
static void a_swapped_middle_costs_nothing(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_live(0x40);
	put_live(6 * PAGE);
	put_live(0x40);
	put_top(BASE + 9 * PAGE - segment.at);
	segment.flags[2] = segment.flags[3] = PAGE_SWAPPED;
	segment.flags[4] = 0;
	totals = walk_to_top();
	check_sound(totals);
	assert_int_equal(totals->chunks, 3);
	assert_int_equal(totals->resident_bytes, 6 * PAGE);
}

/* Whether a chunk is free stands behind it. Where that is swapped out the chunk is no
 * part of the free run before it, which it would be one with if it were free. */
static void a_chunk_without_an_end_is_not_free(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	put_live(0x40);
	put_free(0x400);
	put_live(2 * PAGE);
	put_live(3 * PAGE);
	put_live(0x40);
	put_top(BASE + 9 * PAGE - segment.at);
	segment.flags[2] = PAGE_SWAPPED;
	totals = walk_to_top();
	assert_int_equal(totals->unread_bytes > 0, 1);
	assert_int_equal(totals->free_bytes, 0x400);
	assert_int_equal(totals->pinned_bytes + totals->trimmable_bytes +
				 totals->retained_bytes,
			 totals->free_resident_bytes);
	assert_int_equal(totals->free_resident_bytes, 0x400 + totals->top_bytes);
}

/* A header on a page that is not there, and was not swapped out: no chunk is there. */
static void a_missing_header_is_in_doubt(void **state)
{
	const struct walk_totals *totals;

	(void)state;
	build_long();
	segment.flags[10] = 0;
	totals = walk_to_top();
	assert_int_equal(totals->unread_bytes, 0);
	assert_in_range(totals->in_doubt_bytes, 1, 2 * PAGE);
	assert_true(segment.walk.has_top);
}

/* ---- the threads' caches ---- */

static void put_tcache(unsigned counts[2], uint64_t heads[2])
{
	const struct tcache_layout *tcache = &segment.arena.layout->tcache;
	uint64_t at = put_live(tcache->chunk_bytes) + 16;

	for (unsigned i = 0; i < 2; i++) {
		uint16_t count = counts[i];

		memcpy(place(at + 2 * i), &count, sizeof(count));
		set_word(at + tcache->entries + 8 * i, heads[i]);
	}
}

static void tcaches_are_noted(void **state)
{
	(void)state;
	put_tcache((unsigned[]){3, 0}, (uint64_t[]){BASE + 0x1000, 0});
	/* One list is being changed: a count without a head, a head without a count. */
	put_tcache((unsigned[]){3, 1}, (uint64_t[]){BASE + 0x1000, 0});
	put_tcache((unsigned[]){0, 1}, (uint64_t[]){BASE + 0x1000, BASE});
	/* Counts without a head: another look is to tell. */
	put_tcache((unsigned[]){3, 2}, (uint64_t[]){BASE + 0x1000, 0});
	/* No: none is whole, too many, all empty, no address. */
	put_tcache((unsigned[]){1, 0}, (uint64_t[]){0, 0});
	put_tcache((unsigned[]){8, 0}, (uint64_t[]){BASE + 0x1000, 0});
	put_tcache((unsigned[]){0, 0}, (uint64_t[]){0, 0});
	put_tcache((unsigned[]){1, 0}, (uint64_t[]){BASE + 8, 0});
	put_top(BASE + 2 * PAGE - segment.at);
	check_sound(walk_to_top());
	assert_int_equal(segment.tcaches.count, 4);
	assert_true(segment.tcache[0] == BASE + 16);
}

/* The list's room is kept to, and its count tells that there were more. */
static void more_tcaches_than_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TCACHES + 3; i++)
		put_tcache((unsigned[]){1, 2},
			   (uint64_t[]){BASE + 0x1000, BASE + 0x2000});
	put_top(BASE + 3 * PAGE - segment.at);
	walk_to_top();
	assert_int_equal(segment.tcaches.count, TCACHES + 3);
	assert_int_equal(segment.fast[0], 0);
}

int main(void)
{
#define SEGMENT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SEGMENT(chunks_are_counted),
		SEGMENT(a_top_alone_is_a_heap),
		SEGMENT(windows_do_not_show),
		SEGMENT(a_walk_can_be_cut),
		SEGMENT(trims_are_exact_at_page_edges),
		SEGMENT(a_run_is_its_bytes),
		SEGMENT(fastbin_chunks_join_runs),
		SEGMENT(fastbin_chunks_make_runs_alone),
		SEGMENT(false_fastbin_chunks_are_passed_over),
		SEGMENT(tops_are_given_back_in_units),
		SEGMENT(a_fastbin_chunk_joins_the_top),
		SEGMENT(a_non_main_heap_ends_with_its_fences),
		SEGMENT(a_free_end_before_the_fence),
		SEGMENT(a_mapped_segment_ends_with_two_fences),
		SEGMENT(foreign_memory_is_passed_over),
		SEGMENT(foreign_memory_that_looks_like_chunks),
		SEGMENT(foreign_memory_at_the_end_is_not_malloc),
		SEGMENT(a_break_is_in_doubt),
		SEGMENT(a_passing_break_leaves_no_trace),
		SEGMENT(a_strict_walk_gives_up),
		SEGMENT(swapped_pages_are_not_read),
		SEGMENT(a_swapped_middle_costs_nothing),
		SEGMENT(a_chunk_without_an_end_is_not_free),
		SEGMENT(a_missing_header_is_in_doubt),
		SEGMENT(tcaches_are_noted),
		SEGMENT(more_tcaches_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
