/* test_heap_image.c: saved heaps of five glibcs give exactly what their programs said of
 * them; and a file that is no image is refused. */
#include "saved.h"

#include "base/bytes.h"
#include "glibc/tcache.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAVED_LEAST = 10, ARENAS_LEAST = 3, PAGE = 4096 };

static const struct heap_options plain = {.threads = 1};

/* One reading of SAVED through MEMORY. The caller frees *SAMPLE. */
static void read_memory(const struct saved *saved, const struct heap_options *options,
			struct image_memory *memory, struct sample **sample)
{
	const struct image *image = saved->image;
	struct fault fault = {.text = ""};
	struct heap *heap;

	if (heap_new(&heap, &memory->memory, image->instance, image->instance_count,
		     options, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
	*sample = sample_new(heap_arena_capacity(heap), options->bins);
	assert_non_null(*sample);
	if (heap_look(heap, &fault) || heap_read(heap, &image->regions, *sample, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
	heap_free(heap);
}

static void read_image(const struct saved *saved, const struct heap_options *options,
		       struct image_memory *memory, struct sample **sample)
{
	image_memory_init(memory, saved->image);
	read_memory(saved, options, memory, sample);
}

static uint64_t figure(const struct figures *fig, enum figure f)
{
	if (!figure_has(fig, f))
		fail_msg("%s is absent", figure_info[f].name);
	return fig->v[f].u;
}

static void check(const struct saved *saved, const char *what, unsigned arena,
		  uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s: arena %u: %s: got %llu, want %llu", saved->name, arena,
			 what, (unsigned long long)got, (unsigned long long)want);
}

static void check_complete(const struct saved *saved, const struct sample *sample)
{
	if (sample->status != STATUS_COMPLETE)
		fail_msg("%s: %s: %s", saved->name, sample_status_name(sample->status),
			 sample->missing);
}

static void check_mallinfo(const struct saved *saved, const struct sample *sample)
{
	for (unsigned i = 0; i < SAVED_MALLINFO; i++) {
		enum figure f = FIG_MALLINFO2_ARENA + i;

		check(saved, figure_info[f].name, 0, figure(&sample->fig, f),
		      saved->expected.mallinfo2[i]);
	}
}

static void check_arena(const struct saved *saved, unsigned i,
			const struct expected_arena *want, const struct figures *fig)
{
	uint64_t fast_chunks = figure(fig, FIG_FAST_CHUNKS);
	uint64_t fast_bytes = figure(fig, FIG_FAST_BYTES);

	check(saved, "system", i, figure(fig, FIG_SYSTEM_BYTES), want->system_bytes);
	check(saved, "fast chunks", i, fast_chunks, want->fast_chunks);
	check(saved, "fast bytes", i, fast_bytes, want->fast_bytes);
	check(saved, "rest chunks", i, figure(fig, FIG_FREE_CHUNKS) - fast_chunks + 1,
	      want->rest_chunks);
	check(saved, "rest bytes", i, figure(fig, FIG_FREE_BYTES) - fast_bytes,
	      want->rest_bytes);
	check(saved, "top", i, figure(fig, FIG_TOP_BYTES), want->top_bytes);
}

static void check_arenas(const struct saved *saved, const struct sample *sample)
{
	assert_int_equal(sample->arena_count, saved->expected.arena_count);
	for (unsigned i = 0; i < sample->arena_count; i++)
		check_arena(saved, i, &saved->expected.arena[i], &sample->arena[i].fig);
}

static void check_bin(const struct saved *saved, unsigned arena,
		      const struct bin_total *got, const struct bin_total *want)
{
	check(saved, "chunks of a bin", arena, got->count, want->count);
	check(saved, "bytes of a bin", arena, got->total_bytes, want->total_bytes);
	check(saved, "first size of a bin", arena, got->from_bytes, want->from_bytes);
	check(saved, "last size of a bin", arena, got->to_bytes, want->to_bytes);
}

static void check_bins(const struct saved *saved, const struct sample *sample)
{
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_bins *got = sample->arena[i].bins;
		const struct arena_bins *want = &saved->expected.arena[i].bins;

		assert_true(got->split);
		for (unsigned b = 0; b < SAMPLE_FASTBINS; b++)
			check_bin(saved, i, &got->fast[b], &want->fast[b]);
		for (unsigned b = 0; b < SAMPLE_BINS; b++)
			check_bin(saved, i, &got->bins[b], &want->bins[b]);
	}
}

/* What holds whenever a reading is complete, whatever the program said. */
static void check_parts(const struct saved *saved, const struct sample *sample)
{
	const struct figures *fig = &sample->fig;

	check(saved, "live, free and tcache", 0,
	      figure(fig, FIG_LIVE_BYTES) + figure(fig, FIG_FREE_BYTES) +
		      figure(fig, FIG_TCACHE_BYTES),
	      figure(fig, FIG_SYSTEM_BYTES));
	check(saved, "trimmable, pinned and retained", 0,
	      figure(fig, FIG_TRIMMABLE_BYTES) + figure(fig, FIG_PINNED_BYTES) +
		      figure(fig, FIG_RETAINED_BYTES),
	      figure(fig, FIG_FREE_RESIDENT_BYTES));
	check(saved, "in doubt", 0, figure(fig, FIG_IN_DOUBT_BYTES), 0);
}

/* To a page an arena: see malloc_trim's own rounding. */
static void check_trim(const struct saved *saved, const struct sample *sample)
{
	uint64_t told = figure(&sample->fig, FIG_TRIMMABLE_BYTES);
	uint64_t fell = saved->expected.trimmed_bytes;
	uint64_t slack = (uint64_t)sample->arena_count * PAGE;

	if (told > fell + slack || fell > told + slack)
		fail_msg("%s: trimmable_bytes is %llu, the trim gave back %llu",
			 saved->name, (unsigned long long)told, (unsigned long long)fell);
}

static void check_image(const struct saved *saved, const struct heap_options *options)
{
	struct image_memory memory;
	struct sample *sample;

	read_image(saved, options, &memory, &sample);
	check_complete(saved, sample);
	check_mallinfo(saved, sample);
	check_arenas(saved, sample);
	check_parts(saved, sample);
	check_trim(saved, sample);
	if (options->bins)
		check_bins(saved, sample);
	assert_int_equal(memory.outside, 0);
	sample_free(sample);
}

static void every_image_is_exact(void **state)
{
	static const struct heap_options ways[] = {
		{.threads = 1},
		{.threads = 2},
		{.threads = 1, .arenas = true, .bins = true},
		{.threads = 2, .arenas = true, .bins = true},
	};
	const struct saved_all *fixture = *state;

	for (int i = 0; i < fixture->count; i++)
		for (unsigned way = 0; way < sizeof(ways) / sizeof(*ways); way++)
			check_image(&fixture->saved[i], &ways[way]);
}

/* The images are worth their room: between them they hold everything. */
static void the_images_hold_everything(void **state)
{
	const struct saved_all *fixture = *state;
	uint64_t most_arenas = 0, fast = 0, mmapped = 0, tcache = 0, foreign = 0;

	assert_true(fixture->count >= SAVED_LEAST);
	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct image_memory memory;
		struct sample *sample;

		read_image(saved, &plain, &memory, &sample);
		if (sample->arena_count > most_arenas)
			most_arenas = sample->arena_count;
		fast += figure(&sample->fig, FIG_FAST_CHUNKS) != 0;
		mmapped += figure(&sample->fig, FIG_MMAPPED_CHUNKS) != 0;
		tcache += figure(&sample->fig, FIG_TCACHE_CHUNKS) != 0;
		foreign += figure(&sample->fig, FIG_FOREIGN_BYTES) != 0;
		sample_free(sample);
	}
	assert_true(most_arenas >= ARENAS_LEAST);
	assert_true(fast && mmapped && tcache && foreign);
}

static void by_arena_tcaches_add_up(void **state)
{
	static const struct heap_options arenas = {.threads = 1, .arenas = true};
	const struct saved_all *fixture = *state;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		uint64_t chunks = 0, bytes = 0;
		struct image_memory memory;
		struct sample *sample;

		read_image(saved, &arenas, &memory, &sample);
		for (unsigned a = 0; a < sample->arena_count; a++) {
			chunks += figure(&sample->arena[a].fig, FIG_TCACHE_CHUNKS);
			bytes += figure(&sample->arena[a].fig, FIG_TCACHE_BYTES);
		}
		check(saved, "tcache chunks of all arenas", 0, chunks,
		      figure(&sample->fig, FIG_TCACHE_CHUNKS));
		check(saved, "tcache bytes of all arenas", 0, bytes,
		      figure(&sample->fig, FIG_TCACHE_BYTES));
		sample_free(sample);
	}
}

