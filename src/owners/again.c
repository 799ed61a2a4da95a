#include "owners/again.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES = 8192,	   /* looked at together */
	BYTES = 128 << 10, /* of memory that is read for them, gaps included */
	GAP = 512,	   /* copying so many bytes is quicker than a read of its own */
};

struct place {
	uint64_t addr;
	uint32_t chunk;
	uint32_t span;
};

/* Places that are read together, in runs without large gaps. */
struct look {
	const struct reach *reach;
	again_fn *fn;
	void *context;
	struct place place[PLACES];
	unsigned places;
	struct span span[MEMORY_SPANS];
	bool ok[MEMORY_SPANS];
	unsigned spans;
	uint32_t used; /* of BUFFER */
	uint8_t buffer[BYTES];
};

/* Whether the pointer at PLACE leads to its chunk: it may have been read into the
 * middle. */
static bool is_there(const struct look *look, const struct place *place)
{
	const struct chunks *chunks = look->reach->scan->chunks;
	const struct span *span = &look->span[place->span];
	uint64_t value;

	if (!look->ok[place->span])
		return false;
	memcpy(&value, (const uint8_t *)span->to + (place->addr - span->addr),
	       sizeof(value));
	return value > chunk_addr(chunks, place->chunk) &&
	       value < chunk_addr(chunks, place->chunk + 1);
}

static int look_now(struct look *look)
{
	const struct scan *scan = look->reach->scan;
	int error = look->spans ? memory_fetch_many(scan->memory, scan->pages, look->span,
						    look->spans, look->ok)
				: 0;

	for (unsigned i = 0; i < look->places && !error; i++)
		look->fn(look->place[i].chunk, is_there(look, &look->place[i]),
			 look->context);
	look->places = look->spans = look->used = 0;
	return error;
}

/* Whether ADDR can be read with what is read so far, which then grows by *MORE bytes. */
static bool fits_run(const struct look *look, uint64_t addr, uint32_t *more)
{
	const struct span *run = look->spans ? &look->span[look->spans - 1] : NULL;
	uint64_t end = run ? run->addr + run->len : 0;

	if (!run || addr < run->addr || addr > end + GAP)
		return false;
	*more = addr + sizeof(addr) > end ? (uint32_t)(addr + sizeof(addr) - end) : 0;
	return true;
}

static int add_place(struct look *look, uint64_t addr, uint32_t chunk)
{
	uint32_t more = sizeof(addr);
	bool fits = fits_run(look, addr, &more);

	if (look->places == PLACES || look->used + more > BYTES ||
	    (!fits && look->spans == MEMORY_SPANS)) {
		int error = look_now(look);

		if (error)
			return error;
		more = sizeof(addr);
		fits = false;
	}
	if (!fits)
		look->span[look->spans++] =
			(struct span){addr, look->buffer + look->used, 0};
	look->span[look->spans - 1].len += more;
	look->used += more;
	look->place[look->places++] = (struct place){addr, chunk, look->spans - 1};
	return 0;
}

/* The places that the ways go through are some of those that the scan kept, which are in
 * order. */
static int add_all(struct look *look)
{
	const struct reach *reach = look->reach;
	const struct scan *scan = reach->scan;
	const struct chunks *chunks = scan->chunks;
	int error = 0;

	for (uint32_t i = 0; i < scan->root_edges && !error; i++) {
		uint32_t to = edge_to(scan->root_edge[i].to);

		if (reach->parent[to] == (i | (uint32_t)PARENT_ROOT) &&
		    chunks->key[to] & CHUNK_ASKED)
			error = add_place(look, scan->root_edge[i].addr, to);
	}
	for (uint32_t i = 0; i < scan->edges && !error; i++) {
		const struct edge *edge = &scan->edge[i];
		uint32_t to = edge_to(edge->to);

		if (reach->parent[to] == i && chunks->key[to] & CHUNK_ASKED)
			error = add_place(look, edge_addr(chunks, edge), to);
	}
	return error ? error : look_now(look);
}

int again_all(const struct reach *reach, again_fn *fn, void *context)
{
	const struct chunks *chunks = reach->scan->chunks;
	struct look *look = malloc(sizeof(*look));
	int error;

	if (!look)
		return -ENOMEM;
	look->reach = reach;
	look->fn = fn;
	look->context = context;
	look->places = look->spans = look->used = 0;
	pages_forget(reach->scan->pages);
	for (uint32_t i = 0; i < chunks->count; i++)
		if (chunks->key[i] & CHUNK_ASKED && reach->parent[i] == NO_PARENT)
			fn(i, true, context);
	error = add_all(look);
	free(look);
	return error;
}
