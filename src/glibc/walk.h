/* walk.h: follows the chain of chunks through one segment of heap, from a known chunk to
 * a known end, and adds up what it finds. It trusts no byte that it reads: a chain that
 * breaks is read again, then picked up behind the break, and what lies between is counted
 * as in doubt. It reads through windows that a caller fills, so that one caller can keep
 * many walks going with one system call. */
#ifndef FRAGSCOPE_WALK_H
#define FRAGSCOPE_WALK_H

#include "glibc/gather.h"
#include "glibc/layout.h"
#include "glibc/links.h"
#include "sample/sample.h"
#include "target/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	/* At most 16 pages: the kernel then pins them without an allocation, and holds
	 * the target's mmap_lock for some microseconds only. */
	WALK_WINDOW = 64 << 10,
	WALK_SAVES = 16,

};

/* What a segment of heap is made of, side by side and without a gap. */
enum piece_kind {
	PIECE_USED, /* a chunk in use, or in a thread's cache */
	PIECE_FREE, /* a chunk in a bin */
	PIECE_FAST, /* a chunk in a fastbin */
	PIECE_TOP,
	PIECE_OWN,     /* fenceposts and headers of malloc itself */
	PIECE_FOREIGN, /* the program's own sbrk */
	PIECE_DOUBT,   /* the chain was broken here, or its pages are swapped out */
};

struct piece {
	uint64_t start;
	uint64_t end;
	enum piece_kind kind;
};

/* The last pieces that a walk has gone over, for who wants more than sums: piece number N
 * is in PIECE[N & MASK]. A walk that goes back takes back what it noted since. */
struct walk_log {
	struct piece *piece;
	uint32_t mask; /* a power of two, less one */
};

/* Addresses of structures seen by all walks of a reading; full when COUNT >= CAPACITY. */
struct address_list {
	uint64_t *address;
	uint32_t capacity;
	_Atomic uint32_t count;
};

/* What stays the same for all walks over one arena. */
struct walk_arena {
	const struct malloc_layout *layout;
	bool non_main;
	uint64_t state;		     /* where the malloc_state lies, to read top again */
	uint64_t trim_unit_bytes;    /* what the top is given back in; 0: it never is */
	uint64_t unusable_for_bytes; /* chunks smaller than this count as unusable */
	unsigned tcache_count_max;
	/* Which chunks are in a fastbin is not to be seen of them: they look in use.
	 * Either FAST has their addresses, ascending; or what looks like one is noted in
	 * LINKS, and what it does to the sums is settled when the lists were followed. */
	const uint64_t *fast;
	uint64_t fast_count;
	struct links *links; /* or null */
	unsigned number;     /* of the arena, in LINKS */
	uint32_t fast_sizes; /* bit N: the bin of chunks of 16 N bytes is not empty */
	uint64_t low, high;  /* where its chunks lie */
	bool note_binned;    /* in LINKS, too */
	bool note_cached;    /* in LINKS, what looks like a chunk of a thread's cache */
	uint64_t listed_max_bytes; /* no larger chunk may be fast, or cached */
	/* Addresses of chunks known to be free, ascending: nothing that a seek believes
	 * may reach over one. Empty but where an arena has memory of others in it. */
	const uint64_t *known;
	uint64_t known_count;
	struct address_list *tcaches;
	bool bins; /* fill walk_totals.bins */
};

/* How a segment of heap ends. */
enum segment_end {
	SEGMENT_TOP,	/* with the arena's top chunk, at STOP */
	SEGMENT_FENCE,	/* with the fencepost of size 0 that closes a non-main heap */
	SEGMENT_FENCES, /* with two fenceposts, or the top: a mapped segment of the main
			arena */
	SEGMENT_BREAK,	/* at the program break; segments in it end with two fenceposts
			 * each
			 */
};

/* A segment of heap. Memory in it that glibc did not get itself (an sbrk by the program)
 * is passed over, in the main arena only. */
struct walk_segment {
	uint64_t start; /* the first chunk */
	uint64_t stop;	/* the top chunk, or END */
	uint64_t end;
	uint64_t top; /* the arena's top chunk when it lies here, else 0 */
	enum segment_end ends;
};

struct walk_totals {
	uint64_t chunks;
	uint64_t free_chunks; /* in bins */
	uint64_t free_bytes;
	uint64_t largest_bytes; /* of the binned and fastbin chunks */
	uint64_t fast_chunks;	/* met of walk_arena.fast */
	uint64_t top_bytes;
	uint64_t unusable_bytes;
	uint64_t tcache_bytes; /* of the noted tcaches, as they were when they were met */
	uint64_t fence_bytes;
	uint64_t foreign_bytes;
	uint64_t foreign_resident_bytes;
	uint64_t resident_bytes; /* of all that was walked over */
	uint64_t free_resident_bytes;
	uint64_t trimmable_bytes;
	uint64_t pinned_bytes;
	uint64_t retained_bytes;
	uint64_t in_doubt_bytes;
	uint64_t unread_bytes; /* on swapped pages */
	struct bin_total bins[GLIBC_BINS];
};

