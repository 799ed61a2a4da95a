#include "owners/chunks.h"

#include "glibc/free_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_ROOM = 1 << 12,
	PAGE_SHIFT = 12,
	LINE_KEYS = 8, /* in a line of the cache */
	KEY_LINES = 3,
	SPARE_PART =
		2, /* of the memory, for what is freed before most tables are there */
};

int chunks_grow(struct chunks *chunks, void **from, size_t old_bytes, size_t bytes)
{
	void *grown;

	if (chunks->used_bytes - old_bytes + bytes > chunks->limit_bytes)
		return -ENOSPC;
	grown = realloc(*from, bytes);
	if (!grown)
		return -ENOMEM;
	*from = grown;
	chunks->used_bytes += bytes - old_bytes;
	return 0;
}

void chunks_drop(struct chunks *chunks, void **from, size_t bytes)
{
	if (*from)
		chunks->used_bytes -= bytes;
	free(*from);
	*from = NULL;
}

void chunks_free(struct chunks *chunks)
{
	free(chunks->key);
	free(chunks->segment);
	free(chunks->first_on);
	gather_free(chunks->words);
	*chunks = (struct chunks){0};
}

void chunks_drop_words(struct chunks *chunks)
{
	gather_free(chunks->words);
	chunks->words = NULL;
	chunks->used_bytes -= chunks->words_bytes;
	chunks->words_bytes = 0;
}

/* ---- filling the table ---- */

static int grow_keys(struct chunks *chunks, uint32_t room)
{
	size_t size = sizeof(*chunks->key);

	return room >> 30 ? -ENOSPC
			  : chunks_grow(chunks, (void **)&chunks->key,
					chunks->room * size, room * size);
}

static int add_key(struct chunks *chunks, uint64_t key)
{
	if (chunks->count == chunks->room) {
		uint32_t room = chunks->room ? chunks->room * 2 : FIRST_ROOM;
		int error = grow_keys(chunks, room);

		/* The last of the memory that is allowed comes in smaller pieces. */
		if (error == -ENOSPC && chunks->room) {
			room = chunks->room + chunks->room / 8;
			error = grow_keys(chunks, room);
		}
		if (error)
			return error;
		chunks->room = room;
	}
	chunks->key[chunks->count++] = key;
	return 0;
}

static int begin(void *context, const struct heap_segment *from)
{
	struct chunks *chunks = context;
	size_t size = sizeof(*chunks->segment);

	if (chunks->segment_count == chunks->segment_room) {
		uint32_t room = chunks->segment_room ? chunks->segment_room * 2 : 256;
		int error = chunks_grow(chunks, (void **)&chunks->segment,
					chunks->segment_room * size, room * size);

		if (error)
			return error;
		chunks->segment_room = room;
	}
	chunks->segment[chunks->segment_count] = (struct segment){
		.memory_end = from->end,
		.trim_unit_bytes = from->trim_unit_bytes,
		.arena = from->arena,
		.number = from->number,
		.first = chunks->count,
	};
	return 0;
}

static int piece(void *context, const struct piece *one, bool cached)
{
	static const uint8_t kind[] = {
		[PIECE_USED] = CHUNK_USED,   [PIECE_FREE] = CHUNK_FREE,
		[PIECE_FAST] = CHUNK_FREE,   [PIECE_TOP] = CHUNK_TOP,
		[PIECE_OWN] = CHUNK_OTHER,   [PIECE_FOREIGN] = CHUNK_OTHER,
		[PIECE_DOUBT] = CHUNK_OTHER,
	};
	struct chunks *chunks = context;
	struct segment *segment = &chunks->segment[chunks->segment_count];

	if (!segment->end)
		segment->start = one->start;
	segment->end = one->end;
	return add_key(chunks, (one->start & ~(uint64_t)CHUNK_BITS) | kind[one->kind] |
				       (cached ? CHUNK_CACHED : 0));
}

static int end(void *context)
{
	struct chunks *chunks = context;
	struct segment *segment = &chunks->segment[chunks->segment_count];

	segment->count = chunks->count - segment->first;
	if (!segment->count)
		return 0;
	chunks->segment_count++;
	return add_key(chunks, (segment->end & ~(uint64_t)CHUNK_BITS) | CHUNK_OTHER);
}

/* ---- looking addresses up ---- */

