/* chunks.h: everything that lies in a heap as one sorted table, eight bytes a piece:
 * which chunk an address lies in, which chunks share pages with free memory, and what a
 * trim would give back if some of them were gone. */
#ifndef FRAGSCOPE_CHUNKS_H
#define FRAGSCOPE_CHUNKS_H

#include "glibc/pieces.h"

#include <stdbool.h>
#include <stdint.h>

/* What is in the low bits of a key, which an address leaves free. */
enum {
	CHUNK_USED = 0,
	CHUNK_FREE = 1,
	CHUNK_TOP = 2,
	CHUNK_OTHER = 3, /* malloc's own, foreign, in doubt, or the end of a segment */
	CHUNK_KIND = 3,
	CHUNK_ASKED = 4,  /* whose owner is asked for */
	CHUNK_CACHED = 8, /* in a thread's cache: free to the program */
	CHUNK_BITS = 15,
	CHUNK_HEADER = 16, /* from a chunk to the program's data */
};

/* Pieces FIRST to FIRST + COUNT - 1, side by side; one more marks the end. */
struct segment {
	uint64_t start, end;
	uint64_t memory_end;
	uint64_t trim_unit_bytes;
	unsigned arena;
	unsigned number; /* of its lists in chunks.words */
	uint32_t first, count;
	uint32_t page; /* index in chunks.first_on: the entry of its first page */
};

struct chunks {
	uint64_t *key;
	uint32_t count, room;
	struct segment *segment; /* in order of address */
	uint32_t segment_count, segment_room;
	/* The last piece that begins at or before each page of each segment. */
	uint32_t *first_on;
	uint64_t low, high;		  /* all segments lie between */
	uint64_t limit_bytes, used_bytes; /* of all tables of a search */
	/* What the walks met that may be addresses of chunks, or null. */
	struct gather *words;
	uint64_t words_bytes; /* of USED_BYTES */
};

static inline uint64_t chunk_addr(const struct chunks *chunks, uint32_t i)
{
	return chunks->key[i] & ~(uint64_t)CHUNK_BITS;
}

static inline uint64_t chunk_bytes(const struct chunks *chunks, uint32_t i)
{
	return chunk_addr(chunks, i + 1) - chunk_addr(chunks, i);
}

static inline unsigned chunk_kind(const struct chunks *chunks, uint32_t i)
{
	return chunks->key[i] & CHUNK_KIND;
}

/* In use by the program. */
static inline bool chunk_is_live(const struct chunks *chunks, uint32_t i)
{
	return (chunks->key[i] & (CHUNK_KIND | CHUNK_CACHED)) == CHUNK_USED;
}

/* BYTES of memory that counts against LIMIT_BYTES; *FROM of OLD_BYTES grows into it. 0,
 * -ENOSPC, or -ENOMEM: then it stays as it was. */
int chunks_grow(struct chunks *chunks, void **from, size_t old_bytes, size_t bytes);

/* Frees *FROM, which takes BYTES of that. */
void chunks_drop(struct chunks *chunks, void **from, size_t bytes);

/* Fills CHUNKS, of which only LIMIT_BYTES is set, after heap_look; WITH_WORDS: and the
 * words. As heap_pieces; -ENOSPC when the limit does not suffice. */
int chunks_read(struct chunks *chunks, bool with_words, struct heap *heap,
		const struct regions *regions, enum sample_status *status,
		char missing[SAMPLE_TEXT], uint64_t *doubt_bytes, struct fault *fault);
void chunks_free(struct chunks *chunks);

/* Frees the words, which are read where they are wanted again. */
void chunks_drop_words(struct chunks *chunks);

enum { NO_CHUNK = UINT32_MAX, CHUNKS_AT_ONCE = 256 };

/* The piece that covers ADDR, or NO_CHUNK. */
uint32_t chunks_at(const struct chunks *chunks, uint64_t addr);

/* The piece of SEGMENT that covers ADDR, which lies in it. In a damaged heap segments
 * may overlap, and chunks_at finds another's. */
uint32_t chunks_in(const struct chunks *chunks, const struct segment *segment,
		   uint64_t addr);

/* As chunks_at, of COUNT addresses, CHUNKS_AT_ONCE at most, into AT: several times as
 * fast where they lie all over a large heap. */
void chunks_at_all(const struct chunks *chunks, const uint64_t *addr, unsigned count,
		   uint32_t *at);

/* Marks (CHUNK_ASKED) the live chunks that share a resident page with free bytes which a
 * trim leaves there; how many such bytes there are. */
uint64_t chunks_ask_pinning(struct chunks *chunks, struct pages *pages,
			    unsigned page_shift);

/* What malloc_trim would give back more if the live chunks of which GONE, a byte a piece,
 * is 1 were freed, and were in no cache; all of their mapping where they have one. */
uint64_t chunks_unlocked(const struct chunks *chunks, struct pages *pages,
			 unsigned page_shift, const uint8_t *gone);

#endif
