/* heap_map.h: what lies where in one arena: its address range as cells, each with the
 * bytes that it holds by kind; and, of a range that is small enough, chunk by chunk. */
#ifndef FRAGSCOPE_HEAP_MAP_H
#define FRAGSCOPE_HEAP_MAP_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* What a byte of an arena is. Every byte is of exactly one kind. On a target that holds
 * still the sums over a whole arena are its row's figures. */
enum map_kind {
	MAP_LIVE,      /* in use by the program */
	MAP_CACHED,    /* in a thread's cache: free to the program, in use to the arena */
	MAP_PINNED,    /* free, resident, on a page that something in use shares */
	MAP_TRIMMABLE, /* free, resident, and malloc_trim would give it back */
	MAP_RETAINED,  /* free, resident, on whole pages that a trim leaves */
	MAP_RETURNED,  /* free, on no resident page: given back, or never touched */
	MAP_OWN,       /* malloc's own: heap headers, fenceposts */
	MAP_FOREIGN,   /* got by sbrk, but not by malloc */
	MAP_DOUBT,     /* could not be told: the chain of chunks was broken here */
	MAP_UNREAD,    /* could not be told: swapped out */
	MAP_KINDS
};

/* One cell: [FROM, TO). Cells are in order of address and do not overlap; where one does
 * not begin at the end of the one before, what lies between is not this arena's. */
struct map_cell {
	uint64_t from;
	uint64_t to;
	uint64_t bytes[MAP_KINDS];
	uint64_t top_bytes;	     /* of the top chunk, which are in BYTES too */
	uint64_t resident_bytes;     /* of all kinds */
	uint64_t largest_free_bytes; /* of the free chunks that touch it, tops included */
	/* Chunks that begin in it: in use, and free (cached ones are neither). */
	uint32_t live_chunks;
	uint32_t free_chunks;
	uint32_t cached_chunks;
	/* Of where its chunks lie and what they are: of two readings of the same range it
	 * differs where something was allocated or freed. */
	uint64_t fingerprint;
};

enum map_chunk_kind {
	MAP_CHUNK_LIVE,
	MAP_CHUNK_CACHED,
	MAP_CHUNK_FREE, /* in a bin */
	MAP_CHUNK_FAST, /* in a fastbin */
	MAP_CHUNK_TOP,
	MAP_CHUNK_OWN, /* no chunk: malloc's own */
	MAP_CHUNK_FOREIGN,
	MAP_CHUNK_DOUBT,
	MAP_CHUNK_KINDS
};

/* One chunk, or another piece of the arena; sizes are chunk sizes, header included. */
struct map_chunk {
	uint64_t addr;
	uint64_t bytes;
	uint64_t resident_bytes;
	uint64_t trimmable_bytes; /* of a free one: what a trim would give back of it */
	enum map_chunk_kind kind;
};

/* The caller sets ARENA, FROM and TO; a reading fills in the rest. */
struct heap_map {
	unsigned arena; /* as arena_row.index */
	uint64_t from;	/* the range to look at; both 0: the whole arena */
	uint64_t to;

	int64_t time_ns; /* CLOCK_REALTIME, when the reading began */
	int64_t read_ns; /* how long it took */
	enum sample_status status;
	char missing[SAMPLE_TEXT]; /* empty unless STATUS_PARTIAL */
	uint64_t arena_from;	   /* the ends of the whole arena */
	uint64_t arena_to;
	uint64_t cell_bytes;   /* of every cell that does not end a stretch */
	struct map_cell total; /* all cells together; of FROM and TO, the ends */
	unsigned cell_count;
	unsigned cell_capacity;
	struct map_cell *cell;

	/* The pieces that touch the range, in order of address; HAS_CHUNKS: all of them,
	 * otherwise they did not fit and CHUNK holds none. */
	bool has_chunks;
	unsigned chunk_count;
	unsigned chunk_capacity;
	struct map_chunk *chunk;
};

/* A map with room for CELLS (1 at least) and CHUNKS (0: never asked for), all of it taken
 * and touched here. Null: no memory. */
struct heap_map *heap_map_new(unsigned cells, unsigned chunks);
void heap_map_free(struct heap_map *map);

/* Empties MAP for the next look; its memory, arena and range stay. */
void heap_map_clear(struct heap_map *map);

/* Makes INTO, which has room for it, say what FROM says; its memory stays. */
void heap_map_copy(struct heap_map *into, const struct heap_map *from);

/* The cell that holds ADDR, or null. */
const struct map_cell *heap_map_at(const struct heap_map *map, uint64_t addr);

/* The piece that holds ADDR, or null; only with HAS_CHUNKS. */
const struct map_chunk *heap_map_chunk(const struct heap_map *map, uint64_t addr);

/* Of what CELL holds most, in bytes; MAP_LIVE of an empty one. */
enum map_kind map_cell_most(const struct map_cell *cell);

/* "live", "malloc's own"...: for the user. */
const char *map_kind_name(enum map_kind kind);
const char *map_chunk_kind_name(enum map_chunk_kind kind);

#endif
