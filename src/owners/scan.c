#include "owners/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORD = sizeof(uint64_t),
	KEPT = 12,	   /* edges to one chunk */
	INTERIOR_KEPT = 4, /* of them, interior ones apart */
	MANY = 255,
	LEARN_WINDOWS = 256,
	USUAL_PERCENT = 4, /* of the pointers to chunks */
	USUAL_LEAST = 100, /* pointers, to say that */
	FIRST_ROOM = 1 << 12,
	AHEAD = 16, /* pointers */
};

static int grow(struct scan *scan, void **array, uint32_t count, uint32_t *room,
		size_t size)
{
	uint32_t want = *room ? *room * 2 : FIRST_ROOM;
	int error;

	if (count < *room)
		return 0;
	error = chunks_grow(scan->chunks, array, *room * size, want * size);
	if (!error)
		*room = want;
	return error;
}

/* Counts a pointer to TO; whether it is one of those that are kept. */
static bool count_ref(struct scan *scan, uint32_t to)
{
	bool is_interior = edge_is_interior(to);
	uint8_t *refs = (is_interior ? scan->interior_refs : scan->refs) + edge_to(to);

	if (*refs < MANY)
		++*refs;
	return *refs <= (is_interior ? INTERIOR_KEPT : KEPT);
}

static int keep_root_edge(struct scan *scan, uint32_t span, uint64_t addr, uint32_t to,
			  uint64_t code)
{
	int error = grow(scan, (void **)&scan->root_edge, scan->root_edges,
			 &scan->root_edge_room, sizeof(*scan->root_edge));
	int64_t root;

	if (error)
		return error;
	root = roots_number(scan->roots, span, addr, code,
			    chunk_bytes(scan->chunks, edge_to(to)));
	if (root < 0)
		return (int)root;
	if (count_ref(scan, to))
		scan->root_edge[scan->root_edges++] =
			(struct root_edge){to, (uint32_t)root, addr};
	return 0;
}

static int keep_edge(struct scan *scan, uint32_t from, uint32_t word, uint32_t to)
{
	int error;

	if (edge_to(to) == from || !count_ref(scan, to))
		return 0;
	error = grow(scan, (void **)&scan->edge, scan->edges, &scan->edge_room,
		     sizeof(*scan->edge));
	if (!error)
		scan->edge[scan->edges++] = (struct edge){to, from, word};
	return error;
}

/* ---- a pass ---- */

/* How far a pass is: the roots' spans, then the heap in order of the chunks' numbers, in
 * which those with a mapping of their own are last. */
struct passage {
	struct scan *scan;
	struct look look;
	uint32_t next;	       /* range */
	uint64_t before_bytes; /* of those before it */
	uint64_t all_bytes;
	uint32_t number; /* of the range that is looked at now */
	uint64_t code;	 /* of a stack: the last code address so far in it */
	owners_progress_fn *progress;
	void *context;
};

/* The segment of range NUMBER, or null: it is looked through in the other turn. */
static struct segment *segment_of(const struct scan *scan, uint32_t number)
{
	uint32_t count = scan->chunks->segment_count;
	uint32_t i = number - roots_span_count(scan->roots);
	struct segment *segment = &scan->chunks->segment[i % count];
	bool is_mapped = segment->arena == (unsigned)BLOCKERS_ALL_ARENAS;

	return is_mapped == (i >= count) ? segment : NULL;
}

static const struct gather_list *met_of(const struct chunks *chunks,
					const struct segment *segment)
{
	return chunks->words ? gather_of(chunks->words, segment->number) : NULL;
}

static bool next_range(struct look_range *range, void *context)
{
	struct passage *passage = context;
	const struct scan *scan = passage->scan;
	uint32_t spans = roots_span_count(scan->roots);
	uint32_t count = spans + 2 * scan->chunks->segment_count;
	const struct segment *segment = NULL;

	while (passage->next >= spans && passage->next < count &&
	       !(segment = segment_of(scan, passage->next)))
		passage->next++;
	if (passage->next >= count)
		return false;
	if (segment) {
		*range = (struct look_range){.start = segment->start & ~UINT64_C(7),
					     .end = segment->end,
					     .met = met_of(scan->chunks, segment)};
	} else {
		const struct root_span *span = roots_span(scan->roots, passage->next);

		*range = (struct look_range){.start = (span->start + 7) & ~UINT64_C(7),
					     .end = span->end,
					     .is_raw = span->kind == OWNER_STACK};
	}
	range->number = passage->next;
	range->before_bytes = passage->before_bytes;
	if (range->end > range->start)
		passage->before_bytes += range->end - range->start;
	passage->next++;
	return true;
}

