/* test_sampled.c: readings at a bounded cost of the saved heaps: where all cells fit they
 * are what a full reading tells, and where they do not the truth lies in the interval. */
#include "base/clock.h"
#include "glibc/known.h"
#include "glibc/parts.h"
#include "glibc/sampled_state.h"
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

/* One wait in so long is allowed. */
#define WAIT_EACH_NS INT64_C(4000000)

/* Reads each reading of SAVED made, into READS of COUNT; false where it is no estimate,
 * or came so late after the one before that all waits were few in that time. */
static bool count_reads(const struct saved *saved, bool is_slow, unsigned *reads,
			unsigned count)
{
	const struct heap_options options = {.threads = 1,
					     .unusable_for_bytes = 4096,
					     .budget_ns = 10000000,
					     .whole_ns = 1,
					     .seed = 1};
	struct slow_memory slow = {.is_slow = is_slow};
	int64_t begun_ns = clock_monotonic_ns(), before_ns;
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
		before_ns = begun_ns;
		begun_ns = clock_monotonic_ns();
		read_heap(saved, heap, sample);
		reads[i] = slow.reads;
		is_estimate &= begun_ns - before_ns < reads[i] * WAIT_EACH_NS / 4;
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
		unsigned fast[4], slow[12], least;

		if (!count_reads(&fixture->saved[i], false, fast, 4) ||
		    !count_reads(&fixture->saved[i], true, slow, 12))
			continue;
		least = slow[1];
		for (unsigned k = 2; k < 12; k++)
			least = slow[k] < least ? slow[k] : least;
		tried++;
		print_message("%s: %u reads, then %u; %u, then %u where each waits\n",
			      fixture->saved[i].name, fast[0], fast[3], slow[0], least);
		assert_true(least < 0.8 * slow[0]);
	}
	if (!tried)
		skip();
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
						    heap->pages, &heap->arena[0], 0,
						    (struct known_least){0, 0},
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

/* ---- hostile heaps ---- */

/* Writes VALUE, which is to be at ADDR, where SPAN has read it. */
static void forge(const struct span *span, uint64_t addr, uint64_t value)
{
	if (addr >= span->addr && addr - span->addr + sizeof(value) <= span->len)
		memcpy((char *)span->to + (addr - span->addr), &value, sizeof(value));
}

/* A memory in which two tops are half of all that there can be each: in sum they are
 * nothing. */
struct topped_memory {
	struct image_memory image;
	int (*read)(struct memory *memory, const struct span *spans, unsigned count);
	uint64_t top[2];
	unsigned tops;
};

static int read_topped(struct memory *memory, const struct span *spans, unsigned count)
{
	const struct topped_memory *topped = (struct topped_memory *)memory;
	int got = topped->read(memory, spans, count);

	for (int i = 0; i < got; i++)
		for (unsigned k = 0; k < topped->tops; k++)
			forge(&spans[i], topped->top[k] + 8,
			      UINT64_C(1) << 63 | CHUNK_PREV_INUSE);
	return got;
}

static void find_tops(struct topped_memory *topped, struct heap *heap)
{
	struct fault fault = {.text = ""};

	assert_int_equal(heap_look(heap, &fault), 0);
	for (unsigned i = 0; i < heap->arena_count && topped->tops < 2; i++)
		if (heap->arena[i].used)
			topped->top[topped->tops++] = arena_top(&heap->arena[i]);
}

static void never_ends(void *context)
{
	fail_msg("%s: the reading does not end", (const char *)context);
}

static void tops_without_end_are_not_looked_at(void **state)
{
	struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		struct saved *saved = &fixture->saved[i];
		struct topped_memory topped = {.tops = 0};
		struct heap *heap = open_heap(saved, &topped.image, 1500000, 4096, 1);
		struct sample *sample = sample_new(heap_arena_capacity(heap), false);

		find_tops(&topped, heap);
		topped.read = topped.image.memory.read;
		topped.image.memory.read = read_topped;
		topped.image.limit = 1000000;
		topped.image.exhausted = never_ends;
		topped.image.context = saved->name;
		tried += topped.tops == 2;
		read_heap(saved, heap, sample);
		assert_int_equal(sample->status, STATUS_PARTIAL);
		assert_false(figure_has(&sample->fig, FIG_FREE_BYTES));
		sample_free(sample);
		heap_free(heap);
	}
	assert_true(tried >= 3);
}

