/* pool.h: runs many walks at once: each thread keeps several going, so that the headers
 * of far-apart chunks are fetched by one system call, and the threads share the
 * bandwidth. */
#ifndef FRAGSCOPE_POOL_H
#define FRAGSCOPE_POOL_H

#include "glibc/walk.h"

struct walk_pool;

/* A pool of THREADS readers, the caller's own thread among them, which goes by the
 * caller's PAGES. All memory is taken here. 0 or -errno. */
int walk_pool_new(struct walk_pool **pool, struct memory *memory, struct pages *pages,
		  unsigned threads);
void walk_pool_free(struct walk_pool *pool);

/* Forgets the page flags of other threads: a new reading begins. */
void walk_pool_forget(struct walk_pool *pool);

/* Runs COUNT walks, begun by walk_begin, until all are done; the readers lend them their
 * buffers and page flags. 0, or -errno when the target cannot be read. */
int walk_pool_run(struct walk_pool *pool, struct walk *walks, unsigned count);

#endif
