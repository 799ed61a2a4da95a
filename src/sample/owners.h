/* owners.h: who holds chunks: for each owner the path from a root (a global, a thread's
 * stack) through chunks to the group of chunks that it holds, and what would come back
 * with them. */
#ifndef FRAGSCOPE_SAMPLE_OWNERS_H
#define FRAGSCOPE_SAMPLE_OWNERS_H

#include "sample/blockers.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	OWNERS_MAX = 32,
	OWNERS_THREADS = 4, /* more are of little use: memory is the bound */
	OWNER_STEPS = 8,
	OWNER_NAME = 160,
	OWNER_TYPE = 128,
};

/* Where a path begins, in the order in which roots are believed. */
enum owner_root {
	OWNER_GLOBAL,	    /* writable data of a mapped file */
	OWNER_TLS,	    /* thread-local storage */
	OWNER_STACK,	    /* a thread's stack */
	OWNER_MAPPING,	    /* other writable memory, which is not malloc's */
	OWNER_FAR,	    /* of a sample: further up than it was followed */
	OWNER_UNREFERENCED, /* no pointer to it was found anywhere */
	OWNER_ROOTS
};

/* The chunks on one step of a path: all of them are reached in the same way. */
struct owner_step {
	uint64_t chunks;
	uint64_t bytes;
	uint64_t from_bytes, to_bytes; /* the sizes of the chunks */
	uint64_t words;	   /* of a single chunk: pointers for which it has room */
	uint64_t pointers; /* that these chunks hold to others of malloc's chunks */
	bool is_array;	   /* it is pointed to from places all over the chunk before it */
	bool is_linked;	   /* its chunks point to each other: a list, a tree */
	uint64_t offset;   /* else: of the pointer, in the chunk before it */
	char type[OWNER_TYPE]; /* by debug information, or empty */
};

/* One group of chunks and who holds it: the last step. */
struct owner {
	enum owner_root root;
	char name[OWNER_NAME];	/* of the root: "sessions", "stack of worker (4712)" */
	char where[OWNER_NAME]; /* "sessiond+0x4040", or empty */
	char type[OWNER_TYPE];	/* of that variable, by debug information, or empty */
	uint64_t root_slots;	/* places in the root that point to chunks */
	unsigned step_count;
	unsigned steps_left_out; /* in the middle, of a longer path */
	struct owner_step step[OWNER_STEPS];
	char identity[CHUNK_IDENTITY]; /* what one chunk of the last step may be, or empty
					*/
	bool is_interior;	       /* reached by pointers into the middle of chunks */
	uint64_t asked_chunks;	       /* of the last step: those that were asked for */
	uint64_t asked_bytes;
	uint64_t shared_chunks; /* of these: more than one place points to them */
	uint64_t below_chunks;	/* that only these chunks lead to */
	uint64_t below_bytes;
	/* What malloc_trim could give back more if the chunks of the last step, and those
	 * below, were freed: the change of trimmable_bytes, to the byte. */
	uint64_t unlocked_bytes;
	/* Of a sample instead: the share of the chunks that are asked about, 95%. */
	double share, share_low, share_high;
};

/* Which chunks are asked about, and how much memory that may take. */
struct owners_options {
	bool live;	     /* all live chunks, not only those that pin free memory */
	int arena;	     /* or BLOCKERS_ALL_ARENAS */
	uint64_t from_bytes; /* chunk sizes */
	uint64_t to_bytes;
	uint64_t at;	       /* 0, or an address in the one chunk that is meant */
	uint64_t memory_bytes; /* for tables; beyond it a sample, or -ENOSPC */
	unsigned threads; /* that look for pointers, OWNERS_THREADS at most; 0: one */
};

struct owners {
	int64_t time_ns;
	int64_t read_ns;
	enum sample_status status;
	char missing[SAMPLE_TEXT];
	uint64_t in_doubt_bytes;
	uint64_t table_bytes;	/* that the search took */
	uint64_t scanned_bytes; /* that were looked through for pointers */
	uint64_t live_chunks;
	uint64_t live_bytes;
	uint64_t asked_chunks; /* those that were asked for, and were there at the end */
	uint64_t asked_bytes;
	/* 0, or the chunks of a random sample of these, where tables of all would take
	 * too much: what follows, and asked_chunks and asked_bytes of an owner, are of
	 * it. */
	uint64_t sampled_chunks;
	uint64_t rooted_chunks; /* of these: a path from a root leads there */
	uint64_t rooted_bytes;
	uint64_t usual; /* bit I: pointers I bytes behind a chunk's beginning are usual,
			   and count as to that */
	uint64_t interior_chunks; /* of those: only by pointers into the middle */
	uint64_t unsure_chunks;	  /* their pointer was gone when it was read again: in no
				     group */
	uint64_t pinned_bytes;
	unsigned count;
	unsigned left_out; /* groups for which there was no room */
	struct owner owner[OWNERS_MAX];
};

/* Called now and then with the share that is done, 0 to 1. */
typedef void owners_progress_fn(double done, void *context);

#endif