/* A main arena in the middle of a change, which is done when its lock was looked at for
 * the UNTILth time. */
struct change {
	struct image_memory memory; /* first: a struct memory is what the callbacks get */
	int (*read)(struct memory *memory, const struct span *spans, unsigned count);
	uint64_t lock_addr;
	uint8_t *lock;
	uint8_t *field; /* the size of a chunk */
	uint8_t whole[8];
	unsigned looks, until;
};

static void end_change(struct change *change)
{
	memset(change->lock, 0, 4);
	memcpy(change->field, change->whole, sizeof(change->whole));
}

static int read_changing(struct memory *memory, const struct span *spans, unsigned count)
{
	struct change *change = (struct change *)memory;

	for (unsigned i = 0; i < count; i++)
		if (spans[i].addr <= change->lock_addr &&
		    change->lock_addr < spans[i].addr + spans[i].len)
			change->looks++;
	if (change->looks >= change->until)
		end_change(change);
	return change->read(memory, spans, count);
}

/* The size of the chunk behind the first one. */
static uint8_t *second_size(const struct image *image)
{
	const struct malloc_instance *instance = &image->instance[0];
	const uint8_t *par = image_at(image, instance->par, instance->layout->par.size);
	uint64_t first = bytes_u64(par + instance->layout->par.sbrk_base);

	first = (first + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;
	first += bytes_u64(image_at(image, first + 8, 8)) & ~(uint64_t)CHUNK_FLAGS;
	return image_at(image, first + 8, 8);
}

static void begin_change(struct change *change, const struct image *image, unsigned until)
{
	memset(change, 0, sizeof(*change));
	image_memory_init(&change->memory, image);
	change->read = change->memory.memory.read;
	change->memory.memory.read = read_changing;
	change->lock_addr = image->instance[0].main_arena;
	change->lock = image_at(image, change->lock_addr, 4);
	change->field = second_size(image);
	change->until = until;
	memcpy(change->whole, change->field, sizeof(change->whole));
	memset(change->field, 0xff, sizeof(change->whole));
	memset(change->lock, 1, 1);
}

/* A thread without a processor may be long in the middle of a change. It is waited for,
 * but not for ever. */
static void a_change_is_waited_for(void **state)
{
	const struct saved_all *fixture = *state;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct change change;
		struct sample *sample;

		if (strstr(saved->name, "no-sbrk"))
			continue;
		begin_change(&change, saved->image, 30);
		read_memory(saved, &plain, &change.memory, &sample);
		check_complete(saved, sample);
		check_mallinfo(saved, sample);
		sample_free(sample);

		begin_change(&change, saved->image, UINT_MAX);
		read_memory(saved, &plain, &change.memory, &sample);
		end_change(&change);
		assert_int_equal(sample->status, STATUS_TORN);
		assert_in_range(change.looks, 30, 300);
		sample_free(sample);
	}
}

