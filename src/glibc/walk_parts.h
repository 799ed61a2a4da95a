/* walk_parts.h: what the parts of a walk share: sums of what is known (walk_count.c), the
 * way on where the chain breaks (walk_lost.c), ordinary chunks, fast (walk_plain.c). For
 * walk*.c only. */
#ifndef FRAGSCOPE_WALK_PARTS_H
#define FRAGSCOPE_WALK_PARTS_H

#include "glibc/walk.h"

enum {
	WALK_HEADER = 16,	     /* prev_size and size */
	WALK_FENCE = 16,	     /* the size of a fencepost */
	WALK_LINKED = 24,	     /* header and link */
	WALK_SAVE_EVERY = 16 << 10,  /* bytes between two places to go back to */
	WALK_TOP_GROWTH = 256 << 20, /* how far a top may move while it is walked to */
};

struct walk_header {
	uint64_t prev_size;
	uint64_t field; /* size and flags */
};

static inline uint64_t walk_round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & -unit;
}

static inline uint64_t walk_page_bytes(const struct walk *walk)
{
	return UINT64_C(1) << walk->memory->page_shift;
}

/* Flags that no chunk of the arena has. */
static inline uint64_t walk_forbidden(const struct walk_arena *arena)
{
	return CHUNK_MMAPPED | 8 | (arena->non_main ? 0 : CHUNK_NON_MAIN);
}

/* Where the LINK of the chunk AT leads (malloc.c, REVEAL_PTR). */
static inline uint64_t walk_reveal(uint64_t at, uint64_t link)
{
	return link ^ (at + WALK_HEADER) >> 12;
}

/* The last place to go back to. */
static inline uint64_t walk_last_saved(const struct walk *walk)
{
	if (!walk->saves)
		return walk->origin.place.at;
	return walk->saved[(walk->saves - 1) % WALK_SAVES].place.at;
}

/* ---- walk_count.c ---- */

/* The run of free chunks before the walk's place ends at END. */
void walk_close_run(struct walk *walk, uint64_t end);

/* The top chunk [TOP, END), and the fastbin chunks before it, which a trim merges with
 * it: what systrim (malloc.c) would give back of it. */
void walk_close_top(struct walk *walk, uint64_t top, uint64_t end);

/* [START, END) is of KIND: for walk.list; and for walk.log, too. */
void walk_list(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end);
void walk_note(struct walk *walk, enum piece_kind kind, uint64_t start, uint64_t end);

/* The chunk before AT looked like one of a fastbin, and is in use by its flag. False:
 * there is no room to note it. */
bool walk_note_fast(struct walk *walk, uint64_t at);

/* The link of the chunk AT, as it is stored. False: it is not in the window. */
bool walk_read_link(const struct walk *walk, uint64_t at, uint64_t *link);

/* The window ends: the link of the chunk before is wanted, should it prove free. */
void walk_keep_link(struct walk *walk);

/* The chunk before the one at AT is known now: FIELD, the header behind it, says whether
 * it is in use. */
void walk_settle(struct walk *walk, uint64_t at, uint64_t field);

/* Adds up resident bytes up to UNTIL. */
void walk_count_resident(struct walk *walk, uint64_t until);

/* ---- walk_lost.c ---- */

/* Notes where WALK stands, in SAVED, or among the places to go back to. */
void walk_save(struct walk *walk, struct walk_saved *saved);
void walk_save_here(struct walk *walk);

void walk_finish(struct walk *walk);

/* From the walk's place on nothing is understood: look for a chunk. */
void walk_seek(struct walk *walk, bool is_doubt);

/* Looks for a chunk in the window. */
void walk_seek_in_window(struct walk *walk);

/* Reads a live arena's top again, which may lie elsewhere by now. Whether it moved. */
bool walk_top_moved(struct walk *walk);

/* The walk stands at its end, or behind it. */
void walk_reach_end(struct walk *walk);

/* The chain broke at the walk's place: read it again, or look for a chunk behind it. */
void walk_lose(struct walk *walk);

/* ---- walk_plain.c ---- */

/* Passes ordinary chunks before END, the window's: those in use of which nothing is
 * wanted, and free ones that lie on one page, which is all that most heaps have. What is
 * not so ordinary is left to the walk, which this only makes fast. */
void walk_pass_plain(struct walk *walk, uint64_t end);

#endif
