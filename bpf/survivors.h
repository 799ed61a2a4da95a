/* survivors.h: what the probe on malloc's return and its reader share. */
#ifndef FRAGSCOPE_BPF_SURVIVORS_H
#define FRAGSCOPE_BPF_SURVIVORS_H

#include "probe.h"

/* A chunk that was handed out; behind it the top of the stack. */
struct survivor_event {
	u64 chunk; /* its header's address */
	u64 bytes; /* its size with the header; 0: it could not be read */
	u64 reg[PROBE_REGISTERS];
	u64 stack_addr;
	u64 stack_pages; /* bit I: page I of the stack could be copied */
};

/* What a probed function does: the cookie of its place. */
enum survivor_deed {
	SURVIVOR_RETURNS, /* a chunk's address */
	SURVIVOR_FILLS,	  /* what its first argument points to with it */
	SURVIVOR_TAKES,	  /* the chunk of its first argument */
};

/* Of a sampled chunk, which is not followed from then on: it is given back, or it was
 * unseen, for it is handed out again. */
struct survivor_end {
	u64 chunk;
	u64 is_free;
};

/* A CPU's share. */
struct survivor_counts {
	u64 hits; /* of the return probe: it comes before a burst begins, and goes after
		     its end */
	u64 entries; /* hits of the entry probe */
	u64 calls;
	u64 sent;
	u64 lost; /* there was no room for the event, or to follow the chunk */
};

_Static_assert(sizeof(struct survivor_event) == (4 + PROBE_REGISTERS) * 8, "no padding");

#endif