/* Brings near what is counted for a pointer some places on. */
static void approach(const struct scan *scan, const struct look_part *part, uint32_t i)
{
	if (scan->refs && i + AHEAD < part->count)
		__builtin_prefetch(&scan->refs[edge_to(part->pointer[i + AHEAD].to)], 1);
}

static int root_part(struct passage *passage, const struct look_part *part)
{
	struct scan *scan = passage->scan;
	int error = 0;

	for (uint32_t i = 0; i < part->count && !error; i++) {
		approach(scan, part, i);
		error = scan->visitor->root(
			scan, part->range.number,
			part->start + (uint64_t)part->pointer[i].word * WORD,
			part->pointer[i].to, 0);
	}
	return error;
}

/* Between two code addresses lies what one frame points to. */
static int stack_part(struct passage *passage, const struct look_part *part)
{
	struct scan *scan = passage->scan;
	uint64_t words = (part->end - part->start) / WORD;
	int error = 0;

	for (uint64_t i = 0; i < words && !error; i++) {
		uint32_t to = look_at(&passage->look, part->word[i]);

		if (roots_is_code(scan->roots, part->word[i]))
			passage->code = part->word[i];
		if (to != NO_CHUNK)
			error = scan->visitor->root(scan, part->range.number,
						    part->start + i * WORD, to,
						    passage->code);
	}
	return error;
}

/* The last word of a chunk is the first of the header of the one behind it (malloc.c,
 * "usable size"). */
static int heap_part(struct passage *passage, const struct look_part *part)
{
	struct scan *scan = passage->scan;
	const struct chunks *chunks = scan->chunks;
	const struct segment *segment = segment_of(scan, part->range.number);
	uint32_t last = segment->first + segment->count - 1;
	uint32_t at = chunks_in(chunks, segment,
				part->start > segment->start ? part->start - 1
							     : segment->start);
	int error = 0;

	for (uint32_t i = 0; i < part->count && !error; i++) {
		uint64_t addr = part->start + (uint64_t)part->pointer[i].word * WORD,
			 data;

		approach(scan, part, i);
		while (at < last && addr >= chunk_addr(chunks, at + 1) + WORD)
			at++;
		data = chunk_addr(chunks, at) + CHUNK_HEADER;
		if (addr >= data && chunk_is_live(chunks, at))
			error = scan->visitor->heap(scan, at,
						    (uint32_t)((addr - data) / WORD),
						    part->pointer[i].to);
	}
	return error;
}

static void go_past(struct passage *passage, const struct look_part *part)
{
	const struct look_range *range = &part->range;

	if (range->number != passage->number) {
		passage->number = range->number;
		passage->code = 0;
	}
	passage->scan->bytes += part->end - part->start;
	passage->progress((double)(range->before_bytes + part->end - range->start) /
				  (double)passage->all_bytes,
			  passage->context);
}

static int on_part(const struct look_part *part, void *context)
{
	struct passage *passage = context;

	go_past(passage, part);
	if (part->range.number >= roots_span_count(passage->scan->roots))
		return heap_part(passage, part);
	return part->range.is_raw ? stack_part(passage, part) : root_part(passage, part);
}

static struct look look_of(const struct scan *scan)
{
	return (struct look){
		.chunks = scan->chunks,
		.memory = scan->memory,
		.pages = scan->pages,
		.is_usual = scan->is_usual,
		.threads = scan->threads,
	};
}

static uint64_t all_bytes(const struct scan *scan)
{
	uint64_t sum = WORD;

	for (uint32_t i = 0; i < roots_span_count(scan->roots); i++) {
		const struct root_span *span = roots_span(scan->roots, i);

		sum += span->end - span->start;
	}
	for (uint32_t i = 0; i < scan->chunks->segment_count; i++)
		sum += scan->chunks->segment[i].end -
		       (scan->chunks->segment[i].start & ~UINT64_C(7));
	return sum;
}

static int pass_all(struct scan *scan, owners_progress_fn *progress, void *context)
{
	struct passage passage = {
		.scan = scan,
		.look = look_of(scan),
		.all_bytes = all_bytes(scan),
		.number = UINT32_MAX,
		.progress = progress,
		.context = context,
	};

	passage.look.next = next_range;
	passage.look.part = on_part;
	passage.look.context = &passage;
	return look_through(&passage.look);
}

/* ---- where pointers lead to as a rule ---- */

struct learning {
	const struct scan *scan;
	uint32_t segment; /* what is looked at next: in it, this far */
	uint64_t at, step;
	unsigned windows;
	uint64_t count[USUAL_BYTES];
	uint64_t pointers;
};

