/* sampled.h: where the tables of all chunks would take too much: a random sample of those
 * that are asked about, and the chunks that lead to them, level by level, as a table of
 * chunks of their own that the search goes on with. */
#ifndef FRAGSCOPE_OWNERS_SAMPLED_H
#define FRAGSCOPE_OWNERS_SAMPLED_H

#include "owners/scan.h"

enum {
	SAMPLED_CHUNKS = 20000, /* at most: a share's interval is 1.4% wide then */
	SAMPLED_LEVELS = 6,	/* above a chunk of the sample */
};

/* Fills SAMPLED, of which only LIMIT_BYTES is set, with some of SCAN's chunks, of which
 * ASKED are asked about (CHUNK_ASKED): the sample's are, the others are on the way there.
 * IS_FAR, a byte a chunk of it (FAR_...), says what is known of what points to it; the
 * caller frees it. Each level is a pass over all memory. *COUNT: of the sample. 0 or
 * -errno; then chunks_free. */
int sampled_take(struct chunks *sampled, uint8_t **is_far, struct scan *scan,
		 uint64_t asked, uint64_t *count, owners_progress_fn *progress,
		 void *context);

#endif
