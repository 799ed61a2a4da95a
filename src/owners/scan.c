#include "owners/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORD = sizeof(uint64_t),
	KEPT = 12,	   /* edges to one chunk */
	INTERIOR_KEPT = 4, /* of them, interior ones apart */
	MANY = 255,
};

static int grow(struct scan *scan, void **array, uint32_t count, uint32_t *room,
		size_t size)
{
	uint32_t want = *room ? *room * 2 : 1 << 16;
	int error;

	if (count < *room)
		return 0;
	error = chunks_grow(scan->chunks, array, *room * size, want * size);
	if (!error)
		*room = want;
	return error;
}

/* The live chunk that VALUE points to, or NO_CHUNK; with EDGE_INTERIOR as in an edge. */
static uint32_t target_of(const struct scan *scan, uint64_t value)
{
	const struct chunks *chunks = scan->chunks;
	uint32_t to = chunks_at(chunks, value);
	uint64_t data;

	if (to == NO_CHUNK || !chunk_is_live(chunks, to))
		return NO_CHUNK;
	data = chunk_addr(chunks, to) + CHUNK_HEADER;
	if (value == data)
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

static int add_root_edge(struct scan *scan, uint32_t span, uint64_t addr, uint32_t to,
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

static int add_edge(struct scan *scan, uint32_t from, uint32_t word, uint32_t to)
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

static uint64_t word_at(const struct scan *scan, uint64_t start, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, scan->window + (addr - start), sizeof(value));
	return value;
}

/* ---- roots ---- */

static int scan_root_window(struct scan *scan, uint32_t span, uint64_t start,
			    uint64_t end, uint64_t *code)
{
	const struct chunks *chunks = scan->chunks;
	bool is_stack = roots_span(scan->roots, span)->kind == OWNER_STACK;

	for (uint64_t at = start; at + WORD <= end; at += WORD) {
		uint64_t value = word_at(scan, start, at);
		uint32_t to;
		int error;

		if (is_stack && roots_is_code(scan->roots, value))
			*code = value;
		if (value < chunks->low || value >= chunks->high)
			continue;
		to = target_of(scan, value);
		error = to == NO_CHUNK ? 0 : add_root_edge(scan, span, at, to, *code);
		if (error)
			return error;
	}
	return 0;
}

/* ---- chunks ---- */

/* The words of the live chunks in a window: the last of a chunk is the first of the
 * header of the one behind it (malloc.c, "usable size"). */
static int scan_heap_window(struct scan *scan, const struct stretch *stretch,
			    uint64_t start, uint64_t end)
{
	const struct chunks *chunks = scan->chunks;
	uint32_t last = stretch->first + stretch->count;
	uint32_t i = chunks_at(chunks, start > stretch->start ? start - 1 : start);

	for (; i < last && chunk_addr(chunks, i) < end; i++) {
		uint64_t data = chunk_addr(chunks, i) + CHUNK_HEADER;
		uint64_t to = chunk_addr(chunks, i + 1) + WORD;

		if (!chunk_is_live(chunks, i))
			continue;
		to = to < end ? to : end;
		for (uint64_t at = data > start ? data : start; at + WORD <= to;
		     at += WORD) {
			uint64_t value = word_at(scan, start, at);
			uint32_t target;
			int error;

			if (value < chunks->low || value >= chunks->high)
				continue;
			target = target_of(scan, value);
			error = target == NO_CHUNK
					? 0
					: add_edge(scan, i,
						   (uint32_t)((at - data) / WORD),
						   target);
			if (error)
				return error;
		}
	}
	return 0;
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

struct root_window {
	uint32_t span;
	uint64_t code;
};

static int root_window(struct scan *scan, uint64_t start, uint64_t end, void *context)
{
	struct root_window *window = context;

	return scan_root_window(scan, window->span, start, end, &window->code);
}

static int heap_window(struct scan *scan, uint64_t start, uint64_t end, void *context)
{
	return scan_heap_window(scan, context, start, end);
}

static uint64_t all_bytes(const struct scan *scan)
{
	uint64_t sum = 1;

	for (uint32_t i = 0; i < roots_span_count(scan->roots); i++) {
		const struct root_span *span = roots_span(scan->roots, i);

		sum += span->end - span->start;
	}
	for (uint32_t i = 0; i < scan->chunks->stretch_count; i++)
		sum += scan->chunks->stretch[i].end - scan->chunks->stretch[i].start;
	return sum;
}

static int scan_both(struct scan *scan, owners_progress_fn *progress, void *context)
{
	double all = (double)all_bytes(scan), done = 0;
	int error = 0;

	for (uint32_t i = 0; i < roots_span_count(scan->roots) && !error; i++) {
		const struct root_span *span = roots_span(scan->roots, i);
		struct root_window window = {.span = i};

		error = each_window(scan, (span->start + 7) & ~UINT64_C(7), span->end,
				    root_window, &window);
		done += (double)(span->end - span->start);
		progress(done / all, context);
	}
	/* In order of the chunks' numbers: those with a mapping of their own are last. */
	for (uint32_t n = 0; n < 2 * scan->chunks->stretch_count && !error; n++) {
		uint32_t i = n % scan->chunks->stretch_count;
		struct stretch *stretch = &scan->chunks->stretch[i];
		bool is_mapped = stretch->arena == (unsigned)PINS_ALL_ARENAS;

		if (is_mapped != (n >= scan->chunks->stretch_count))
			continue;
		error = each_window(scan, stretch->start & ~UINT64_C(7), stretch->end,
				    heap_window, stretch);
		done += (double)(stretch->end - stretch->start);
		progress(done / all, context);
	}
	return error;
}

static int index_edges(struct scan *scan)
{
	uint32_t count = scan->chunks->count, chunk = 0;
	int error = chunks_grow(scan->chunks, (void **)&scan->first, 0,
				((size_t)count + 2) * sizeof(*scan->first));

	if (error)
		return error;
	for (uint32_t i = 0; i < scan->edges; i++)
		while (chunk <= scan->edge[i].from)
			scan->first[chunk++] = i;
	while (chunk <= count + 1)
		scan->first[chunk++] = scan->edges;
	return 0;
}

int scan_all(struct scan *scan, owners_progress_fn *progress, void *context)
{
	uint32_t count = scan->chunks->count;
	int error = chunks_grow(scan->chunks, (void **)&scan->refs, 0, count + 1);

	if (!error)
		error = chunks_grow(scan->chunks, (void **)&scan->interior_refs, 0,
				    count + 1);
	scan->window = malloc(WALK_WINDOW);
	if (!error && !scan->window)
		error = -ENOMEM;
	if (error)
		return error;
	memset(scan->refs, 0, count + 1);
	memset(scan->interior_refs, 0, count + 1);
	pages_forget(scan->pages);
	error = scan_both(scan, progress, context);
	return error ? error : index_edges(scan);
}

void scan_free(struct scan *scan)
{
	free(scan->first);
	free(scan->edge);
	free(scan->root_edge);
	free(scan->refs);
	free(scan->interior_refs);
	free(scan->window);
}

uint32_t scan_edges_of(const struct scan *scan, uint32_t from, uint32_t *first)
{
	*first = scan->first[from];
	return scan->first[from + 1] - scan->first[from];
}
