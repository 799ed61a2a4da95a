/* test_sampled.c: readings at a bounded cost of the saved heaps: where all cells fit they
 * are what a full reading tells, and where they do not the truth lies in the interval. */
#include "saved.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { READINGS = 30 };

static struct heap *open_heap(const struct saved *saved, struct image_memory *memory,
			      int64_t budget_ns, unsigned cells_least, uint64_t seed)
{
	const struct heap_options options = {.threads = 1,
					     .arenas = true,
					     .unusable_for_bytes = 4096,
					     .budget_ns = budget_ns,
					     .whole_ns = 1,
					     .cells_least = cells_least,
					     .seed = seed};
	struct fault fault = {.text = ""};
	struct heap *heap;

	image_memory_init(memory, saved->image);
	if (heap_new(&heap, &memory->memory, saved->image->instance,
		     saved->image->instance_count, &options, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
	return heap;
}

static void read_heap(const struct saved *saved, struct heap *heap, struct sample *sample)
{
	struct fault fault = {.text = ""};

	sample_clear(sample);
	if (heap_look(heap, &fault) ||
	    heap_read(heap, &saved->image->regions, sample, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
}

/* By both ways; whether the second was an estimate. */
static bool read_both(const struct saved *saved, int64_t budget_ns, unsigned cells_least,
		      uint64_t seed, struct sample **truth, struct sample **sample)
{
	struct image_memory memory, other;
	struct heap *whole = open_heap(saved, &memory, 0, 0, 0);
	struct heap *some = open_heap(saved, &other, budget_ns, cells_least, seed);

	*truth = sample_new(heap_arena_capacity(whole), false);
	*sample = sample_new(heap_arena_capacity(some), false);
	read_heap(saved, whole, *truth);
	read_heap(saved, some, *sample);
	assert_int_equal(other.outside, 0);
	heap_free(whole);
	heap_free(some);
	return (*sample)->status == STATUS_ESTIMATED;
}

/* What does not hang on the lists of fastbins, whose chunks look in use: these merge with
 * their neighbours in a trim. Which caches a saved heap has it does not hold. */
static const enum figure figures[] = {
	FIG_SYSTEM_BYTES,
	FIG_FREE_BYTES,
	FIG_FREE_CHUNKS,
	FIG_FAST_CHUNKS,
	FIG_FAST_BYTES,
	FIG_TOP_BYTES,
	FIG_LARGEST_FREE_BYTES,
	FIG_UNUSABLE,
	FIG_LARGEST_HOLE_BYTES,
	FIG_FREE_RESIDENT_BYTES,
	FIG_ATTACHED_THREADS,
	FIG_MMAPPED_CHUNKS,
	FIG_FRAG,
};

enum { FIGURES = sizeof(figures) / sizeof(figures[0]) };

static bool is_near(double one, double other, double part)
{
	return fabs(one - other) <= part * fabs(other);
}

static void check_exact(const struct saved *saved, int arena, const struct figures *truth,
			const struct figures *fig)
{
	for (unsigned i = 0; i < FIGURES; i++) {
		enum figure f = figures[i];
		double low, high, is;

		if (!figure_has(truth, f))
			continue;
		assert_true(figure_has(fig, f));
		is = figure_number(truth, f);
		if (figure_range(fig, f, &low, &high) || !is_near(low, is, 1e-9))
			fail_msg("%s: arena %d: %s is %.10g, read %.10g to %.10g",
				 saved->name, arena, figure_info[f].name, is, low, high);
	}
}

/* Where the budget has room for all cells and lists, nothing is an estimate, and all of
 * it is true: to the byte. */
static void all_cells_are_a_full_reading(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct sample *truth, *sample;

		if (read_both(saved, 1500000, 4096, 1, &truth, &sample)) {
			tried++;
			check_exact(saved, -1, &truth->fig, &sample->fig);
			for (unsigned n = 0; n < truth->arena_count; n++)
				check_exact(saved, (int)n, &truth->arena[n].fig,
					    &sample->arena[n].fig);
		}
		sample_free(truth);
		sample_free(sample);
	}
	assert_true(tried >= 5);
}

/* A heap in mapped segments would have to be walked: nothing is said of it that is not
 * known. */
static void a_heap_that_cannot_be_drawn_from_has_no_estimate(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct sample *truth, *sample;

		if (!strstr(saved->name, "no-sbrk"))
			continue;
		tried++;
		assert_false(read_both(saved, 1, 0, 1, &truth, &sample));
		assert_int_equal(sample->status, STATUS_PARTIAL);
		assert_true(sample->missing[0] != '\0');
		assert_false(figure_has(&sample->fig, FIG_FREE_BYTES));
		assert_true(sample->fig.v[FIG_SYSTEM_BYTES].u ==
			    truth->fig.v[FIG_SYSTEM_BYTES].u);
		assert_true(sample->fig.v[FIG_TOP_BYTES].u ==
			    truth->fig.v[FIG_TOP_BYTES].u);
		sample_free(truth);
		sample_free(sample);
	}
	assert_true(tried >= 5);
}

/* With few cells and no time for lists, of heaps that have no more than 140: what is rare
 * in them lies in one or two. */
static void few_cells_hold_the_truth(void **state)
{
	static const enum figure told[] = {FIG_FREE_BYTES, FIG_FREE_CHUNKS,
					   FIG_PINNED_BYTES, FIG_LIVE_RESIDENT_BYTES};
	const struct saved_all *fixture = *state;
	unsigned held[4] = {0}, all = 0;

	for (int i = 0; i < fixture->count; i++)
		for (unsigned n = 0; n < READINGS; n++) {
			const struct saved *saved = &fixture->saved[i];
			struct sample *truth, *sample;
			bool is_estimate = read_both(saved, 1, 0, n + 1, &truth, &sample);

			all += is_estimate;
			for (unsigned k = 0; is_estimate && k < 4; k++) {
				double is = figure_number(&truth->fig, told[k]);
				double low, high;

				figure_range(&sample->fig, told[k], &low, &high);
				held[k] += low <= is && is <= high;
			}
			sample_free(truth);
			sample_free(sample);
		}
	for (unsigned k = 0; k < 4; k++) {
		print_message("%s: %.1f%% of %u held\n", figure_info[told[k]].name,
			      100.0 * held[k] / all, all);
		assert_true(held[k] >= 0.7 * all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cells_are_a_full_reading),
		cmocka_unit_test(a_heap_that_cannot_be_drawn_from_has_no_estimate),
		cmocka_unit_test(few_cells_hold_the_truth),
	};

	return cmocka_run_group_tests(tests, saved_setup, saved_teardown);
}
