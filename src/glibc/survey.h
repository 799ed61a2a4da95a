/* survey.h: goes over the segments of heap once more, chunk by chunk in order of
 * address, for those who want more than sums; for the files behind heap.h only. */
#ifndef FRAGSCOPE_SURVEY_H
#define FRAGSCOPE_SURVEY_H

#include "glibc/parts.h"

enum {
	TAIL_RUNS = 4096,
	SURVEY_CACHED = 1 << 18, /* chunks in threads' caches, at most */
};

/* A run of chunks in use and the free run before it. */
struct tail_run {
	struct blocker blocker;
	uint64_t from; /* where the free run begins, or the run in use if there is none */
	uint64_t free_bytes;
	uint64_t free_resident_bytes;
};

/* Room that is taken once. */
struct survey {
	struct walk_log log;
	/* Chunks in threads' caches, ascending; the table comes from heap.c, which makes
	 * it larger. */
	uint64_t *cached;
	uint32_t cached_count, cached_capacity;
	bool is_ready;	/* since heap_look: segments and cached chunks are found */
	uint32_t asked; /* of CACHED, the first that is not before what was asked last */
	uint64_t *segment; /* start and index of each segment, in order of address */
	struct tail_run *tail;
};

/* What a survey tells, in order of address within a segment. PIECE returns false when it
 * has seen enough of the segment. A piece is not cut, and none is told twice. */
struct survey_visitor {
	void (*begin)(void *context, const struct owned_segment *segment);
	bool (*piece)(void *context, const struct piece *piece);
	void (*end)(void *context);
	void *context;
};

struct survey *survey_new(void);

/* Makes room for SEGMENTS segments of heap in SURVEY, which may be null. 0 or -ENOMEM. */
int survey_fit(struct survey *survey, unsigned segments);
void survey_free(struct survey *survey);

/* Finds everything that heap_look's records speak of: segments, and the chunks in
 * threads' caches. 0 or -errno. */
int survey_begin(struct heap *heap, const struct regions *regions);

/* The same by what heap_read found, once after it. False: it cannot be told by that. */
bool survey_resume(struct heap *heap);

/* blockers.c: fills BLOCKERS, of the segments that a survey has found; ALSO, if not null,
 * sees all that the search for blockers sees. */
int survey_blockers(struct heap *heap, struct blockers *blockers,
		    const struct survey_visitor *also);

/* Whether the chunk at ADDR is in a thread's cache. */
bool survey_is_cached(struct survey *survey, uint64_t addr);

/* The segments of ARENA, or of all with BLOCKERS_ALL_ARENAS, in order of address: their
 * indices in heap->segment, in survey->segment. How many. */
unsigned survey_order(struct heap *heap, int arena);

/* Goes over heap->segment[INDEX], but for a part before FROM at which no free run ends or
 * begins that reaches FROM. 0 or -errno. */
int survey_segment(struct heap *heap, unsigned index, uint64_t from,
		   const struct survey_visitor *visitor);

/* The status of a look that left DOUBT_BYTES in doubt and could not read UNREAD_BYTES, as
 * they are swapped out; MISSING as in a sample. */
enum sample_status survey_status(struct heap *heap, uint64_t doubt_bytes,
				 uint64_t unread_bytes, char missing[SAMPLE_TEXT]);

#endif
