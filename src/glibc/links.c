#include "glibc/links.h"

#include "base/alloc_touched.h"
#include "base/sort.h"
#include "glibc/layout.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACE_BITS = 24, /* a block's chunks lie within 256 MB */
	KIND_SHIFT = PLACE_BITS,
	KIND_BITS = 3, /* with CACHED_KIND the upper bits of a list's index, too */
	BIN_SHIFT = KIND_SHIFT + KIND_BITS,
	BIN_BITS = 4,
	MARK_BIT = BIN_SHIFT + BIN_BITS,
	CACHED_KIND = 4,
	INDEX_BITS = 12,
	LINKS_MOST_BLOCKS = 1 << INDEX_BITS,
	NUMBER_SHIFT = 8, /* a note's number: its block's place in order, and its own */
	TO_END = INT32_MIN,
	TO_FAR = INT32_MAX,
	NEAR = 24, /* notes looked at one by one */
};

_Static_assert(LINKS_IN_BLOCK < 1 << NUMBER_SHIFT, "a note's number holds its place");

/* Addresses count in units of 16 bytes: PLACE from the block's base, TO from the chunk.
 * Of a run TO is its length. */
struct note {
	uint32_t place;
	int32_t to;
};

/* A block is full, or the last of its chain. */
struct link_block {
	uint64_t base;
	uint32_t before; /* the block that was filled before, as in struct link_chain */
	uint16_t used;	 /* once it is in a chain that was joined */
	uint16_t arena;
	struct note note[LINKS_IN_BLOCK];
};

/* Of a block in order: all that says where in it a chunk's note should be. */
struct link_place {
	uint64_t start;
	uint32_t last; /* the place of its last note */
	float density; /* notes a unit */
	uint16_t block;
	uint16_t used;
};

struct links {
	pthread_mutex_t lock;
	unsigned capacity;
	unsigned fresh; /* blocks never used since the reset */
	uint32_t spare; /* those given back, as in struct link_chain */
	bool overflowed;
	struct link_chain kept;
	unsigned count;	 /* of kept blocks */
	uint64_t *order; /* which block is the Kth */
	uint64_t *start; /* scratch */
	struct link_place *place;
	uint32_t *size; /* of each note, in units; null unless WITH_SIZES */
	struct link_block *block;
};

struct links *links_new(unsigned blocks, bool with_sizes)
{
	struct links *links = alloc_touched(sizeof(*links));

	if (!links || blocks > LINKS_MOST_BLOCKS) {
		free(links);
		return NULL;
	}
	pthread_mutex_init(&links->lock, NULL);
	links->capacity = blocks;
	links->block = alloc_touched(blocks * sizeof(*links->block));
	links->start = alloc_touched(blocks * sizeof(*links->start));
	links->order = alloc_touched(blocks * sizeof(*links->order));
	links->place = alloc_touched(blocks * sizeof(*links->place));
	if (with_sizes)
		links->size = alloc_touched((size_t)blocks * LINKS_IN_BLOCK *
					    sizeof(*links->size));
	if (links->block && links->start && links->order && links->place &&
	    (links->size || !with_sizes))
		return links;
	links_free(links);
	return NULL;
}

void links_free(struct links *links)
{
	if (!links)
		return;
	pthread_mutex_destroy(&links->lock);
	free(links->block);
	free(links->start);
	free(links->order);
	free(links->place);
	free(links->size);
	free(links);
}

void links_reset(struct links *links)
{
	links->fresh = links->count = 0;
	links->spare = 0;
	links->overflowed = false;
	links->kept = (struct link_chain){0};
}

uint64_t *links_room(struct links *links, uint32_t *capacity)
{
	*capacity = links->capacity * (sizeof(struct link_block) / sizeof(uint64_t));
	return (uint64_t *)links->block;
}

bool links_overflowed(const struct links *links)
{
	return links->overflowed;
}

static struct link_block *block_of(const struct links *links, uint32_t block)
{
	return &links->block[block - 1];
}

/* KIND_BITS and BIN_BITS. */
static uint32_t packed_kind(const struct link *link)
{
	uint32_t kind = (uint32_t)link->kind, bin = link->bin;

	if (link->kind == LINK_CACHED)
		kind = CACHED_KIND | bin >> BIN_BITS;
	return kind | (bin & ((1 << BIN_BITS) - 1)) << KIND_BITS;
}

