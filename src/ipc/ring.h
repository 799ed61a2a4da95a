/* ring.h: the layout of the memory in which the sampler inside a program publishes its
 * samples, and both ends of it. One writer, the sampler; any number of readers, which
 * read it from outside by the rules of ptrace access and need no descriptor of it.
 *
 * The ring is a shared mapping of a memfd whose descriptor is closed at once: a host that
 * closes all of its descriptors loses nothing. No child inherits it. */
#ifndef FRAGSCOPE_RING_H
#define FRAGSCOPE_RING_H

#include "ipc/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MEMFD "fragscope-ring"
/* As /proc/PID/maps names it. */
#define RING_MAPPING "/memfd:fragscope-ring (deleted)"
#define RING_MAGIC   UINT64_C(0x474e495250435346) /* "FSCPRING" */

enum {
	/* Another number is another layout; a reader knows one only. Figures are added
	 * without a new one, for each has a bit that says whether it is there. */
	RING_VERSION = 3,
	RING_SLOTS = 32,
	RING_ARENAS = 128,
	RING_CLASSES = 128,
	RING_FIGURES = 48,
	RING_ARENA_FIGURES = 16,
	RING_NAME = 64,
	RING_HEADER_BYTES = 4096,
	RING_SLOT_BYTES = 24576,
	RING_BYTES = RING_HEADER_BYTES + RING_SLOTS * RING_SLOT_BYTES,
};

/* Figures by the catalogue's names and meanings (sample.c), chunk sizes in bytes. Those
 * before RING_ARENA_FIGURES can also be of one arena. Numbers are never given anew. */
enum ring_figure {
	RING_SYSTEM_BYTES = 0,
	RING_FREE_BYTES = 1, /* bins, fastbins and tops */
	RING_FREE_CHUNKS = 2,
	RING_LARGEST_FREE_BYTES = 3,
	RING_LARGEST_HOLE_BYTES = 4,
	RING_TOP_BYTES = 5,
	RING_FAST_CHUNKS = 6,
	RING_FAST_BYTES = 7,
	RING_LIVE_BYTES = 8,  /* what the program holds; not of glibc: see uordblks */
	RING_DIRTY_BYTES = 9, /* free pages that the allocator has kept */
	RING_MUZZY_BYTES = 10,
	RING_LARGEST_EXTENT_BYTES = 11, /* at least */
	RING_SLAB_BYTES = 12,
	RING_SLAB_FREE_BYTES = 13,

	RING_ARENA_COUNT = 16,
	RING_MMAPPED_CHUNKS = 17,
	RING_MMAPPED_BYTES = 18,
	/* mallinfo2, field by field and in its order. */
	RING_MALLINFO2 = 19,
	RING_MALLINFO2_END = 29,
	RING_ACTIVE_BYTES = 29, /* on pages that hold something live */
	RING_RESIDENT_BYTES = 30,
	RING_MAPPED_BYTES = 31,
	RING_UNMAPPED_BYTES = 32, /* of the address space only */
	RING_THREAD_CACHE_BYTES = 33,
	RING_PEAK_MAPPED_BYTES = 34,
	RING_RESERVED_BYTES = 35, /* in a text, to a tenth of K, M or G */
	RING_HEAP_THREADS = 36,
};

/* The kinds of allocator that a sampler can ask. */
enum ring_allocator {
	RING_UNKNOWN = 0, /* NAME says what serves malloc; samples have no figure */
	RING_GLIBC = 1,
	RING_JEMALLOC = 2,
	RING_TCMALLOC = 3,
	RING_MIMALLOC = 4,
};

enum ring_flag {
	/* Counted by an int: figures of more than 2 GB are wrong (glibc before 2.33). */
	RING_WRAPS = 1,
	/* Classes have what is used, and their slabs; else only what is free. */
	RING_SLABS = 2,
};

/* A figure is valid where its bit in HAVE is set. */
struct ring_arena {
	uint32_t index; /* 0 is the main one */
	uint32_t reserved;
	uint64_t have;
	uint64_t value[RING_ARENA_FIGURES];
};

/* The regions of one size that an allocator of size classes holds. */
struct ring_class {
	uint64_t region_bytes;
	uint64_t free;
	uint64_t used;
	uint64_t slabs;
};

/* One sample. NUMBER counts from 0; sample N lies in slot N % RING_SLOTS. */
struct ring_sample {
	uint64_t number;
	int64_t time_ns;      /* CLOCK_REALTIME, when the allocator was asked */
	int64_t monotonic_ns; /* CLOCK_MONOTONIC, the same instant */
	int64_t cost_ns;      /* how long the asking took */
	int64_t interval_ns;  /* until the next sample */
	uint64_t flags;	      /* of enum ring_flag */
	uint64_t have;
	uint64_t value[RING_FIGURES];
	uint32_t arenas_filled;	 /* entries of ARENA that are filled; 0: arenas were not
				  asked for this time, to spare the host */
	uint32_t classes_filled; /* entries of CLASS that are filled */
	struct ring_arena arena[RING_ARENAS];
	struct ring_class class[RING_CLASSES];
};

