#include "glibc/heap.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/sort.h"
#include "glibc/parts.h"
#include "glibc/sampled.h"
#include "glibc/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PAGE_BLOCKS = 1024, /* flags of 2 GB, half a megabyte of ours */
	ARENAS_MAX = 1 << 14,
	ARENAS_SPARE = 16,
	PLACES_SPARE = 4096,
	SEGMENTS_SPARE = 4096,
	LINKS_SPARE = 128,
	CHUNKS_SPARE = 4096,
	LINKS_FACTOR = 4,
	HUGE_LOOK_NS = 12000, /* at the pages of 2 MB */
	HEADER_NS = 400,      /* for one page far from all others */
};

unsigned heap_arena_capacity(const struct heap *heap)
{
	return heap->arena_capacity;
}

bool heap_is_used(const struct heap *heap)
{
	if (!heap->arena_count)
		return true;
	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->arena[i].used)
			return true;
	for (unsigned i = 0; i < heap->instance_count; i++)
		if (heap->par[i].n_mmaps)
			return true;
	return false;
}

static int read_instance(struct heap *heap, unsigned i)
{
	int error = arena_read_par(heap->memory, heap->pages, &heap->instance[i],
				   &heap->par[i]);

	if (error)
		return error;
	return arena_read_ring(heap->memory, heap->pages, &heap->instance[i], i,
			       heap->arena, heap->arena_capacity, &heap->arena_count);
}

/* Reads mp_ and the arenas. A ring that was being changed is read again. */
static int read_arenas(struct heap *heap)
{
	int error = 0;

	pages_swap_in(heap->pages, heap->options.swap_in);
	for (unsigned attempt = 0; attempt < 3; attempt++) {
		heap->arena_count = 0;
		error = 0;
		for (unsigned i = 0; i < heap->instance_count && !error; i++)
			error = read_instance(heap, i);
		if (error != -EUCLEAN && error != -EFAULT)
			break;
	}
	pages_swap_in(heap->pages, false);
	if (error)
		heap->arena_count = 0;
	return error;
}

int heap_cannot_read(const struct heap *heap, int error, struct fault *fault)
{
	const char *name = heap->instance[0].layout->name;

	if (error == -ENODATA)
		return fault_set(fault, EXIT_FAILED, error,
				 "malloc's own records are swapped out; --swap-in of "
				 "report, stat, "
				 "alert and top reads them in");
	if (error == -ENOSPC && heap->arena_capacity >= ARENAS_MAX)
		return fault_set(fault, EXIT_FAILED, error,
				 "there are more than %u arenas, the most that are read",
				 heap->arena_capacity);
	if (error == -ENOSPC)
		return fault_set(
			fault, EXIT_FAILED, error,
			"there are more arenas than the %u that there was room for: room "
			"for more is taken now",
			heap->arena_capacity);
	if (error == -EUCLEAN)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "malloc's records do not have the layout of glibc %s, "
				 "or are damaged",
				 name);
	if (error == -EFAULT)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "malloc's records are not in memory: it was not used "
				 "yet, or the process is ending");
	return fault_set(fault, EXIT_FAILED, error, "cannot read malloc's records: %s",
			 strerror(-error));
}

/* Replaces what is sized by the number of arenas. */
static int take_arenas(struct heap *heap, unsigned capacity)
{
	struct arena *arena = alloc_touched(capacity * sizeof(*arena));
	struct arena_work *work = alloc_touched(capacity * sizeof(*work));
	struct tcache_totals *by_arena = alloc_touched(capacity * sizeof(*by_arena));

	if (!arena || !work || !by_arena) {
		free(arena);
		free(work);
		free(by_arena);
		return -ENOMEM;
	}
	free(heap->arena);
	free(heap->work);
	free(heap->tcache_by_arena);
	heap->arena = arena;
	heap->work = work;
	heap->tcache_by_arena = by_arena;
	heap->arena_capacity = capacity;
	heap->arena_count = 0;
	return 0;
}

/* Room for as many arenas again as there are, and for all that arena_max's default allows
 * (arena.c, arena_get2: eight a core). */
static unsigned arenas_to_come(unsigned count)
{
	unsigned limit = 8 * sysconf(_SC_NPROCESSORS_CONF);

	return (2 * count > limit ? 2 * count : limit) + ARENAS_SPARE;
}

/* Reads the arenas into a table that grows, and leaves room in it. */
static int size_arenas(struct heap *heap)
{
	unsigned capacity = arenas_to_come(0), wanted;
	int error;

	for (;;) {
		error = take_arenas(heap, capacity);
		if (!error)
			error = read_arenas(heap);
		if (error != -ENOSPC || capacity >= ARENAS_MAX)
			break;
		capacity *= 4;
	}
	if (error == -ENODATA && heap->options.patient)
		return take_arenas(heap, arenas_to_come(0));
	wanted = arenas_to_come(heap->arena_count);
	if (error || wanted == capacity)
		return error;
	error = take_arenas(heap, wanted);
	return error ? error : read_arenas(heap);
}

