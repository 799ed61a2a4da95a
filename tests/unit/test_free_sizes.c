/* test_free_sizes.c: free memory by size, and what is too small for a request. */
#include "analysis/free_sizes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct sample *sample;

static void add(struct bin_total *bin, uint64_t bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		bin_total_add(bin, bytes);
}

/* Arena 0: 4 of 32, 2 of 1024, unsorted 64 and 4096, a top of 8192. Arena 1: one of 1 MB
 * and no top. */
static int setup(void **state)
{
	(void)state;
	sample = sample_new(2, true);
	assert_non_null(sample);
	sample->arena_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		sample->arena[i].index = i;
		sample->arena[i].bins->split = true;
	}
	add(&sample->arena[0].bins->fast[0], 32, 4);
	add(&sample->arena[0].bins->bins[0], 64, 1);
	add(&sample->arena[0].bins->bins[0], 4096, 1);
	add(&sample->arena[0].bins->bins[63], 1024, 2);
	figure_set(&sample->arena[0].fig, FIG_TOP_BYTES, 8192);
	add(&sample->arena[1].bins->bins[126], 1 << 20, 1);
	figure_set(&sample->arena[1].fig, FIG_TOP_BYTES, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sample_free(sample);
	return 0;
}

static void classes_follow_each_other(void **state)
{
	struct free_sizes sizes;

	(void)state;
	assert_true(free_sizes_of(sample, FREE_SIZES_ALL, &sizes));
	assert_int_equal(sizes.size[0].from_bytes, 0);
	for (unsigned i = 1; i < FREE_SIZES; i++)
		assert_int_equal(sizes.size[i].from_bytes,
				 sizes.size[i - 1].to_bytes + 1);
	assert_true(sizes.size[FREE_SIZES - 1].to_bytes == UINT64_MAX);
}

static void each_chunk_is_counted_once(void **state)
{
	struct free_sizes sizes;
	uint64_t chunks, bytes;

	(void)state;
	assert_true(free_sizes_of(sample, FREE_SIZES_ALL, &sizes));
	chunks = sizes.mixed.chunks;
	bytes = sizes.mixed.bytes;
	for (unsigned i = 0; i < FREE_SIZES; i++) {
		chunks += sizes.size[i].chunks;
		bytes += sizes.size[i].bytes;
	}
	assert_int_equal(chunks, 9);
	assert_int_equal(bytes, 4 * 32 + 64 + 4096 + 2 * 1024 + (1 << 20));
	assert_int_equal(sizes.chunks, chunks);
	assert_int_equal(sizes.bytes, bytes);
	assert_int_equal(sizes.size[0].chunks, 4);
	assert_int_equal(sizes.mixed.chunks, 2);
	assert_int_equal(sizes.mixed.from_bytes, 64);
	assert_int_equal(sizes.mixed.to_bytes, 4096);
	assert_int_equal(sizes.size[FREE_SIZES - 1].chunks, 1);
	assert_int_equal(sizes.tops, 1);
	assert_int_equal(sizes.largest_bytes, 1 << 20);
	assert_int_equal(sizes.largest_top_bytes, 8192);
}

static void one_arena_alone(void **state)
{
	struct free_sizes sizes;

	(void)state;
	assert_true(free_sizes_of(sample, 1, &sizes));
	assert_int_equal(sizes.chunks, 1);
	assert_int_equal(sizes.tops, 0);
	assert_false(free_sizes_of(sample, 2, &sizes));
	assert_int_equal(sizes.chunks, 0);
}

static void arenas_without_bins_are_counted(void **state)
{
	struct free_sizes sizes;
	uint64_t few, many;
	double low, high;

	(void)state;
	sample->arena[1].bins->split = false;
	assert_true(free_sizes_of(sample, FREE_SIZES_ALL, &sizes));
	assert_int_equal(sizes.arenas, 1);
	assert_int_equal(sizes.arenas_missing, 1);
	assert_int_equal(sizes.chunks, 8);
	assert_false(free_sizes_of(sample, 1, &sizes));
	assert_int_equal(sizes.chunks, 0);
	assert_int_equal(sizes.arenas_missing, 1);
	assert_false(free_sizes_unusable(sample, 1, 64, &low, &high));
	assert_false(free_sizes_serving(sample, 1, 64, &few, &many));
}

static void unusable_is_bounded_where_bins_are_mixed(void **state)
{
	const double all = 4 * 32 + 64 + 4096 + 2 * 1024 + 8192;
	uint64_t few, many;
	double low, high;

	(void)state;
	assert_true(free_sizes_unusable(sample, 0, 32, &low, &high));
	assert_true(low == 0 && high == 0);
	assert_true(free_sizes_unusable(sample, 0, 64, &low, &high));
	assert_true(low == 128 / all && high == 128 / all);
	assert_true(free_sizes_unusable(sample, 0, 4096, &low, &high));
	assert_true(low == (128 + 2048 + 64) / all && high == (128 + 2048 + 64) / all);
	assert_true(free_sizes_unusable(sample, 0, 8193, &low, &high));
	assert_true(low == 1 && high == 1);
	assert_true(free_sizes_serving(sample, 0, 4096, &few, &many));
	assert_int_equal(few, 2);
	assert_int_equal(many, 2);
	/* A third one in between may be on either side. */
	add(&sample->arena[0].bins->bins[0], 512, 1);
	assert_true(free_sizes_unusable(sample, 0, 256, &low, &high));
	assert_true(low < high);
	assert_true(free_sizes_serving(sample, 0, 256, &few, &many));
	assert_int_equal(few, 1 + 2 + 1);
	assert_int_equal(many, 2 + 2 + 1);
}

/* A reading by size has no bin of all sizes: nothing is mixed, and no share a range. */
static void chunks_by_size_leave_no_doubt(void **state)
{
	const double all = 4 * 32 + 64 + 4096 + 2 * 1024 + 8192;
	struct arena_bins *bins = sample->arena[0].bins;
	struct free_sizes sizes;
	uint64_t few, many;
	double low, high;

	(void)state;
	bins->split = false;
	bins->sized = true;
	bins->bins[0] = (struct bin_total){0};
	add(&bins->bins[3], 64, 1);
	add(&bins->bins[99], 4096, 1);
	assert_true(free_sizes_of(sample, 0, &sizes));
	assert_int_equal(sizes.mixed.chunks, 0);
	assert_int_equal(sizes.chunks, 8);
	assert_true(free_sizes_unusable(sample, 0, 1024, &low, &high));
	assert_true(low == high && low == (128 + 64) / all);
	assert_true(free_sizes_serving(sample, 0, 1024, &few, &many));
	assert_int_equal(few, 4);
	assert_int_equal(many, 4);
}

static void nothing_free_is_nothing_unusable(void **state)
{
	double low, high;

	(void)state;
	sample_clear(sample);
	sample->arena_count = 1;
	sample->arena[0].bins->split = true;
	assert_true(free_sizes_unusable(sample, FREE_SIZES_ALL, 64, &low, &high));
	assert_true(low == 0 && high == 0);
	sample->arena_count = 0;
	assert_false(free_sizes_unusable(sample, FREE_SIZES_ALL, 64, &low, &high));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(classes_follow_each_other),
		TEST(each_chunk_is_counted_once),
		TEST(one_arena_alone),
		TEST(arenas_without_bins_are_counted),
		TEST(unusable_is_bounded_where_bins_are_mixed),
		TEST(chunks_by_size_leave_no_doubt),
		TEST(nothing_free_is_nothing_unusable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
