#include "glibc/known.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/machine.h"
#include "base/sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	NODE = 32,     /* prev_size, size and two links */
	WINDOW = 4096, /* neighbours on a list often are neighbours in memory */
	TRIES = 4,
	SHARE_OF_BIN = 4, /* of the time that is left */
	CLOCK_EVERY = 16,
	UNSORTED_FEW = 16,
	HABIT_READINGS = 16, /* then each list is followed for its full time again */
	INDEX_BITS = 20,     /* beside the ADDRESS_BITS of a chunk's address */
};

enum outcome {
	WHOLE,
	CHANGED, /* or damaged */
	TOO_LONG,
};

/* The lists of one arena, while they are followed. */
struct known_follower {
	struct known *known;
	struct known_arena *result;
	struct known_habit *habit;
	struct memory *memory;
	struct pages *pages;
	struct arena *arena;
	unsigned number;
	uint32_t least; /* nodes that are read, whatever the time */
	uint32_t least_of_bins;
	uint32_t most; /* of a list that was too long before, nodes; or any number */
	uint32_t read;
	int64_t end_ns;	     /* of the list that is followed */
	uint64_t head_bytes; /* of its first chunk, which is its largest in a bin */
	int error;
	uint64_t window; /* 0: nothing is in DATA */
	uint8_t data[WINDOW];
};

int known_new(struct known *known, uint32_t capacity)
{
	*known = (struct known){.capacity = capacity};
	known->chunk = alloc_touched(capacity * sizeof(*known->chunk));
	known->sorted = alloc_touched(capacity * sizeof(*known->sorted));
	known->key = alloc_touched(capacity * sizeof(*known->key));
	if (known->chunk && known->sorted && known->key)
		return 0;
	known_free(known);
	return -ENOMEM;
}

void known_free(struct known *known)
{
	free(known->chunk);
	free(known->sorted);
	free(known->key);
	*known = (struct known){0};
}

static bool fetch(struct known_follower *follower, uint64_t at, void *to, uint32_t bytes)
{
	int error = memory_fetch(follower->memory, follower->pages, at, to, bytes);

	if (error && error != -ENODATA && error != -EFAULT)
		follower->error = error;
	return error == 0;
}

static bool is_late(const struct known_follower *follower)
{
	if (follower->read >= follower->most)
		return true;
	return follower->read > follower->least && follower->read % CLOCK_EVERY == 0 &&
	       clock_thread_ns() > follower->end_ns;
}

/* Each node of a list costs the target's lock on its mappings twice: what came to nothing
 * is not done anew each time. LIST is the number of a bit of the habit. Of a bin the
 * first is the largest, and of the unsorted list some say how large they are at most. */
static void begin_list(struct known_follower *follower, unsigned list, int64_t ns)
{
	bool is_long = follower->habit->is_long[list / 64] >> list % 64 & 1;
	uint32_t few = list == 0 ? UNSORTED_FEW : list < GLIBC_BINS ? 1 : 0;

	follower->most = is_long ? follower->read + few : UINT32_MAX;
	follower->end_ns = clock_thread_ns() + ns;
}

static void note_long(struct known_follower *follower, unsigned list)
{
	follower->habit->is_long[list / 64] |= UINT64_C(1) << list % 64;
}

static bool read_node(struct known_follower *follower, uint64_t at, uint64_t node[4])
{
	uint64_t page = at & -(uint64_t)WINDOW;

	if (at & (GLIBC_ALIGN - 1) || !at || at >> ADDRESS_BITS)
		return false;
	follower->read++;
	if (at - page + NODE > WINDOW)
		return fetch(follower, at, node, NODE);
	if (follower->window != page) {
		follower->window = 0;
		if (!fetch(follower, page, follower->data, WINDOW))
			return false;
		follower->window = page;
	}
	memcpy(node, follower->data + (at - page), NODE);
	return true;
}

/* ---- bins ---- */

static unsigned bin_of(uint64_t bytes)
{
	return layout_bin_index(bytes) - 1;
}

