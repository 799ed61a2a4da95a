/* store.h: the latest whole samples in a fixed number of bytes: a ring, in which each
 * takes what its arenas need. For the files of this directory. */
#ifndef FRAGSCOPE_STORE_H
#define FRAGSCOPE_STORE_H

#include "sample/sample.h"
#include "series/thinned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PLACE is the ring of the offsets of those that are kept. A sample never wraps. */
struct store {
	char *memory;
	size_t bytes;
	size_t used_to; /* offset behind the latest */
	size_t *place;
	size_t capacity, count, head;
	bool bins;	       /* kept with the samples that have them */
	struct thinned *older; /* is offered what leaves */
};

/* 0 or -ENOMEM. OLDER stays the caller's. */
int store_open(struct store *store, size_t bytes, bool bins, struct thinned *older);
void store_close(struct store *store);

/* Takes a copy of SAMPLE. 0, or -ENOSPC when it is larger than the store. */
int store_add(struct store *store, const struct sample *sample);
struct sample *store_at(const struct store *store, size_t back);

#endif