/* A memory whose main arena goes on behind what was saved: with thousands of large free
 * chunks, of CHUNK bytes and STEP bytes apart, on the list of BIN, or with a top as
 * long. IS_SORTED: the first of the list are up to SORTED_MORE bytes larger, in order. */
enum { CROWD = 3000, CROWD_STEP = 160 << 10, SORTED_MORE = 3000, PAGE = 4096 };

struct crowded_memory {
	struct image_memory image;
	int (*read)(struct memory *memory, const struct span *spans, unsigned count);
	int (*pages)(struct memory *memory, uint64_t start, unsigned count,
		     uint8_t *flags);
	uint64_t arena, self, first, end, bytes, step;
	uint64_t chunk; /* 0: LARGE */
	bool is_sorted;
	unsigned cells;	      /* that are drawn at the least */
	unsigned bin;	      /* 0: that of the unsorted ones */
	bool is_sparse;	      /* no page without a header is resident */
	uint64_t top, before; /* and the one that is none now; 0: chunks */
	unsigned cell_reads, looks;
	bool is_slow;	   /* who reads it waits */
	bool is_last_slow; /* in the last of some readings */
	const struct arena_layout *layout;
};

static uint64_t crowd_bytes(const struct crowded_memory *crowded, uint64_t i)
{
	return crowded->chunk +
	       (crowded->is_sorted ? (CROWD - i) * SORTED_MORE / CROWD & -UINT64_C(16)
				   : 0);
}

static void forge_crowd(const struct crowded_memory *crowded, const struct span *span)
{
	uint64_t i = span->addr > crowded->first
			     ? (span->addr - crowded->first) / crowded->step
			     : 0;

	if (crowded->top) {
		forge(span, crowded->before + 8,
		      (crowded->top - crowded->before) | CHUNK_PREV_INUSE);
		forge(span, crowded->top + 8,
		      (crowded->end + 4096 - crowded->top) | CHUNK_PREV_INUSE);
		return;
	}
	for (; i < CROWD && crowded->first + i * crowded->step < span->addr + span->len;
	     i++) {
		uint64_t at = crowded->first + i * crowded->step;
		uint64_t bytes = crowd_bytes(crowded, i);

		forge(span, at + 8, bytes | CHUNK_PREV_INUSE);
		forge(span, at + 16, i + 1 < CROWD ? at + crowded->step : crowded->self);
		forge(span, at + 24, i ? at - crowded->step : crowded->self);
		forge(span, at + bytes, bytes);
		forge(span, at + bytes + 8, crowded->step - bytes);
	}
	forge(span, crowded->end + 8, 4096 | CHUNK_PREV_INUSE);
}

/* Reads what was saved of SPAN; nothing is written behind that. */
static bool read_saved(struct crowded_memory *crowded, const struct span *span)
{
	struct span saved = *span;

	if (span->addr < crowded->first && span->addr + span->len > crowded->first) {
		saved.len = (uint32_t)(crowded->first - span->addr);
		memset((char *)span->to + saved.len, 0, span->len - saved.len);
	} else if (span->addr >= crowded->first && span->addr < crowded->end + 4096) {
		memset(span->to, 0, span->len);
		return true;
	}
	return crowded->read(&crowded->image.memory, &saved, 1) == 1;
}

static int read_crowded(struct memory *memory, const struct span *spans, unsigned count)
{
	struct crowded_memory *crowded = (struct crowded_memory *)memory;
	uint64_t arena = crowded->arena;
	const struct arena_layout *layout = crowded->layout;

	if (crowded->is_slow)
		nanosleep(&(struct timespec){0, 1000}, NULL);
	crowded->cell_reads += spans[0].len > PAGE; /* others are of headers and nodes */
	for (unsigned i = 0; i < count; i++) {
		if (!read_saved(crowded, &spans[i]))
			return (int)i;
		forge_crowd(crowded, &spans[i]);
		forge(&spans[i], arena + layout->top,
		      crowded->top ? crowded->top : crowded->end);
		if (!crowded->top) {
			forge(&spans[i], arena + layout->bins + 16 * crowded->bin,
			      crowded->first);
			forge(&spans[i], arena + layout->bins + 16 * crowded->bin + 8,
			      crowded->first + (CROWD - 1) * crowded->step);
		}
		forge(&spans[i], arena + layout->system_mem, crowded->bytes);
		forge(&spans[i], arena + layout->system_mem + 8, crowded->bytes);
	}
	return (int)count;
}

