/* store.h: whole samples in a fixed number of bytes, each taking what its arenas need: a
 * ring of the latest, and a thinned run of older ones. For the files of this directory.
 */
#ifndef FRAGSCOPE_STORE_H
#define FRAGSCOPE_STORE_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What SAMPLE takes in either of them. */
size_t store_bytes(const struct sample *sample, bool bins);

/* ---- the thinned run ---- */

/* Samples behind one another from the start of MEMORY on, no two nearer than SPACING_NS.
 * When there is no room those older than KEEP_NS leave; if none are, every second sample
 * does, and the spacing is twice what it was: so the run always reaches back as far as it
 * can. */
struct thinned {
	char *memory;
	size_t bytes, used;
	size_t *place; /* the offset of each, the oldest first */
	size_t capacity, count;
	int64_t spacing_ns, keep_ns;
};

/* 0 or -ENOMEM. */
int thinned_open(struct thinned *thinned, size_t bytes, int64_t keep_ns);
void thinned_close(struct thinned *thinned);

/* Takes a copy of SAMPLE, bins and all, unless it is too near to the latest, or too
 * large. It must not be older than that one. */
void thinned_offer(struct thinned *thinned, const struct sample *sample);

/* The one BACK before the latest, which is there. */
struct sample *thinned_at(const struct thinned *thinned, size_t back);

/* ---- the ring ---- */

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
