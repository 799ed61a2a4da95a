#include "owners/chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1 << 12, PAGE_SHIFT = 12 };

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
	free(chunks->stretch);
	free(chunks->first_on);
	*chunks = (struct chunks){0};
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

static int begin(void *context, const struct heap_stretch *from)
{
	struct chunks *chunks = context;
	size_t size = sizeof(*chunks->stretch);

	if (chunks->stretch_count == chunks->stretch_room) {
		uint32_t room = chunks->stretch_room ? chunks->stretch_room * 2 : 256;
		int error = chunks_grow(chunks, (void **)&chunks->stretch,
					chunks->stretch_room * size, room * size);

		if (error)
			return error;
		chunks->stretch_room = room;
	}
	chunks->stretch[chunks->stretch_count] = (struct stretch){
		.memory_end = from->end,
		.trim_unit_bytes = from->trim_unit_bytes,
		.arena = from->arena,
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
	struct stretch *stretch = &chunks->stretch[chunks->stretch_count];

	if (!stretch->end)
		stretch->start = one->start;
	stretch->end = one->end;
	return add_key(chunks, (one->start & ~(uint64_t)CHUNK_BITS) | kind[one->kind] |
				       (cached ? CHUNK_CACHED : 0));
}

static int end(void *context)
{
	struct chunks *chunks = context;
	struct stretch *stretch = &chunks->stretch[chunks->stretch_count];

	stretch->count = chunks->count - stretch->first;
	if (!stretch->count)
		return 0;
	chunks->stretch_count++;
	return add_key(chunks, (stretch->end & ~(uint64_t)CHUNK_BITS) | CHUNK_OTHER);
}

/* ---- looking addresses up ---- */

static int by_start(const void *left, const void *right)
{
	const struct stretch *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* A single piece is found without an index, however large it is. */
static uint64_t pages_of(const struct stretch *stretch)
{
	if (stretch->count == 1)
		return 0;
	return ((stretch->end - 1) >> PAGE_SHIFT) - (stretch->start >> PAGE_SHIFT) + 1;
}

static void index_stretch(struct chunks *chunks, const struct stretch *stretch)
{
	uint64_t page = stretch->start >> PAGE_SHIFT;
	uint32_t at = stretch->first;

	for (uint64_t i = 0, count = pages_of(stretch); i < count; i++, page++) {
		while (at + 1 < stretch->first + stretch->count &&
		       chunk_addr(chunks, at + 1) <= page << PAGE_SHIFT)
			at++;
		chunks->first_on[stretch->page + i] = at;
	}
}

static int make_index(struct chunks *chunks)
{
	uint64_t pages = 0;
	int error;

	if (!chunks->stretch_count)
		return 0;
	qsort(chunks->stretch, chunks->stretch_count, sizeof(*chunks->stretch), by_start);
	for (uint32_t i = 0; i < chunks->stretch_count; i++) {
		chunks->stretch[i].page = (uint32_t)pages;
		pages += pages_of(&chunks->stretch[i]);
		if (pages > UINT32_MAX)
			return -ENOSPC;
	}
	error = chunks_grow(chunks, (void **)&chunks->first_on, 0,
			    (pages + 1) * sizeof(*chunks->first_on));
	if (error)
		return error;
	for (uint32_t i = 0; i < chunks->stretch_count; i++)
		index_stretch(chunks, &chunks->stretch[i]);
	chunks->low = chunks->stretch[0].start;
	chunks->high = chunks->stretch[chunks->stretch_count - 1].end;
	return 0;
}

int chunks_read(struct chunks *chunks, struct heap *heap, const struct regions *regions,
		enum sample_status *status, char missing[SAMPLE_TEXT],
		uint64_t *doubt_bytes, struct fault *fault)
{
	const struct heap_piece_visitor visitor = {begin, piece, end, chunks};
	int error =
		heap_pieces(heap, regions, &visitor, status, missing, doubt_bytes, fault);

	return error ? error : make_index(chunks);
}

static const struct stretch *stretch_at(const struct chunks *chunks, uint64_t addr)
{
	uint32_t low = 0, high = chunks->stretch_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (chunks->stretch[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || addr >= chunks->stretch[low - 1].end)
		return NULL;
	return &chunks->stretch[low - 1];
}

/* Pieces [LOW, HIGH), of which one covers an address. */
struct among {
	uint32_t low, high;
};

static uint32_t page_of(const struct stretch *stretch, uint64_t addr)
{
	return stretch->page +
	       (uint32_t)((addr >> PAGE_SHIFT) - (stretch->start >> PAGE_SHIFT));
}

static struct among among_of(const struct chunks *chunks, const struct stretch *stretch,
			     uint64_t addr)
{
	uint32_t page, last;

	if (stretch->count == 1)
		return (struct among){stretch->first, stretch->first + 1};
	page = page_of(stretch, addr);
	last = stretch->page + (uint32_t)pages_of(stretch);
	return (struct among){
		.low = chunks->first_on[page],
		.high = page + 1 < last ? chunks->first_on[page + 1] + 1
					: stretch->first + stretch->count,
	};
}

/* The last that begins at or below ADDR. */
static uint32_t settle(const struct chunks *chunks, struct among among, uint64_t addr)
{
	while (among.high - among.low > 1) {
		uint32_t middle = among.low + (among.high - among.low) / 2;

		if (chunk_addr(chunks, middle) <= addr)
			among.low = middle;
		else
			among.high = middle;
	}
	return among.low;
}

uint32_t chunks_in(const struct chunks *chunks, const struct stretch *stretch,
		   uint64_t addr)
{
	return settle(chunks, among_of(chunks, stretch, addr), addr);
}

uint32_t chunks_at(const struct chunks *chunks, uint64_t addr)
{
	const struct stretch *stretch;

	if (addr < chunks->low || addr >= chunks->high)
		return NO_CHUNK;
	stretch = stretch_at(chunks, addr);
	return stretch ? chunks_in(chunks, stretch, addr) : NO_CHUNK;
}

/* Neighbours often point into one stretch. Its index is brought near. */
static const struct stretch *approach(const struct chunks *chunks,
				      const struct stretch *near, uint64_t addr)
{
	if (!near || addr < near->start || addr >= near->end)
		near = stretch_at(chunks, addr);
	if (near && near->count > 1)
		__builtin_prefetch(&chunks->first_on[page_of(near, addr)]);
	return near;
}

void chunks_at_all(const struct chunks *chunks, const uint64_t *addr, unsigned count,
		   uint32_t *at)
{
	const struct stretch *stretch[CHUNKS_AT_ONCE], *near = NULL;
	struct among among[CHUNKS_AT_ONCE];

	/* Whatever is waited for is asked for some hundred addresses before. */
	for (unsigned i = 0; i < count; i++)
		near = stretch[i] = approach(chunks, near, addr[i]);
	for (unsigned i = 0; i < count; i++) {
		if (!stretch[i])
			continue;
		among[i] = among_of(chunks, stretch[i], addr[i]);
		__builtin_prefetch(
			&chunks->key[among[i].low + (among[i].high - among[i].low) / 2]);
	}
	for (unsigned i = 0; i < count; i++)
		at[i] = stretch[i] ? settle(chunks, among[i], addr[i]) : NO_CHUNK;
}

/* ---- runs of free memory ---- */

/* A run of pieces that are free. */
struct run {
	uint64_t start, end;
	bool has_top;
};

static struct free_parts parts_of(const struct stretch *stretch, unsigned page_shift,
				  const struct run *run)
{
	if (!run->has_top)
		return walk_run_parts(page_shift, run->start, run->end);
	return walk_top_parts(
		page_shift, run->end < stretch->memory_end ? 0 : stretch->trim_unit_bytes,
		run->start, run->end);
}

/* Called with each run of free pieces of STRETCH. */
typedef void run_fn(const struct stretch *stretch, const struct run *run, void *context);

static bool is_free(const struct chunks *chunks, uint32_t i)
{
	unsigned kind = chunk_kind(chunks, i);

	return kind == CHUNK_FREE || kind == CHUNK_TOP;
}

/* Among pieces FIRST to LAST of STRETCH. */
static void each_run(const struct chunks *chunks, const struct stretch *stretch,
		     uint32_t first, uint32_t last, run_fn *fn, void *context)
{
	struct run run = {0};

	for (uint32_t i = first; i <= last; i++) {
		if (!is_free(chunks, i)) {
			if (run.end)
				fn(stretch, &run, context);
			run = (struct run){0};
			continue;
		}
		if (!run.end)
			run.start = chunk_addr(chunks, i);
		run.end = chunk_addr(chunks, i + 1);
		run.has_top |= chunk_kind(chunks, i) == CHUNK_TOP;
	}
	if (run.end)
		fn(stretch, &run, context);
}

/* ---- what shares pages with free bytes ---- */

struct asker {
	struct chunks *chunks;
	struct pages *pages;
	unsigned page_shift;
	uint64_t pinned_bytes;
};

/* The live chunks on the page of ADDR, which free bytes lie on, if it is resident. */
static void ask_page(struct asker *asker, const struct stretch *stretch, uint64_t addr)
{
	struct chunks *chunks = asker->chunks;
	uint64_t page = UINT64_C(1) << asker->page_shift;
	uint64_t from = addr & ~(page - 1), to = from + page;
	uint32_t i;

	if (!pages_all_resident(asker->pages, from, 1))
		return;
	i = chunks_in(chunks, stretch, from > stretch->start ? from : stretch->start);
	for (; i < stretch->first + stretch->count && chunk_addr(chunks, i) < to; i++)
		if (chunk_is_live(chunks, i))
			chunks->key[i] |= CHUNK_ASKED;
}

static void ask_run(const struct stretch *stretch, const struct run *run, void *context)
{
	struct asker *asker = context;
	struct free_parts parts = parts_of(stretch, asker->page_shift, run);
	uint64_t page = UINT64_C(1) << asker->page_shift;

	asker->pinned_bytes +=
		pages_resident_bytes(asker->pages, run->start, parts.shared) +
		pages_resident_bytes(asker->pages, parts.to, run->end);
	for (uint64_t at = run->start; at < parts.shared; at = (at | (page - 1)) + 1)
		ask_page(asker, stretch, at);
	for (uint64_t at = parts.to; at < run->end; at = (at | (page - 1)) + 1)
		ask_page(asker, stretch, at);
}

uint64_t chunks_ask_pinning(struct chunks *chunks, struct pages *pages,
			    unsigned page_shift)
{
	struct asker asker = {chunks, pages, page_shift, 0};

	for (uint32_t i = 0; i < chunks->stretch_count; i++) {
		const struct stretch *stretch = &chunks->stretch[i];

		each_run(chunks, stretch, stretch->first,
			 stretch->first + stretch->count - 1, ask_run, &asker);
	}
	return asker.pinned_bytes;
}

/* ---- what a trim would give back ---- */

struct adder {
	const struct chunks *chunks;
	struct pages *pages;
	unsigned page_shift;
	uint64_t now_bytes, then_bytes;
};

static uint64_t run_bytes(struct adder *adder, const struct stretch *stretch,
			  const struct run *run)
{
	struct free_parts parts = parts_of(stretch, adder->page_shift, run);

	if (stretch->arena == (unsigned)PINS_ALL_ARENAS) {
		parts.from = run->start;
		parts.to = run->end;
	}
	return parts.from < parts.to
		       ? pages_resident_bytes(adder->pages, parts.from, parts.to)
		       : 0;
}

static void add_now(const struct stretch *stretch, const struct run *run, void *context)
{
	struct adder *adder = context;

	adder->now_bytes += run_bytes(adder, stretch, run);
}

/* The run that pieces FIRST to LAST would be, and those that there are in it. */
static void add_then(struct adder *adder, const struct stretch *stretch, uint32_t first,
		     uint32_t last)
{
	const struct run run = {
		.start = chunk_addr(adder->chunks, first),
		.end = chunk_addr(adder->chunks, last + 1),
		.has_top = chunk_kind(adder->chunks, last) == CHUNK_TOP,
	};

	adder->then_bytes += run_bytes(adder, stretch, &run);
	each_run(adder->chunks, stretch, first, last, add_now, adder);
}

/* What is free already makes no difference but beside what is gone. */
static void add_stretch(struct adder *adder, const struct stretch *stretch,
			const uint8_t *gone)
{
	const struct chunks *chunks = adder->chunks;
	uint32_t at = stretch->first, end = stretch->first + stretch->count;
	const uint8_t *next;

	while (at < end && (next = memchr(gone + at, 1, end - at))) {
		uint32_t first = (uint32_t)(next - gone), last = first;

		while (first > stretch->first && is_free(chunks, first - 1))
			first--;
		while (last + 1 < end && (gone[last + 1] || is_free(chunks, last + 1)))
			last++;
		add_then(adder, stretch, first, last);
		at = last + 1;
	}
}

uint64_t chunks_unlocked(const struct chunks *chunks, struct pages *pages,
			 unsigned page_shift, const uint8_t *gone)
{
	struct adder adder = {chunks, pages, page_shift, 0, 0};

	for (uint32_t i = 0; i < chunks->stretch_count; i++)
		add_stretch(&adder, &chunks->stretch[i], gone);
	return adder.then_bytes > adder.now_bytes ? adder.then_bytes - adder.now_bytes
						  : 0;
}
