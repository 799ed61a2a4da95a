#include "owners/again.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES = 8192,	   /* looked at together */
	BYTES = 128 << 10, /* of memory that is read for them, gaps included */
	GAP = 512,	   /* copying so many bytes is quicker than a read of its own */
};

struct slot_place {
	uint64_t addr;
	uint32_t chunk;
	uint32_t span;
};

/* Places that are read together, in runs without large gaps. */
struct second_pass {
	const struct reach *reach;
	again_fn *fn;
	void *context;
	struct slot_place place[PLACES];
	unsigned places;
	struct span span[MEMORY_SPANS];
	bool ok[MEMORY_SPANS];
	unsigned spans;
	uint32_t used; /* of BUFFER */
	uint8_t buffer[BYTES];
};

/* Whether the pointer at PLACE leads to its chunk: it may have been read into the
 * middle. */
static bool is_there(const struct second_pass *pass, const struct slot_place *place)
{
	const struct chunks *chunks = pass->reach->scan->chunks;
	const struct span *span = &pass->span[place->span];
	uint64_t value;

	if (!pass->ok[place->span])
		return false;
	memcpy(&value, (const uint8_t *)span->to + (place->addr - span->addr),
	       sizeof(value));
	return value > chunk_addr(chunks, place->chunk) &&
	       value < chunk_addr(chunks, place->chunk + 1);
}

static int read_pass(struct second_pass *pass)
{
	const struct scan *scan = pass->reach->scan;
	int error = pass->spans ? memory_fetch_many(scan->memory, scan->pages, pass->span,
						    pass->spans, pass->ok)
				: 0;

	for (unsigned i = 0; i < pass->places && !error; i++)
		pass->fn(pass->place[i].chunk, is_there(pass, &pass->place[i]),
			 pass->context);
	pass->places = pass->spans = pass->used = 0;
	return error;
}

/* Whether ADDR can be read with what is read so far, which then grows by *MORE bytes. */
static bool fits_run(const struct second_pass *pass, uint64_t addr, uint32_t *more)
{
	const struct span *run = pass->spans ? &pass->span[pass->spans - 1] : NULL;
	uint64_t end = run ? run->addr + run->len : 0;

	if (!run || addr < run->addr || addr > end + GAP)
		return false;
	*more = addr + sizeof(addr) > end ? (uint32_t)(addr + sizeof(addr) - end) : 0;
	return true;
}

static int add_place(struct second_pass *pass, uint64_t addr, uint32_t chunk)
{
	uint32_t more = sizeof(addr);
	bool fits = fits_run(pass, addr, &more);

	if (pass->places == PLACES || pass->used + more > BYTES ||
	    (!fits && pass->spans == MEMORY_SPANS)) {
		int error = read_pass(pass);

		if (error)
			return error;
		more = sizeof(addr);
		fits = false;
	}
	if (!fits)
		pass->span[pass->spans++] =
			(struct span){addr, pass->buffer + pass->used, 0};
	pass->span[pass->spans - 1].len += more;
	pass->used += more;
	pass->place[pass->places++] = (struct slot_place){addr, chunk, pass->spans - 1};
	return 0;
}

/* The places that the ways go through are some of those that the scan kept, which are in
 * order. */
static int add_all(struct second_pass *pass)
{
	const struct reach *reach = pass->reach;
	const struct scan *scan = reach->scan;
	const struct chunks *chunks = scan->chunks;
	int error = 0;

	for (uint32_t i = 0; i < scan->root_edges && !error; i++) {
		uint32_t to = edge_to(scan->root_edge[i].to);

		if (reach->parent[to] == (i | (uint32_t)PARENT_ROOT) &&
		    chunks->key[to] & CHUNK_ASKED)
			error = add_place(pass, scan->root_edge[i].addr, to);
	}
	for (uint32_t i = 0; i < scan->edges && !error; i++) {
		const struct edge *edge = &scan->edge[i];
		uint32_t to = edge_to(edge->to);

		if (reach->parent[to] == i && chunks->key[to] & CHUNK_ASKED)
			error = add_place(pass, edge_addr(chunks, edge), to);
	}
	return error ? error : read_pass(pass);
}

int again_all(const struct reach *reach, again_fn *fn, void *context)
{
	const struct chunks *chunks = reach->scan->chunks;
	struct second_pass *pass = malloc(sizeof(*pass));
	int error;

	if (!pass)
		return -ENOMEM;
	pass->reach = reach;
	pass->fn = fn;
	pass->context = context;
	pass->places = pass->spans = pass->used = 0;
	pages_forget(reach->scan->pages);
	for (uint32_t i = 0; i < chunks->count; i++)
		if (chunks->key[i] & CHUNK_ASKED && reach->parent[i] == NO_PARENT)
			fn(i, true, context);
	error = add_all(pass);
	free(pass);
	return error;
}