/* For twice the segments of heap that there can be now, and some thousands: but for the
 * first and the last of an arena each has a megabyte at least (malloc.c, sysmalloc;
 * arena.c, new_heap). For the most where the arenas could not be read yet. */
static unsigned segments_room(const struct heap *heap)
{
	uint64_t room = 4 * (uint64_t)heap->arena_capacity + SEGMENTS_SPARE;

	if (!heap->arena_count)
		return HEAP_SEGMENTS;
	for (unsigned i = 0; i < heap->arena_count; i++)
		room += 2 * (arena_system_bytes(&heap->arena[i]) >> 20);
	return room < HEAP_SEGMENTS ? (unsigned)room : HEAP_SEGMENTS;
}

/* Replaces what is sized by the number of segments, where more room is needed. */
static int take_segments(struct heap *heap)
{
	unsigned room = segments_room(heap);
	struct owned_segment *segment;
	uint64_t *key, *heaps;

	if (heap->options.quick || room <= heap->segment_capacity)
		return 0;
	segment = alloc_touched(room * sizeof(*segment));
	key = alloc_touched(room * sizeof(*key));
	heaps = alloc_touched(room * sizeof(*heaps));
	if (!segment || !key || !heaps || survey_fit(heap->survey, room)) {
		free(segment);
		free(key);
		free(heaps);
		return -ENOMEM;
	}
	free(heap->segment);
	free(heap->segment_key);
	free(heap->heaps);
	heap->segment = segment;
	heap->segment_key = key;
	heap->heaps = heaps;
	heap->segment_capacity = room;
	return 0;
}

/* For twice as many mmapped chunks as there are, and as many other places again. */
static unsigned places_room(const struct heap *heap)
{
	uint64_t room = PLACES_SPARE;

	for (unsigned i = 0; i < heap->instance_count; i++)
		room += 4 * (uint64_t)heap->par[i].n_mmaps;
	return heap->arena_count && room < HEAP_PLACES ? (unsigned)room : HEAP_PLACES;
}

/* Blocks of notes for twice what the arenas can hold now, were all of it the smallest
 * chunks; for the most where they could not be read yet. */
static unsigned link_blocks(const struct heap *heap)
{
	uint64_t chunks = 0, blocks;

	if (!heap->arena_count)
		return HEAP_LINKS;
	for (unsigned i = 0; i < heap->arena_count; i++)
		chunks += 2 * (arena_system_bytes(&heap->arena[i]) / GLIBC_MIN_CHUNK);
	blocks = chunks / LINKS_IN_BLOCK + LINKS_SPARE;
	return blocks < HEAP_LINKS ? (unsigned)blocks : HEAP_LINKS;
}

static int take_links(struct heap *heap, unsigned blocks)
{
	struct links *links = links_new(blocks, heap->options.bins);

	if (!links)
		return -ENOMEM;
	links_free(heap->links);
	heap->links = links;
	heap->link_blocks = blocks;
	heap->fast = NULL;
	heap->fast_count = heap->fast_capacity = 0;
	return 0;
}

/* How many chunks there can be in the arenas: were all of them the smallest. Any number
 * where the arenas could not be read yet. */
static uint64_t chunks_possible(const struct heap *heap)
{
	uint64_t chunks = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		chunks += arena_system_bytes(&heap->arena[i]) / GLIBC_MIN_CHUNK;
	return heap->arena_count ? chunks : UINT64_MAX;
}

static uint32_t at_most(uint64_t chunks, uint32_t most)
{
	return chunks < most ? (uint32_t)chunks : most;
}

/* Replaces a list of single chunks that CHUNKS may not fit into by one for twice as many,
 * and some thousands; for MOST where that is less. */
static int fit_list(uint64_t **list, uint32_t *capacity, uint64_t chunks, uint32_t most)
{
	uint32_t needed = at_most(chunks, most);
	uint32_t room = at_most(2 * (uint64_t)needed + CHUNKS_SPARE, most);
	uint64_t *new;

	if (*list && *capacity >= needed)
		return 0;
	new = alloc_touched(room * sizeof(*new));
	if (!new)
		return -ENOMEM;
	free(*list);
	*list = new;
	*capacity = room;
	return 0;
}

/* What is sized by how many chunks there can be. */
static int fit_lists(struct heap *heap)
{
	uint64_t chunks = chunks_possible(heap);
	int error;

	if (heap->options.quick)
		return 0;
	error = fit_list(&heap->seed, &heap->seed_capacity, chunks, HEAP_SEEDS);
	if (!error)
		error = fit_list(&heap->cached.chunk, &heap->cached.capacity, chunks,
				 HEAP_CACHED);
	if (!error && heap->survey)
		error = fit_list(&heap->survey->cached, &heap->survey->cached_capacity,
				 chunks, SURVEY_CACHED);
	return error;
}