static enum link_kind kind_of(const struct note *note)
{
	uint32_t kind = note->place >> KIND_SHIFT & ((1 << KIND_BITS) - 1);

	return kind & CACHED_KIND ? LINK_CACHED : (enum link_kind)kind;
}

static unsigned bin_of(const struct note *note)
{
	uint32_t kind = note->place >> KIND_SHIFT & ((1 << KIND_BITS) - 1);
	unsigned bin = note->place >> BIN_SHIFT & ((1 << BIN_BITS) - 1);

	return kind & CACHED_KIND ? bin | (kind & (CACHED_KIND - 1)) << BIN_BITS : bin;
}

static uint32_t place_of(const struct note *note)
{
	return note->place & ((1 << PLACE_BITS) - 1);
}

/* ---- noting ---- */

static uint32_t take_block(struct links *links, bool is_needed)
{
	uint32_t block = 0;

	pthread_mutex_lock(&links->lock);
	if (!is_needed && links->fresh >= links->capacity / 2) {
		/* The other half is for what is needed. */
	} else if (links->spare) {
		block = links->spare;
		links->spare = block_of(links, block)->before;
	} else if (links->fresh < links->capacity) {
		block = ++links->fresh;
	} else {
		links->overflowed = true;
	}
	pthread_mutex_unlock(&links->lock);
	return block;
}

/* A block that is left before it is full says so itself. */
static bool begin_block(struct links *links, struct link_chain *chain, unsigned arena,
			uint64_t base, bool is_needed)
{
	uint32_t taken = take_block(links, is_needed);
	struct link_block *block;

	if (!taken)
		return false;
	if (chain->block)
		block_of(links, chain->block)->used = (uint16_t)chain->used;
	block = block_of(links, taken);
	block->base = base;
	block->before = chain->block;
	block->arena = (uint16_t)arena;
	*chain = (struct link_chain){taken, 0};
	return true;
}

static int32_t packed_way(const struct link *link)
{
	int64_t units = (int64_t)(link->to - link->at) / GLIBC_ALIGN;

	if (link->kind == LINK_RUN || link->kind == LINK_TOP_RUN)
		return (int32_t)(uint32_t)(link->bytes / GLIBC_ALIGN);
	/* The end of a list of bins, in malloc_state, may have another alignment. */
	if (link->way == LINK_NEXT && !((link->to - link->at) % GLIBC_ALIGN) &&
	    units > TO_END && units < TO_FAR)
		return (int32_t)units;
	return link->way == LINK_END ? TO_END : TO_FAR;
}

bool links_note(struct links *links, struct link_chain *chain, unsigned arena,
		const struct link *link)
{
	/* A run's place is its last unit, so that it comes behind all that is in it. */
	bool is_run = link->kind == LINK_RUN || link->kind == LINK_TOP_RUN;
	uint64_t at = is_run ? link->at - GLIBC_ALIGN : link->at;
	struct link_block *block = chain->block ? block_of(links, chain->block) : NULL;
	uint32_t place;

	if (is_run && link->bytes / GLIBC_ALIGN > UINT32_MAX)
		return false;
	if (!block || chain->used == LINKS_IN_BLOCK || at < block->base ||
	    (at - block->base) / GLIBC_ALIGN >> PLACE_BITS) {
		if (!begin_block(links, chain, arena, at, link->kind != LINK_CACHED))
			return false;
		block = block_of(links, chain->block);
	}
	place = (uint32_t)((at - block->base) / GLIBC_ALIGN);
	if (links->size)
		links->size[(chain->block - 1) * LINKS_IN_BLOCK + chain->used] =
			link->bytes / GLIBC_ALIGN > UINT32_MAX
				? 0
				: (uint32_t)(link->bytes / GLIBC_ALIGN);
	block->note[chain->used++] =
		(struct note){place | packed_kind(link) << KIND_SHIFT, packed_way(link)};
	return true;
}

/* ---- chains ---- */

void links_join(struct links *links, struct link_chain *into, struct link_chain from)
{
	uint32_t first = from.block;

	if (!first)
		return;
	block_of(links, first)->used = (uint16_t)from.used;
	while (block_of(links, first)->before)
		first = block_of(links, first)->before;
	block_of(links, first)->before = into->block;
	*into = from;
}

void links_drop(struct links *links, struct link_chain chain)
{
	for (uint32_t block = chain.block, before; block; block = before) {
		before = block_of(links, block)->before;
		block_of(links, block)->before = links->spare;
		links->spare = block;
	}
}

