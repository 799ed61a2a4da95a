/* scan.h: one pass over a process's writable memory for pointers to its live chunks. */
#ifndef FRAGSCOPE_SCAN_H
#define FRAGSCOPE_SCAN_H

#include "owners/look.h"
#include "owners/roots.h"

/* A pointer in a live chunk: WORD words behind the beginning of chunk FROM. */
struct edge {
	uint32_t to; /* with EDGE_INTERIOR where it points into the middle */
	uint32_t from;
	uint32_t word;
};

/* A pointer in the place ADDR of root ROOT. */
struct root_edge {
	uint32_t to;
	uint32_t root;
	uint64_t addr;
};

static inline uint32_t edge_to(uint32_t to)
{
	return to & ~(uint32_t)EDGE_INTERIOR;
}

static inline bool edge_is_interior(uint32_t to)
{
	return to & (uint32_t)EDGE_INTERIOR;
}

/* Where the pointer is. */
static inline uint64_t edge_addr(const struct chunks *chunks, const struct edge *edge)
{
	return chunk_addr(chunks, edge->from) + CHUNK_HEADER +
	       (uint64_t)edge->word * sizeof(uint64_t);
}

/* What of a chunk of a sample is known that no way from a root leads to. */
enum {
	FAR_NOT,     /* nothing points to it */
	FAR_PERHAPS, /* something does, which may not be of the sample */
	FAR_LAST,    /* nobody has looked for that */
};

struct scan;

/* Told of each pointer to a live chunk: TO is as in an edge. 0, or -errno to end it. */
struct scan_visitor {
	/* At ADDR in span SPAN of the roots; CODE is the last code address before it on a
	 * stack, or 0. */
	int (*root)(struct scan *scan, uint32_t span, uint64_t addr, uint32_t to,
		    uint64_t code);
	/* In live chunk FROM, WORD words behind its beginning. */
	int (*heap)(struct scan *scan, uint32_t from, uint32_t word, uint32_t to);
	void *context;
};

struct scan {
	struct chunks *chunks;
	struct roots *roots;
	struct memory *memory;
	struct pages *pages;
	unsigned threads; /* OWNERS_THREADS at most */
	/* Of a sample: a byte a chunk, 1: what points to it was not looked for. Or null.
	 */
	const uint8_t *is_far;
	/* Filled in. A pointer to so many bytes behind a chunk's beginning is none into
	 * its middle: many are there, as where a program's own allocator puts a header,
	 * or its strings have one. */
	bool is_usual[USUAL_BYTES];
	/* EDGE is in order of FROM. Of a chunk that many places point to, some
	 * edges are kept, and REFS (255: or more) counts all, but for interior ones. */
	struct edge *edge;
	uint32_t edges, edge_room;
	uint32_t *first; /* the first edge of each chunk and of those behind it */
	struct root_edge *root_edge;
	uint32_t root_edges, root_edge_room;
	uint8_t *refs, *interior_refs;
	uint64_t bytes;
	const struct scan_visitor *visitor;
};

/* One pass, for VISITOR alone: of SCAN the first five members are set. Pointers in chunks
 * come in order of the chunks' numbers. 0 or -errno; then scan_free. */
int scan_pass(struct scan *scan, const struct scan_visitor *visitor,
	      owners_progress_fn *progress, void *context);

/* Fills SCAN, of which the first five members are set. 0 or -errno; then scan_free. */
int scan_all(struct scan *scan, owners_progress_fn *progress, void *context);
void scan_free(struct scan *scan);

/* The edges in chunk FROM: *FIRST and how many. */
uint32_t scan_edges_of(const struct scan *scan, uint32_t from, uint32_t *first);

#endif