static int by_start(const void *left, const void *right)
{
	const struct segment *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* A single piece is found without an index, however large it is. */
static uint64_t pages_of(const struct segment *segment)
{
	if (segment->count == 1)
		return 0;
	return ((segment->end - 1) >> PAGE_SHIFT) - (segment->start >> PAGE_SHIFT) + 1;
}

/* One more is the last piece, so that each page has an entry behind it. */
static uint64_t entries_of(const struct segment *segment)
{
	return segment->count == 1 ? 0 : pages_of(segment) + 1;
}

static void index_segment(struct chunks *chunks, const struct segment *segment)
{
	uint64_t page = segment->start >> PAGE_SHIFT;
	uint32_t at = segment->first;

	for (uint64_t i = 0, count = pages_of(segment); i < count; i++, page++) {
		while (at + 1 < segment->first + segment->count &&
		       chunk_addr(chunks, at + 1) <= page << PAGE_SHIFT)
			at++;
		chunks->first_on[segment->page + i] = at;
	}
	if (segment->count > 1)
		chunks->first_on[segment->page + pages_of(segment)] =
			segment->first + segment->count - 1;
}

static int make_index(struct chunks *chunks)
{
	uint64_t pages = 0;
	int error;

	if (!chunks->segment_count)
		return 0;
	qsort(chunks->segment, chunks->segment_count, sizeof(*chunks->segment), by_start);
	for (uint32_t i = 0; i < chunks->segment_count; i++) {
		chunks->segment[i].page = (uint32_t)pages;
		pages += entries_of(&chunks->segment[i]);
		if (pages > UINT32_MAX)
			return -ENOSPC;
	}
	error = chunks_grow(chunks, (void **)&chunks->first_on, 0,
			    (pages + 1) * sizeof(*chunks->first_on));
	if (error)
		return error;
	for (uint32_t i = 0; i < chunks->segment_count; i++)
		index_segment(chunks, &chunks->segment[i]);
	chunks->low = chunks->segment[0].start;
	chunks->high = chunks->segment[chunks->segment_count - 1].end;
	return 0;
}

/* Those that do not hold all of the chunks, or for which there is no memory, are none. */
static void settle_words(struct chunks *chunks)
{
	uint64_t bytes = chunks->words ? gather_bytes(chunks->words) : 0;

	chunks->words_bytes = bytes;
	chunks->used_bytes += bytes;
	if (chunks->used_bytes > chunks->limit_bytes ||
	    (bytes && !gather_has_words(chunks->words, chunks->low, chunks->high)))
		chunks_drop_words(chunks);
}

int chunks_read(struct chunks *chunks, bool with_words, struct heap *heap,
		const struct regions *regions, enum sample_status *status,
		char missing[SAMPLE_TEXT], uint64_t *doubt_bytes, struct fault *fault)
{
	const struct heap_piece_visitor visitor = {
		.begin = begin,
		.piece = piece,
		.end = end,
		.context = chunks,
		.spare_bytes = chunks->limit_bytes / SPARE_PART,
		.words = with_words ? &chunks->words : NULL,
	};
	int error =
		heap_pieces(heap, regions, &visitor, status, missing, doubt_bytes, fault);

	if (!error)
		error = make_index(chunks);
	if (!error)
		settle_words(chunks);
	return error;
}

static const struct segment *segment_at(const struct chunks *chunks, uint64_t addr)
{
	uint32_t low = 0, high = chunks->segment_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (chunks->segment[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || addr >= chunks->segment[low - 1].end)
		return NULL;
	return &chunks->segment[low - 1];
}

/* Pieces FIRST to LAST, of which one covers an address. */
struct among {
	uint32_t first, last;
};

static uint32_t page_of(const struct segment *segment, uint64_t addr)
{
	return segment->page +
	       (uint32_t)((addr >> PAGE_SHIFT) - (segment->start >> PAGE_SHIFT));
}

static struct among among_of(const struct chunks *chunks, const struct segment *segment,
			     uint64_t addr)
{
	const uint32_t *first_on;

	if (segment->count == 1)
		return (struct among){segment->first, segment->first};
	first_on = &chunks->first_on[page_of(segment, addr)];
	return (struct among){first_on[0], first_on[1]};
}

/* The last that begins at or below ADDR, or the first. Without a branch that depends on
 * what is found, for nothing foretells it. */
static uint32_t settle(const struct chunks *chunks, struct among among, uint64_t addr)
{
	const uint64_t *from = &chunks->key[among.first];
	uint64_t bound = addr | CHUNK_BITS; /* of the keys of pieces that begin there */

	for (uint32_t count = among.last - among.first + 1, half; count > 1;
	     count -= half) {
		half = count / 2;
		from += half & -(uint32_t)(from[half] <= bound);
	}
	return (uint32_t)(from - chunks->key);
}

uint32_t chunks_in(const struct chunks *chunks, const struct segment *segment,
		   uint64_t addr)
{
	return settle(chunks, among_of(chunks, segment, addr), addr);
}

uint32_t chunks_at(const struct chunks *chunks, uint64_t addr)
{
	const struct segment *segment;

	if (addr < chunks->low || addr >= chunks->high)
		return NO_CHUNK;
	segment = segment_at(chunks, addr);
	return segment ? chunks_in(chunks, segment, addr) : NO_CHUNK;
}

/* Neighbours often point into one segment. Its index is brought near. */
static const struct segment *approach(const struct chunks *chunks,
				      const struct segment *near, uint64_t addr)
{
	if (!near || addr < near->start || addr >= near->end)
		near = segment_at(chunks, addr);
	if (near && near->count > 1)
		__builtin_prefetch(&chunks->first_on[page_of(near, addr)]);
	return near;
}

/* Those of a page, of which there are some ten as a rule. */
static void approach_keys(const struct chunks *chunks, struct among among)
{
	const uint64_t *key = &chunks->key[among.first], *last = &chunks->key[among.last];

	for (unsigned i = 0; i < KEY_LINES && key < last; i++, key += LINE_KEYS)
		__builtin_prefetch(key);
	__builtin_prefetch(last);
}

void chunks_at_all(const struct chunks *chunks, const uint64_t *addr, unsigned count,
		   uint32_t *at)
{
	const struct segment *segment[CHUNKS_AT_ONCE], *near = NULL;
	struct among among[CHUNKS_AT_ONCE];

	/* Whatever is waited for is asked for some hundred addresses before. */
	for (unsigned i = 0; i < count; i++)
		near = segment[i] = approach(chunks, near, addr[i]);
	for (unsigned i = 0; i < count; i++) {
		if (!segment[i])
			continue;
		among[i] = among_of(chunks, segment[i], addr[i]);
		approach_keys(chunks, among[i]);
	}
	for (unsigned i = 0; i < count; i++)
		at[i] = segment[i] ? settle(chunks, among[i], addr[i]) : NO_CHUNK;
}

/* ---- runs of free memory ---- */

/* A run of pieces that are free. */
struct run {
	uint64_t start, end;
	bool has_top;
};

static struct free_parts parts_of(const struct segment *segment, unsigned page_shift,
				  const struct run *run)
{
	if (!run->has_top)
		return free_parts_of_run(page_shift, run->start, run->end);
	return free_parts_of_top(
		page_shift, run->end < segment->memory_end ? 0 : segment->trim_unit_bytes,
		run->start, run->end);
}

/* Called with each run of free pieces of SEGMENT. */
typedef void run_fn(const struct segment *segment, const struct run *run, void *context);

static bool is_free(const struct chunks *chunks, uint32_t i)
{
	unsigned kind = chunk_kind(chunks, i);

	return kind == CHUNK_FREE || kind == CHUNK_TOP;
}

/* Among pieces FIRST to LAST of SEGMENT. */
static void each_run(const struct chunks *chunks, const struct segment *segment,
		     uint32_t first, uint32_t last, run_fn *fn, void *context)
{
	struct run run = {0};

	for (uint32_t i = first; i <= last; i++) {
		if (!is_free(chunks, i)) {
			if (run.end)
				fn(segment, &run, context);
			run = (struct run){0};
			continue;
		}
		if (!run.end)
			run.start = chunk_addr(chunks, i);
		run.end = chunk_addr(chunks, i + 1);
		run.has_top |= chunk_kind(chunks, i) == CHUNK_TOP;
	}
	if (run.end)
		fn(segment, &run, context);
}

/* ---- what shares pages with free bytes ---- */

struct pinning_query {
	struct chunks *chunks;
	struct pages *pages;
	unsigned page_shift;
	uint64_t pinned_bytes;
	uint64_t asked; /* the page asked about last */
};

/* The live chunks on the page of ADDR, which free bytes lie on, if it is resident. */
static void ask_page(struct pinning_query *query, const struct segment *segment,
		     uint64_t addr)
{
	struct chunks *chunks = query->chunks;
	uint64_t page = UINT64_C(1) << query->page_shift;
	uint64_t from = addr & ~(page - 1), to = from + page;
	uint32_t i;

	if (from == query->asked || !pages_all_resident(query->pages, from, 1))
		return;
	query->asked = from;
	i = chunks_in(chunks, segment, from > segment->start ? from : segment->start);
	for (; i < segment->first + segment->count && chunk_addr(chunks, i) < to; i++)
		if (chunk_is_live(chunks, i))
			chunks->key[i] |= CHUNK_ASKED;
}

static void ask_run(const struct segment *segment, const struct run *run, void *context)
{
	struct pinning_query *query = context;
	struct free_parts parts = parts_of(segment, query->page_shift, run);
	uint64_t page = UINT64_C(1) << query->page_shift;

	query->pinned_bytes +=
		pages_resident_bytes(query->pages, run->start, parts.shared) +
		pages_resident_bytes(query->pages, parts.to, run->end);
	for (uint64_t at = run->start; at < parts.shared; at = (at | (page - 1)) + 1)
		ask_page(query, segment, at);
	for (uint64_t at = parts.to; at < run->end; at = (at | (page - 1)) + 1)
		ask_page(query, segment, at);
}

uint64_t chunks_ask_pinning(struct chunks *chunks, struct pages *pages,
			    unsigned page_shift)
{
	struct pinning_query query = {chunks, pages, page_shift, 0, 0};

	for (uint32_t i = 0; i < chunks->segment_count; i++) {
		const struct segment *segment = &chunks->segment[i];

		/* Two of them may share a page. */
		query.asked = UINT64_MAX;
		each_run(chunks, segment, segment->first,
			 segment->first + segment->count - 1, ask_run, &query);
	}
	return query.pinned_bytes;
}

/* ---- what a trim would give back ---- */

struct adder {
	const struct chunks *chunks;
	struct pages *pages;
	unsigned page_shift;
	uint64_t now_bytes, then_bytes;
};

static uint64_t run_bytes(struct adder *adder, const struct segment *segment,
			  const struct run *run)
{
	struct free_parts parts = parts_of(segment, adder->page_shift, run);

	if (segment->arena == (unsigned)BLOCKERS_ALL_ARENAS) {
		parts.from = run->start;
		parts.to = run->end;
	}
	return parts.from < parts.to
		       ? pages_resident_bytes(adder->pages, parts.from, parts.to)
		       : 0;
}

static void add_now(const struct segment *segment, const struct run *run, void *context)
{
	struct adder *adder = context;

	adder->now_bytes += run_bytes(adder, segment, run);
}

/* The run that pieces FIRST to LAST would be, and those that there are in it. */
static void add_then(struct adder *adder, const struct segment *segment, uint32_t first,
		     uint32_t last)
{
	const struct run run = {
		.start = chunk_addr(adder->chunks, first),
		.end = chunk_addr(adder->chunks, last + 1),
		.has_top = chunk_kind(adder->chunks, last) == CHUNK_TOP,
	};

	adder->then_bytes += run_bytes(adder, segment, &run);
	each_run(adder->chunks, segment, first, last, add_now, adder);
}

/* What is free already makes no difference but beside what is gone. */
static void add_segment(struct adder *adder, const struct segment *segment,
			const uint8_t *gone)
{
	const struct chunks *chunks = adder->chunks;
	uint32_t at = segment->first, end = segment->first + segment->count;
	const uint8_t *next;

	while (at < end && (next = memchr(gone + at, 1, end - at))) {
		uint32_t first = (uint32_t)(next - gone), last = first;

		while (first > segment->first && is_free(chunks, first - 1))
			first--;
		while (last + 1 < end && (gone[last + 1] || is_free(chunks, last + 1)))
			last++;
		add_then(adder, segment, first, last);
		at = last + 1;
	}
}

uint64_t chunks_unlocked(const struct chunks *chunks, struct pages *pages,
			 unsigned page_shift, const uint8_t *gone)
{
	struct adder adder = {chunks, pages, page_shift, 0, 0};

	for (uint32_t i = 0; i < chunks->segment_count; i++)
		add_segment(&adder, &chunks->segment[i], gone);
	return adder.then_bytes > adder.now_bytes ? adder.then_bytes - adder.now_bytes
						  : 0;
}