void links_keep(struct links *links, struct link_chain from)
{
	links_join(links, &links->kept, from);
}

static void set_place(struct links *links, unsigned k)
{
	unsigned number = (unsigned)links->order[k];
	const struct link_block *block = &links->block[number];
	uint32_t last = place_of(&block->note[block->used - 1]);

	links->place[k] = (struct link_place){
		.start = block->base,
		.last = last,
		.density = (float)block->used / (float)(last + 1),
		.block = (uint16_t)number,
		.used = block->used,
	};
}

void links_sort(struct links *links)
{
	links->count = 0;
	for (uint32_t block = links->kept.block; block;
	     block = block_of(links, block)->before)
		if (block_of(links, block)->used)
			links->order[links->count++] =
				block_of(links, block)->base / GLIBC_ALIGN << INDEX_BITS |
				(block - 1);
	sort_addresses(links->order, links->count);
	for (unsigned i = 0; i < links->count; i++) {
		links->order[i] &= (1 << INDEX_BITS) - 1;
		set_place(links, i);
	}
}

/* ---- finding ---- */

uint64_t links_count(const struct links *links)
{
	return (uint64_t)links->count * LINKS_IN_BLOCK;
}

static struct link_block *block_at(const struct links *links, uint32_t number)
{
	return &links->block[links->order[number >> NUMBER_SHIFT]];
}

static struct note *note_at(const struct links *links, uint32_t number)
{
	return &block_at(links, number)->note[number & ((1 << NUMBER_SHIFT) - 1)];
}

/* The last block in order that does not begin above ADDR; without a branch that a
 * processor has to guess. */
static unsigned last_block(const struct links *links, uint64_t addr)
{
	const struct link_place *base = links->place;

	for (unsigned count = links->count; count > 1;) {
		unsigned half = count / 2;

		base = base[half].start <= addr ? base + half : base;
		count -= half;
	}
	return (unsigned)(base - links->place);
}

uint32_t links_guess(const struct links *links, uint64_t addr)
{
	const struct link_place *place;
	unsigned k, i;
	uint64_t unit;

	if (!links->count || addr < links->place[0].start)
		return LINKS_NONE;
	k = last_block(links, addr);
	place = &links->place[k];
	unit = (addr - place->start) / GLIBC_ALIGN;
	if (unit > place->last)
		return LINKS_NONE;
	i = (unsigned)((float)unit * place->density);
	if (i >= place->used)
		i = place->used - 1U;
	__builtin_prefetch(&links->block[place->block].note[i]);
	return k << NUMBER_SHIFT | i;
}

/* Among COUNT notes, the last that is not above UNIT. */
static unsigned search(const struct note *note, unsigned count, uint32_t unit)
{
	const struct note *base = note;

	while (count > 1) {
		unsigned half = count / 2;

		base = place_of(&base[half]) <= unit ? base + half : base;
		count -= half;
	}
	return (unsigned)(base - note);
}

uint32_t links_find_near(const struct links *links, uint64_t addr, uint32_t guess)
{
	const struct link_place *place;
	const struct note *note;
	unsigned i, steps = 0;
	uint32_t unit;

	if (guess == LINKS_NONE)
		return LINKS_NONE;
	place = &links->place[guess >> NUMBER_SHIFT];
	note = links->block[place->block].note;
	unit = (uint32_t)((addr - place->start) / GLIBC_ALIGN);
	i = guess & ((1 << NUMBER_SHIFT) - 1);
	while (i && place_of(&note[i]) > unit && steps++ < NEAR)
		i--;
	while (i + 1U < place->used && place_of(&note[i + 1]) <= unit && steps++ < NEAR)
		i++;
	if (steps >= NEAR)
		i = search(note, place->used, unit);
	return place_of(&note[i]) == unit ? (guess >> NUMBER_SHIFT) << NUMBER_SHIFT | i
					  : LINKS_NONE;
}

uint32_t links_find(const struct links *links, uint64_t addr)
{
	return links_find_near(links, addr, links_guess(links, addr));
}

uint32_t links_next(const struct links *links, uint32_t number)
{
	uint32_t next = number == LINKS_NONE ? 0 : number + 1;

	if (number != LINKS_NONE &&
	    (next & ((1 << NUMBER_SHIFT) - 1)) >= block_at(links, number)->used)
		next = ((number >> NUMBER_SHIFT) + 1) << NUMBER_SHIFT;
	return next >> NUMBER_SHIFT < links->count ? next : LINKS_NONE;
}