static int take_room(struct heap *heap)
{
	if (heap->options.quick)
		return 0;
	if (heap->options.survey && !(heap->survey = survey_new()))
		return -ENOMEM;
	if (take_segments(heap))
		return -ENOMEM;
	heap->tcaches.address =
		alloc_touched(HEAP_TCACHES * sizeof(*heap->tcaches.address));
	heap->tcaches.capacity = HEAP_TCACHES;
	if (fit_lists(heap) || take_links(heap, link_blocks(heap)))
		return -ENOMEM;
	heap->jobs = heap->options.threads > 1 ? HEAP_JOBS : HEAP_JOBS_OF_ONE;
	heap->walks = alloc_touched((heap->jobs + 1) * sizeof(*heap->walks));
	heap->place_capacity = places_room(heap);
	heap->places = alloc_touched(heap->place_capacity * sizeof(*heap->places));
	heap->window = alloc_touched(WALK_WINDOW);
	if (!heap->tcaches.address || !heap->walks || !heap->places || !heap->window)
		return -ENOMEM;
	if (heap->options.budget_ns && sampler_new(&heap->sampler, heap))
		return -ENOMEM;
	return walk_pool_new(&heap->pool, heap->memory, heap->pages,
			     heap->options.threads);
}

static int open_heap(struct heap *heap, struct fault *fault)
{
	int error;

	heap->pages = pages_new(heap->memory, PAGE_BLOCKS);
	heap->chains = heap->pages ? chain_reader_new(heap->memory, heap->pages) : NULL;
	if (heap->chains && heap->options.quick)
		pages_narrow(heap->pages);
	if (!heap->chains)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "there is no memory left to start");
	error = size_arenas(heap);
	if (error && error != -ENOMEM)
		return heap_cannot_read(heap, error, fault);
	if (!error)
		error = take_room(heap);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "there is no memory left to start");
	return 0;
}

int heap_new(struct heap **heap, struct memory *memory,
	     const struct malloc_instance *instance, unsigned count,
	     const struct heap_options *options, struct fault *fault)
{
	struct heap *new = alloc_touched(sizeof(*new));
	int error;

	if (!new || !count || count > HEAP_INSTANCES) {
		free(new);
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "there is no memory left to start");
	}
	new->memory = memory;
	new->options = *options;
	new->options.sizes |= options->bins;
	new->instance_count = count;
	memcpy(new->instance, instance, count * sizeof(*instance));
	error = open_heap(new, fault);
	if (error)
		heap_free(new);
	else
		*heap = new;
	return error;
}

void heap_free(struct heap *heap)
{
	if (!heap)
		return;
	survey_free(heap->survey);
	sampler_free(heap->sampler);
	walk_pool_free(heap->pool);
	chain_reader_free(heap->chains);
	pages_free(heap->pages);
	free(heap->arena);
	free(heap->work);
	free(heap->tcache_by_arena);
	free(heap->segment);
	free(heap->segment_key);
	free(heap->heaps);
	free(heap->tcaches.address);
	free(heap->cached.chunk);
	links_free(heap->links);
	free(heap->seed);
	free(heap->walks);
	free(heap->places);
	free(heap->window);
	free(heap);
}

static void begin_reading(struct heap *heap)
{
	pages_forget(heap->pages);
	heap->missing[0] = '\0';
	heap->has_walked = false;
	if (heap->survey)
		heap->survey->is_ready = false;
	heap->tcaches.count = 0;
	heap->tcache = (struct tcache_totals){0};
	if (heap->pool)
		walk_pool_forget(heap->pool);
}

bool heap_is_locked(const struct heap *heap)
{
	for (unsigned i = 0; i < heap->arena_count; i++)
		if (arena_is_locked(&heap->arena[i]))
			return true;
	return false;
}

/* A program with more arenas than there was room for has more segments, too. */
static int make_room(struct heap *heap)
{
	int error = size_arenas(heap);

	return error ? error : take_segments(heap);
}

/* A program that has got more fastbin chunks than there was room for may get more. That
 * there is no memory for it is no reason to read no more. */
static void make_link_room(struct heap *heap)
{
	unsigned blocks = LINKS_FACTOR * heap->link_blocks;

	if (blocks > HEAP_LINKS)
		blocks = HEAP_LINKS;
	if (blocks > heap->link_blocks)
		(void)take_links(heap, blocks);
	heap->needs_links = false;
}

