/* test_sample.c: the catalogue's own rules, and the life of a sample. */
#include "sample/sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_figure_is_described(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		const struct figure_info *info = &figure_info[f];

		assert_non_null(info->name);
		assert_in_range(info->scope, SCOPE_PROCESS, SCOPE_BOTH);
		assert_true(info->meaning && *info->meaning);
		assert_true(info->meaning[strlen(info->meaning) - 1] == '.');
		if (info->rank)
			assert_non_null(info->heading);
		if (info->heading)
			assert_in_range(strlen(info->heading), 1, figure_width(f));
		if (info->label)
			assert_in_range(strlen(info->label), 1, FIGURE_LABEL_COLUMNS);
		if (info->title)
			assert_in_range(strlen(info->title), 1, FIGURE_TITLE_COLUMNS);
		assert_int_equal(!info->heading, !info->label);
	}
}

/* A heading, a label or a title stands for one figure, in whichever view. */
static void no_two_figures_share_a_word(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		for (unsigned g = 0; g < f; g++) {
			assert_string_not_equal(figure_label(f), figure_label(g));
			assert_string_not_equal(figure_title(f), figure_title(g));
			if (figure_info[f].heading && figure_info[g].heading)
				assert_string_not_equal(figure_info[f].heading,
							figure_info[g].heading);
		}
}

/* A column's heading is the label where that fits. */
static void headings_fit(void **state)
{
	(void)state;
	assert_string_equal(figure_heading(FIG_TRIMMABLE_BYTES, 9), "trimmable");
	assert_string_equal(figure_heading(FIG_TRIMMABLE_BYTES, 8), "trim");
	assert_string_equal(figure_heading(FIG_UNUSABLE_FOR_BYTES, 5),
			    "unusable_for_bytes");
	assert_string_equal(figure_title(FIG_FRAG), "frag");
}

static struct figures derived(uint64_t largest, uint64_t free_bytes, uint64_t live)
{
	struct figures fig = {0};

	figure_set(&fig, FIG_LARGEST_FREE_BYTES, largest);
	figure_set(&fig, FIG_FREE_BYTES, free_bytes);
	figure_set(&fig, FIG_LIVE_BYTES, live);
	figure_set(&fig, FIG_LIVE_RESIDENT_BYTES, 300);
	figure_set(&fig, FIG_FREE_RESIDENT_BYTES, 100);
	figures_derive(&fig);
	return fig;
}

/* What cannot be known from what is there is absent. */
static void formulas(void **state)
{
	struct figures fig = derived(100, 400, 200);

	(void)state;
	assert_true(fig.v[FIG_FRAG].d == 0.75);
	assert_true(fig.v[FIG_SLACK].d == 2);
	fig = derived(0, 0, 0);
	assert_true(fig.v[FIG_FRAG].d == 0);
	assert_false(figure_has(&fig, FIG_SLACK));
	fig = derived(401, 400, 200);
	assert_false(figure_has(&fig, FIG_FRAG));
	fig = (struct figures){0};
	figure_set(&fig, FIG_FREE_BYTES, 400);
	figures_derive(&fig);
	assert_false(figure_has(&fig, FIG_FRAG));
	assert_false(figure_has(&fig, FIG_SLACK));
}

/* What a recording keeps of an interval has the same ends again. */
static void ends_of_intervals_are_as_recorded(void **state)
{
	static const struct {
		uint64_t number;
		double low, high, want_low, want_high;
	} cases[] = {
		{100, 98.25, 101.5, 98, 102},
		{100, 100, 100, 100, 100},
		{62611205, 62600000.25, 62622222.75, 62600000, 62622223},
		{100, -5, 200, 0, 200},
		{63872328, 45980304.75, 70000000.5, 45980304, 70000001},
		/* The distance is a float. */
		{(UINT64_C(1) << 40) + 1, 0, 1099511627777, 1, 1099511627777},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct figures fig = {0};
		double low, high, low_again, high_again;

		figure_set(&fig, FIG_FREE_BYTES, cases[i].number);
		figure_set_range(&fig, FIG_FREE_BYTES, cases[i].low, cases[i].high);
		assert_true(figure_range(&fig, FIG_FREE_BYTES, &low, &high));
		assert_true(low == cases[i].want_low && high == cases[i].want_high);
		figure_set_range(&fig, FIG_FREE_BYTES, low, high);
		assert_true(figure_range(&fig, FIG_FREE_BYTES, &low_again, &high_again));
		assert_true(low_again == low && high_again == high);
	}
}