/* ---- lists without an end, and without a head ---- */

static void put_word(uint8_t *at, uint64_t word)
{
	memcpy(at, &word, sizeof(word));
}

/* The user memory of the first chunk from the heap's start on that is as large as a
 * thread's cache and has a list; null: there is none. */
static uint8_t *find_cache(const struct image *image, unsigned *bin)
{
	const struct malloc_layout *layout = image->instance[0].layout;
	const uint8_t *par = image_at(image, image->instance[0].par, layout->par.size);
	uint64_t at = bytes_u64(par + layout->par.sbrk_base), bytes;
	const uint8_t *header;

	at = (at + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;
	for (; (header = image_at(image, at, 16)); at += bytes) {
		uint8_t *cache = image_at(image, at + 16, layout->tcache.chunk_bytes);

		bytes = bytes_u64(header + 8) & ~(uint64_t)CHUNK_FLAGS;
		if (bytes < GLIBC_MIN_CHUNK)
			return NULL;
		if (!cache || (bytes != layout->tcache.chunk_bytes &&
			       bytes != layout->tcache.chunk_bytes + 16u))
			continue;
		for (*bin = 0; *bin < layout->tcache.small_bins; ++*bin) {
			uint64_t head =
				bytes_u64(cache + layout->tcache.entries + 8 * *bin);

			if (head && image_at(image, head, 8))
				return cache;
		}
	}
	return NULL;
}

/* A thread that takes the last chunk of a list leaves a count without a head for an
 * instant, or for long if it loses its processor there: the cache stays one. */
static void a_cache_being_changed_is_no_less_a_cache(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		const struct malloc_layout *layout = saved->image->instance[0].layout;
		struct image_memory memory;
		struct sample *before, *after;
		unsigned bin;
		uint8_t *cache = find_cache(saved->image, &bin);
		uint8_t *place = cache ? cache + layout->tcache.entries + 8 * bin : NULL;
		uint8_t *count = cache ? cache + layout->tcache.count_bytes * bin : NULL;
		uint64_t head = cache ? bytes_u64(place) : 0;
		uint8_t was = cache ? *count : 0;

		if (!cache || layout->tcache.counts_down)
			continue;
		read_image(saved, &plain, &memory, &before);
		put_word(place, 0);
		*count = 1;
		read_image(saved, &plain, &memory, &after);
		put_word(place, head);
		*count = was;
		assert_int_equal(figure(&after->fig, FIG_TCACHE_CHUNKS),
				 figure(&before->fig, FIG_TCACHE_CHUNKS) - was);
		assert_int_equal(after->status, STATUS_COMPLETE);
		sample_free(before);
		sample_free(after);
		tried++;
	}
	assert_true(tried);
}