static int crowded_pages(struct memory *memory, uint64_t start, unsigned count,
			 uint8_t *flags)
{
	struct crowded_memory *crowded = (struct crowded_memory *)memory;
	int error = crowded->pages(memory, start, count, flags);

	crowded->looks++;
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = start + ((uint64_t)i << memory->page_shift);

		uint64_t in_step = (at - crowded->first) % crowded->step;

		if (at >= crowded->first && at < crowded->end + 4096 &&
		    (!crowded->is_sparse || in_step == 0 || in_step == crowded->chunk))
			flags[i] = PAGE_RESIDENT;
	}
	return error;
}

static uint64_t image_top(struct crowded_memory *crowded)
{
	uint64_t top = 0;
	struct span span = {crowded->arena + crowded->layout->top, &top, sizeof(top)};

	assert_int_equal(crowded->read(&crowded->image.memory, &span, 1), 1);
	return top;
}

/* Whether what was saved has nothing on the list that the crowd takes. */
static bool had_no_list(struct crowded_memory *crowded)
{
	uint64_t forward = 0;
	struct span span = {crowded->self + 16, &forward, sizeof(forward)};

	assert_int_equal(crowded->read(&crowded->image.memory, &span, 1), 1);
	return forward == crowded->self;
}

/* As SAVED's, but that its heap goes on until the crowd's end. */
static void crowd(struct crowded_memory *crowded, const struct saved *saved,
		  struct region *region, struct regions *regions, bool is_top)
{
	const struct image *image = saved->image;

	image_memory_init(&crowded->image, image);
	crowded->chunk = crowded->chunk ? crowded->chunk : LARGE;
	crowded->read = crowded->image.memory.read;
	crowded->pages = crowded->image.memory.pages;
	crowded->image.memory.read = read_crowded;
	crowded->image.memory.pages = crowded_pages;
	crowded->layout = &image->instance[0].layout->arena;
	crowded->arena = image->instance[0].main_arena;
	crowded->self = crowded->arena + crowded->layout->bins - 16 + 16 * crowded->bin;
	assert_true(image->regions.count <= IMAGE_TABLE_MAX);
	memcpy(region, image->regions.region, image->regions.count * sizeof(*region));
	*regions = (struct regions){.region = region,
				    .count = image->regions.count,
				    .capacity = image->regions.count};
	for (unsigned i = 0; i < regions->count; i++) {
		if (!region[i].is_break)
			continue;
		crowded->first = region[i].end;
		crowded->end = crowded->first + CROWD * crowded->step;
		region[i].end = crowded->end + 4096;
		crowded->bytes = region[i].end - region[i].start;
		/* Less than a chunk lies on the first page: a trim keeps the next one. */
		crowded->top = is_top ? crowded->first + 4096 - 16 : 0;
		crowded->before = image_top(crowded);
	}
}

/* Of libcs that say to have one heap each chunk is in the segment of each. */
static void chunks_of_several_segments_are_bounded(void **state)
{
	const struct heap_options options = {.threads = 1,
					     .unusable_for_bytes = 4096,
					     .budget_ns = 1500000,
					     .whole_ns = 1,
					     .cells_least = CROWD,
					     .seed = 1};
	static struct region region[IMAGE_TABLE_MAX];
	const struct saved_all *fixture = *state;
	struct malloc_instance instance[HEAP_INSTANCES];
	struct crowded_memory crowded = {.step = CROWD_STEP};
	struct fault fault = {.text = ""};
	struct regions regions;
	struct sample *sample;
	struct heap *heap;

	crowd(&crowded, &fixture->saved[0], region, &regions, false);
	assert_true(crowded.first != 0);
	for (unsigned i = 0; i < HEAP_INSTANCES; i++)
		instance[i] = fixture->saved[0].image->instance[0];
	if (heap_new(&heap, &crowded.image.memory, instance, HEAP_INSTANCES, &options,
		     &fault))
		fail_msg("%s", fault.text);
	sample = sample_new(heap_arena_capacity(heap), false);
	if (heap_look(heap, &fault) || heap_read(heap, &regions, sample, &fault))
		fail_msg("%s", fault.text);
	print_message("%u segments, room for %u\n", heap->sampler->segments,
		      heap->sampler->segment_capacity);
	assert_int_equal(heap->sampler->segments, heap->sampler->segment_capacity);
	assert_int_equal(sample->status, STATUS_PARTIAL);
	sample_free(sample);
	heap_free(heap);
}