static void names_and_ranks_are_unique(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		assert_in_range(figure_info[f].rank, 0, FIG_COUNT);
		for (unsigned g = 0; g < f; g++) {
			assert_string_not_equal(figure_info[f].name, figure_info[g].name);
			if (figure_info[f].rank)
				assert_int_not_equal(figure_info[f].rank,
						     figure_info[g].rank);
		}
	}
}

/* A name ends with the unit that its figure has; JSON keys need no escape. */
static void names_are_words(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		const char *name = figure_info[f].name;
		size_t length = strlen(name);

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_."),
				 length);
		if (length > 6 && !strcmp(name + length - 6, "_bytes"))
			assert_int_equal(figure_info[f].unit, UNIT_BYTES);
		if (length > 3 && !strcmp(name + length - 3, "_ns"))
			assert_int_equal(figure_info[f].unit, UNIT_NS);
	}
}

static void figures_come_and_go(void **state)
{
	struct figures fig = {0};

	(void)state;
	assert_false(figure_has(&fig, FIG_READ_NS));
	figure_set(&fig, FIG_READ_NS, 7);
	figure_set_ratio(&fig, FIG_FRAG, 0.5);
	assert_true(figure_has(&fig, FIG_READ_NS));
	assert_true(figure_has(&fig, FIG_FRAG));
	assert_int_equal(fig.v[FIG_READ_NS].u, 7);
	assert_true(fig.v[FIG_FRAG].d == 0.5);
	figure_drop(&fig, FIG_READ_NS);
	assert_false(figure_has(&fig, FIG_READ_NS));
	assert_true(figure_has(&fig, FIG_FRAG));
}

static bool is_empty(const struct figures *fig)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_has(fig, f))
			return false;
	return true;
}

static void clear_keeps_memory(void **state)
{
	struct sample *sample = sample_new(3, true);
	struct arena_row *arena;
	struct arena_bins *bins;

	(void)state;
	assert_non_null(sample);
	assert_int_equal(sample->arena_capacity, 3);
	assert_int_equal(sample->arena_count, 0);
	arena = sample->arena;
	bins = arena[2].bins;
	assert_true(arena[0].bins && arena[1].bins == arena[0].bins + 1);
	sample->pid = 1;
	strcpy(sample->comm, "x");
	figure_set(&sample->fig, FIG_RSS_BYTES, 1);
	sample->arena_count = 3;
	arena[2].index = 2;
	figure_set(&arena[2].fig, FIG_RSS_BYTES, 1);
	bins->split = true;
	bins->bins[126].count = 1;

	sample_clear(sample);
	assert_int_equal(sample->pid, 0);
	assert_string_equal(sample->comm, "");
	assert_true(is_empty(&sample->fig));
	assert_int_equal(sample->arena_count, 0);
	assert_int_equal(sample->arena_capacity, 3);
	assert_ptr_equal(sample->arena, arena);
	assert_ptr_equal(arena[2].bins, bins);
	assert_int_equal(arena[2].index, 0);
	assert_true(is_empty(&arena[2].fig));
	assert_false(bins->split);
	assert_int_equal(bins->bins[126].count, 0);
	sample_free(sample);
}