/* Chains each list of a thread's cache to itself, or only BIN's when it is not negative:
 * every count is what it was. Returns how many. */
static uint64_t chain_to_itself(const struct image *image, uint8_t *cache, int bin)
{
	const struct malloc_layout *layout = image->instance[0].layout;
	uint64_t lists = 0;

	for (int i = 0; i < layout->tcache.small_bins; i++) {
		uint64_t head = bytes_u64(cache + layout->tcache.entries + 8 * i);
		uint8_t *link = head ? image_at(image, head, 8) : NULL;

		if (!link || (bin >= 0 && i != bin))
			continue;
		put_word(link, layout->safe_linking ? head ^ head >> 12 : head);
		lists++;
	}
	return lists;
}

static void check_doubt(const struct saved *saved, const struct heap_options *options)
{
	struct image_memory memory;
	struct sample *sample;

	read_image(saved, options, &memory, &sample);
	if (sample->status != STATUS_TORN)
		fail_msg("%s: a cache chained to itself is %s", saved->name,
			 sample_status_name(sample->status));
	assert_true(figure(&sample->fig, FIG_IN_DOUBT_BYTES) >= GLIBC_MIN_CHUNK);
	sample_free(sample);
}

/* The counts and heads are as they were: only who follows the lists can tell. */
static void a_cache_chained_to_itself_is_in_doubt(void **state)
{
	static const struct heap_options arenas = {.threads = 1, .arenas = true};
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct image *image = saved->image;
		size_t bytes = image->page_count << image->page_shift;
		uint8_t *cache, *before = malloc(bytes);
		unsigned bin;

		assert_non_null(before);
		memcpy(before, image->bytes, bytes);
		cache = find_cache(image, &bin);
		for (int all = 0; cache && all < 2; all++) {
			tried++;
			assert_true(chain_to_itself(image, cache, all ? -1 : (int)bin));
			check_doubt(saved, &plain);
			check_doubt(saved, &arenas);
			memcpy(image->bytes, before, bytes);
		}
		free(before);
	}
	assert_true(tried >= SAVED_LEAST);
}

