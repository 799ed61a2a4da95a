/* reach.h: which chunk is reached from which root, and chunks that are reached in the
 * same way as one group: the groups are a tree whose first level are the roots. */
#ifndef FRAGSCOPE_REACH_H
#define FRAGSCOPE_REACH_H

#include "owners/scan.h"

enum {
	NO_GROUP = UINT32_MAX,
	GROUP_DEPTH = 12,
	LABEL_ARRAY = UINT32_MAX, /* from places all over */
};

struct group {
	uint32_t parent; /* NO_GROUP: it stands for a root and has no chunks */
	uint32_t label;	 /* words to the pointer in the chunk before, or LABEL_ARRAY; of
			    a root its number, or NO_ROOT */
	uint32_t sample; /* one of its chunks */
	uint8_t depth;
	uint8_t root; /* enum owner_root */
	bool is_linked, is_interior;
	uint64_t chunks, bytes;
	uint64_t from_bytes, to_bytes;
	uint64_t pointers;
	uint64_t asked_chunks, asked_bytes, shared_chunks;
	uint64_t below_chunks, below_bytes, asked_below;
};

enum { NO_ROOT = UINT32_MAX };

struct reach {
	const struct scan *scan;
	struct group *group;
	uint32_t groups, group_room;
	uint32_t *hash; /* group + 1, by parent and label */
	uint32_t hash_bits;
	/* For each chunk: the place that points to it (an edge's number, with PARENT_ROOT
	 * a root edge's), and its group. */
	uint32_t *parent;
	uint32_t *of;
	uint32_t *queue;
	uint32_t queued, next;
	bool interior; /* interior pointers count, too */
	/* Of the places in roots of each kind: [1] interior pointers. */
	uint32_t root_edges[OWNER_ROOTS][2];
	/* A bit a chunk: of those before AGAIN in the queue only these have pointers that
	 * did not count before. */
	uint64_t *has_interior;
	uint32_t again;
	owners_progress_fn *progress;
	void *context;
};

enum { NO_PARENT = UINT32_MAX, PARENT_ROOT = INT32_MIN };

/* Finds the way to every live chunk of SCAN. 0, -ENOSPC or -ENOMEM; then reach_free. */
int reach_all(struct reach *reach, const struct scan *scan, owners_progress_fn *progress,
	      void *context);
void reach_free(struct reach *reach);

/* Counts chunk I in its group: it was asked for. */
void reach_count(struct reach *reach, uint32_t i);

/* Adds up what lies below each group. */
void reach_sum(struct reach *reach);

/* Puts the chunks into QUEUE by their groups, in order of address in each: those of group
 * G are QUEUE[HASH[G]] to QUEUE[HASH[G + 1] - 1] from then on. */
void reach_sort(struct reach *reach);

/* Fills BELOW, a byte a group: 1 of GROUP and of all that are reached through it. */
void reach_below(const struct reach *reach, uint32_t group, uint8_t *below);

#endif