/* Whether NODE can be a free chunk on list BIN: sorted ones hold sizes of their own. */
static bool belongs(const struct known_follower *follower, const uint64_t node[4],
		    unsigned bin)
{
	uint64_t bytes = node[1] & ~(uint64_t)CHUNK_FLAGS;

	return (node[1] & (GLIBC_ALIGN - 1)) == CHUNK_PREV_INUSE &&
	       bytes >= GLIBC_MIN_CHUNK && bytes <= arena_system_bytes(follower->arena) &&
	       (!bin || bin_of(bytes) == bin);
}

static void keep(struct known_follower *follower, uint64_t at, uint64_t bytes)
{
	struct known *known = follower->known;
	struct known_arena *result = follower->result;

	known->chunk[known->count++] = (struct known_chunk){at, bytes, follower->number};
	result->chunks++;
	result->bytes += bytes;
}

/* Follows bins[BIN] once. The next node leads back to the one before, or the list was
 * changed. */
static enum outcome follow_bin(struct known_follower *follower, unsigned bin)
{
	const struct known *known = follower->known;
	uint64_t self = arena_bin_self(follower->arena, bin), before = self;
	uint64_t at = arena_bin_forward(follower->arena, bin), node[4];

	follower->window = follower->head_bytes = 0;
	for (uint32_t visited = 0; at != self; visited++) {
		if (is_late(follower) || known->count == known->capacity)
			return TOO_LONG;
		if (!read_node(follower, at, node) || node[3] != before ||
		    !belongs(follower, node, bin))
			return CHANGED;
		if (!visited)
			follower->head_bytes = node[1] & ~(uint64_t)CHUNK_FLAGS;
		if (!visited || !bin)
			follower->result->largest_bytes =
				(node[1] & ~(uint64_t)CHUNK_FLAGS) >
						follower->result->largest_bytes
					? node[1] & ~(uint64_t)CHUNK_FLAGS
					: follower->result->largest_bytes;
		keep(follower, at, node[1] & ~(uint64_t)CHUNK_FLAGS);
		before = at;
		at = node[2];
	}
	return WHOLE;
}

static enum outcome read_bin(struct known_follower *follower, unsigned bin, int64_t ns)
{
	const struct known_arena before = *follower->result;
	uint32_t count = follower->known->count;
	enum outcome outcome = CHANGED;

	begin_list(follower, bin, ns);
	for (unsigned i = 0; i < TRIES && outcome == CHANGED && !follower->error; i++) {
		if (i &&
		    arena_refresh(follower->memory, follower->pages, follower->arena))
			break;
		*follower->result = before;
		follower->known->count = count;
		outcome = follow_bin(follower, bin);
	}
	if (outcome == TOO_LONG)
		note_long(follower, bin);
	/* The first of a list that is too long are known all the same. */
	if (outcome == CHANGED) {
		follower->result->chunks = before.chunks;
		follower->result->bytes = before.bytes;
		follower->known->count = count;
	}
	return outcome;
}

/* The unsorted list, then the bins from the largest down. A head that was read is its
 * bin's largest. */
static void read_bins(struct known_follower *follower, int64_t ns)
{
	struct known_arena *result = follower->result;
	int64_t end_ns = clock_thread_ns() + ns;
	enum outcome outcome = read_bin(follower, 0, ns / 2), of_bin;
	bool has_head = false;

	if (follower->least > follower->read + follower->least_of_bins)
		follower->least = follower->read + follower->least_of_bins;
	result->has_largest = result->has_unsorted = outcome == WHOLE;
	if (outcome != WHOLE)
		result->open_bin = GLIBC_BINS - 1;
	for (unsigned bin = GLIBC_BINS - 1; bin > 0; bin--) {
		if (arena_bin_forward(follower->arena, bin) ==
		    arena_bin_self(follower->arena, bin))
			continue;
		of_bin = read_bin(follower, bin,
				  (end_ns - clock_thread_ns()) / SHARE_OF_BIN);
		has_head |= of_bin != CHANGED;
		if (of_bin == WHOLE)
			continue;
		result->unlisted_bytes = result->has_unsorted && follower->head_bytes
						 ? follower->head_bytes
						 : result->largest_bytes;
		result->has_largest &= has_head;
		result->open_bin = bin > result->open_bin ? bin : result->open_bin;
		return;
	}
	result->unlisted_bytes = result->has_unsorted ? 0 : result->largest_bytes;
}