/* Lists may not cross: a chunk that is met twice is counted twice. */
static void crossing_lists_are_in_doubt(void **state)
{
	uint64_t chunk[] = {0x7000, 0x5000, 0x7000, 0x5010, 0x7000};
	struct tcache_met met = {chunk, 8, 5};
	uint64_t mark, again;

	(void)state;
	for (unsigned i = 0; i < met.count; i++)
		chunk[i] = chunk[i] / GLIBC_ALIGN << 20 | 0x40 / GLIBC_ALIGN;
	assert_int_equal(tcache_met_twice(&met, &mark), 2 * 0x40);
	assert_int_equal(tcache_met_twice(&met, &mark), 2 * 0x40);
	assert_int_equal(tcache_met_twice(&met, &again), 2 * 0x40);
	assert_true(mark && mark == again);
	met.count = 1;
	assert_int_equal(tcache_met_twice(&met, &mark), 0);
}

/* The last arena leads to the second instead of the first, or to itself. */
static void a_ring_without_end_is_damage(void **state)
{
	const struct saved_all *fixture = *state;
	unsigned tried = 0;

	for (int i = 0; i < fixture->count; i++) {
		struct image *image = fixture->saved[i].image;
		const struct malloc_instance *first = &image->instance[0];
		unsigned next = first->layout->arena.next;
		uint64_t second = bytes_u64(image_at(image, first->main_arena + next, 8));
		uint64_t last = second, to[2];
		uint8_t *link = NULL;

		while (last != first->main_arena) {
			link = image_at(image, last + next, 8);
			to[1] = last;
			last = bytes_u64(link);
		}
		to[0] = second;
		for (unsigned n = 0; link && n < 2; n++) {
			struct image_memory memory;
			struct fault fault;
			struct heap *heap;

			tried++;
			put_word(link, to[n]);
			image_memory_init(&memory, image);
			assert_int_equal(heap_new(&heap, &memory.memory, first,
						  image->instance_count, &plain, &fault),
					 -EUCLEAN);
			assert_non_null(strstr(fault.text, "damaged"));
			put_word(link, first->main_arena);
		}
	}
	assert_true(tried >= SAVED_LEAST);
}

/* Not by its own means: the quick look and the walk see the same largest chunks. */
static void the_quick_look_agrees(void **state)
{
	static const struct heap_options quick = {.threads = 1, .quick = true};
	const struct saved_all *fixture = *state;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct image_memory memory;
		struct sample *walked, *sample;

		read_image(saved, &plain, &memory, &walked);
		read_image(saved, &quick, &memory, &sample);
		check(saved, "system", 0, figure(&sample->fig, FIG_SYSTEM_BYTES),
		      figure(&walked->fig, FIG_SYSTEM_BYTES));
		/* A slow machine may run out of its time. */
		if (sample->status == STATUS_COMPLETE) {
			check(saved, "largest free", 0,
			      figure(&sample->fig, FIG_LARGEST_FREE_BYTES),
			      figure(&walked->fig, FIG_LARGEST_FREE_BYTES));
			check(saved, "largest hole", 0,
			      figure(&sample->fig, FIG_LARGEST_HOLE_BYTES),
			      figure(&walked->fig, FIG_LARGEST_HOLE_BYTES));
		}
		assert_int_equal(memory.outside, 0);
		sample_free(walked);
		sample_free(sample);
	}
}

