/* gather.h: what the walks of one pass list for who wants every piece of a heap, and
 * every word in it that may be an address: so it need not be read again. Each walk fills
 * a list of its own; the lists of a segment are kept in order of address. */
#ifndef FRAGSCOPE_GATHER_H
#define FRAGSCOPE_GATHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gather;
struct gather_block;

enum { GATHER_PLACE_BITS = 48 };

/* Of the heap from START to END, the COUNT words that lie in the range wanted, each with
 * its place (in words from START on) above its lower 48 bits. */
struct gather_run {
	uint64_t start, end;
	const uint64_t *word;
	uint32_t count;
};

/* Pieces side by side, in order of address: where each begins, with its kind in the bits
 * that an address leaves free; the last one ends at END. */
struct gather_list {
	struct gather *gather;
	struct gather_list *next;  /* of the segment */
	struct gather_list *other; /* of all */
	uint64_t *key;
	uint32_t count, room;
	uint64_t end;
	/* In order of address, without overlap: not all of the heap is in one. */
	struct gather_run *run;
	uint32_t runs, run_room;
	struct gather_block *block;
};

/* Lists of LIMIT_BYTES at most of up to SEGMENTS segments. Null: no memory. */
struct gather *gather_new(uint64_t limit_bytes, unsigned segments);
void gather_free(struct gather *gather);

/* How much memory the lists have. */
uint64_t gather_bytes(const struct gather *gather);

/* Has the words that lie in [LOW, HIGH) listed, as long as there is memory. */
void gather_want_words(struct gather *gather, uint64_t low, uint64_t high);

/* Whether the runs have all words that lie in [LOW, HIGH). */
bool gather_has_words(const struct gather *gather, uint64_t low, uint64_t high);

/* A walk has read BYTES at START into BUFFER, of which it goes over what is before
 * UNTIL. */
void gather_words(struct gather_list *list, uint64_t start, const uint8_t *buffer,
		  uint32_t bytes, uint64_t until);

/* Where a window with AT in it should begin, so that no gap is left: at AT or before. */
uint64_t gather_next(const struct gather_list *list, uint64_t at);

/* A new list; null if GATHER is, or could not be whole any more. */
struct gather_list *gather_begin(struct gather *gather);

/* Makes room for COUNT pieces in all. False: there is none, and GATHER is not whole. Each
 * list by one thread at a time. */
bool gather_room(struct gather_list *list, uint64_t count);

/* LIST, which may be null, holds COUNT pieces up to END, the next of SEGMENT. */
void gather_keep(struct gather_list *list, unsigned segment, uint64_t count,
		 uint64_t end);

/* Frees LIST's pieces. */
void gather_drop_pieces(struct gather_list *list);

/* Empties LIST, which may be null; the lists of SEGMENT; and all. */
void gather_drop(struct gather_list *list);
void gather_drop_segment(struct gather *gather, unsigned segment);
void gather_drop_all(struct gather *gather);

/* Whether all that was listed is there. */
bool gather_is_whole(const struct gather *gather);

/* The lists of SEGMENT, or null: it was not walked. */
struct gather_list *gather_of(const struct gather *gather, unsigned segment);

#endif
