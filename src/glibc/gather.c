#include "glibc/gather.h"

#include "base/bytes.h"

#include <stdlib.h>

enum {
	FIRST_ROOM = 1 << 10,
	WORD = sizeof(uint64_t),
	BLOCK_WORDS = 1 << 16,
	RUN_LEAST = 4 << 10, /* bytes: a walk that jumps reads little of its heap */
	GAP_MOST = 4 << 10,  /* bytes that a window begins earlier to leave no gap */
};

struct gather_block {
	struct gather_block *next;
	uint32_t used;
	uint64_t word[BLOCK_WORDS];
};

struct gather {
	int64_t limit_bytes;
	_Atomic int64_t left_bytes;
	atomic_bool is_cut; /* some piece was not listed */
	uint64_t low, high; /* of words */
	struct gather_list *all;
	unsigned segments;
	struct {
		struct gather_list *first, *last;
	} segment[];
};

struct gather *gather_new(uint64_t limit_bytes, unsigned segments)
{
	struct gather *gather =
		calloc(1, sizeof(*gather) + segments * sizeof(*gather->segment));

	if (!gather)
		return NULL;
	gather->limit_bytes = limit_bytes < INT64_MAX ? (int64_t)limit_bytes : INT64_MAX;
	gather->left_bytes = gather->limit_bytes;
	gather->segments = segments;
	return gather;
}

void gather_free(struct gather *gather)
{
	struct gather_list *list = gather ? gather->all : NULL;

	while (list) {
		struct gather_list *other = list->other;

		gather_drop(list);
		free(list);
		list = other;
	}
	free(gather);
}

struct gather_list *gather_begin(struct gather *gather)
{
	struct gather_list *list;

	if (!gather || !gather_is_whole(gather))
		return NULL;
	list = calloc(1, sizeof(*list));
	if (!list) {
		atomic_store(&gather->is_cut, true);
		return NULL;
	}
	list->gather = gather;
	list->other = gather->all;
	gather->all = list;
	return list;
}

/* ---- memory ---- */

static bool take(struct gather *gather, size_t bytes)
{
	if (atomic_fetch_sub(&gather->left_bytes, (int64_t)bytes) >= (int64_t)bytes)
		return true;
	atomic_fetch_add(&gather->left_bytes, (int64_t)bytes);
	return false;
}

static void give_back(struct gather *gather, size_t bytes)
{
	atomic_fetch_add(&gather->left_bytes, (int64_t)bytes);
}

/* Makes room for COUNT things of SIZE bytes. */
static bool grow(struct gather *gather, void **from, uint32_t *room, uint64_t count,
		 size_t size)
{
	uint64_t wanted = *room ? *room : FIRST_ROOM;
	void *grown;

	while (wanted < count)
		wanted += wanted / 4;
	if (wanted > UINT32_MAX || !take(gather, (wanted - *room) * size))
		return false;
	grown = realloc(*from, wanted * size);
	if (!grown) {
		give_back(gather, (wanted - *room) * size);
		return false;
	}
	*from = grown;
	*room = (uint32_t)wanted;
	return true;
}

uint64_t gather_bytes(const struct gather *gather)
{
	return (uint64_t)(gather->limit_bytes - atomic_load(&gather->left_bytes));
}

void gather_drop_pieces(struct gather_list *list)
{
	give_back(list->gather, list->room * sizeof(*list->key));
	free(list->key);
	list->key = NULL;
	list->count = list->room = 0;
}

void gather_drop(struct gather_list *list)
{
	if (!list)
		return;
	gather_drop_pieces(list);
	give_back(list->gather, list->run_room * sizeof(*list->run));
	free(list->run);
	list->run = NULL;
	list->runs = list->run_room = 0;
	while (list->block) {
		struct gather_block *next = list->block->next;

		give_back(list->gather, sizeof(*list->block));
		free(list->block);
		list->block = next;
	}
	list->next = NULL;
}

/* ---- pieces ---- */

bool gather_room(struct gather_list *list, uint64_t count)
{
	if (count <= list->room || grow(list->gather, (void **)&list->key, &list->room,
					count, sizeof(*list->key)))
		return true;
	atomic_store(&list->gather->is_cut, true);
	return false;
}