static void a_heap_is_read_twice_alike(void **state)
{
	const struct saved_all *fixture = *state;
	const struct saved *saved = &fixture->saved[0];
	struct image_memory memory;
	struct fault fault;
	struct sample *first, *second;
	struct heap *heap;

	image_memory_init(&memory, saved->image);
	assert_int_equal(heap_new(&heap, &memory.memory, saved->image->instance,
				  saved->image->instance_count, &plain, &fault),
			 0);
	first = sample_new(heap_arena_capacity(heap), false);
	second = sample_new(heap_arena_capacity(heap), false);
	assert_int_equal(heap_look(heap, &fault), 0);
	assert_int_equal(heap_read(heap, &saved->image->regions, first, &fault), 0);
	assert_int_equal(heap_look(heap, &fault), 0);
	assert_int_equal(heap_read(heap, &saved->image->regions, second, &fault), 0);
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		assert_int_equal(figure_has(&first->fig, f), figure_has(&second->fig, f));
		if (figure_has(&first->fig, f))
			assert_true(first->fig.v[f].u == second->fig.v[f].u);
	}
	sample_free(first);
	sample_free(second);
	heap_free(heap);
}

/* ---- what is swapped out ---- */

/* Figures that swapping pages out changes: what of them is resident, and what it leaves
 * open. */
static bool may_change(enum figure f)
{
	static const enum figure of_pages[] = {FIG_LIVE_RESIDENT_BYTES,
					       FIG_TRIMMABLE_BYTES,
					       FIG_PINNED_BYTES,
					       FIG_RETAINED_BYTES,
					       FIG_MMAPPED_RESIDENT_BYTES,
					       FIG_FREE_RESIDENT_BYTES,
					       FIG_ALLOCATOR_RESIDENT_BYTES,
					       FIG_SLACK,
					       FIG_IN_DOUBT_BYTES};

	for (unsigned i = 0; i < sizeof(of_pages) / sizeof(*of_pages); i++)
		if (of_pages[i] == f)
			return true;
	return false;
}

static void check_same(const struct saved *saved, int arena, const struct figures *whole,
		       const struct figures *part)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!figure_has(part, f) || may_change(f))
			continue;
		if (!figure_has(whole, f) || part->v[f].u != whole->v[f].u)
			fail_msg("%s: arena %d: with pages in swap %s is %llu, and it is "
				 "%llu",
				 saved->name, arena, figure_info[f].name,
				 (unsigned long long)part->v[f].u,
				 (unsigned long long)whole->v[f].u);
	}
	/* What is resident cannot be more than it was. */
	if (figure_has(part, FIG_FREE_RESIDENT_BYTES))
		assert_true(part->v[FIG_FREE_RESIDENT_BYTES].u <=
			    whole->v[FIG_FREE_RESIDENT_BYTES].u);
}

/* Swaps out one page in SHARE. */
static void swap_out(struct image *image, uint64_t *random, unsigned share)
{
	for (uint64_t page = 0; page < image->page_count; page++) {
		*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
		if ((*random >> 33) % share == 0)
			image->flags[page] = PAGE_SWAPPED;
	}
}

static void swap_in(struct image *image)
{
	memset(image->flags, PAGE_RESIDENT, image->page_count);
}

/* One reading with some pages in swap; whether there was one: malloc's records may be
 * among them. */
static bool check_swapped(const struct saved *saved, struct heap *heap,
			  struct sample *whole, struct sample *part)
{
	const struct image *image = saved->image;
	struct fault fault;