/* Reads it READINGS times by a budget of BUDGET_NS, or all of it; the last of these, and
 * the heap if HEAP is not null. */
static struct sample *read_crowd_again(const struct saved *saved,
				       struct crowded_memory *crowded, bool is_top,
				       int64_t budget_ns, uint64_t seed,
				       unsigned readings, struct heap **kept)
{
	static struct region region[IMAGE_TABLE_MAX];
	const struct heap_options options = {.threads = 1,
					     .arenas = true,
					     .unusable_for_bytes = 4096,
					     .budget_ns = budget_ns,
					     .whole_ns = 1,
					     .cells_least = crowded->cells,
					     .seed = seed};
	struct fault fault = {.text = ""};
	struct regions regions;
	struct sample *sample;
	struct heap *heap;

	crowd(crowded, saved, region, &regions, is_top);
	if (heap_new(&heap, &crowded->image.memory, saved->image->instance, 1, &options,
		     &fault))
		fail_msg("%s", fault.text);
	sample = sample_new(heap_arena_capacity(heap), false);
	for (unsigned i = 0; i < readings; i++) {
		crowded->cell_reads = crowded->looks = 0;
		crowded->is_slow = crowded->is_last_slow && i + 1 == readings;
		sample_clear(sample);
		if (heap_look(heap, &fault) || heap_read(heap, &regions, sample, &fault))
			fail_msg("%s", fault.text);
	}
	if (kept)
		*kept = heap;
	else
		heap_free(heap);
	return sample;
}

static struct sample *read_crowd(const struct saved *saved,
				 struct crowded_memory *crowded, bool is_top,
				 int64_t budget_ns, uint64_t seed)
{
	return read_crowd_again(saved, crowded, is_top, budget_ns, seed, 1, NULL);
}

static struct sample *read_long_top(const struct saved *saved, int64_t budget_ns)
{
	struct crowded_memory crowded = {.step = CROWD_STEP};

	return read_crowd(saved, &crowded, true, budget_ns, 1);
}

/* A trim leaves one page of a top, of which parts are looked at: that page is no part of
 * what is drawn. Fastbin chunks before a top are. */
static void what_is_retained_is_not_drawn(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct sample *truth = read_long_top(saved, 0), *sample;
		double is = figure_number(&truth->fig, FIG_RETAINED_BYTES), low, high;

		sample = read_long_top(saved, 400000);
		if (figure_range(&sample->fig, FIG_TRIMMABLE_BYTES, &low, &high) &&
		    figure_number(&truth->fig, FIG_FAST_CHUNKS) == 0) {
			tried++;
			assert_false(figure_range(&sample->fig, FIG_RETAINED_BYTES, &low,
						  &high));
			assert_true(low == is && is >= 4096);
		}
		sample_free(sample);
		sample_free(truth);
	}
	assert_true(tried > 0);
}

/* Of chunks of 128 KB, one in two megabytes, that are on a list which is too long: a draw
 * of two cells in 4,096 often meets none, and allows for three of that size all the same.
 */
static void chunks_that_no_cell_met_are_allowed_for(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned unmet = 0;

	for (unsigned n = 0; n < READINGS; n++) {
		struct crowded_memory crowded = {.step = 2 << 20,
						 .bin = layout_bin_index(LARGE) - 1};
		struct sample *sample =
			read_crowd(&fixture->saved[0], &crowded, false, 1, n + 1);
		double low, high;

		assert_true(
			figure_range(&sample->arena[0].fig, FIG_FREE_BYTES, &low, &high));
		if (low == figure_number(&sample->arena[0].fig, FIG_FREE_BYTES)) {
			unmet++;
			assert_true(high > (double)CROWD * LARGE);
		}
		sample_free(sample);
	}
	print_message("%u of %u readings met none\n", unmet, (unsigned)READINGS);
	assert_true(unmet > 0);
}

/* A chunk of CHUNK bytes in each STEP, all on the unsorted list; in *TRUTH a full
 * reading, and one by BUDGET_NS. */