/* A sample as it lies in the ring. SEQUENCE is 2 * NUMBER + 1 while it is being written
 * and 2 * NUMBER + 2 once it is whole; CHECK is over the bytes of the sample in use. */
struct ring_slot {
	uint64_t sequence;
	uint64_t check;
	struct ring_sample sample;
};

/* The first page. Written before the mapping is published by MAGIC, but for PUBLISHED and
 * what is of trims. */
struct ring_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t slot_bytes;
	uint32_t slots;
	uint64_t published; /* samples so far: the latest is PUBLISHED - 1 */
	int32_t pid;	    /* in its own PID namespace */
	uint32_t allocator; /* of enum ring_allocator */
	int64_t asked_interval_ns;
	/* Who wants a trim adds one to ASKED and wakes its waiters; the sampler fills
	 * what follows and sets DONE to the ASKED that it saw. */
	uint32_t trim_asked;
	uint32_t trim_done;
	int64_t trim_ns;      /* how long the last one took */
	int32_t trim_result;  /* 0, or -ENOTSUP: this allocator cannot be asked */
	uint32_t end_asked;   /* not 0: the sampler is to end; TRIM_ASKED is woken */
	char name[RING_NAME]; /* "glibc-2.36"; null-terminated */
};

_Static_assert(sizeof(struct ring_arena) == 16 + 8 * RING_ARENA_FIGURES, "no padding");
_Static_assert(sizeof(struct ring_sample) ==
		       64 + 8 * RING_FIGURES + RING_ARENAS * sizeof(struct ring_arena) +
			       RING_CLASSES * sizeof(struct ring_class),
	       "no padding");
_Static_assert(offsetof(struct ring_sample, arena) == 64 + 8 * RING_FIGURES,
	       "the arenas come after all that is always there");
_Static_assert(sizeof(struct ring_slot) == 16 + sizeof(struct ring_sample), "no padding");
_Static_assert(sizeof(struct ring_slot) <= RING_SLOT_BYTES, "a slot has room");
_Static_assert(sizeof(struct ring_header) == 72 + RING_NAME, "no padding");
_Static_assert(sizeof(struct ring_header) <= RING_HEADER_BYTES, "the header has room");

/* ---- both ends ---- */

/* Whether SAMPLE has no more arenas and classes than there is room for. */
bool ring_is_possible(const struct ring_sample *sample);

/* The check of SAMPLE, which is possible: of what of it is in use. */
uint64_t ring_check(const struct ring_sample *sample);

/* What of FROM, which is possible, is in use, to TO. */
void ring_copy(struct ring_sample *to, const struct ring_sample *from);

/* ---- the writer: async-signal-safe, and nothing of it calls libc ---- */

/* Publishes SAMPLE in the ring at RING as the next; sets its number. */
void ring_publish(void *ring, struct ring_sample *sample);

/* ---- the reader ---- */

/* A ring in another process. The owner of the process must outlive it. */
struct ring {
	struct shared memory;
	struct ring_header header; /* checked when it was attached; PUBLISHED is old */
	uint64_t next;		   /* the number that ring_next looks for */
};

/* Whether HEADER, the start of a mapping of BYTES, is a ring that can be read. 0,
 * -EPROTO, or -ENOTSUP when it is of another version. */
int ring_judge(const struct ring_header *header, uint64_t bytes);

/* Whether SLOT, read between two readings of its sequence, holds sample NUMBER whole. */
bool ring_is_whole(const struct ring_slot *slot, uint64_t sequence_after,
		   uint64_t number);

/* Finds the ring of PROCESS. 0; -ENOENT: there is none; -EPERM: its memory may not be
 * read; -EPROTO, -ENOTSUP: as ring_judge; -ESRCH: it is gone. Where the kernel lets the
 * memory be opened, samples can still be read once the process is gone; else not. */
int ring_attach(struct ring *ring, const struct process *process);

/* After every ring_attach, also one that failed. */
void ring_detach(struct ring *ring);

/* The latest sample. 0; -EAGAIN: there is none yet, or the writer was always quicker;
 * -EPROTO: what is published is no sample; -ESRCH, -EFAULT: the ring is gone. */
int ring_latest(struct ring *ring, struct ring_sample *sample);

/* Each sample once, in order, from the oldest that there is; *MISSED takes how many were
 * overwritten before they could be read. Results as for ring_latest. */
int ring_next(struct ring *ring, struct ring_sample *sample, uint64_t *missed);

/* Has the sampler ask its allocator to give back what it can, and waits for that, at most
 * TIMEOUT_NS. 0 and how long it took as *TOOK_NS, -ENOTSUP: not with this allocator,
 * -ETIMEDOUT, or -errno: the request cannot be written, or the process is gone. */
int ring_trim(struct ring *ring, int64_t timeout_ns, int64_t *took_ns);

/* Asks the sampler to end, which takes the ring away. 0 or -errno. */
int ring_end(struct ring *ring);

#endif