int heap_look(struct heap *heap, struct fault *fault)
{
	int error;

	begin_reading(heap);
	if (heap->needs_links)
		make_link_room(heap);
	error = heap->needs_room ? make_room(heap) : read_arenas(heap);
	if (!heap->needs_room || !error)
		heap->needs_room = error == -ENOSPC && heap->arena_capacity < ARENAS_MAX;
	if (!error && !heap->arena_count)
		error = -ENODATA;
	/* Before there are too many chunks for a list. That there is no memory for more
	 * is no reason to read no more. */
	if (!error)
		(void)fit_lists(heap);
	return error ? heap_cannot_read(heap, error, fault) : 0;
}

/* Mmapped chunks are found where a look at all their pages is within the budget. A main
 * arena in mapped segments would have to be walked to be found. */
static bool find_some_mapped(struct heap *heap, const struct regions *regions)
{
	uint64_t bytes = 0, chunks = 0;

	for (unsigned i = 0; i < heap->arena_count; i++)
		if (heap->arena[i].used && heap->arena[i].is_main &&
		    !arena_is_contiguous(&heap->arena[i]) &&
		    heap->work[i].heap_segment_bytes <
			    arena_system_bytes(&heap->arena[i])) {
			heap->work[i].lacks = true;
			return false;
		}
	for (unsigned i = 0; i < heap->instance_count; i++) {
		bytes += heap->par[i].mmapped_bytes;
		chunks += heap->par[i].n_mmaps;
	}
	if ((int64_t)((bytes >> 21) * HUGE_LOOK_NS + chunks * HEADER_NS) >
	    heap_search_ns(heap))
		return false;
	heap_find_mapped(heap, regions);
	return true;
}

/* By the sampler, which looks at few places far apart: flags of pages are learned a few
 * at a time for it. */
static int read_sampled(struct heap *heap, const struct regions *regions,
			struct sample *sample)
{
	struct sampled_rest rest = {0};
	bool follow;
	int error;

	pages_narrow(heap->pages);
	/* Nothing is noted, and what is read one by one is not looked up. */
	links_reset(heap->links);
	links_sort(heap->links);
	heap_begin_arenas(heap, regions);
	error = heap_find_segments(heap, regions);
	if (!error)
		error = sampler_read(heap->sampler, heap, heap->options.budget_ns);
	if (!error) {
		heap_index_segments(heap);
		rest.lost_caches = sampler_find_caches(heap->sampler, heap, regions,
						       heap->options.budget_ns, &follow);
		rest.is_cached_by_home = !follow && heap->arena_count > 1;
		if (follow)
			error = heap_settle_tcaches(heap);
	}
	pages_widen(heap->pages);
	if (!error)
		rest.has_mapped = find_some_mapped(heap, regions);
	if (!error)
		sampled_figures(heap, heap->sampler, &rest, sample);
	return error;
}

static int read_whole(struct heap *heap, const struct regions *regions,
		      struct sample *sample)
{
	int64_t start_ns = clock_process_ns();
	int error = heap_walk_whole(heap, regions, sample);

	if (error)
		return error;
	heap_figures(heap, sample);
	heap->has_walked = true;
	if (heap->sampler)
		sampler_note_walk(heap->sampler, heap, clock_process_ns() - start_ns);
	return 0;
}

int heap_read(struct heap *heap, const struct regions *regions, struct sample *sample,
	      struct fault *fault)
{
	int error = 0;

	if (!heap->options.quick && heap->arena_count > sample->arena_capacity &&
	    sample_grow(sample, heap->arena_capacity))
		return fault_set(fault, EXIT_FAILED, -ENOSPC,
				 "there is no memory left for the rows of %u arenas",
				 heap->arena_count);
	heap->is_estimated =
		heap->sampler && heap->options.budget_ns &&
		sampler_pays(heap->sampler, heap,
			     heap->options.whole_ns ? heap->options.whole_ns
						    : heap->options.budget_ns);
	if (heap->options.quick) {
		memset(heap->work, 0, heap->arena_count * sizeof(*heap->work));
		heap_read_quick(heap);
		heap_figures(heap, sample);
	} else if (heap->is_estimated) {
		error = read_sampled(heap, regions, sample);
	} else {
		error = read_whole(heap, regions, sample);
	}
	return error ? heap_cannot_read(heap, error, fault) : 0;
}

void heap_set_budget(struct heap *heap, int64_t budget_ns)
{
	heap->options.budget_ns = budget_ns;
}

bool heap_is_estimated(const struct heap *heap)
{
	return heap->is_estimated;
}

uint64_t heap_swapped_in(struct heap *heap)
{
	return pages_swapped_in(heap->pages);
}

int heap_peek(struct heap *heap, uint64_t addr, void *to, uint32_t bytes)
{
	pages_forget(heap->pages);
	return memory_fetch(heap->memory, heap->pages, addr, to, bytes);
}
