/* refusals.h: which of the system calls that malloc is refused is its last word: one
 * failure a call that returns NULL, told by the order of one thread's refusals. Functions
 * of their arguments only, for the kernel and for tests. */
#ifndef FRAGSCOPE_BPF_REFUSALS_H
#define FRAGSCOPE_BPF_REFUSALS_H

#include "probe.h"

#ifndef __bpf__
#include <stdbool.h>
#endif

/* Without threads there is one attempt, in the main arena: brk, then a mapping in its
 * stead. With threads malloc makes two before it gives up (arena_get_retry): one of them
 * in the main arena, or both, the other in a secondary one, where neither a heap nor a
 * mapping for the chunk alone is had. realloc of a chunk in the main arena makes one more
 * there, at another depth of the stack. A large request begins each attempt with a
 * mapping for the chunk alone: what follows tells where that was. */
enum attempt {
	ATTEMPT_NONE,
	ATTEMPT_MAIN,	  /* in the main arena; one more is to come */
	ATTEMPT_COUNTED,  /* the same, and the call is counted already */
	ATTEMPT_OTHER,	  /* in a non-main arena */
	ATTEMPT_FINAL,	  /* of a thread that has an arena: the call has ended */
	ATTEMPT_NO_ARENA, /* of a thread that has none, and cannot get one */
};

enum {
	HEAP_REFUSALS = 2,  /* what a heap that cannot be made is refused, at least */
	ARENA_REFUSALS = 4, /* an arena: two sizes of its first heap are tried */
	TCACHE_FRAMES_BYTES =
		512, /* more than malloc's call for its cache takes of stack */
};

/* What one thread was refused since anything was granted to it. */
struct refusals {
	u64 brk_length; /* asked of brk, and nothing tried in its stead yet; 0: none */
	u64 large;	/* a large chunk's mapping, of an attempt that goes on; 0: none */
	u64 sp;		/* user stack pointer at the attempt that is LAST */
	u32 last;	/* enum attempt */
	u32 undo;	/* what was LAST, should brk follow now; only if HAS_UNDO */
	u32 has_undo;
	u32 heaps; /* refusals for new heaps in this attempt */
};

/* An attempt in a non-main arena has failed. Whether the call has. */
static inline bool refusals_other(struct refusals *refusals)
{
	u32 last = refusals->last;
	bool is_second = last == ATTEMPT_MAIN || last == ATTEMPT_COUNTED;

	refusals->last = is_second ? ATTEMPT_FINAL : ATTEMPT_OTHER;
	return last == ATTEMPT_MAIN;
}

/* brk was refused LENGTH. */
static inline void refusals_brk(struct refusals *refusals, u64 length)
{
	refusals->brk_length = length;
	refusals->large = 0;
	if (refusals->has_undo)
		refusals->last = refusals->undo;
	refusals->has_undo = 0;
}

/* A heap was refused: its reservation (COUNT 1), or to be made writable (HEAP_REFUSALS).
 * Whether the call has failed, for a chunk whose mapping was LARGE before. */
static inline bool refusals_heap(struct refusals *refusals, u32 count)
{
	bool was_large = refusals->large;

	refusals->heaps += count;
	refusals->has_undo = 0;
	refusals->large = 0;
	return was_large && refusals_other(refusals);
}

/* A heap was made: for a new arena, or for the request itself. */
static inline void refusals_end_heap(struct refusals *refusals)
{
	refusals->heaps = 0;
	refusals->has_undo = 0;
	refusals->large = 0;
}

/* The mapping in brk's stead was refused. Whether the call has failed. */
static inline bool refusals_main(struct refusals *refusals, u64 sp, bool has_threads)
{
	u32 last = refusals->last;
	bool is_first = last != ATTEMPT_MAIN && last != ATTEMPT_COUNTED;
	bool is_last = !is_first && refusals->sp == sp;

	refusals_end_heap(refusals);
	refusals->brk_length = 0;
	refusals->sp = sp;
	if (!has_threads || last == ATTEMPT_OTHER || is_last)
		refusals->last = ATTEMPT_FINAL;
	else if (is_first)
		refusals->last = ATTEMPT_MAIN;
	return refusals->last == ATTEMPT_FINAL && last != ATTEMPT_COUNTED;
}

/* A thread without an arena was refused a mapping. Its cache is such a request, too, made
 * further down the stack: that comes first, and then the call itself counts no more. */
static inline bool refusals_no_arena(struct refusals *refusals, u64 sp)
{
	u64 above = sp - refusals->sp;
	u32 last = refusals->last;

	if (last == ATTEMPT_FINAL)
		return false;
	refusals->last = ATTEMPT_NONE;
	if (last == ATTEMPT_NO_ARENA && above && above < TCACHE_FRAMES_BYTES)
		return false;
	refusals->last = ATTEMPT_NO_ARENA;
	refusals->sp = sp;
	return true;
}

/* With threads, a mapping of LENGTH for the chunk alone was refused; IS_LARGE: each
 * attempt begins with one. Whether the call has failed. */
static inline bool refusals_chunk(struct refusals *refusals, u64 sp, u64 length,
				  u64 heap_max_bytes, bool is_large)
{
	bool fits_heap = length <= heap_max_bytes;
	u32 least = fits_heap ? ARENA_REFUSALS : HEAP_REFUSALS;
	bool has_arena = refusals->heaps < least;
	/* Just below a heap's size no heap was tried. */
	bool had_failed = refusals->large && refusals_other(refusals);
	u32 last = refusals->last;

	refusals_end_heap(refusals);
	refusals->brk_length = 0;
	if (!has_arena && last != ATTEMPT_MAIN && last != ATTEMPT_COUNTED)
		return refusals_no_arena(refusals, sp);
	if (has_arena && is_large && fits_heap) {
		refusals->large = length;
		return had_failed;
	}
	refusals->has_undo = has_arena && is_large;
	refusals->undo = last == ATTEMPT_MAIN ? ATTEMPT_COUNTED : last;
	return refusals_other(refusals);
}

#endif
