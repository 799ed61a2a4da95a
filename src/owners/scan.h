/* scan.h: one pass over a process's writable memory for pointers to its live chunks. */
#ifndef FRAGSCOPE_SCAN_H
#define FRAGSCOPE_SCAN_H

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

enum { EDGE_INTERIOR = INT32_MIN };

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

struct scan {
	struct chunks *chunks;
	struct roots *roots;
	struct memory *memory;
	struct pages *pages;
	/* Filled in. EDGE is in order of FROM. Of a chunk that many places point to, some
	 * edges are kept, and REFS (255: or more) counts all, but for interior ones. */
	struct edge *edge;
	uint32_t edges, edge_room;
	uint32_t *first; /* the first edge of each chunk and of those behind it */
	struct root_edge *root_edge;
	uint32_t root_edges, root_edge_room;
	uint8_t *refs, *interior_refs;
	uint64_t bytes;
	uint64_t *window;
	uint16_t *sifted; /* of its words, those that may be pointers */
};

/* Fills SCAN, of which the first four members are set. 0 or -errno; then scan_free. */
int scan_all(struct scan *scan, owners_progress_fn *progress, void *context);
void scan_free(struct scan *scan);

/* The edges in chunk FROM: *FIRST and how many. */
uint32_t scan_edges_of(const struct scan *scan, uint32_t from, uint32_t *first);

#endif