uint32_t links_previous(const struct links *links, uint32_t number)
{
	uint32_t block = number >> NUMBER_SHIFT;

	if (number & ((1 << NUMBER_SHIFT) - 1))
		return number - 1;
	if (!block)
		return LINKS_NONE;
	return (block - 1) << NUMBER_SHIFT |
	       (links->block[links->order[block - 1]].used - 1U);
}

static uint64_t bytes_of(const struct links *links, uint32_t number, enum link_kind kind,
			 unsigned bin)
{
	uint64_t index = links->order[number >> NUMBER_SHIFT] * LINKS_IN_BLOCK +
			 (number & ((1 << NUMBER_SHIFT) - 1));

	if (kind == LINK_FAST || kind == LINK_CACHED)
		return GLIBC_MIN_CHUNK + (uint64_t)bin * GLIBC_ALIGN;
	return links->size ? (uint64_t)links->size[index] * GLIBC_ALIGN : 0;
}

void links_get(const struct links *links, uint32_t number, struct link *link)
{
	const struct note *note = note_at(links, number);
	uint64_t at =
		block_at(links, number)->base + (uint64_t)place_of(note) * GLIBC_ALIGN;

	link->kind = kind_of(note);
	link->bin = bin_of(note);
	link->at = at;
	if (link->kind == LINK_RUN || link->kind == LINK_TOP_RUN) {
		link->at = at + GLIBC_ALIGN;
		link->bytes = (uint64_t)(uint32_t)note->to * GLIBC_ALIGN;
		return;
	}
	link->bytes = bytes_of(links, number, link->kind, link->bin);
	link->way = note->to == TO_END	 ? LINK_END
		    : note->to == TO_FAR ? LINK_FAR
					 : LINK_NEXT;
	link->to = at + (uint64_t)((int64_t)note->to * GLIBC_ALIGN);
}

bool links_each(const struct links *links, uint32_t *number, struct link *link)
{
	*number = links_next(links, *number);
	if (*number == LINKS_NONE)
		return false;
	links_get(links, *number, link);
	return true;
}

unsigned links_arena(const struct links *links, uint32_t number)
{
	return block_at(links, number)->arena;
}

bool links_is_marked(const struct links *links, uint32_t number)
{
	return note_at(links, number)->place >> MARK_BIT & 1;
}

bool links_mark(struct links *links, uint32_t number)
{
	struct note *note = note_at(links, number);
	bool was = note->place >> MARK_BIT & 1;

	note->place |= UINT32_C(1) << MARK_BIT;
	return !was;
}

void links_unmark(struct links *links, uint32_t number)
{
	note_at(links, number)->place &= ~(UINT32_C(1) << MARK_BIT);
}

void links_distrust(struct links *links, uint32_t number)
{
	note_at(links, number)->to = TO_FAR;
}

/* ---- in place of the notes, addresses ---- */

static void swap_blocks(struct link_block *a, struct link_block *b)
{
	struct link_block held = *a;

	*a = *b;
	*b = held;
}

/* Puts the block that is the Kth in order at index K. START serves to tell which place in
 * order each block has. */
static void put_in_order(struct links *links)
{
	uint64_t *place = links->start, *order = links->order;
	const uint64_t none = links->capacity;

	for (unsigned i = 0; i < links->capacity; i++)
		place[i] = none;
	for (unsigned k = 0; k < links->count; k++)
		place[order[k]] = k;
	for (unsigned k = 0; k < links->count; k++) {
		uint64_t from = order[k], other = place[k];

		if (from == k)
			continue;
		swap_blocks(&links->block[k], &links->block[from]);
		place[from] = other;
		if (other != none)
			order[other] = from;
	}
}

uint32_t links_to_addresses(struct links *links)
{
	uint64_t *to = (uint64_t *)links->block;
	uint32_t count = 0;

	put_in_order(links);
	for (unsigned k = 0; k < links->count; k++) {
		/* What is written comes up to what is read, but never before it. */
		const struct link_block *block = &links->block[k];
		uint64_t base = block->base;
		unsigned used = block->used;

		for (unsigned i = 0; i < used; i++) {
			struct note note = block->note[i];

			if (note.place >> MARK_BIT & 1 && kind_of(&note) == LINK_FAST)
				to[count++] =
					base + (uint64_t)place_of(&note) * GLIBC_ALIGN;
		}
	}
	links->count = 0;
	return count;
}
