/* test_survey.c: maps and pins of saved heaps agree with the readings of the same heaps,
 * with each other at every size of cell, and with what follows from the chunks one by
 * one. */
#include "saved.h"

#include "glibc/walk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHUNKS = 1 << 17, CELLS = 1 << 12 };

struct fixture {
	struct saved saved[SAVED_MAX];
	int count;
	struct heap_map *map;
};

/* One saved heap, open for reading. */
struct look {
	const struct saved *saved;
	struct image_memory memory;
	struct pages *pages;
	struct heap *heap;
	struct sample *sample;
};

static int load(void **state)
{
	static struct fixture fixture;
	char why[SAVED_PATH];

	fixture.count = saved_load(fixture.saved, why);
	if (fixture.count < 0)
		print_error("%s: %s\n", why, strerror(-fixture.count));
	fixture.map = heap_map_new(CELLS, CHUNKS);
	*state = &fixture;
	return fixture.count < 0 || !fixture.map ? -1 : 0;
}

static int unload(void **state)
{
	struct fixture *fixture = *state;

	saved_free(fixture->saved, fixture->count);
	heap_map_free(fixture->map);
	return 0;
}

static void open_look(struct look *look, const struct saved *saved)
{
	static const struct heap_options options = {
		.threads = 1, .arenas = true, .survey = true};
	const struct image *image = saved->image;
	struct fault fault = {.text = ""};

	look->saved = saved;
	image_memory_init(&look->memory, image);
	look->pages = pages_new(&look->memory.memory, 1024);
	assert_non_null(look->pages);
	if (heap_new(&look->heap, &look->memory.memory, image->instance,
		     image->instance_count, &options, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
	look->sample = sample_new(heap_arena_capacity(look->heap), false);
	assert_non_null(look->sample);
	if (heap_look(look->heap, &fault) ||
	    heap_read(look->heap, &image->regions, look->sample, &fault))
		fail_msg("%s: %s", saved->name, fault.text);
}

static void close_look(struct look *look)
{
	assert_int_equal(look->memory.outside, 0);
	sample_free(look->sample);
	heap_free(look->heap);
	pages_free(look->pages);
}

static void read_map(struct look *look, struct heap_map *map)
{
	struct fault fault = {.text = ""};

	heap_map_clear(map);
	if (heap_look(look->heap, &fault) ||
	    heap_map(look->heap, &look->saved->image->regions, map, &fault))
		fail_msg("%s: %s", look->saved->name, fault.text);
	if (map->status != STATUS_COMPLETE)
		fail_msg("%s: arena %u: %s %s", look->saved->name, map->arena,
			 sample_status_name(map->status), map->missing);
}

static void read_blockers(struct look *look, struct blockers *blockers, int arena)
{
	struct fault fault = {.text = ""};

	*blockers = (struct blockers){.arena = arena};
	if (heap_look(look->heap, &fault) ||
	    heap_blockers(look->heap, &look->saved->image->regions, blockers, &fault))
		fail_msg("%s: %s", look->saved->name, fault.text);
	assert_int_equal(blockers->status, STATUS_COMPLETE);
}

static void check(const struct look *look, unsigned arena, const char *what, uint64_t got,
		  uint64_t want)
{
	if (got != want)
		fail_msg("%s: arena %u: %s: got %llu, want %llu", look->saved->name,
			 arena, what, (unsigned long long)got, (unsigned long long)want);
}

static uint64_t row_figure(const struct look *look, unsigned arena, enum figure f)
{
	const struct figures *fig = &look->sample->arena[arena].fig;

	assert_true(figure_has(fig, f));
	return fig->v[f].u;
}

/* ---- the map and the figures ---- */

static void check_totals(const struct look *look, const struct heap_map *map)
{
	const uint64_t *bytes = map->total.bytes;
	const struct {
		const char *what;
		uint64_t got;
		enum figure figure;
	} table[] = {
		{"cached", bytes[MAP_CACHED], FIG_TCACHE_BYTES},
		{"pinned", bytes[MAP_PINNED], FIG_PINNED_BYTES},
		{"trimmable", bytes[MAP_TRIMMABLE], FIG_TRIMMABLE_BYTES},
		{"retained", bytes[MAP_RETAINED], FIG_RETAINED_BYTES},
		{"foreign", bytes[MAP_FOREIGN], FIG_FOREIGN_BYTES},
		{"top", map->total.top_bytes, FIG_TOP_BYTES},
		{"free chunks", map->total.free_chunks, FIG_FREE_CHUNKS},
		{"cached chunks", map->total.cached_chunks, FIG_TCACHE_CHUNKS},
		{"largest", map->total.largest_free_bytes, FIG_LARGEST_FREE_BYTES},
		{"free",
		 bytes[MAP_PINNED] + bytes[MAP_TRIMMABLE] + bytes[MAP_RETAINED] +
			 bytes[MAP_RETURNED],
		 FIG_FREE_BYTES},
		/* The figure counts all that is neither free nor cached. */
		{"live", bytes[MAP_LIVE] + bytes[MAP_OWN] + bytes[MAP_FOREIGN],
		 FIG_LIVE_BYTES},
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
		check(look, map->arena, table[i].what, table[i].got,
		      row_figure(look, map->arena, table[i].figure));
	assert_int_equal(bytes[MAP_DOUBT] + bytes[MAP_UNREAD], 0);
}

static void check_cells(const struct look *look, const struct heap_map *map)
{
	uint64_t before = 0, sum = 0;

	for (unsigned i = 0; i < map->cell_count; i++) {
		const struct map_cell *cell = &map->cell[i];
		uint64_t bytes = 0;

		assert_true(cell->from >= before && cell->to > cell->from);
		before = cell->to;
		for (unsigned k = 0; k < MAP_KINDS; k++)
			bytes += cell->bytes[k];
		check(look, map->arena, "bytes of a cell", bytes, cell->to - cell->from);
		assert_true(cell->resident_bytes <= bytes);
		assert_true(cell->top_bytes <= bytes);
		assert_ptr_equal(heap_map_at(map, cell->from), cell);
		assert_ptr_equal(heap_map_at(map, cell->to - 1), cell);
		sum += cell->resident_bytes;
	}
	assert_null(heap_map_at(map, before));
	check(look, map->arena, "resident", sum, map->total.resident_bytes);
}

static void check_chunks(const struct look *look, const struct heap_map *map)
{
	uint64_t bytes[MAP_CHUNK_KINDS] = {0}, trimmable = 0, resident = 0;
	uint64_t count[MAP_CHUNK_KINDS] = {0};

	assert_true(map->has_chunks);
	for (unsigned i = 0; i < map->chunk_count; i++) {
		const struct map_chunk *chunk = &map->chunk[i];

		bytes[chunk->kind] += chunk->bytes;
		count[chunk->kind]++;
		trimmable += chunk->trimmable_bytes;
		resident += chunk->resident_bytes;
		assert_ptr_equal(heap_map_chunk(map, chunk->addr + 8), chunk);
	}
	check(look, map->arena, "live of chunks", bytes[MAP_CHUNK_LIVE],
	      map->total.bytes[MAP_LIVE]);
	check(look, map->arena, "live chunks", count[MAP_CHUNK_LIVE],
	      map->total.live_chunks);
	check(look, map->arena, "cached of chunks", bytes[MAP_CHUNK_CACHED],
	      map->total.bytes[MAP_CACHED]);
	check(look, map->arena, "fast of chunks", bytes[MAP_CHUNK_FAST],
	      row_figure(look, map->arena, FIG_FAST_BYTES));
	check(look, map->arena, "top of chunks", bytes[MAP_CHUNK_TOP],
	      map->total.top_bytes);
	check(look, map->arena, "trimmable of chunks", trimmable,
	      map->total.bytes[MAP_TRIMMABLE]);
	check(look, map->arena, "resident of chunks", resident,
	      map->total.resident_bytes);
}

static void maps_agree_with_figures(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *map = fixture->map;
	static const unsigned cells[] = {4, 9, 64, 1000, CELLS};

	for (int i = 0; i < fixture->count; i++) {
		struct look look;

		open_look(&look, &fixture->saved[i]);
		for (unsigned a = 0; a < look.sample->arena_count; a++)
			for (unsigned c = 0; c < sizeof(cells) / sizeof(*cells); c++) {
				map->arena = a;
				map->cell_capacity = cells[c];
				read_map(&look, map);
				check_totals(&look, map);
				check_cells(&look, map);
				check_chunks(&look, map);
			}
		map->cell_capacity = CELLS;
		close_look(&look);
	}
}

/* Cut into ranges at any place, an arena is the sum of its parts. */
static void ranges_add_up(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *map = fixture->map;

	for (int i = 0; i < fixture->count; i++) {
		uint64_t sum[MAP_KINDS] = {0}, top = 0, from, to, step;
		struct map_cell whole;
		struct look look;

		open_look(&look, &fixture->saved[i]);
		map->arena = 0;
		read_map(&look, map);
		whole = map->total;
		from = map->arena_from;
		to = map->arena_to;
		step = (to - from) / 7 + 4321;
		for (; from < to; from += step) {
			map->from = from;
			map->to = from + step;
			read_map(&look, map);
			check_cells(&look, map);
			for (unsigned k = 0; k < MAP_KINDS; k++)
				sum[k] += map->total.bytes[k];
			top += map->total.top_bytes;
		}
		for (unsigned k = 0; k < MAP_KINDS; k++)
			check(&look, 0, map_kind_name(k), sum[k], whole.bytes[k]);
		check(&look, 0, "top", top, whole.top_bytes);
		map->from = map->to = 0;
		close_look(&look);
	}
}

/* Takes every SEVENTH page of the main arena away. */
static void swap_out(const struct image *image, const struct heap_map *map)
{
	enum { SEVENTH = 7, FIRST = 3 };

	for (unsigned c = 0; c < map->cell_count; c++) {
		uint64_t page = map->cell[c].from >> image->page_shift;
		uint64_t i = image_page(image, map->cell[c].from);

		if (page % SEVENTH == FIRST && i < image->page_count)
			image->flags[i] = PAGE_SWAPPED;
	}
}

/* What is swapped out stays there, and is told apart; of the rest the map says what the
 * reading says. */
static void swapped_pages_are_told(void **state)
{
	static const enum figure figures[] = {FIG_PINNED_BYTES, FIG_TRIMMABLE_BYTES,
					      FIG_RETAINED_BYTES, FIG_FREE_BYTES};
	const struct fixture *fixture = *state;
	struct heap_map *map = fixture->map;

	for (int i = 0; i < fixture->count; i++) {
		const struct saved *saved = &fixture->saved[i];
		uint8_t *flags = malloc(saved->image->page_count);
		struct look look;

		assert_non_null(flags);
		memcpy(flags, saved->image->flags, saved->image->page_count);
		open_look(&look, saved);
		map->arena = 0;
		read_map(&look, map);
		close_look(&look);
		swap_out(saved->image, map);
		open_look(&look, saved);
		heap_map_clear(map);
		assert_int_equal(heap_look(look.heap, NULL), 0);
		assert_int_equal(heap_map(look.heap, &saved->image->regions, map, NULL),
				 0);
		assert_int_equal(map->status, STATUS_PARTIAL);
		/* A mapped stretch that is not whole is not found at all. */
		assert_true(map->total.bytes[MAP_UNREAD] ||
			    strstr(saved->name, "no-sbrk"));
		check_cells(&look, map);
		/* A reading does not tell what these chunks may change. */
		for (unsigned f = 0; f < sizeof(figures) / sizeof(*figures); f++)
			assert_false(figure_has(&look.sample->arena[0].fig, figures[f]));
		close_look(&look);
		memcpy(saved->image->flags, flags, saved->image->page_count);
		free(flags);
	}
}

static void a_list_that_does_not_fit_is_none(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *map = heap_map_new(16, 20);
	struct look look;

	assert_non_null(map);
	open_look(&look, &fixture->saved[0]);
	read_map(&look, map);
	assert_false(map->has_chunks);
	assert_int_equal(map->chunk_count, 0);
	map->from = map->arena_from;
	map->to = map->from + 64;
	read_map(&look, map);
	assert_true(map->has_chunks);
	assert_in_range(map->chunk_count, 1, 20);
	map->from = map->arena_to;
	map->to = map->from + 4096;
	read_map(&look, map);
	assert_int_equal(map->cell_count, 0);
	close_look(&look);
	heap_map_free(map);
}

static void what_is_not_there_is_refused(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *map = heap_map_new(1, 0);
	struct blockers blockers = {.arena = 1000};
	struct fault fault = {.text = ""};
	const struct regions *regions;
	struct look look;

	assert_non_null(map);
	open_look(&look, &fixture->saved[0]);
	regions = &look.saved->image->regions;
	map->arena = 1000;
	assert_int_equal(heap_look(look.heap, &fault), 0);
	assert_int_equal(heap_map(look.heap, regions, map, &fault), -ENOENT);
	assert_string_equal(fault.text, "there is no arena 1000");
	assert_int_equal(heap_blockers(look.heap, regions, &blockers, &fault), -ENOENT);
	close_look(&look);
	heap_map_free(map);
}

/* After a reading the maps of all arenas are those that looks of their own find. */
static void further_maps_are_the_same(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *more = heap_map_new(CELLS, CHUNKS), *map = fixture->map;
	struct fault fault = {.text = ""};
	struct look look;

	assert_non_null(more);
	for (int i = 0; i < fixture->count; i++) {
		open_look(&look, &fixture->saved[i]);
		for (unsigned a = 0; a < look.sample->arena_count; a++) {
			struct look other;

			more->arena = map->arena = a;
			heap_map_clear(more);
			if (heap_map_more(look.heap, more, &fault))
				fail_msg("%s: %s", fixture->saved[i].name, fault.text);
			open_look(&other, &fixture->saved[i]);
			read_map(&other, map);
			close_look(&other);
			assert_int_equal(more->cell_count, map->cell_count);
			assert_memory_equal(more->cell, map->cell,
					    map->cell_count * sizeof(*map->cell));
			assert_memory_equal(&more->total, &map->total,
					    sizeof(map->total));
		}
		assert_int_equal(heap_look(look.heap, &fault), 0);
		assert_int_equal(heap_map_more(look.heap, more, &fault), -EAGAIN);
		close_look(&look);
	}
	heap_map_free(more);
}

/* ---- pins, the long way ---- */

static bool is_free(const struct map_chunk *chunk)
{
	return chunk->kind == MAP_CHUNK_FREE || chunk->kind == MAP_CHUNK_FAST;
}

static bool is_used(const struct map_chunk *chunk)
{
	return chunk->kind == MAP_CHUNK_LIVE || chunk->kind == MAP_CHUNK_CACHED;
}

/* What a trim gives back of the free run around chunk I, were FIRST to LAST free too.
 * Runs that end with a top are left out: -1. */
static int64_t trimmable_around(const struct look *look, const struct heap_map *map,
				unsigned first, unsigned last)
{
	struct walk_totals totals = {0};

	while (first > 0 && is_free(&map->chunk[first - 1]))
		first--;
	while (last + 1 < map->chunk_count && is_free(&map->chunk[last + 1]))
		last++;
	walk_free_run(&totals, look->pages, look->memory.memory.page_shift,
		      map->chunk[first].addr,
		      map->chunk[last].addr + map->chunk[last].bytes);
	if (last + 1 < map->chunk_count && map->chunk[last + 1].kind == MAP_CHUNK_TOP)
		return -1;
	return (int64_t)totals.trimmable_bytes;
}

static unsigned index_at(const struct heap_map *map, uint64_t addr)
{
	const struct map_chunk *chunk = heap_map_chunk(map, addr);

	assert_non_null(chunk);
	assert_true(chunk->addr == addr);
	return chunk - map->chunk;
}

static uint64_t trimmable_of(const struct heap_map *map, unsigned i, int step)
{
	uint64_t bytes = 0;

	while (i < map->chunk_count && is_free(&map->chunk[i])) {
		bytes += map->chunk[i].trimmable_bytes;
		i += step;
	}
	return bytes;
}

/* What BLOCKER unlocks by its definition. */
static void check_blocker(const struct look *look, const struct heap_map *map,
			  const struct blocker *blocker)
{
	unsigned first = index_at(map, blocker->addr);
	unsigned last = first + (unsigned)blocker->chunks - 1;
	int64_t without = trimmable_around(look, map, first, last);
	uint64_t now = trimmable_of(map, first - 1, -1) + trimmable_of(map, last + 1, 1);

	for (unsigned i = first; i <= last; i++)
		assert_true(is_used(&map->chunk[i]));
	check(look, blocker->arena, "end of a pin",
	      map->chunk[last].addr + map->chunk[last].bytes,
	      blocker->addr + blocker->bytes);
	if (without >= 0)
		check(look, blocker->arena, "unlocked by a pin", blocker->unlocked_bytes,
		      (uint64_t)without - now);
	assert_true(blocker->unlocked_free_bytes <= blocker->unlocked_bytes);
}

static bool has_pinned(const struct heap_map *map, uint64_t page, unsigned page_shift)
{
	uint64_t end = (page + 1) << page_shift;

	for (uint64_t at = page << page_shift; at < end; at += map->cell_bytes) {
		const struct map_cell *cell = heap_map_at(map, at);

		if (cell && cell->bytes[MAP_PINNED])
			return true;
	}
	return false;
}

/* With no cell larger than a page, the cells tell which pages hold pinned bytes. */
static void check_pinning(const struct look *look, const struct heap_map *map,
			  const struct blockers *blockers)
{
	unsigned shift = look->memory.memory.page_shift;
	uint64_t chunks = 0, bytes = 0;

	for (unsigned i = 0; i < map->chunk_count; i++) {
		const struct map_chunk *chunk = &map->chunk[i];
		uint64_t first = chunk->addr >> shift;
		uint64_t last = (chunk->addr + chunk->bytes - 1) >> shift;

		if (!is_used(chunk) ||
		    (!has_pinned(map, first, shift) && !has_pinned(map, last, shift)))
			continue;
		chunks++;
		bytes += chunk->bytes;
	}
	check(look, map->arena, "pinning chunks", blockers->pinning_chunks, chunks);
	check(look, map->arena, "pinning bytes", blockers->pinning_bytes, bytes);
}

static double leverage(const struct blocker *blocker)
{
	return (double)blocker->unlocked_free_bytes / blocker->chunks;
}

static bool is_among_best(const struct blockers *blockers, uint64_t addr)
{
	for (unsigned i = 0; i < blockers->best_count; i++)
		if (blockers->best[i].addr == addr)
			return true;
	return false;
}

/* No single chunk between free ones that is not among the best unlocks more. */
static void check_best(const struct look *look, const struct heap_map *map,
		       const struct blockers *blockers)
{
	double least = blockers->best_count < BLOCKERS_BEST
			       ? 0
			       : leverage(&blockers->best[BLOCKERS_BEST - 1]);

	for (unsigned i = 1; i < blockers->best_count; i++)
		assert_true(leverage(&blockers->best[i - 1]) >=
			    leverage(&blockers->best[i]));
	for (unsigned i = 1; i + 1 < map->chunk_count; i++) {
		const struct map_chunk *chunk = &map->chunk[i];
		int64_t gain;

		if (!is_used(chunk) || !is_free(&chunk[-1]) || !is_free(&chunk[1]))
			continue;
		gain = trimmable_around(look, map, i, i) -
		       (int64_t)(trimmable_of(map, i - 1, -1) +
				 trimmable_of(map, i + 1, 1));
		/* Of what it gains its own bytes are at most all. */
		if (gain - (int64_t)chunk->bytes > (int64_t)least)
			assert_true(is_among_best(blockers, chunk->addr));
	}
}

static void check_steps(const struct look *look, const struct heap_map *map,
			const struct blockers *blockers)
{
	for (unsigned s = 0; s < blockers->step_count; s++) {
		const struct blockers_step *step = &blockers->step[s];
		uint64_t chunks = 0, bytes = 0, hole = 0, resident = 0;
		uint64_t free_bytes = 0, free_resident = 0;

		/* What is free above the last of them they do not keep. */
		for (unsigned i = index_at(map, step->from);
		     map->chunk[i].kind != MAP_CHUNK_TOP; i++) {
			const struct map_chunk *chunk = &map->chunk[i];

			if (!is_used(chunk)) {
				free_bytes += chunk->bytes;
				free_resident += chunk->resident_bytes;
				continue;
			}
			chunks++;
			bytes += chunk->bytes;
			hole += free_bytes;
			resident += free_resident;
			free_bytes = free_resident = 0;
		}
		check(look, map->arena, "chunks of a step", step->chunks, chunks);
		check(look, map->arena, "bytes of a step", step->bytes, bytes);
		check(look, map->arena, "hole of a step", step->hole_bytes, hole);
		check(look, map->arena, "resident hole of a step",
		      step->hole_resident_bytes, resident);
	}
}

static void pins_are_what_they_are_defined_to_be(void **state)
{
	const struct fixture *fixture = *state;
	struct heap_map *map = fixture->map;
	unsigned best = 0, steps = 0, pages = 0;

	for (int i = 0; i < fixture->count; i++) {
		struct look look;

		open_look(&look, &fixture->saved[i]);
		for (unsigned a = 0; a < look.sample->arena_count; a++) {
			struct blockers blockers;

			map->arena = a;
			read_map(&look, map);
			read_blockers(&look, &blockers, (int)a);
			check(&look, a, "pinned", blockers.pinned_bytes,
			      map->total.bytes[MAP_PINNED]);
			for (unsigned p = 0; p < blockers.best_count; p++)
				check_blocker(&look, map, &blockers.best[p]);
			for (unsigned p = 0; p < blockers.tail_count; p++)
				check_blocker(&look, map, &blockers.tail[p]);
			check_best(&look, map, &blockers);
			check_steps(&look, map, &blockers);
			if (map->cell_bytes <= 4096 && !(map->arena_from & 4095)) {
				check_pinning(&look, map, &blockers);
				pages++;
			}
			best += blockers.best_count;
			steps += blockers.step_count;
		}
		close_look(&look);
	}
	/* The images are worth their room. */
	assert_true(best > 100 && steps > 10 && pages > 10);
}

static void all_arenas_add_up(void **state)
{
	const struct fixture *fixture = *state;

	for (int i = 0; i < fixture->count; i++) {
		struct blockers all, one;
		uint64_t pinned = 0, chunks = 0, bytes = 0;
		struct look look;

		open_look(&look, &fixture->saved[i]);
		read_blockers(&look, &all, BLOCKERS_ALL_ARENAS);
		for (unsigned a = 0; a < look.sample->arena_count; a++) {
			read_blockers(&look, &one, (int)a);
			pinned += one.pinned_bytes;
			chunks += one.pinning_chunks;
			bytes += one.pinning_bytes;
		}
		check(&look, 0, "pinned of all", all.pinned_bytes, pinned);
		check(&look, 0, "chunks of all", all.pinning_chunks, chunks);
		check(&look, 0, "bytes of all", all.pinning_bytes, bytes);
		check(&look, 0, "pinned", all.pinned_bytes,
		      look.sample->fig.v[FIG_PINNED_BYTES].u);
		close_look(&look);
	}
}

/* By what a reading found, in one pass: the same as looks of their own; and once only. */
static void one_pass_tells_both(void **state)
{
	const struct fixture *fixture = *state;

	for (int i = 0; i < fixture->count; i++) {
		struct heap_map *map = heap_map_new(100, 0), *own = heap_map_new(100, 0);
		struct fault fault = {.text = ""};
		struct blockers blockers = {.arena = BLOCKERS_ALL_ARENAS}, alone;
		struct look look;

		open_look(&look, &fixture->saved[i]);
		map->arena = own->arena = look.sample->arena_count - 1;
		if (heap_look_closer(look.heap, &blockers, map, &fault))
			fail_msg("%s: %s", look.saved->name, fault.text);
		assert_int_equal(heap_look_closer(look.heap, &blockers, map, &fault),
				 -EAGAIN);
		read_map(&look, own);
		read_blockers(&look, &alone, BLOCKERS_ALL_ARENAS);
		check(&look, 0, "pinned", blockers.pinned_bytes, alone.pinned_bytes);
		check(&look, 0, "chunks", blockers.pinning_chunks, alone.pinning_chunks);
		assert_memory_equal(blockers.best, alone.best, sizeof(blockers.best));
		assert_memory_equal(blockers.step, alone.step, sizeof(blockers.step));
		check(&look, map->arena, "cells", map->cell_count, own->cell_count);
		assert_memory_equal(map->cell, own->cell,
				    own->cell_count * sizeof(*own->cell));
		heap_map_free(map);
		heap_map_free(own);
		close_look(&look);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_agree_with_figures),
		cmocka_unit_test(ranges_add_up),
		cmocka_unit_test(swapped_pages_are_told),
		cmocka_unit_test(a_list_that_does_not_fit_is_none),
		cmocka_unit_test(what_is_not_there_is_refused),
		cmocka_unit_test(further_maps_are_the_same),
		cmocka_unit_test(pins_are_what_they_are_defined_to_be),
		cmocka_unit_test(all_arenas_add_up),
		cmocka_unit_test(one_pass_tells_both),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