static int learn_part(const struct look_part *part, void *context)
{
	struct learning *learning = context;

	for (uint32_t i = 0; i < part->count; i++) {
		const struct look_pointer *pointer = &part->pointer[i];
		uint64_t behind =
			part->word[pointer->word] - CHUNK_HEADER -
			chunk_addr(learning->scan->chunks, edge_to(pointer->to));

		learning->pointers++;
		if (behind < USUAL_BYTES)
			learning->count[behind]++;
	}
	return 0;
}

/* Windows all over the heap. */
static bool next_window(struct look_range *range, void *context)
{
	struct learning *learning = context;
	const struct chunks *chunks = learning->scan->chunks;

	for (; learning->segment < chunks->segment_count; learning->segment++) {
		const struct segment *segment = &chunks->segment[learning->segment];
		uint64_t start = segment->start & ~UINT64_C(7);

		start += learning->at;
		if (start < segment->end && learning->windows++ != 2 * LEARN_WINDOWS) {
			*range = (struct look_range){.start = start, .end = segment->end};
			if (segment->end - start > WALK_WINDOW)
				range->end = start + WALK_WINDOW;
			learning->at += learning->step;
			return true;
		}
		learning->at = 0;
	}
	return false;
}

static int learn(struct scan *scan)
{
	const struct chunks *chunks = scan->chunks;
	struct learning learning = {.scan = scan};
	struct look look = look_of(scan);
	uint64_t bytes = 0;
	int error;

	for (uint32_t i = 0; i < chunks->segment_count; i++)
		bytes += chunks->segment[i].end - chunks->segment[i].start;
	learning.step = bytes / LEARN_WINDOWS > WALK_WINDOW ? bytes / LEARN_WINDOWS
							    : (uint64_t)WALK_WINDOW;
	look.next = next_window;
	look.part = learn_part;
	look.context = &learning;
	error = look_through(&look);
	for (unsigned i = 0; i < USUAL_BYTES; i++)
		scan->is_usual[i] |=
			learning.pointers >= USUAL_LEAST &&
			learning.count[i] * 100 >= learning.pointers * USUAL_PERCENT;
	return error;
}

/* ---- the edges ---- */

static size_t first_bytes(const struct scan *scan)
{
	return ((size_t)scan->chunks->count + 2) * sizeof(*scan->first);
}

static int index_edges(struct scan *scan)
{
	uint32_t count = scan->chunks->count, chunk = 0;
	int error =
		chunks_grow(scan->chunks, (void **)&scan->first, 0, first_bytes(scan));

	if (error)
		return error;
	for (uint32_t i = 0; i < scan->edges; i++)
		while (chunk <= scan->edge[i].from)
			scan->first[chunk++] = i;
	while (chunk <= count + 1)
		scan->first[chunk++] = scan->edges;
	return 0;
}

int scan_pass(struct scan *scan, const struct scan_visitor *visitor,
	      owners_progress_fn *progress, void *context)
{
	int error;

	scan->visitor = visitor;
	pages_forget(scan->pages);
	scan->is_usual[0] = true;
	error = learn(scan);
	scan->bytes = 0;
	return error ? error : pass_all(scan, progress, context);
}

int scan_all(struct scan *scan, owners_progress_fn *progress, void *context)
{
	static const struct scan_visitor keep = {keep_root_edge, keep_edge, NULL};
	uint32_t count = scan->chunks->count;
	int error = chunks_grow(scan->chunks, (void **)&scan->refs, 0, count + 1);

	if (!error)
		error = chunks_grow(scan->chunks, (void **)&scan->interior_refs, 0,
				    count + 1);
	if (error)
		return error;
	memset(scan->refs, 0, count + 1);
	memset(scan->interior_refs, 0, count + 1);
	error = scan_pass(scan, &keep, progress, context);
	if (error)
		return error;
	chunks_drop_words(scan->chunks);
	return index_edges(scan);
}

void scan_free(struct scan *scan)
{
	struct chunks *chunks = scan->chunks;

	if (!chunks)
		return;
	chunks_drop(chunks, (void **)&scan->first, first_bytes(scan));
	chunks_drop(chunks, (void **)&scan->edge,
		    (size_t)scan->edge_room * sizeof(*scan->edge));
	chunks_drop(chunks, (void **)&scan->root_edge,
		    (size_t)scan->root_edge_room * sizeof(*scan->root_edge));
	chunks_drop(chunks, (void **)&scan->refs, (size_t)chunks->count + 1);
	chunks_drop(chunks, (void **)&scan->interior_refs, (size_t)chunks->count + 1);
}

uint32_t scan_edges_of(const struct scan *scan, uint32_t from, uint32_t *first)
{
	*first = scan->first[from];
	return scan->first[from + 1] - scan->first[from];
}