static struct sample *read_unsorted(const struct crowded_memory *like, int64_t budget_ns,
				    uint64_t seed, const struct saved *saved,
				    struct sample **truth)
{
	struct crowded_memory whole = *like, some = *like;

	*truth = read_crowd(saved, &whole, false, 0, 1);
	assert_int_equal((*truth)->status, STATUS_COMPLETE);
	return read_crowd(saved, &some, false, budget_ns, seed);
}

static double half_width(const struct sample *sample, enum figure f)
{
	double low, high;

	figure_range(&sample->fig, f, &low, &high);
	return (high - low) / 2 / figure_number(&sample->fig, FIG_SYSTEM_BYTES);
}

/* Of 16 GB two pages in four megabytes are resident: 400 cells of 32 KB would meet a few.
 */
static void where_little_is_resident_cells_are_large(void **state)
{
	const struct crowded_memory like = {
		.step = 4 << 20, .is_sparse = true, .cells = 400};
	const struct saved_all *fixture = *state;
	unsigned held = 0;

	for (unsigned n = 0; n < READINGS; n++) {
		struct sample *truth, *sample = read_unsorted(&like, 1, n + 1,
							      &fixture->saved[0], &truth);
		double is = figure_number(&truth->fig, FIG_FREE_BYTES), low, high;

		assert_int_equal(sample->status, STATUS_ESTIMATED);
		assert_true(half_width(sample, FIG_FREE_BYTES) < 0.03);
		figure_range(&sample->fig, FIG_FREE_BYTES, &low, &high);
		held += low <= is && is <= high;
		sample_free(truth);
		sample_free(sample);
	}
	print_message("%u of %u held\n", held, (unsigned)READINGS);
	assert_true(held >= 0.8 * READINGS);
}

/* Most cells lie in a free chunk that no list told of, and which begins before them: it
 * is known by its end, unless it is so long that few cells would meet its beginning. */
static void a_cell_is_known_by_what_is_behind_it(void **state)
{
	const struct crowded_memory common = {.step = CROWD_STEP, .cells = 400};
	const struct crowded_memory rare = {
		.step = 2 << 20, .chunk = 1 << 20, .cells = 400};
	const struct saved_all *fixture = *state;

	for (unsigned n = 0; n < 4; n++) {
		const struct saved *saved = &fixture->saved[0];
		struct sample *truth, *sample;
		double low, high;

		sample = read_unsorted(&common, 1, n + 1, saved, &truth);
		assert_true(figure_has(&sample->fig, FIG_UNUSABLE));
		sample_free(truth);
		sample_free(sample);
		sample = read_unsorted(&rare, 1, n + 1, saved, &truth);
		figure_range(&sample->fig, FIG_FREE_BYTES, &low, &high);
		assert_true(high > figure_number(&truth->fig, FIG_FREE_BYTES));
		assert_false(figure_has(&sample->fig, FIG_UNUSABLE));
		sample_free(truth);
		sample_free(sample);
	}
}

/* The distance from WEIGHTS' total to the end of its interval; *TOTAL: that total. */
static double above(struct heap *heap, const struct estimate_weights *weights,
		    double cell_most, double *total)
{
	struct cell_estimate estimate =
		estimate_total(sampler_draw(heap->sampler), ESTIMATE_ALL, weights);

	*total = estimate.total;
	return estimate_positive(&estimate, cell_most).high - estimate.total;
}

/* Where the unsorted list is too long large free chunks may lie where no cell was drawn:
 * an error apart from that of what was found. */
static void what_may_be_unseen_adds_by_its_square(void **state)
{
	const struct estimate_weights bytes = {.of = {[SUM_BYTES] = 1}};
	const struct estimate_weights dark = {.of = {[SUM_DARK_BYTES] = 1}};
	const struct saved_all *fixture = *state;

	for (unsigned n = 0; n < 4; n++) {
		struct crowded_memory crowded = {.step = CROWD_STEP, .cells = 400};
		double found, seen, of_found, missed, low, high, value;
		struct heap *heap;
		struct sample *sample = read_crowd_again(&fixture->saved[0], &crowded,
							 false, 1, n + 1, 1, &heap);

		of_found = above(heap, &bytes, 0, &found);
		missed = above(heap, &dark, SAMPLED_CELL, &seen);
		figure_range(&sample->fig, FIG_FREE_BYTES, &low, &high);
		value = figure_number(&sample->fig, FIG_FREE_BYTES);
		assert_true(of_found > 0 && missed > 0);
		assert_true(is_near(high - value, seen + hypot(of_found, missed), 1e-6));
		sample_free(sample);
		heap_free(heap);
	}
}

