/* parts.h: what the parts of a reading share; for the files behind heap.h only. */
#ifndef FRAGSCOPE_PARTS_H
#define FRAGSCOPE_PARTS_H

#include "glibc/chain.h"
#include "glibc/heap.h"
#include "glibc/mapped.h"
#include "glibc/pool.h"
#include "glibc/tcache.h"

enum {
	HEAP_JOBS = 32,		 /* of several threads */
	HEAP_JOBS_OF_ONE = 12,	 /* enough for its eight lanes to be busy */
	HEAP_SEEDS = 1 << 17,	 /* chunks known before the walk, at most */
	HEAP_LINKS = 1 << 12,	 /* blocks of notes, at most: a million fastbin chunks */
	HEAP_TCACHES = 1 << 15,	 /* threads */
	HEAP_CACHED = 1 << 16,	 /* chunks of their caches that are told apart, at most */
	HEAP_UNSORTED = 1 << 17, /* chunks of an unsorted list that are read one by one */
	HEAP_SEGMENTS = 1 << 15, /* at most */
	HEAP_PLACES = 1 << 16,	 /* that look like mmapped chunks, at most */
	HEAP_GROWTH =
		256 << 20, /* what an arena may get while it is read, and be believed */

};

/* One segment of heap, and whose it is. */
struct owned_segment {
	struct walk_segment segment;
	unsigned arena;
	uint64_t front; /* where malloc's own headers before segment.start begin */
	uint64_t end;	/* where the walk came out, segment.end before */
};

/* What a reading knows of one arena beside what is in its malloc_state. */
struct arena_work {
	struct walk_arena walk;
	struct walk_totals totals;
	uint64_t own_resident_bytes; /* of headers in front of the chunks */
	uint64_t heap_segment_bytes; /* of the segments found, with the headers in front
				      * of them
				      */
	uint64_t segment_count;
	uint64_t fast_chunks;
	uint64_t fast_bytes;
	uint64_t fast_bin[GLIBC_FASTBINS]; /* chunks */
	uint64_t fast_noted[GLIBC_FASTBINS];
	uint64_t
		fast_balance[GLIBC_FASTBINS]; /* 0: all that were noted are on the list */
	uint64_t fast_in_doubt_bytes;
	uint64_t skew_bytes;	     /* that system_mem moved by meanwhile */
	uint64_t sum_in_doubt_bytes; /* by which what was found differs from system_mem */

	bool lacks;	/* not all of its memory is known */
	bool has_quick; /* QUICK_BYTES is the largest hole */
	uint64_t quick_bytes;
	uint64_t quick_top_bytes;
};

struct heap {
	struct memory *memory;
	struct pages *pages;
	struct heap_options options;
	unsigned instance_count;
	struct malloc_instance instance[HEAP_INSTANCES];
	struct malloc_par par[HEAP_INSTANCES];
	unsigned arena_count;
	unsigned arena_capacity;
	bool needs_room; /* for arenas: the last reading had not got it */
	struct arena *arena;
	struct arena_work *work;
	struct tcache_totals *tcache_by_arena;
	struct tcache_totals tcache;
	struct owned_segment *segment;
	unsigned segment_count, segment_capacity;
	uint64_t *segment_key; /* start and index of each segment, ascending by start */
	uint64_t *heaps;       /* non-main heaps, ascending */
	unsigned heap_count;
	uint64_t heap_max_bytes;
	struct address_list tcaches;
	struct tcache_met cached;
	struct links *links;
	unsigned link_blocks;
	bool needs_links; /* there was no room for a reading's notes */
	uint64_t *fast;	  /* the same room as LINKS, when they are not in use */
	uint32_t fast_capacity;
	uint32_t fast_count;
	uint64_t *seed;
	unsigned seed_count, seed_capacity;
	struct walk_pool *pool;
	unsigned jobs;
	struct walk *walks; /* JOBS and one more: the last of the round before */