static void without_bins(void **state)
{
	struct sample *sample = sample_new(1, false);

	(void)state;
	assert_non_null(sample);
	assert_null(sample->arena[0].bins);
	sample->arena_count = 1;
	sample_clear(sample);
	sample_free(sample);
}

static struct sample *full(bool with_bins)
{
	struct sample *sample = sample_new(2, with_bins);

	assert_non_null(sample);
	sample->time_ns = 5;
	strcpy(sample->comm, "x");
	figure_set(&sample->fig, FIG_RSS_BYTES, 1);
	sample->arena_count = 2;
	sample->arena[1].index = 1;
	figure_set(&sample->arena[1].fig, FIG_FREE_BYTES, 2);
	if (with_bins) {
		sample->arena[1].bins->split = true;
		sample->arena[1].bins->bins[126].count = 3;
	}
	return sample;
}

static void check_copy(const struct sample *copy, bool with_bins)
{
	assert_int_equal(copy->time_ns, 5);
	assert_string_equal(copy->comm, "x");
	assert_int_equal(copy->fig.v[FIG_RSS_BYTES].u, 1);
	assert_int_equal(copy->arena_count, 2);
	assert_int_equal(copy->arena[1].index, 1);
	assert_int_equal(copy->arena[1].fig.v[FIG_FREE_BYTES].u, 2);
	if (with_bins)
		assert_int_equal(copy->arena[1].bins->bins[126].count, 3);
}

static void a_copy_has_the_classes(void **state)
{
	struct sample *from = full(true), *into = sample_new(2, true),
		      *bare = sample_new(2, false);
	const struct size_classes *classes = into->classes;

	(void)state;
	assert_int_equal(sample_copy(into, from), 0);
	assert_int_equal(classes->count, 0);
	from->classes->count = 2;
	from->classes->class[1].free = 7;
	assert_int_equal(sample_copy(into, from), 0);
	assert_ptr_equal(into->classes, classes);
	assert_int_equal(classes->count, 2);
	assert_int_equal(classes->class[1].free, 7);
	for (unsigned i = 0; i < from->arena_count; i++)
		from->arena[i].bins = NULL;
	assert_int_equal(sample_copy(bare, from), -ENOSPC);
	sample_clear(into);
	assert_int_equal(classes->count, 0);
	sample_free(from);
	sample_free(into);
	sample_free(bare);
}

static void a_copy_says_the_same_in_its_own_memory(void **state)
{
	struct sample *from = full(true), *into = sample_new(3, true);
	const struct arena_row *arena = into->arena;
	const struct arena_bins *bins = into->arena[1].bins;

	(void)state;
	assert_int_equal(sample_copy(into, from), 0);
	check_copy(into, true);
	assert_ptr_equal(into->arena, arena);
	assert_ptr_equal(into->arena[1].bins, bins);
	assert_int_equal(into->arena_capacity, 3);
	sample_free(from);
	/* Bins that are not there are not those of the copy before. */
	from = full(false);
	assert_int_equal(sample_copy(into, from), 0);
	check_copy(into, false);
	assert_null(into->arena[1].bins);
	sample_clear(into);
	assert_ptr_equal(into->arena[1].bins, bins);
	sample_free(from);
	sample_free(into);
}

static void a_copy_without_room_is_refused(void **state)
{
	struct sample *from = full(true), *small = sample_new(1, true),
		      *bare = sample_new(2, false);

	(void)state;
	assert_int_equal(sample_copy(small, from), -ENOSPC);
	assert_int_equal(small->arena_count, 0);
	assert_string_equal(small->comm, "");
	assert_int_equal(sample_copy(bare, from), -ENOSPC);
	assert_int_equal(bare->arena_count, 0);
	sample_free(from);
	sample_free(small);
	sample_free(bare);
}

static void check_moved(void *memory, size_t bytes, bool with_bins)
{
	struct sample *moved = malloc(bytes);

	memcpy(moved, memory, bytes);
	memset(memory, 0xa5, bytes);
	sample_moved(moved);
	check_copy(moved, with_bins);
	free(moved);
}

