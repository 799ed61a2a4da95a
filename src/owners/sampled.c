#include "owners/sampled.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How much a chunk that points to another is wanted as its owner: the nodes of a list or
 * a tree lead to each other, and that says little. */
enum { NOTHING, INSIDE_ALIKE, INSIDE, ALIKE, OTHER, ROOTED };

/* What a chunk takes in all tables, with as many pointers as are kept; the least sample
 * that says anything. */
enum { MEMBER_BYTES = 320, LEAST = 30 };

struct member {
	uint32_t chunk;
	uint32_t from; /* what points to it, as far as it is wanted */
	uint8_t wanted;
};

struct taking {
	struct chunks *chunks; /* all */
	uint8_t *is_member;    /* a bit a chunk */
	uint8_t *has_owner;    /* the same: something points to it */
	/* Those of the level before, in order of their chunks' numbers. */
	struct member *level;
	uint32_t count;
	uint64_t members;
	uint64_t random;
	owners_progress_fn *progress;
	void *context;
	unsigned done; /* levels */
};

static size_t bits_bytes(const struct chunks *chunks)
{
	return (size_t)chunks->count / 8 + 1;
}

static bool has_bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static void set_bit(uint8_t *bits, uint32_t i)
{
	bits[i / 8] |= (uint8_t)(1 << i % 8);
}

static bool is_member(const struct taking *taking, uint32_t i)
{
	return has_bit(taking->is_member, i);
}

static void add_member(struct taking *taking, uint32_t i)
{
	set_bit(taking->is_member, i);
	taking->members++;
}

/* ---- the sample ---- */

static uint64_t draw(struct taking *taking, uint64_t below)
{
	taking->random ^= taking->random << 13;
	taking->random ^= taking->random >> 7;
	taking->random ^= taking->random << 17;
	return taking->random % below;
}

/* As many as there is memory for, with a chunk above each on every level. */
static uint64_t sample_size(const struct chunks *chunks)
{
	uint64_t most = (chunks->limit_bytes - chunks->used_bytes) / MEMBER_BYTES /
			(SAMPLED_LEVELS + 1);

	return most < SAMPLED_CHUNKS ? most : SAMPLED_CHUNKS;
}

/* Of those that are still to come, LEFT, each is as likely as any other. */
static void choose(struct taking *taking, uint64_t left, uint64_t most)
{
	struct chunks *chunks = taking->chunks;
	uint64_t wanted = left < most ? left : most;

	for (uint32_t i = 0; i < chunks->count && left; i++) {
		if (!(chunks->key[i] & CHUNK_ASKED))
			continue;
		if (draw(taking, left--) >= wanted) {
			chunks->key[i] &= ~(uint64_t)CHUNK_ASKED;
			continue;
		}
		wanted--;
		add_member(taking, i);
		taking->level[taking->count++] = (struct member){.chunk = i};
	}
}

/* ---- a level ---- */

static struct member *member_of(struct taking *taking, uint32_t i)
{
	uint32_t low = 0, high = taking->count;

	if (!is_member(taking, i))
		return NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (taking->level[middle].chunk < i)
			low = middle + 1;
		else
			high = middle;
	}
	return low < taking->count && taking->level[low].chunk == i ? &taking->level[low]
								    : NULL;
}

static int see_root(struct scan *scan, uint32_t span, uint64_t addr, uint32_t to,
		    uint64_t code)
{
	struct member *member =
		edge_is_interior(to) ? NULL : member_of(scan->visitor->context, to);

	(void)span;
	(void)addr;
	(void)code;
	if (member)
		member->wanted = ROOTED;
	return 0;
}

static int see_heap(struct scan *scan, uint32_t from, uint32_t word, uint32_t to)
{
	struct member *member = member_of(scan->visitor->context, edge_to(to));
	const struct chunks *chunks = scan->chunks;
	uint8_t wanted;

	(void)word;
	if (!member || from == edge_to(to))
		return 0;
	wanted = chunk_bytes(chunks, from) == chunk_bytes(chunks, edge_to(to)) ? ALIKE
									       : OTHER;
	if (edge_is_interior(to))
		wanted -= ALIKE - INSIDE_ALIKE;
	if (wanted > member->wanted) {
		member->wanted = wanted;
		member->from = from;
	}
	return 0;
}

static int by_chunk(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

	return a->chunk < b->chunk ? -1 : a->chunk > b->chunk;
}

/* What the last level's chunks are pointed to from is the next level. */
static void go_up(struct taking *taking)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < taking->count; i++) {
		const struct member *member = &taking->level[i];

		if (member->wanted == NOTHING)
			continue;
		set_bit(taking->has_owner, member->chunk);
		if (member->wanted == ROOTED || is_member(taking, member->from))
			continue;
		add_member(taking, member->from);
		taking->level[count++] = (struct member){.chunk = member->from};
	}
	taking->count = count;
	qsort(taking->level, count, sizeof(*taking->level), by_chunk);
}

