#include "damage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES_MAX = 1 << 16, /* of one kind: an edit's index reaches them all */
	CHANGED_MAX = 1024,
	ARENAS = 64,
	DROP_MAX = 8,
};

struct changed {
	uint8_t *at;
	uint64_t was;
	uint8_t bytes; /* 1: a page's flags; 8: a word */
};

struct damage {
	struct image *image;
	unsigned count[PLACES];
	uint64_t *place[PLACES];
	unsigned changed_count;
	struct changed changed[CHANGED_MAX];
};

uint64_t damage_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- where ---- */

static bool load(const struct image *image, uint64_t addr, uint64_t *word)
{
	const uint8_t *at = image_at(image, addr, sizeof(*word));

	if (at)
		memcpy(word, at, sizeof(*word));
	return at != NULL;
}

static void add(struct damage *damage, enum place place, uint64_t addr)
{
	if (image_at(damage->image, addr, 8) && damage->count[place] < PLACES_MAX)
		damage->place[place][damage->count[place]++] = addr;
}

static void add_words(struct damage *damage, enum place place, uint64_t addr,
		      uint64_t bytes)
{
	for (uint64_t i = 0; i + 8 <= bytes; i += 8)
		add(damage, place, addr + i);
}

static void add_link(struct damage *damage, uint64_t addr)
{
	uint64_t word;

	if (load(damage->image, addr, &word) && word >= 1 << 16 && word >> 47 == 0)
		add(damage, PLACE_LINK, addr);
}

static void add_chunk(struct damage *damage, const struct malloc_layout *layout,
		      uint64_t at, uint64_t bytes)
{
	uint64_t more = bytes - layout->tcache.chunk_bytes;

	add_words(damage, PLACE_HEADER, at, 16);
	add_link(damage, at + 16);
	add_link(damage, at + 24);
	if (more == 0 || more == 16)
		add_words(damage, PLACE_TCACHE, at + 16, bytes - 16);
}

/* The chunks from START on; what is none is stepped over, pages that are not there are
 * jumped. */
static void add_chunks(struct damage *damage, const struct malloc_layout *layout,
		       uint64_t start, uint64_t end)
{
	uint64_t page = UINT64_C(1) << damage->image->page_shift, at = start, field;

	while (at < end) {
		uint64_t bytes = 0;

		if (!load(damage->image, at + 8, &field)) {
			at = (at & -page) + page;
			continue;
		}
		bytes = field & ~(uint64_t)CHUNK_FLAGS;
		if (field & 8 || bytes < GLIBC_MIN_CHUNK || bytes > end - at) {
			add(damage, PLACE_HEADER, at + 8);
			at += GLIBC_ALIGN;
			continue;
		}
		add_chunk(damage, layout, at, bytes);
		at += bytes;
	}
}

static int add_heap(uint64_t heap, const struct walk_segment *area, void *context)
{
	struct damage *damage = context;

	add_words(damage, PLACE_HEAP_INFO, heap, 48);
	add_chunks(damage, damage->image->instance[0].layout, area->start, area->end);
	return 0;
}

static void add_arena(struct damage *damage, const struct arena *arena)
{
	const struct arena_layout *layout = &arena->layout->arena;

	add(damage, PLACE_TOP, arena->addr + layout->top);
	add(damage, PLACE_TOP, arena_top(arena));
	add(damage, PLACE_TOP, arena_top(arena) + 8);
	add(damage, PLACE_RING, arena->addr + layout->next);
	add_words(damage, PLACE_STATE, arena->addr, 16);
	add_words(damage, PLACE_STATE, arena->addr + layout->attached_threads, 24);
	if (layout->fastbins)
		add_words(damage, PLACE_FASTBIN, arena->addr + layout->fastbins,
			  8 * GLIBC_FASTBINS);
	for (unsigned i = 0; i < GLIBC_BINS; i++)
		if (arena_bin_forward(arena, i) != arena_bin_self(arena, i))
			add_words(damage, PLACE_BIN, arena->addr + layout->bins + 16 * i,
				  16);
}

/* Regions that begin as chunks do: mapped stretches of a main arena and mapped chunks. */
static void add_mapped(struct damage *damage, const struct malloc_layout *layout)
{
	const struct regions *regions = &damage->image->regions;
	uint64_t page = UINT64_C(1) << damage->image->page_shift;

	for (unsigned i = 0; i < regions->count; i++) {
		const struct region *region = &regions->region[i];

		for (uint64_t at = region->start; at < region->end; at += page) {
			uint64_t before, field;

			if (!load(damage->image, at, &before) ||
			    !load(damage->image, at + 8, &field) || before)
				continue;
			if ((field & CHUNK_FLAGS) == CHUNK_MMAPPED)
				add_words(damage, PLACE_HEADER, at, 16);
			else if (at == region->start && !region->is_break &&
				 (field & CHUNK_FLAGS) == CHUNK_PREV_INUSE)
				add_chunks(damage, layout, at, region->end);
		}
	}
}

static bool find_places(struct damage *damage, struct memory *memory, struct pages *pages)
{
	const struct malloc_instance *instance = &damage->image->instance[0];
	struct arena arena[ARENAS];
	struct malloc_par par;
	const struct region *region;
	unsigned count = 0;

	if (arena_read_par(memory, pages, instance, &par) ||
	    arena_read_ring(memory, pages, instance, 0, arena, ARENAS, &count))
		return false;
	for (unsigned i = 0; i < count; i++) {
		add_arena(damage, &arena[i]);
		if (!arena[i].is_main &&
		    arena_each_heap(memory, pages, &arena[i], &par, add_heap, damage))
			return false;
	}
	region = regions_find(&damage->image->regions, par.sbrk_base);
	if (region)
		add_chunks(damage, instance->layout, (par.sbrk_base + 15) & ~UINT64_C(15),
			   region->end);
	add_mapped(damage, instance->layout);
	add_words(damage, PLACE_PAR, instance->par, instance->layout->par.size);
	return true;
}