	struct chain_reader *chains;
	uint8_t *window;
	struct survey *survey;	 /* null unless options.survey */
	struct gather *gather;	 /* what the walks list for heap_pieces, or null */
	struct sampler *sampler; /* null unless options.budget_ns */
	bool is_estimated;	 /* the last reading was a sample */
	bool has_walked; /* what the last reading found is there to be looked at */
	struct mapped_place *places;
	unsigned place_count;
	unsigned place_capacity;
	struct mapped_last mapped_last;
	bool mmapped_exact;	 /* see mapped.h */
	uint64_t mmapped_chunks; /* found; mp_ says how many there are */
	uint64_t mmapped_bytes;
	uint64_t mmapped_resident_bytes;
	bool mmapped_bounded;		/* where it is not exact, it is so much or */
	uint64_t mmapped_unknown_bytes; /* up to so much more */
	uint64_t skew_bytes; /* that all totals moved by while they were read */
	/* The first thing that could not be had, or empty. */
	char missing[SAMPLE_TEXT];
};

/* missing.c: notes what is missing of this reading, unless something already is. */
__attribute__((format(printf, 2, 3))) void heap_miss(struct heap *heap,
						     const char *format, ...);

/* pass.c: empties what is known of each arena. */
void heap_begin_arenas(struct heap *heap, const struct regions *regions);

/* Goes over everything that heap_look found, up to the sums. */
int heap_walk(struct heap *heap, const struct regions *regions);

/* The thread caches' lists, once, each chunk of which OWNER is asked about with CONTEXT
 * when they are read BY_ARENA. BY_NOTES of the walks where these hold. */
int heap_read_tcaches(struct heap *heap, bool by_arena, bool by_notes,
		      tcache_owner_fn *owner, void *context);

/* The same, until they do not cross. */
int heap_settle_tcaches(struct heap *heap);

/* A whole reading: heap_walk, the lists of thread caches, the fastbins, and by how much
 * the totals moved meanwhile; SAMPLE gets free chunks by size where options ask for them.
 */
int heap_walk_whole(struct heap *heap, const struct regions *regions,
		    struct sample *sample);

/* heap.c: what ERROR of heap_look or a pass means, in FAULT; returns it. */
int heap_cannot_read(const struct heap *heap, int error, struct fault *fault);

/* segments.c: lists the segments of heap; the mapped ones of main arenas are not known
 * yet. Walks them, or as many as there is room for. */
int heap_find_segments(struct heap *heap, const struct regions *regions);
int heap_walk_segments(struct heap *heap);
void heap_find_mapped(struct heap *heap, const struct regions *regions);

/* How long mmapped chunks may be looked for; 0: as long as it takes. */
int64_t heap_search_ns(const struct heap *heap);

/* The last chunk of SEGMENT up to ADDR at which a walk can begin. */
uint64_t heap_seed_before(struct heap *heap, const struct walk_arena *arena,
			  const struct walk_segment *segment, uint64_t addr);

/* segment_index.c: makes heap_owner know all segments that are listed. */
void heap_index_segments(struct heap *heap);

/* The index of the segment that the chunk at ADDR lies in, and the arena that owns it; or
 * -1.
 */
int heap_segment_of(const struct heap *heap, uint64_t addr);
int heap_owner(uint64_t addr, void *heap);

/* lists.c: puts all binned chunks among the seeds; free chunks by size and
 * as malloc_info tells them. */
int heap_collect_free(struct heap *heap);
int heap_tell_bins(struct heap *heap, struct sample *sample);

/* quick.c: the largest free chunk without a walk. */
void heap_read_quick(struct heap *heap);

/* fastbins.c: reads the fastbins before the walks, chunk by chunk; or has the walks note
 * what looks like their chunks (false: it cannot be told), and settles then which of them
 * are, by what was noted. heap_list_fastbins leaves their addresses in heap->fast after
 * that. */
int heap_read_fastbins(struct heap *heap);
bool heap_note_fastbins(struct heap *heap);
int heap_settle_fastbins(struct heap *heap);
void heap_list_fastbins(struct heap *heap);

/* figures.c: turns what was read into the sample. */
void heap_figures(struct heap *heap, struct sample *sample);

/* Sets mp_'s figures: of the first glibc where there are several. */
void heap_set_par(const struct heap *heap, struct figures *fig, uint64_t *mmaps,
		  uint64_t *mmapped_bytes);

/* Sets what is resident of mmapped chunks, or misses them. */
void heap_set_mapped(struct heap *heap, struct figures *fig, uint64_t mmaps,
		     uint64_t mmapped_bytes);

#endif