void gather_keep(struct gather_list *list, unsigned segment, uint64_t count, uint64_t end)
{
	struct gather *gather = list ? list->gather : NULL;

	if (!gather || segment >= gather->segments)
		return;
	list->count = (uint32_t)count;
	list->end = end;
	if (gather->segment[segment].last)
		gather->segment[segment].last->next = list;
	else
		gather->segment[segment].first = list;
	gather->segment[segment].last = list;
}

void gather_drop_segment(struct gather *gather, unsigned segment)
{
	struct gather_list *list = gather ? gather_of(gather, segment) : NULL;

	while (list) {
		struct gather_list *next = list->next;

		gather_drop(list);
		list = next;
	}
	if (gather && segment < gather->segments)
		gather->segment[segment].first = gather->segment[segment].last = NULL;
}

void gather_drop_all(struct gather *gather)
{
	for (unsigned i = 0; gather && i < gather->segments; i++)
		gather_drop_segment(gather, i);
}

bool gather_is_whole(const struct gather *gather)
{
	return !atomic_load(&gather->is_cut);
}

struct gather_list *gather_of(const struct gather *gather, unsigned segment)
{
	return segment < gather->segments ? gather->segment[segment].first : NULL;
}

/* ---- words ---- */

void gather_want_words(struct gather *gather, uint64_t low, uint64_t high)
{
	gather->low = low;
	gather->high =
		high >> GATHER_PLACE_BITS ? UINT64_C(1) << GATHER_PLACE_BITS : high;
}

bool gather_has_words(const struct gather *gather, uint64_t low, uint64_t high)
{
	return gather->low < gather->high && low >= gather->low && high <= gather->high;
}

static uint64_t covered(const struct gather_list *list)
{
	return list->runs ? list->run[list->runs - 1].end : 0;
}

uint64_t gather_next(const struct gather_list *list, uint64_t at)
{
	uint64_t before = covered(list);

	return before < at && at - before <= GAP_MOST ? before : at;
}

/* Room for WORDS at once, or null. */
static struct gather_block *block_for(struct gather_list *list, uint32_t words)
{
	struct gather_block *block = list->block;

	if (block && BLOCK_WORDS - block->used > words)
		return block;
	/* Half of the memory is for pieces. */
	if (list->gather->left_bytes < list->gather->limit_bytes / 2 ||
	    !take(list->gather, sizeof(*block)))
		return NULL;
	block = malloc(sizeof(*block));
	if (!block) {
		give_back(list->gather, sizeof(*block));
		return NULL;
	}
	block->next = list->block;
	block->used = 0;
	list->block = block;
	return block;
}

/* Without a branch: there are many words, and which are in the range is not predictable.
 */
static uint32_t sift(const struct gather *gather, const uint8_t *from, uint32_t words,
		     uint64_t *to)
{
	uint64_t low = gather->low, span = gather->high - low, found = 0;

	for (uint64_t i = 0; i < words; i++) {
		uint64_t word = bytes_u64(from + i * WORD);

		to[found] = word | i << GATHER_PLACE_BITS;
		found += word - low < span;
	}
	return (uint32_t)found;
}

void gather_words(struct gather_list *list, uint64_t start, const uint8_t *buffer,
		  uint32_t bytes, uint64_t until)
{
	struct gather *gather = list->gather;
	uint64_t from = covered(list) > start ? covered(list) : start;
	uint64_t to = start + bytes < until ? start + bytes : until;
	struct gather_block *block;
	struct gather_run *run;

	from = (from + WORD - 1) & -(uint64_t)WORD;
	to &= -(uint64_t)WORD;
	if (gather->low >= gather->high || to < from + RUN_LEAST ||
	    (list->runs == list->run_room &&
	     !grow(gather, (void **)&list->run, &list->run_room, list->runs + 1,
		   sizeof(*list->run))))
		return;
	block = block_for(list, (uint32_t)((to - from) / WORD));
	if (!block)
		return;
	run = &list->run[list->runs++];
	*run = (struct gather_run){.start = from, .end = to};
	run->word = block->word + block->used;
	run->count = sift(gather, buffer + (from - start), (uint32_t)((to - from) / WORD),
			  block->word + block->used);
	block->used += run->count;
}