struct damage *damage_new(struct image *image)
{
	struct damage *damage = calloc(1, sizeof(*damage));
	struct image_memory memory;
	struct pages *pages;
	bool ok = damage != NULL;

	image_memory_init(&memory, image);
	pages = pages_new(&memory.memory, 64);
	for (unsigned i = 0; ok && i < PLACES; i++) {
		damage->place[i] = malloc(PLACES_MAX * sizeof(*damage->place[i]));
		ok = damage->place[i] != NULL;
	}
	if (ok)
		damage->image = image;
	if (!ok || !pages || !find_places(damage, &memory.memory, pages)) {
		damage_free(damage);
		damage = NULL;
	}
	pages_free(pages);
	return damage;
}

void damage_free(struct damage *damage)
{
	for (unsigned i = 0; damage && i < PLACES; i++)
		free(damage->place[i]);
	free(damage);
}

unsigned damage_places(const struct damage *damage, enum place place)
{
	return damage->count[place];
}

/* ---- what ---- */

static uint64_t word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static void put(struct damage *damage, uint8_t *at, const void *value, uint8_t bytes)
{
	struct changed *changed = &damage->changed[damage->changed_count];

	if (damage->changed_count == CHANGED_MAX)
		return;
	*changed = (struct changed){at, 0, bytes};
	memcpy(&changed->was, at, bytes);
	memcpy(at, value, bytes);
	damage->changed_count++;
}

void damage_undo(struct damage *damage)
{
	while (damage->changed_count) {
		const struct changed *changed = &damage->changed[--damage->changed_count];

		memcpy(changed->at, &changed->was, changed->bytes);
	}
}

/* The address of place INDEX of kind PLACE; of another kind when there is none of it. */
static uint64_t pick(const struct damage *damage, unsigned place, uint64_t index)
{
	place %= PLACES;
	while (!damage->count[place])
		place = (place + 1) % PLACES;
	return damage->place[place][index % damage->count[place]];
}

/* The place that VALUE stands for, where an edit needs a second one. */
static uint64_t pick_other(const struct damage *damage, uint64_t value)
{
	return pick(damage, value & 0xff, value >> 8);
}

/* Sizes up to 256 bytes, 4 KB, 64 KB or 1 MB, with any flags. */
static uint64_t plausible_size(uint64_t value)
{
	static const unsigned bits[] = {8, 12, 16, 20};
	uint64_t mask = (UINT64_C(1) << bits[value >> 62]) - 1;

	return (value & mask & ~UINT64_C(15)) | (value >> 56 & CHUNK_FLAGS);
}

static uint64_t huge_value(uint64_t value)
{
	static const uint64_t edges[] = {
		UINT64_MAX,
		UINT64_MAX - 15,
		UINT64_C(1) << 63,
		INT64_MAX,
		INT64_MAX - 14,
		UINT64_C(1) << 47,
		(UINT64_C(1) << 47) - 16,
		UINT64_C(1) << 40,
		UINT64_C(1) << 32,
		UINT32_MAX,
		1 << 27,
		(1 << 20) | 1,
	};

	return edges[value % (sizeof(edges) / sizeof(*edges))] ^ (value >> 61);
}

/* The new word of the place at ADDR, which holds OLD. A link leads to a chunk, which is
 * 16 bytes before what a program holds: both are tried. */
static uint64_t new_word(const struct damage *damage, const struct edit *edit,
			 uint64_t addr, uint64_t old)
{
	uint64_t value = edit->value, other = pick_other(damage, value);
	uint64_t back = value >> 60 & 1 ? 16 : 0;

	switch ((enum change)(edit->change % CHANGES)) {
	case CHANGE_FLIP:
		return old ^ UINT64_C(1) << value % 64;
	case CHANGE_SIZE:
		return plausible_size(value);
	case CHANGE_HUGE:
		return huge_value(value);
	case CHANGE_POINTER:
		return (other & ~UINT64_C(15)) - back;
	case CHANGE_SELF:
		return (addr & ~UINT64_C(15)) - back;
	case CHANGE_SWAP:
	case CHANGE_COPY:
		return word_at(image_at(damage->image, other, 8));
	case CHANGE_NEAR:
		return old + 8 * (value % 9) - 32;
	case CHANGE_NOISE:
		return value;
	default:
		return 0;
	}
}

static void take_pages(struct damage *damage, uint64_t addr, uint64_t count,
		       uint8_t flags)
{
	uint64_t page = image_page(damage->image, addr);

	for (uint64_t i = 0; i < count && page + i < damage->image->page_count; i++)
		put(damage, &damage->image->flags[page + i], &flags, sizeof(flags));
}

void damage_apply(struct damage *damage, const struct edit *edit)
{
	uint64_t addr = pick(damage, edit->place, edit->index), old, new;
	uint64_t pages = 1 + edit->value % DROP_MAX;
	uint8_t *at = image_at(damage->image, addr, 8);
	unsigned change = edit->change % CHANGES;

	if (change == CHANGE_DROP) {
		take_pages(damage, addr, pages, 0);
		return;
	}
	if (change == CHANGE_SWAP_OUT) {
		take_pages(damage, addr, pages, PAGE_SWAPPED);
		return;
	}
	old = word_at(at);
	new = new_word(damage, edit, addr, old);
	put(damage, at, &new, sizeof(new));
	if (change == CHANGE_SWAP)
		put(damage, image_at(damage->image, pick_other(damage, edit->value), 8),
		    &old, sizeof(old));
}
