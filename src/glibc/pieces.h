/* pieces.h: everything that lies in a heap, piece by piece in order of address, for who
 * wants more than sums: chunks in use and free, tops, malloc's own, and last the chunks
 * with a mapping of their own. */
#ifndef FRAGSCOPE_PIECES_H
#define FRAGSCOPE_PIECES_H

#include "glibc/gather.h"
#include "glibc/heap.h"
#include "glibc/walk.h"

/* A segment of heap without a gap, or one mapped chunk. */
struct heap_segment {
	unsigned arena;		  /* BLOCKERS_ALL_ARENAS of a mapped chunk */
	unsigned number;	  /* of its lists in heap_piece_visitor.words */
	uint64_t end;		  /* where its memory ends */
	uint64_t trim_unit_bytes; /* as in struct walk_arena */
};

/* CACHED: the chunk is in a thread's cache. Each returns 0, or -errno to end it. */
struct heap_piece_visitor {
	int (*begin)(void *context, const struct heap_segment *segment);
	int (*piece)(void *context, const struct piece *piece, bool cached);
	int (*end)(void *context);
	void *context;
	/* How much memory may be used meanwhile: with some eight bytes a piece the heap
	 * is read once, and not twice. */
	uint64_t spare_bytes;
	/* If not null: set to the words that were met in the heap which may be addresses
	 * of chunks, for the caller to free; or to null. They are of these bytes. */
	struct gather **words;
};

/* Goes on after heap_look: tells VISITOR everything. HEAP was made with options.survey.
 * STATUS, MISSING and DOUBT_BYTES say how far that can be trusted. 0, what the visitor
 * returned, or -errno and FAULT. */
int heap_pieces(struct heap *heap, const struct regions *regions,
		const struct heap_piece_visitor *visitor, enum sample_status *status,
		char missing[SAMPLE_TEXT], uint64_t *doubt_bytes, struct fault *fault);

#endif