/* As many as lists can tell of have room. */
static void thousands_of_large_chunks_are_known(void **state)
{
	const struct crowded_memory like = {.step = CROWD_STEP};
	const struct saved_all *fixture = *state;
	struct sample *truth, *sample;
	double low, high;

	sample =
		read_unsorted(&like, INT64_C(20000000000), 1, &fixture->saved[0], &truth);
	assert_int_equal(sample->status, STATUS_ESTIMATED);
	figure_range(&sample->fig, FIG_FREE_BYTES, &low, &high);
	assert_true(low >= (double)CROWD * LARGE);
	sample_free(truth);
	sample_free(sample);
}

/* A list that was too long is followed to its first chunk at the next reading, the
 * largest: where all cells are drawn both readings are the truth, to the byte. */
static void the_head_of_a_long_list_says_as_much(void **state)
{
	const struct crowded_memory like = {.step = 22 << 10,
					    .chunk = 17 << 10,
					    .is_sorted = true,
					    .bin = layout_bin_index(17 << 10) - 1,
					    .cells = 2500};
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct crowded_memory whole = like;
		struct sample *truth = read_crowd(saved, &whole, false, 0, 1);
		bool is_mapped = strstr(saved->name, "no-sbrk");

		for (unsigned n = 1; n <= 3 && !is_mapped && had_no_list(&whole); n++) {
			struct crowded_memory some = like;
			struct heap *heap;
			struct sample *sample =
				read_crowd_again(saved, &some, false, 1, 1, n, &heap);

			assert_int_equal(sample->status, STATUS_ESTIMATED);
			assert_int_equal(heap->sampler->known.count > CROWD / 2, n == 1);
			check_exact(saved, -1, &truth->fig, &sample->fig);
			check_exact(saved, 0, &truth->arena[0].fig,
				    &sample->arena[0].fig);
			heap_free(heap);
			sample_free(sample);
			tried++;
		}
		sample_free(truth);
	}
	assert_true(tried >= 3);
}

/* What is off of figure F, in percent of the truth. */
static double off(const struct sample *sample, const struct sample *truth, enum figure f)
{
	return 100 * (figure_number(&sample->fig, f) / figure_number(&truth->fig, f) - 1);
}

/* Large chunks that a list tells of are no cell's, and those that it does not are: by a
 * draw of some cells, of the unsorted list and of a bin, what is free is right in the
 * mean, whether much of the list was followed or its head. */
static void heads_of_long_lists_bias_nothing(void **state)
{
	static const enum figure told[] = {FIG_FREE_BYTES, FIG_FREE_CHUNKS,
					   FIG_FREE_RESIDENT_BYTES, FIG_LIVE_BYTES};
	const struct saved_all *fixture = *state;
	const struct saved *saved = &fixture->saved[0];

	for (unsigned k = 0; k < 4; k++) {
		struct crowded_memory like = {.step = CROWD_STEP,
					      .is_sorted = true,
					      .bin = k < 2 ? layout_bin_index(LARGE) - 1
							   : 0,
					      .cells = 400};
		struct crowded_memory whole = like;
		struct sample *truth = read_crowd(saved, &whole, false, 0, 1);
		double sum[4] = {0}, squares[4] = {0};
		unsigned held[4] = {0};

		for (unsigned n = 0; n < READINGS; n++) {
			struct crowded_memory some = like;
			struct sample *sample = read_crowd_again(saved, &some, false, 1,
								 n + 1, 1 + k % 2, NULL);

			for (unsigned f = 0; f < 4; f++) {
				double low, high, by = off(sample, truth, told[f]);
				double is = figure_number(&truth->fig, told[f]);

				figure_range(&sample->fig, told[f], &low, &high);
				held[f] += low <= is && is <= high;
				sum[f] += by;
				squares[f] += by * by;
			}
			sample_free(sample);
		}
		for (unsigned f = 0; f < 4; f++) {
			double mean = sum[f] / READINGS;
			double error = sqrt((squares[f] / READINGS - mean * mean) /
					    (READINGS - 1));

			print_message("%s, %s: %s is off by %.2f%% (+-%.2f), %u held\n",
				      k < 2 ? "bin" : "unsorted", k % 2 ? "head" : "much",
				      figure_info[told[f]].name, mean, error, held[f]);
			assert_true(fabs(mean) < 5 * error);
			assert_true(held[f] >= 0.8 * READINGS);
		}
		sample_free(truth);
	}
}