/* ---- fastbins ---- */

static enum outcome follow_fast(struct known_follower *follower, unsigned i)
{
	uint64_t bytes = layout_fastbin_bytes(i), node[4];
	uint64_t at = arena_fastbin(follower->arena, i);
	uint32_t visited = 0;

	follower->window = 0;
	for (; at; visited++) {
		uint64_t place = at + 16;

		if (is_late(follower))
			return TOO_LONG;
		if (!read_node(follower, at, node) ||
		    (node[1] & ~(uint64_t)CHUNK_FLAGS) != bytes)
			return CHANGED;
		at = follower->arena->layout->safe_linking ? node[2] ^ place >> 12
							   : node[2];
	}
	follower->result->fast_bin[i] = visited;
	return WHOLE;
}

static void read_fastbins(struct known_follower *follower, int64_t ns)
{
	struct known_arena *result = follower->result;
	int64_t end_ns = clock_thread_ns() + ns;

	if (!follower->arena->layout->arena.fastbins)
		return;
	for (unsigned i = 0; i < GLIBC_FASTBINS; i++) {
		uint64_t bytes = layout_fastbin_bytes(i);
		enum outcome outcome = CHANGED;

		begin_list(follower, GLIBC_BINS + i,
			   (end_ns - clock_thread_ns()) / SHARE_OF_BIN);
		for (unsigned n = 0; n < TRIES && outcome == CHANGED && !follower->error;
		     n++) {
			if (n && arena_refresh(follower->memory, follower->pages,
					       follower->arena))
				break;
			outcome = follow_fast(follower, i);
		}
		if (outcome == TOO_LONG)
			note_long(follower, GLIBC_BINS + i);
		/* The last chunk leads nowhere, which no cell can tell from a chunk in
		 * use. */
		if (outcome != WHOLE) {
			result->fast_open |= 1U << bytes / GLIBC_ALIGN;
			result->fast_bin[i] = 1;
		}
		result->fast_chunks += result->fast_bin[i];
		result->fast_bytes += result->fast_bin[i] * bytes;
	}
}

int known_read(struct known *known, struct known_arena *result, struct known_habit *habit,
	       struct memory *memory, struct pages *pages, struct arena *arena,
	       unsigned number, struct known_least least, int64_t ns)
{
	struct known_follower follower = {
		.known = known,
		.result = result,
		.habit = habit,
		.memory = memory,
		.pages = pages,
		.arena = arena,
		.number = number,
		.least = least.all,
		.least_of_bins = least.of_bins,
	};

	if (habit->readings++ % HABIT_READINGS == 0)
		memset(habit->is_long, 0, sizeof(habit->is_long));
	*result = (struct known_arena){0};
	read_bins(&follower, 2 * ns / 3);
	follower.least += follower.read;
	read_fastbins(&follower, ns / 3);
	return follower.error;
}

bool known_holds(const struct known_arena *arena, uint64_t bytes)
{
	return bin_of(bytes) > arena->open_bin;
}

bool known_has(const struct known *known, uint64_t at)
{
	uint32_t i = known_find(known, at);

	return i < known->count && known->chunk[i].at == at;
}

void known_sort(struct known *known)
{
	struct known_chunk *chunk = known->chunk;

	for (uint32_t i = 0; i < known->count; i++)
		known->key[i] = chunk[i].at / GLIBC_ALIGN << INDEX_BITS | i;
	sort_addresses(known->key, known->count);
	for (uint32_t i = 0; i < known->count; i++)
		known->sorted[i] = chunk[known->key[i] & ((1U << INDEX_BITS) - 1)];
	known->chunk = known->sorted;
	known->sorted = chunk;
}

uint32_t known_find(const struct known *known, uint64_t addr)
{
	uint32_t low = 0, high = known->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (known->chunk[middle].at + known->chunk[middle].bytes <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