/* Where a walk stands; what is put back when it has to begin again. */
struct walk_place {
	uint64_t at;	       /* the chunk whose header is read next */
	uint64_t before;       /* the chunk before it, or 0 when that is not known */
	uint64_t run;	       /* where the run of free chunks before AT begins, or 0 */
	uint64_t counted;      /* resident bytes are added up to here */
	uint64_t next_fast;    /* index in walk_arena.fast */
	bool before_is_fast;   /* or may be, if there are LINKS */
	bool before_is_cached; /* or may be */
	bool has_before_to;
	uint64_t before_to;	  /* the link of the chunk before, as it is stored */
	uint64_t run_fast_bytes;  /* of RUN: what is free only if it is in a fastbin */
	struct link_chain linked; /* notes in walk_arena.links */
	uint8_t fences;		  /* how many fenceposts in a row lie before AT */
	bool seeking;		  /* AT is not known to be a chunk: look for one */
	bool seek_is_doubt;	  /* what is passed over is in doubt, not foreign */
	uint64_t seek_from;
	uint64_t seek_unread_bytes; /* of it, on swapped pages */
	uint64_t noted;		    /* pieces, in walk.log or walk.list */
	uint64_t listed;	    /* in walk.list: up to where */
};

struct walk_saved {
	struct walk_place place;
	struct walk_totals totals;
};

struct walk {
	const struct walk_arena *arena;
	struct memory *memory;
	struct pages *pages;
	struct walk_log *log; /* or null; set after walk_begin */
	/* The same: all pieces, each as its start and kind. It is for who has LINKS:
	 * chunks in fastbins are among those in use. */
	struct gather_list *list;
	struct walk_segment segment;
	uint64_t until; /* a known chunk at which to end, or segment.stop */
	struct walk_place place;
	struct walk_totals totals;
	struct walk_saved origin;	     /* where the walk began */
	struct walk_saved saved[WALK_SAVES]; /* where its last windows began */
	uint64_t saves;			     /* how many there have been */

	struct walk_saved candidate; /* where a seek last thought it found a chunk */
	bool has_candidate;
	bool strict;	  /* give up at the first break: this may be no heap at all */
	bool may_give_up; /* when reading again does not help, end instead of seeking */
	bool failed;	  /* it gave up */
	bool is_last;	  /* for the caller: it ends its segment */

	bool done;
	bool has_top; /* it ended with the top chunk */
	bool at_end;  /* it has been led to its end once */
	unsigned attempts;
	unsigned losses;
	unsigned tops; /* how often the top was found to have moved */
	unsigned candidates;
	uint64_t lost_at;
	uint32_t ahead; /* bytes to ask for next */
	uint32_t need;	/* bytes that must be in one window at AT */
	uint64_t window;
	uint32_t window_bytes;
	uint8_t *buffer; /* WALK_WINDOW bytes, the caller's */
};

/* Sets WALK up to go over SEGMENT from its chunk FROM until the known chunk UNTIL
 * (segment->stop for all of it). Before it goes, whoever runs it lends it pages and
 * buffer.
 */
void walk_begin(struct walk *walk, const struct walk_arena *arena, struct memory *memory,
		const struct walk_segment *segment, uint64_t from, uint64_t until);

/* Puts what LIST has from WALK, which has come out, among the lists of SEGMENT. */
void walk_keep_list(struct walk *walk, unsigned segment);

/* Lets a walk that has come out go on until the known chunk UNTIL. */
void walk_extend(struct walk *walk, uint64_t until);

/* What to read next, into walk->buffer. False when the walk is done. Every byte asked for
 * is on a resident page. */
bool walk_wants(struct walk *walk, struct span *span);

/* Goes on with the window that walk_wants asked for; GOT tells whether it was read. */
void walk_feed(struct walk *walk, bool got);

/* Walks to the end by itself. 0, or -errno when the target cannot be read. */
int walk_all(struct walk *walk);

/* Whether a chunk of BYTES at AT, with LINK behind its header, may be in a fastbin of
 * ARENA, which has LINKS. */
bool walk_may_be_fast(const struct walk_arena *arena, uint64_t at, uint64_t bytes,
		      uint64_t link);

/* Adds FROM to INTO; the bins too, if BINS. */
void walk_add(struct walk_totals *into, const struct walk_totals *from, bool bins);

/* Sorts a run of free bytes [START, END) without a top chunk into TOTALS' trimmable and
 * pinned bytes by malloc_trim's rule (malloc.c, mtrim); for tests and what-ifs too. */
void walk_free_run(struct walk_totals *totals, struct pages *pages, unsigned page_shift,
		   uint64_t start, uint64_t end);

/* The same for one that ends with the top chunk. */
void walk_free_top(struct walk_totals *totals, struct pages *pages, unsigned page_shift,
		   uint64_t unit_bytes, uint64_t start, uint64_t end);

#endif
