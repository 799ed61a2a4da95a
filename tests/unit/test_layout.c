/* test_layout.c: the bin of a size, by glibc's own rule; and that the tables of layouts
 * do not contradict themselves. */
#include "glibc/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The first size of each large bin, written out: glibc's large bins are 32 of 64 bytes,
 * 16 of 512, 8 of 4096, 4 of 32768, 2 of 262144, and one of what is left; where two
 * spacings meet, the bin of the wider one begins short. */
static const struct {
	uint64_t bytes;
	unsigned bin;
} edges[] = {
	{32, 2},
	{48, 3},
	{1008, 63},
	{1024, 64},
	{1072, 64},
	{1088, 65},
	{1136, 65},
	{1152, 66},
	{3056, 95},
	{3072, 96},
	{3120, 96},
	{3136, 97},
	{3568, 97},
	{3584, 98},
	{4080, 98},
	{4096, 99},
	{10224, 110},
	{10240, 111},
	{10736, 111},
	{10752, 112},
	{12272, 112},
	{12288, 113},
	{40944, 119},
	{40960, 120},
	{45040, 120},
	{45056, 120},
	{65520, 120},
	{65536, 121},
	{98304, 122},
	{131056, 122},
	{131072, 123},
	{163824, 123},
	{163840, 124},
	{262128, 124},
	{262144, 125},
	{524272, 125},
	{524288, 126},
	{786416, 126},
	{786432, 126},
	{1 << 30, 126},
	{UINT64_C(1) << 46, 126},
};

static void bins_begin_where_glibc_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		if (layout_bin_index(edges[i].bytes) != edges[i].bin)
			fail_msg("%llu bytes: bin %u, not %u",
				 (unsigned long long)edges[i].bytes,
				 layout_bin_index(edges[i].bytes), edges[i].bin);
}

static void bins_follow_each_other(void **state)
{
	unsigned before = 2;

	(void)state;
	for (uint64_t bytes = GLIBC_MIN_CHUNK; bytes < 2 << 20; bytes += GLIBC_ALIGN) {
		unsigned bin = layout_bin_index(bytes);

		assert_true(bin == before || bin == before + 1);
		before = bin;
	}
	assert_int_equal(before, 126);
}

/* Every small bin holds one size only. */
static void small_bins_hold_one_size(void **state)
{
	(void)state;
	for (uint64_t bytes = GLIBC_MIN_CHUNK; bytes < 1024; bytes += GLIBC_ALIGN)
		assert_int_equal(layout_bin_index(bytes), bytes / 16);
}

static void check_arena(const struct arena_layout *arena)
{
	assert_true(arena->size <= GLIBC_ARENA_MAX_SIZE);
	assert_int_equal(arena->bins, arena->top + 16); /* last_remainder is between */
	assert_int_equal(arena->next, arena->bins + 254 * 8 + 16); /* and binmap */
	assert_int_equal(arena->attached_threads, arena->next + 16);
	assert_int_equal(arena->system_mem, arena->attached_threads + 8);
	assert_int_equal(arena->size, arena->system_mem + 16);
	if (arena->fastbins)
		assert_int_equal(arena->top, arena->fastbins + 8 * GLIBC_FASTBINS);
}

static void check_par(const struct par_layout *par)
{
	assert_true(par->size <= GLIBC_PAR_MAX_SIZE);
	assert_int_equal(par->n_mmaps_max, par->n_mmaps + 4);
	assert_int_equal(par->mmapped_mem % 8, 0);
	assert_int_equal(par->tcache_max_bytes, par->tcache_bins + 8);
	assert_int_equal(par->tcache_count, par->tcache_bins + 16);
	assert_true(par->tcache_count + 8 <= par->size);
}

static void check_tcache(const struct tcache_layout *tcache)
{
	assert_true(tcache->bins <= GLIBC_TCACHE_BINS);
	assert_true(tcache->small_bins <= tcache->bins);
	assert_true(tcache->count_bytes * tcache->bins <= tcache->entries);
	assert_int_equal(tcache->chunk_bytes % GLIBC_ALIGN, 0);
	assert_true(tcache->entries + 8 * tcache->bins <= tcache->chunk_bytes);
}

static void layouts_do_not_contradict_themselves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < layout_count; i++) {
		const struct malloc_layout *layout = &layouts[i];

		check_arena(&layout->arena);
		check_par(&layout->par);
		check_tcache(&layout->tcache);
		assert_int_equal(layout->heap_info_bytes % GLIBC_ALIGN, 0);
		assert_true(layout->first_minor <= layout->last_minor);
		if (i)
			assert_int_equal(layout->first_minor,
					 layouts[i - 1].last_minor + 1);
		assert_true(layout->mmapped_has_trailer == (layout->first_minor >= 43));
		assert_true(layout->safe_linking == (layout->first_minor >= 32));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bins_begin_where_glibc_says),
		cmocka_unit_test(bins_follow_each_other),
		cmocka_unit_test(small_bins_hold_one_size),
		cmocka_unit_test(layouts_do_not_contradict_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