/* Each call takes the target's lock: no window has a read of its own. */
static void windows_are_read_together(void **state)
{
	enum { CELLS = 400 };
	struct crowded_memory crowded = {
		.step = CROWD_STEP, .bin = layout_bin_index(LARGE) - 1, .cells = CELLS};
	const struct saved_all *fixture = *state;
	struct sample *sample =
		read_crowd_again(&fixture->saved[0], &crowded, false, 1, 1, 2, NULL);

	assert_int_equal(sample->status, STATUS_ESTIMATED);
	print_message("%u reads of %u cells\n", crowded.cell_reads, (unsigned)CELLS);
	assert_true(crowded.cell_reads > 0 && crowded.cell_reads < 3 * CELLS / 4);
	sample_free(sample);
}

/* How often the lists waited says how often cells would: it need not be tried. */
static void who_waits_for_lists_draws_less(void **state)
{
	const struct saved_all *fixture = *state;
	uint32_t cells[2];

	for (unsigned i = 0; i < 2; i++) {
		struct crowded_memory crowded = {.step = CROWD_STEP,
						 .bin = layout_bin_index(LARGE) - 1,
						 .is_last_slow = i == 1};
		struct heap *heap;
		struct sample *sample = read_crowd_again(&fixture->saved[0], &crowded,
							 false, 10000000, 1, 2, &heap);

		assert_int_equal(sample->status, STATUS_ESTIMATED);
		cells[i] = sampler_draw(heap->sampler)->cells;
		sample_free(sample);
		heap_free(heap);
	}
	print_message("%u cells, %u where each read waits\n", cells[0], cells[1]);
	/* Where little time is left for cells there is nothing to save. */
	if (cells[0] < 80)
		skip();
	assert_true(cells[1] < 60);
}

/* Calls sampler_size_cells COUNT times; the most that it looked, and how often in all. */
static unsigned size_cells(struct heap *heap, struct crowded_memory *crowded,
			   unsigned count, unsigned *all)
{
	unsigned most = 0;

	*all = 0;
	for (unsigned i = 0; i < count; i++) {
		crowded->looks = 0;
		sampler_size_cells(heap->sampler, 10000000);
		most = crowded->looks > most ? crowded->looks : most;
		*all += crowded->looks;
	}
	return most;
}

/* All is resident: looks at one region in 16 do, until that one is not. Where cells are
 * large each is looked at, so that none is read whole when its pages are there again. */
static void looks_at_dense_regions_are_kept(void **state)
{
	enum { KEPT = 16 };
	struct crowded_memory crowded = {.step = 4 << 20, .cells = 64};
	const struct saved_all *fixture = *state;
	struct heap *heap;
	struct sample *sample =
		read_crowd_again(&fixture->saved[0], &crowded, false, 1, 1, 1, &heap);
	unsigned all, most;

	size_cells(heap, &crowded, 1, &all);
	most = size_cells(heap, &crowded, KEPT, &all);
	assert_true(most <= 32 && all <= heap->sampler->regions * 32 && all > 0);
	print_message("%u regions, %u looks in %u readings, then ",
		      heap->sampler->regions, all, (unsigned)KEPT);
	crowded.is_sparse = true;
	size_cells(heap, &crowded, KEPT, &all);
	assert_true(heap->sampler->region_shift[0] > 0);
	most = size_cells(heap, &crowded, 1, &all);
	print_message("%u in one\n", most);
	assert_true(most > 32 * (heap->sampler->regions - 1));
	crowded.is_sparse = false;
	size_cells(heap, &crowded, 1, &all);
	for (unsigned r = 0; r < heap->sampler->regions; r++)
		assert_int_equal(heap->sampler->region_shift[r], 0);
	sample_free(sample);
	heap_free(heap);
}

static int all_resident(struct memory *memory, uint64_t start, unsigned count,
			uint8_t *flags)
{
	(void)memory;
	(void)start;
	memset(flags, PAGE_RESIDENT, count);
	return 0;
}

