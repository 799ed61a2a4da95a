/* caches.h: finds threads' tcaches without a walk over the heap: they are first chunks of
 * arenas, or what a word in a thread's static TLS points to, which lies at the end of the
 * thread's stack. What was found stays known. */
#ifndef FRAGSCOPE_CACHES_H
#define FRAGSCOPE_CACHES_H

#include "glibc/parts.h"

enum { CACHES = 1 << 12 }; /* that are kept in mind */

struct caches {
	uint64_t address[CACHES];
	unsigned count;
	unsigned next;	      /* the region to look at next */
	uint64_t offset;      /* of the word before a stack's end; 0: not known yet */
	uint64_t stack_bytes; /* of the stack where that was found; 0 at first */
};

/* Brings CACHES up to date after heap_index_segments, at a cost of NS of processor time
 * or so: what is not found now is looked for in the next reading. WANTED: threads that
 * have an arena. Reads by PAGES. */
void caches_find(struct caches *caches, struct heap *heap, struct pages *pages,
		 const struct regions *regions, uint64_t wanted, int64_t ns);

/* Adds up what the caches count, without a look at their lists: in all, and as if what a
 * cache has were of the arena in which it lies. False: some of it is in lists of several
 * sizes, which have to be followed. */
bool caches_count(const struct caches *caches, struct heap *heap, struct pages *pages,
		  struct tcache_totals *totals, struct tcache_totals *by_arena);

/* The most that the cache of a thread can hold, or 0: there is no telling. */
uint64_t caches_most_bytes(const struct heap *heap);
uint64_t caches_most_chunks(const struct heap *heap);

#endif