/* The passes so far, and that of the search to come, are the whole. */
static void on_progress(double done, void *context)
{
	const struct taking *taking = context;

	taking->progress((taking->done + done) / (SAMPLED_LEVELS + 1), taking->context);
}

static int climb(struct taking *taking, struct scan *scan)
{
	const struct scan_visitor visitor = {see_root, see_heap, taking};
	int error = 0;

	for (unsigned level = 0; level < SAMPLED_LEVELS && taking->count && !error;
	     level++) {
		struct scan pass = {
			.chunks = scan->chunks,
			.roots = scan->roots,
			.memory = scan->memory,
			.pages = scan->pages,
			.threads = scan->threads,
		};

		error = scan_pass(&pass, &visitor, on_progress, taking);
		scan->bytes += pass.bytes;
		scan_free(&pass);
		taking->done++;
		go_up(taking);
	}
	return error;
}

/* ---- the table ---- */

static void add_chunk(struct chunks *sampled, const struct chunks *chunks,
		      const struct segment *segment, uint32_t i)
{
	uint64_t start = chunk_addr(chunks, i), end = chunk_addr(chunks, i + 1);

	sampled->segment[sampled->segment_count++] = (struct segment){
		.start = start,
		.end = end,
		.memory_end = end,
		.arena = segment->arena == (unsigned)BLOCKERS_ALL_ARENAS ? 0
									 : segment->arena,
		.first = sampled->count,
		.count = 1,
	};
	sampled->key[sampled->count++] = chunks->key[i];
	sampled->key[sampled->count++] = end | CHUNK_OTHER;
}

/* Of the last level nobody has looked what points to it. */
static uint8_t far_of(struct taking *taking, uint32_t i)
{
	if (member_of(taking, i))
		return FAR_LAST;
	return has_bit(taking->has_owner, i) ? FAR_PERHAPS : FAR_NOT;
}

static int make_table(struct chunks *sampled, struct taking *taking, uint8_t **is_far)
{
	const struct chunks *chunks = taking->chunks;
	uint32_t room = (uint32_t)taking->members;
	int error = chunks_grow(sampled, (void **)&sampled->key, 0,
				2 * (size_t)room * sizeof(*sampled->key));

	if (!error)
		error = chunks_grow(sampled, (void **)&sampled->segment, 0,
				    room * sizeof(*sampled->segment));
	*is_far = calloc(2 * (size_t)room + 1, 1);
	if (!error && !*is_far)
		error = -ENOMEM;
	if (error)
		return error;
	for (uint32_t n = 0; n < chunks->segment_count; n++) {
		const struct segment *segment = &chunks->segment[n];

		for (uint32_t i = segment->first; i < segment->first + segment->count;
		     i++)
			if (is_member(taking, i)) {
				(*is_far)[sampled->count] = far_of(taking, i);
				add_chunk(sampled, chunks, segment, i);
			}
	}
	if (sampled->segment_count) {
		sampled->low = sampled->segment[0].start;
		sampled->high = sampled->segment[sampled->segment_count - 1].end;
	}
	return 0;
}

int sampled_take(struct chunks *sampled, uint8_t **is_far, struct scan *scan,
		 uint64_t asked, uint64_t *count, owners_progress_fn *progress,
		 void *context)
{
	struct taking taking = {
		.chunks = scan->chunks,
		.random = (uint64_t)clock_realtime_ns() | 1,
		.progress = progress,
		.context = context,
	};
	size_t bytes = bits_bytes(scan->chunks);
	int error = chunks_grow(scan->chunks, (void **)&taking.is_member, 0, bytes);
	uint64_t most;

	if (!error)
		error = chunks_grow(scan->chunks, (void **)&taking.has_owner, 0, bytes);
	most = error ? 0 : sample_size(scan->chunks);

	if (!error && most < LEAST)
		error = -ENOSPC;

	taking.level = malloc(SAMPLED_CHUNKS * sizeof(*taking.level));
	if (!error && !taking.level)
		error = -ENOMEM;
	if (!error) {
		memset(taking.is_member, 0, bytes);
		memset(taking.has_owner, 0, bytes);
		choose(&taking, asked, most);
		*count = taking.members;
		error = climb(&taking, scan);
	}
	if (!error)
		error = make_table(sampled, &taking, is_far);
	free(taking.level);
	chunks_drop(scan->chunks, (void **)&taking.is_member, bytes);
	chunks_drop(scan->chunks, (void **)&taking.has_owner, bytes);
	return error;
}
