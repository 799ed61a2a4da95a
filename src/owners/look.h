/* look.h: looks through ranges of a process's memory for pointers to its live chunks,
 * with several threads. What they find is handed over by the caller's own thread, in
 * order: the same whatever their number. */
#ifndef FRAGSCOPE_LOOK_H
#define FRAGSCOPE_LOOK_H

#include "owners/chunks.h"
#include "sample/owners.h"
#include "target/memory.h"

enum {
	USUAL_BYTES = 64, /* places in a chunk that pointers may lead to as a rule */
	EDGE_INTERIOR = INT32_MIN,
};

/* What is to be looked through. START is a multiple of eight. */
struct look_range {
	uint64_t start, end;
	uint64_t before_bytes; /* of the ranges before it, for whoever made it */
	uint32_t number;
	bool is_raw; /* only read: the words themselves are wanted */
	/* What a walk has met in it, which is not read again; or null. */
	const struct gather_list *met;
};

struct look_pointer {
	uint32_t word; /* of the part */
	uint32_t to;   /* the chunk, with EDGE_INTERIOR where it points into the middle */
};

/* A part of a range that is resident, and could be read. */
struct look_part {
	struct look_range range;
	uint64_t start, end;
	const uint64_t *word;		    /* null where they were met by a walk */
	const struct look_pointer *pointer; /* in order of their addresses */
	uint32_t count;
};

struct look {
	const struct chunks *chunks;
	struct memory *memory;
	struct pages *pages;  /* nobody else may use it meanwhile */
	const bool *is_usual; /* see struct scan */
	unsigned threads;     /* the caller's among them, OWNERS_THREADS at most */
	/* Fills in the range to come; false: there is none. Any of the threads calls it,
	 * one at a time. */
	bool (*next)(struct look_range *range, void *context);
	/* Called by the caller's thread alone. 0, or -errno to end it. */
	int (*part)(const struct look_part *part, void *context);
	void *context;
};

/* What VALUE points to: a live chunk, with EDGE_INTERIOR as above, or NO_CHUNK. */
uint32_t look_at(const struct look *look, uint64_t value);

/* Each thread takes half a megabyte. 0 or -errno: what PART returned, -ENOMEM, -EAGAIN
 * (no thread can be started), or the target cannot be read. */
int look_through(const struct look *look);

#endif
