/* heap.h: one reading of everything that glibc's malloc has in a target: arenas, chunks,
 * lists, caches and mappings, as figures. */
#ifndef FRAGSCOPE_HEAP_H
#define FRAGSCOPE_HEAP_H

#include "base/fault.h"
#include "glibc/arena.h"
#include "glibc/regions.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "sample/sample.h"
#include "target/memory.h"

enum { HEAP_INSTANCES = 8 };

struct heap_options {
	bool sizes;   /* fill arena_row.bins, each chunk in the bin of its size */
	bool bins;    /* the same, and what is unsorted moved to the bin of such chunks */
	bool arenas;  /* tell the tcaches' chunks by arena */
	bool quick;   /* no walk */
	bool survey;  /* take room for heap_map and heap_blockers */
	bool patient; /* malloc's records may be swapped out when it begins */
	bool swap_in; /* read them all the same, which swaps them in */
	unsigned threads;
	uint64_t unusable_for_bytes;
	/* What a reading may cost, in processor time: a heap for which that is not enough
	 * is estimated from a random sample. 0: it is always read whole. */
	int64_t budget_ns;
	int64_t whole_ns;     /* it is read whole up to this cost; 0: BUDGET_NS */
	unsigned cells_least; /* that are drawn, whatever that costs; for tests */
	uint64_t seed;	      /* of the draws; 0: another each time */
};

struct heap;

/* Sets up the reading of COUNT instances (HEAP_INSTANCES at most) in MEMORY, which must
 * outlive it. Reads the arenas once, to see that all is as the layout says and how much
 * room readings need; takes that room. When malloc's records are swapped out, a PATIENT
 * heap takes what it needs as a rule. 0, or -errno and FAULT. */
int heap_new(struct heap **heap, struct memory *memory,
	     const struct malloc_instance *instance, unsigned count,
	     const struct heap_options *options, struct fault *fault);
void heap_free(struct heap *heap);

/* How many arenas a reading can hold. */
unsigned heap_arena_capacity(const struct heap *heap);

/* Whether any arena had got memory when the last reading (or heap_new) looked; true also
 * when it could not look. */
bool heap_is_used(const struct heap *heap);

/* Begins a reading with malloc's own records. What the target's mappings are must be
 * learned after this, so that they hold all that the records speak of. 0, or -errno and
 * FAULT. After -ENOSPC (there are more arenas than there was room for) the next call
 * takes more room, and where arenas have got more than twice what they had when room was
 * taken, this takes more; otherwise it allocates nothing. */
int heap_look(struct heap *heap, struct fault *fault);

/* Whether a thread was inside malloc when heap_look looked: it held an arena's lock. */
bool heap_is_locked(const struct heap *heap);

/* Goes on after heap_look: reads the heap into SAMPLE: figures, arena rows, status. The
 * figures of the process as a whole (RSS and its other parts) are the caller's. 0, or
 * -errno and FAULT when nothing could be read. Allocates nothing, unless SAMPLE has not
 * got the room for all arenas that this heap has: then it gets it. */
int heap_read(struct heap *heap, const struct regions *regions, struct sample *sample,
	      struct fault *fault);

/* Changes options.budget_ns of a heap that began with one; 0: read it whole. */
void heap_set_budget(struct heap *heap, int64_t budget_ns);

/* Whether the last heap_read was a random sample. */
bool heap_is_estimated(const struct heap *heap);

/* Go on after heap_look in place of heap_read: what lies where in one arena, and what
 * pins free memory in one or all. 0, or -errno and FAULT; -ENOENT when there is no such
 * arena. Allocate nothing. */
int heap_map(struct heap *heap, const struct regions *regions, struct heap_map *map,
	     struct fault *fault);
int heap_blockers(struct heap *heap, const struct regions *regions,
		  struct blockers *blockers, struct fault *fault);

/* Goes on after heap_read, or after another map: the map, by what that has found, which
 * for many arenas costs much less. -EAGAIN: the heap was not read whole. */
int heap_map_more(struct heap *heap, struct heap_map *map, struct fault *fault);

/* Goes on after heap_read, once: both, by what that has found, in one pass. -EAGAIN: it
 * was not read whole, or not since the last look. */
int heap_look_closer(struct heap *heap, struct blockers *blockers, struct heap_map *map,
		     struct fault *fault);

/* The bytes of the pages that were swapped in since the last call, by the option. */
uint64_t heap_swapped_in(struct heap *heap);

/* Of [START, END), what the arenas of the last reading have. CURSOR is 0 at first; calls
 * with one go up in address. */
uint64_t heap_arena_bytes(const struct heap *heap, unsigned *cursor, uint64_t start,
			  uint64_t end);

/* Of the arenas' memory, what other callers of sbrk have, resident. */
uint64_t heap_foreign_resident_bytes(const struct heap *heap);

/* BYTES at ADDR of the target, if all of them are on resident pages: 0, -ENODATA, -EFAULT
 * or another -errno. Not during a reading. */
int heap_peek(struct heap *heap, uint64_t addr, void *to, uint32_t bytes);

#endif
