/* test_sampled.c: readings at a bounded cost of the saved heaps: where all cells fit they
 * are what a full reading tells, and where they do not the truth lies in the interval. */
#include "glibc/known.h"
#include "glibc/parts.h"
#include "saved.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

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

/* A memory whose reads are counted, and that lets who reads it wait. */
struct slow_memory {
	struct image_memory image;
	int (*read)(struct memory *memory, const struct span *spans, unsigned count);
	unsigned reads;
	bool is_slow;
};

static int read_slowly(struct memory *memory, const struct span *spans, unsigned count)
{
	struct slow_memory *slow = (struct slow_memory *)memory;
	const struct timespec wait = {0, 1000};

	slow->reads++;
	if (slow->is_slow)
		nanosleep(&wait, NULL);
	return slow->read(memory, spans, count);
}

/* Reads each reading of SAVED made, into READS of COUNT; false where it is no estimate.
 */
static bool count_reads(const struct saved *saved, bool is_slow, unsigned *reads,
			unsigned count)
{
	const struct heap_options options = {.threads = 1,
					     .unusable_for_bytes = 4096,
					     .budget_ns = 10000000,
					     .whole_ns = 1,
					     .seed = 1};
	struct slow_memory slow = {.is_slow = is_slow};
	struct fault fault = {.text = ""};
	bool is_estimate = true;
	struct sample *sample;
	struct heap *heap;

	image_memory_init(&slow.image, saved->image);
	slow.read = slow.image.memory.read;
	slow.image.memory.read = read_slowly;
	if (heap_new(&heap, &slow.image.memory, saved->image->instance,
		     saved->image->instance_count, &options, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
	sample = sample_new(heap_arena_capacity(heap), false);
	for (unsigned i = 0; i < count; i++) {
		slow.reads = 0;
		read_heap(saved, heap, sample);
		reads[i] = slow.reads;
		is_estimate &= sample->status == STATUS_ESTIMATED;
	}
	sample_free(sample);
	heap_free(heap);
	return is_estimate;
}

/* Who had to wait for the target's lock at each read takes less of it next time. */
static void who_waits_reads_less(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		unsigned fast[4], slow[4];

		if (!count_reads(&fixture->saved[i], false, fast, 4) ||
		    !count_reads(&fixture->saved[i], true, slow, 4))
			continue;
		tried++;
		print_message("%s: %u reads, then %u; %u, then %u where each waits\n",
			      fixture->saved[i].name, fast[0], fast[3], slow[0], slow[3]);
		assert_true(slow[3] < 0.8 * slow[0]);
	}
	assert_true(tried >= 3);
}

/* A list that there was no room for is not followed as far the next time, and is again in
 * a while; what is known of it stays true. */
static void long_lists_are_not_followed_each_time(void **state)
{
	enum { ROOM = 64, AGAIN = 16 };
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		unsigned reads[AGAIN + 1], open_bin[AGAIN + 1];
		uint64_t largest[AGAIN + 1];
		struct known_habit habit = {.readings = 0};
		struct slow_memory slow = {.is_slow = false};
		struct known known;
		struct fault fault;
		struct heap *heap;

		heap = open_heap(&fixture->saved[i], &slow.image, 0, 0, 0);
		slow.read = slow.image.memory.read;
		slow.image.memory.read = read_slowly;
		assert_int_equal(heap_look(heap, &fault), 0);
		assert_int_equal(known_new(&known, ROOM), 0);
		for (unsigned n = 0; n <= AGAIN; n++) {
			struct known_arena result;

			known.count = slow.reads = 0;
			assert_int_equal(known_read(&known, &result, &habit, heap->memory,
						    heap->pages, &heap->arena[0], 0, 0,
						    1000000000),
					 0);
			reads[n] = slow.reads;
			open_bin[n] = result.open_bin;
			largest[n] = result.has_largest ? result.largest_bytes : 0;
		}
		print_message("%s: %u reads, %u, %u, ... %u\n", fixture->saved[i].name,
			      reads[0], reads[1], reads[2], reads[AGAIN]);
		/* Another one may have filled the room. */
		tried += reads[1] < reads[0];
		assert_true(reads[1] <= reads[0] && reads[2] == reads[1]);
		assert_int_equal(reads[AGAIN], reads[0]);
		assert_int_equal(open_bin[1], open_bin[0]);
		assert_int_equal(largest[1], largest[0]);
		known_free(&known);
		heap_free(heap);
	}
	assert_true(tried > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cells_are_a_full_reading),
		cmocka_unit_test(a_heap_that_cannot_be_drawn_from_has_no_estimate),
		cmocka_unit_test(few_cells_hold_the_truth),
		cmocka_unit_test(who_waits_reads_less),
		cmocka_unit_test(long_lists_are_not_followed_each_time),
	};

	return cmocka_run_group_tests(tests, saved_setup, saved_teardown);
}
