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

/* Piece TO as what VALUE, which lies in it, points to: a live chunk, with EDGE_INTERIOR
 * as in an edge, or NO_CHUNK. */
static uint32_t target_of(const struct scan *scan, uint64_t value, uint32_t to)
{
	const struct chunks *chunks = scan->chunks;
	uint64_t data;

	if (to == NO_CHUNK || !chunk_is_live(chunks, to))
		return NO_CHUNK;
	data = chunk_addr(chunks, to) + CHUNK_HEADER;
	if (value - data < USUAL_BYTES && scan->is_usual[value - data])
		return to;
	return value > data ? to | (uint32_t)EDGE_INTERIOR : NO_CHUNK;
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

/* ---- what may be pointers ---- */

/* The words of the window, which begins at START, that lie between all chunks. */
static unsigned sift(struct scan *scan, uint64_t start, uint64_t end)
{
	uint64_t low = scan->chunks->low, span = scan->chunks->high - low;
	unsigned words = (unsigned)((end - start) / WORD), found = 0;
	const uint64_t *word = scan->window;

	/* Without a branch: there are many, and no telling which. */
	for (unsigned i = 0; i < words; i++) {
		scan->sifted[found] = (uint16_t)i;
		found += word[i] - low < span;
	}
	return found;
}

/* A word of a window and what it points to. */
typedef int pointer_fn(struct scan *scan, uint64_t addr, uint32_t to, void *context);

/* Calls FN with each pointer to a live chunk in the window [START, END), in order. */
static int each_pointer(struct scan *scan, uint64_t start, uint64_t end, pointer_fn *fn,
			void *context)
{
	unsigned found = sift(scan, start, end), count;

	for (unsigned first = 0; first < found; first += count) {
		const uint16_t *word = scan->sifted + first;
		uint64_t value[CHUNKS_AT_ONCE];
		uint32_t to[CHUNKS_AT_ONCE];

		count = found - first < CHUNKS_AT_ONCE ? found - first : CHUNKS_AT_ONCE;
		for (unsigned i = 0; i < count; i++)
			value[i] = scan->window[word[i]];
		chunks_at_all(scan->chunks, value, count, to);
		for (unsigned i = 0; i < count; i++) {
			to[i] = target_of(scan, value[i], to[i]);
			if (to[i] != NO_CHUNK && scan->refs)
				__builtin_prefetch(&scan->refs[edge_to(to[i])], 1);
		}
		for (unsigned i = 0; i < count; i++) {
			int error = to[i] == NO_CHUNK
					    ? 0
					    : fn(scan, start + (uint64_t)word[i] * WORD,
						 to[i], context);
			if (error)
				return error;
		}
	}
	return 0;
}

/* ---- roots ---- */

struct root_window {
	uint32_t span;
	uint64_t code; /* of a stack: the last code address so far */
};

static int root_pointer(struct scan *scan, uint64_t addr, uint32_t to, void *context)
{
	const struct root_window *window = context;

	return scan->visitor->root(scan, window->span, addr, to, window->code);
}

/* Between two code addresses lies what one frame points to. */
static int stack_window(struct scan *scan, uint64_t start, uint64_t end,
			struct root_window *window)
{
	for (uint64_t at = start; at + WORD <= end; at += WORD) {
		uint64_t value = scan->window[(at - start) / WORD];
		uint32_t to = target_of(scan, value, chunks_at(scan->chunks, value));
		int error;

		if (roots_is_code(scan->roots, value))
			window->code = value;
		error = to == NO_CHUNK ? 0 : root_pointer(scan, at, to, window);
		if (error)
			return error;
	}
	return 0;
}

static int root_window(struct scan *scan, uint64_t start, uint64_t end, void *context)
{
	struct root_window *window = context;

	if (roots_span(scan->roots, window->span)->kind == OWNER_STACK)
		return stack_window(scan, start, end, window);
	return each_pointer(scan, start, end, root_pointer, window);
}

/* ---- chunks ---- */

/* The pieces of a stretch as its pointers come, from low to high addresses. */
struct heap_cursor {
	uint32_t at, last;
};

/* The last word of a chunk is the first of the header of the one behind it (malloc.c,
 * "usable size"). */
static int heap_pointer(struct scan *scan, uint64_t addr, uint32_t to, void *context)
{
	const struct chunks *chunks = scan->chunks;
	struct heap_cursor *cursor = context;
	uint64_t data;

	while (cursor->at < cursor->last &&
	       addr >= chunk_addr(chunks, cursor->at + 1) + WORD)
		cursor->at++;
	data = chunk_addr(chunks, cursor->at) + CHUNK_HEADER;
	if (addr < data || !chunk_is_live(chunks, cursor->at))
		return 0;
	return scan->visitor->heap(scan, cursor->at, (uint32_t)((addr - data) / WORD),
				   to);
}

static int heap_window(struct scan *scan, uint64_t start, uint64_t end, void *context)
{
	const struct segment *segment = context;
	struct heap_cursor cursor = {
		.at = chunks_in(scan->chunks, segment,
				start > segment->start ? start - 1 : segment->start),
		.last = segment->first + segment->count - 1,
	};

	return each_pointer(scan, start, end, heap_pointer, &cursor);
}

/* ---- windows ---- */

typedef int window_fn(struct scan *scan, uint64_t start, uint64_t end, void *context);

/* Reads what is resident of [START, END) in windows. What is gone meanwhile, or may not
 * be read, is passed over. */
static int each_window(struct scan *scan, uint64_t start, uint64_t end, window_fn *fn,
		       void *context)
{
	uint64_t at = start;

	while ((at = pages_next_resident(scan->pages, at, end)) < end) {
		uint64_t most = end - at < WALK_WINDOW ? end : at + WALK_WINDOW;
		uint64_t run = pages_run_end(scan->pages, at, most);
		struct span span = {at, scan->window, (uint32_t)(run - at)};
		int got, error;

		got = scan->memory->read(scan->memory, &span, 1);
		if (got < 0)
			return got;
		error = got == 1 ? fn(scan, at, at + span.len, context) : 0;
		if (error)
			return error;
		scan->bytes += got == 1 ? span.len : 0;
		at += span.len;
	}
	return 0;
}

/* ---- where pointers lead to as a rule ---- */

struct learning {
	const struct scan *scan;
	uint64_t start; /* of the window */
	uint64_t count[USUAL_BYTES];
	uint64_t pointers;
	unsigned windows;
};

static int learn_pointer(struct scan *scan, uint64_t addr, uint32_t to, void *context)
{
	struct learning *learning = context;
	uint64_t value = scan->window[(addr - learning->start) / WORD];
	uint64_t behind = value - chunk_addr(scan->chunks, edge_to(to)) - CHUNK_HEADER;

	learning->pointers++;
	if (behind < USUAL_BYTES)
		learning->count[behind]++;
	return 0;
}

static int learn_window(struct scan *scan, uint64_t start, uint64_t end, void *context)
{
	struct learning *learning = context;

	learning->start = start;
	return each_pointer(scan, start, end, learn_pointer, learning);
}

/* Looks at some windows all over the heap. */
static int learn(struct scan *scan)
{
	const struct chunks *chunks = scan->chunks;
	struct learning learning = {.scan = scan};
	uint64_t bytes = 0, step;
	int error = 0;

	for (uint32_t i = 0; i < chunks->segment_count; i++)
		bytes += chunks->segment[i].end - chunks->segment[i].start;
	step = bytes / LEARN_WINDOWS > WALK_WINDOW ? bytes / LEARN_WINDOWS
						   : (uint64_t)WALK_WINDOW;
	for (uint32_t i = 0; i < chunks->segment_count && !error; i++) {
		const struct segment *segment = &chunks->segment[i];
		uint64_t at = segment->start & ~UINT64_C(7), end;

		for (; at < segment->end && !error; at += step) {
			if (learning.windows++ == 2 * LEARN_WINDOWS)
				break;
			end = at + WALK_WINDOW < segment->end ? at + WALK_WINDOW
							      : segment->end;
			error = each_window(scan, at, end, learn_window, &learning);
		}
	}
	for (unsigned i = 0; i < USUAL_BYTES; i++)
		scan->is_usual[i] |=
			learning.pointers >= USUAL_LEAST &&
			learning.count[i] * 100 >= learning.pointers * USUAL_PERCENT;
	return error;
}

static uint64_t all_bytes(const struct scan *scan)
{
	uint64_t sum = 1;

	for (uint32_t i = 0; i < roots_span_count(scan->roots); i++) {
		const struct root_span *span = roots_span(scan->roots, i);

		sum += span->end - span->start;
	}
	for (uint32_t i = 0; i < scan->chunks->segment_count; i++)
		sum += scan->chunks->segment[i].end - scan->chunks->segment[i].start;
	return sum;
}

/* How far a pass is. */
struct passage {
	double all, done;
	owners_progress_fn *progress;
	void *context;
};

static void go_past(struct passage *passage, uint64_t start, uint64_t end)
{
	passage->done += (double)(end - start);
	passage->progress(passage->done / passage->all, passage->context);
}

static int scan_roots(struct scan *scan, struct passage *passage)
{
	int error = 0;

	for (uint32_t i = 0; i < roots_span_count(scan->roots) && !error; i++) {
		const struct root_span *span = roots_span(scan->roots, i);
		struct root_window window = {.span = i};

		error = each_window(scan, (span->start + 7) & ~UINT64_C(7), span->end,
				    root_window, &window);
		go_past(passage, span->start, span->end);
	}
	return error;
}

/* The segments of heaps, or the chunks with a mapping of their own. */
static int scan_segments(struct scan *scan, bool is_mapped, struct passage *passage)
{
	int error = 0;

	for (uint32_t i = 0; i < scan->chunks->segment_count && !error; i++) {
		struct segment *segment = &scan->chunks->segment[i];

		if (is_mapped != (segment->arena == (unsigned)BLOCKERS_ALL_ARENAS))
			continue;
		error = each_window(scan, segment->start & ~UINT64_C(7), segment->end,
				    heap_window, segment);
		go_past(passage, segment->start, segment->end);
	}
	return error;
}

/* The heap in order of the chunks' numbers: those with a mapping of their own are last.
 */
static int scan_both(struct scan *scan, owners_progress_fn *progress, void *context)
{
	struct passage passage = {(double)all_bytes(scan), 0, progress, context};
	int error = scan_roots(scan, &passage);

	if (!error)
		error = scan_segments(scan, false, &passage);
	return error ? error : scan_segments(scan, true, &passage);
}

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
	scan->window = malloc(WALK_WINDOW);
	scan->sifted = malloc((WALK_WINDOW / WORD + 1) * sizeof(*scan->sifted));
	if (!scan->window || !scan->sifted)
		return -ENOMEM;
	pages_forget(scan->pages);
	scan->is_usual[0] = true;
	error = learn(scan);
	scan->bytes = 0;
	return error ? error : scan_both(scan, progress, context);
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
	return error ? error : index_edges(scan);
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
	free(scan->window);
	free(scan->sifted);
}

uint32_t scan_edges_of(const struct scan *scan, uint32_t from, uint32_t *first)
{
	*first = scan->first[from];
	return scan->first[from + 1] - scan->first[from];
}