	sample_clear(part);
	if (heap_look(heap, &fault))
		return false;
	assert_int_equal(heap_read(heap, &image->regions, part, &fault), 0);
	check_same(saved, -1, &whole->fig, &part->fig);
	assert_int_equal(whole->arena_count, part->arena_count);
	for (unsigned i = 0; i < part->arena_count; i++)
		check_same(saved, (int)i, &whole->arena[i].fig, &part->arena[i].fig);
	return true;
}

/* Whatever is in swap, a figure is what it was or absent. */
static void swapped_pages_leave_no_wrong_figure(void **state)
{
	static const struct heap_options options = {.threads = 1, .arenas = true};
	const struct saved_all *fixture = *state;
	unsigned read = 0, partial = 0;
	uint64_t random = 1;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		struct image *image = saved->image;
		struct image_memory memory;
		struct sample *whole, *part;
		struct fault fault;
		struct heap *heap;

		image_memory_init(&memory, image);
		assert_int_equal(heap_new(&heap, &memory.memory, image->instance,
					  image->instance_count, &options, &fault),
				 0);
		whole = sample_new(heap_arena_capacity(heap), false);
		part = sample_new(heap_arena_capacity(heap), false);
		assert_true(check_swapped(saved, heap, whole, whole));
		check_complete(saved, whole);
		for (unsigned n = 0; n < 100; n++) {
			swap_out(image, &random, 10 + 3 * n);
			if (check_swapped(saved, heap, whole, part)) {
				read++;
				partial += part->status == STATUS_PARTIAL;
			}
			swap_in(image);
		}
		assert_int_equal(memory.outside, 0);
		sample_free(whole);
		sample_free(part);
		heap_free(heap);
	}
	print_message("%u readings, %u partial\n", read, partial);
	assert_true(read >= 300 && partial >= 100);
}

/* ---- files that are no image ---- */

struct tiny {
	struct image_header header;
	struct image_instance instance;
	struct image_region region;
	struct image_run run[2];
	uint8_t pages[3 * PAGE];
};

static void make_tiny(struct tiny *tiny)
{
	memset(tiny, 0, sizeof(*tiny));
	tiny->header = (struct image_header){.magic = IMAGE_MAGIC,
					     .version = IMAGE_VERSION,
					     .page_shift = 12,
					     .instances = 1,
					     .regions = 1,
					     .runs = 2};
	strcpy(tiny->instance.layout, layouts[0].name);
	tiny->region = (struct image_region){0x10000, 0x20000, 0};
	tiny->run[0] = (struct image_run){0x10000, 2};
	tiny->run[1] = (struct image_run){0x14000, 1};
	memset(tiny->pages, 0x11, sizeof(tiny->pages));
}

static void a_small_image_reads_back(void **state)
{
	struct image_memory memory;
	struct image *image;
	struct tiny tiny;
	uint8_t buffer[2 * PAGE], flags[8];
	struct span span = {0x11ff8, buffer, 8};

	(void)state;
	make_tiny(&tiny);
	assert_int_equal(image_parse(&image, &tiny, sizeof(tiny)), 0);
	image_memory_init(&memory, image);
	assert_int_equal(memory.memory.read(&memory.memory, &span, 1), 1);
	assert_int_equal(buffer[7], 0x11);
	span.len = 9;
	assert_int_equal(memory.memory.read(&memory.memory, &span, 1), 0);
	assert_int_equal(memory.outside, 1);
	assert_int_equal(memory.memory.pages(&memory.memory, 0xf000, 8, flags), 0);
	assert_memory_equal(flags, "\0\1\1\0\0\1\0\0", 8);
	assert_int_equal(image_page(image, 0x12000), 3);
	assert_int_equal(image_page(image, 0x14000), 2);
	image->flags[1] = PAGE_SWAPPED;
	span.len = 8;
	assert_int_equal(memory.memory.read(&memory.memory, &span, 1), 0);
	image_free(image);
}

