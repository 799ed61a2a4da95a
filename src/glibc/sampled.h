/* sampled.h: a reading at a bounded cost. What malloc's records and lists tell is read
 * exactly; the rest is estimated from cells of the heap that are drawn at random
 * (estimate.h, window.h). */
#ifndef FRAGSCOPE_GLIBC_SAMPLED_H
#define FRAGSCOPE_GLIBC_SAMPLED_H

#include "glibc/estimate.h"
#include "glibc/known.h"
#include "glibc/parts.h"

enum {
	SAMPLED_CELL = 64 << 10,
	SAMPLED_PIECE = 256 << 10, /* cells of large free chunks, of which pages are
				    * looked at only */
};

/* What of an arena is known for sure, beside its KNOWN lists; bytes. */
struct sampled_arena {
	struct known_arena known;
	uint64_t unusable; /* of the known binned chunks that are too small */
	uint64_t top;
	uint64_t trimmable, pinned, retained; /* of the pages that were all looked at */
	uint64_t cells;
	uint64_t cell_bytes; /* of these, and of pieces that are drawn from, less FREE */
	uint64_t fences;
	uint64_t spoilt;	  /* drawn cells that are not known whole */
	uint64_t swapped;	  /* bytes of what was drawn */
	bool pages;		  /* of known chunks are told by cells, too */
	bool pieces;		  /* of large free chunks are drawn, too */
	uint64_t top_piece_bytes; /* of these, what a trim leaves of a top */
	bool lacks;		  /* something that its figures need */
};

struct sampler;

/* Takes all that readings of HEAP need. 0 or -ENOMEM. */
int sampler_new(struct sampler **sampler, struct heap *heap);
void sampler_free(struct sampler *sampler);

/* Whether a full reading of what heap_look found would cost more than BUDGET_NS. */
bool sampler_pays(const struct sampler *sampler, const struct heap *heap,
		  int64_t budget_ns);

/* Notes what a full reading of HEAP cost. */
void sampler_note_walk(struct sampler *sampler, const struct heap *heap, int64_t cost_ns);

/* Reads HEAP after heap_look and heap_find_segments, at a cost of about BUDGET_NS of
 * processor time. 0 or -errno. */
int sampler_read(struct sampler *sampler, struct heap *heap, int64_t budget_ns);

/* Notes in HEAP's list the threads' caches that are found; how many threads have one that
 * is not. What they count is in HEAP's totals then. *FOLLOW: their lists are to be
 * followed for more. */
uint64_t sampler_find_caches(struct sampler *sampler, struct heap *heap,
			     const struct regions *regions, int64_t budget_ns,
			     bool *follow);

/* What it found of arena I, and all cells that it drew; the group of arena I in it, or
 * ESTIMATE_ALL: the cells cannot be told by arena. */
const struct sampled_arena *sampler_arena(const struct sampler *sampler, unsigned i);
const struct known *sampler_known(const struct sampler *sampler);
const struct estimate_draw *sampler_draw(const struct sampler *sampler);
int sampler_group(const struct sampler *sampler, unsigned i);

/* What is to be known beside it: whether mmapped chunks were looked for, how many
 * threads' caches were not found, and what of those that were is known. */
struct sampled_rest {
	bool has_mapped;
	bool is_cached_by_home; /* caches are with the arena that each lies in */
	uint64_t lost_caches;
};

/* sampled_figures.c: turns it into the sample. */
void sampled_figures(struct heap *heap, const struct sampler *sampler,
		     const struct sampled_rest *rest, struct sample *sample);

#endif
