/* thinned.h: whole samples of long ago in a fixed number of bytes, ever further apart.
 * For the files of this directory. */
#ifndef FRAGSCOPE_THINNED_H
#define FRAGSCOPE_THINNED_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What SAMPLE takes when it is packed behind another one. */
size_t packed_bytes(const struct sample *sample, bool bins);

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

#endif