static void a_packed_sample_takes_what_it_says(void **state)
{
	struct sample *from = full(true);

	(void)state;
	for (int with_bins = 0; with_bins < 2; with_bins++) {
		/* To the byte: a sanitizer sees one more. */
		void *memory = malloc(sample_packed_bytes(from, with_bins));
		const struct sample *packed = sample_pack(memory, from, with_bins);

		check_copy(packed, with_bins);
		assert_ptr_equal(packed, memory);
		assert_int_equal(packed->arena_capacity, 2);
		if (!with_bins)
			assert_null(packed->arena[1].bins);
		check_moved(memory, sample_packed_bytes(from, with_bins), with_bins);
		free(memory);
	}
	sample_free(from);
}

static void words(void **state)
{
	(void)state;
	assert_string_equal(sample_source_name(SOURCE_HEAP), "heap");
	assert_string_equal(sample_source_name(SOURCE_PROC), "proc");
	assert_string_equal(sample_source_name(SOURCE_PRELOAD), "preload");
	assert_string_equal(sample_status_name(STATUS_COMPLETE), "complete");
	assert_string_equal(sample_status_name(STATUS_TORN), "torn");
	assert_string_equal(sample_status_name(STATUS_PARTIAL), "partial");
}

/* A torn sample is judged by as long as what is torn is little; the kernel's figures are
 * good in any. */
static void what_is_torn_does_not_tell(void **state)
{
	struct sample *sample = sample_new(0, false);

	(void)state;
	assert_non_null(sample);
	figure_set(&sample->fig, FIG_RSS_BYTES, 12 << 20);
	figure_set(&sample->fig, FIG_SYSTEM_BYTES, 8 << 20);
	figure_set(&sample->fig, FIG_MMAPPED_BYTES, 2 << 20);
	figure_set(&sample->fig, FIG_LIVE_BYTES, 6 << 20);
	assert_true(sample_may_judge(sample, FIG_LIVE_BYTES));
	sample->status = STATUS_TORN;
	figure_set(&sample->fig, FIG_SKEW_BYTES, (10 << 20) / 100);
	figure_set(&sample->fig, FIG_IN_DOUBT_BYTES, (10 << 20) / 100);
	assert_true(sample_may_judge(sample, FIG_LIVE_BYTES));
	figure_set(&sample->fig, FIG_IN_DOUBT_BYTES, (10 << 20) / 100 + 1);
	assert_false(sample_may_judge(sample, FIG_LIVE_BYTES));
	figure_set(&sample->fig, FIG_IN_DOUBT_BYTES, 0);
	figure_set(&sample->fig, FIG_SKEW_BYTES, (10 << 20) / 100 + 1);
	assert_false(sample_may_judge(sample, FIG_LIVE_BYTES));
	assert_true(sample_may_judge(sample, FIG_RSS_BYTES));
	assert_false(sample_may_judge(sample, FIG_PSS_BYTES));
	assert_int_equal(sample_skew_limit(0), 32 << 10);
	sample_free(sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_figure_is_described),
		cmocka_unit_test(no_two_figures_share_a_word),
		cmocka_unit_test(headings_fit),
		cmocka_unit_test(formulas),
		cmocka_unit_test(ends_of_intervals_are_as_recorded),
		cmocka_unit_test(names_and_ranks_are_unique),
		cmocka_unit_test(names_are_words),
		cmocka_unit_test(figures_come_and_go),
		cmocka_unit_test(clear_keeps_memory),
		cmocka_unit_test(without_bins),
		cmocka_unit_test(a_copy_says_the_same_in_its_own_memory),
		cmocka_unit_test(a_copy_has_the_classes),
		cmocka_unit_test(a_copy_without_room_is_refused),
		cmocka_unit_test(a_packed_sample_takes_what_it_says),
		cmocka_unit_test(what_is_torn_does_not_tell),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