/* Of a long chunk blocks are looked at by chance, the last of which may be a short one.
 */
static void what_is_all_resident_is_all_of_it(void **state)
{
	struct memory memory = {.pages = all_resident, .page_shift = 12};
	struct sampler sampler = {.memory = &memory, .page_shift = 12, .random = 1};
	const uint64_t start = UINT64_C(0x7f0000000010);

	(void)state;
	for (uint64_t bytes = 0; bytes < 256 << 20; bytes += 700000)
		assert_int_equal(sampler_resident(&sampler, start, start + bytes), bytes);
}

/* Of large chunks pieces of one size are drawn: were one shorter, most draws would have
 * all alike, and say that they are sure of too much. */
static void pieces_are_of_one_size(void **state)
{
	enum { CHUNKS = 4, CELLS = 200 };
	static const uint64_t bytes[CHUNKS] = {29 << 20 | 4096, 130 << 10, 2300 << 10,
					       9 << 20 | 16};
	const struct estimate_weights resident = {.of = {[SUM_RESIDENT_BYTES] = 1}};
	struct memory memory = {.pages = all_resident, .page_shift = 12};
	struct sampled_large large[CHUNKS];
	struct sampled_arena arena = {.pieces = false};
	struct estimate_cell cell[CELLS];
	struct estimate_stratum stratum[CELLS];
	uint64_t number[CELLS], at = UINT64_C(0x7f0000000010), all = 0;
	double known;
	struct sampler sampler = {.memory = &memory,
				  .pages = pages_new_narrow(&memory, 64),
				  .page_shift = 12,
				  .random = 1,
				  .arena = &arena,
				  .large = large,
				  .larges = CHUNKS,
				  .number = number,
				  .draw = {.stratum = stratum,
					   .cell = cell,
					   .strata_capacity = CELLS,
					   .cell_capacity = CELLS}};

	(void)state;
	for (unsigned i = 0; i < CHUNKS; i++, at += 64 << 20) {
		large[i] = (struct sampled_large){
			.start = at, .from = at, .end = at + bytes[i]};
		large[i].parts = free_parts_of_run(12, at, at + bytes[i]);
		all += bytes[i];
	}
	sampler_draw_large(&sampler, 800000);
	assert_true(arena.pieces && sampler.draw.cells > 2);
	assert_true(sampler.draw.cells < all / SAMPLED_PIECE);
	for (unsigned i = 0; i < sampler.draw.cells; i++)
		assert_int_equal((int)cell[i].sum[SUM_RESIDENT_BYTES], SAMPLED_PIECE);
	known = estimate_total(&sampler.draw, ESTIMATE_ALL, &resident).total +
		(double)(arena.trimmable + arena.pinned);
	assert_true(known == (double)all && arena.cell_bytes % SAMPLED_PIECE == 0);
	pages_free(sampler.pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_cells_are_a_full_reading),
		cmocka_unit_test(a_heap_that_cannot_be_drawn_from_has_no_estimate),
		cmocka_unit_test(few_cells_hold_the_truth),
		cmocka_unit_test(who_waits_reads_less),
		cmocka_unit_test(long_lists_are_not_followed_each_time),
		cmocka_unit_test(tops_without_end_are_not_looked_at),
		cmocka_unit_test(chunks_of_several_segments_are_bounded),
		cmocka_unit_test(what_is_retained_is_not_drawn),
		cmocka_unit_test(chunks_that_no_cell_met_are_allowed_for),
		cmocka_unit_test(where_little_is_resident_cells_are_large),
		cmocka_unit_test(a_cell_is_known_by_what_is_behind_it),
		cmocka_unit_test(what_may_be_unseen_adds_by_its_square),
		cmocka_unit_test(thousands_of_large_chunks_are_known),
		cmocka_unit_test(the_head_of_a_long_list_says_as_much),
		cmocka_unit_test(heads_of_long_lists_bias_nothing),
		cmocka_unit_test(windows_are_read_together),
		cmocka_unit_test(who_waits_for_lists_draws_less),
		cmocka_unit_test(looks_at_dense_regions_are_kept),
		cmocka_unit_test(what_is_all_resident_is_all_of_it),
		cmocka_unit_test(pieces_are_of_one_size),
	};

	return cmocka_run_group_tests(tests, saved_setup, saved_teardown);
}