static void refused(const struct tiny *tiny, size_t size)
{
	struct image *image = NULL;

	assert_int_equal(image_parse(&image, tiny, size), -EPROTO);
	assert_null(image);
}

static void cut_images_are_refused(void **state)
{
	struct tiny tiny;

	(void)state;
	make_tiny(&tiny);
	for (size_t size = 0; size < sizeof(tiny); size++)
		refused(&tiny, size);
}

static void hostile_images_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
		unsigned bytes;
	} damage[] = {
		{offsetof(struct tiny, header.magic), 0, 1},
		{offsetof(struct tiny, header.magic) + 7, 1, 1},
		{offsetof(struct tiny, header.version), 2, 4},
		{offsetof(struct tiny, header.page_shift), 0, 4},
		{offsetof(struct tiny, header.page_shift), 64, 4},
		{offsetof(struct tiny, header.instances), 0, 4},
		{offsetof(struct tiny, header.instances), 9, 4},
		{offsetof(struct tiny, header.regions), UINT32_MAX, 4},
		{offsetof(struct tiny, header.regions), 2, 4},
		{offsetof(struct tiny, header.runs), 0, 4},
		{offsetof(struct tiny, header.runs), UINT32_MAX, 4},
		{offsetof(struct tiny, header.zero), 1, 4},
		{offsetof(struct tiny, instance.layout), UINT64_MAX, 8},
		{offsetof(struct tiny, instance.zero), 1, 4},
		{offsetof(struct tiny, region.start), 0x10001, 8},
		{offsetof(struct tiny, region.start), 0x20000, 8},
		{offsetof(struct tiny, region.end), UINT64_C(1) << 62, 8},
		{offsetof(struct tiny, region.is_break), 2, 8},
		{offsetof(struct tiny, run[0].addr), 0x10010, 8},
		{offsetof(struct tiny, run[0].addr), UINT64_MAX << 12, 8},
		{offsetof(struct tiny, run[0].pages), 0, 8},
		{offsetof(struct tiny, run[0].pages), UINT64_MAX, 8},
		{offsetof(struct tiny, run[0].pages), 1, 8},
		{offsetof(struct tiny, run[1].addr), 0x12000, 8},
		{offsetof(struct tiny, run[1].addr), 0x10000, 8},
		{offsetof(struct tiny, run[1].pages), 2, 8},
	};
	struct tiny tiny;

	(void)state;
	for (unsigned i = 0; i < sizeof(damage) / sizeof(*damage); i++) {
		make_tiny(&tiny);
		memcpy((uint8_t *)&tiny + damage[i].offset, &damage[i].value,
		       damage[i].bytes);
		refused(&tiny, sizeof(tiny));
	}
}

static void a_missing_file_is_an_error(void **state)
{
	struct image *image = NULL;

	(void)state;
	assert_int_equal(image_load(&image, "/nonexistent/image"), -ENOENT);
	assert_null(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_images_hold_everything),
		cmocka_unit_test(every_image_is_exact),
		cmocka_unit_test(by_arena_tcaches_add_up),
		cmocka_unit_test(a_change_is_waited_for),
		cmocka_unit_test(a_cache_being_changed_is_no_less_a_cache),
		cmocka_unit_test(a_cache_chained_to_itself_is_in_doubt),
		cmocka_unit_test(crossing_lists_are_in_doubt),
		cmocka_unit_test(a_ring_without_end_is_damage),
		cmocka_unit_test(the_quick_look_agrees),
		cmocka_unit_test(a_heap_is_read_twice_alike),
		cmocka_unit_test(swapped_pages_leave_no_wrong_figure),
		cmocka_unit_test(a_small_image_reads_back),
		cmocka_unit_test(cut_images_are_refused),
		cmocka_unit_test(hostile_images_are_refused),
		cmocka_unit_test(a_missing_file_is_an_error),
	};

	return cmocka_run_group_tests(tests, saved_setup, saved_teardown);
}
