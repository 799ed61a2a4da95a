/* damage.h: changes an image where malloc keeps what a reader follows: chunk headers,
 * list links, bins, tops, the ring of arenas, heap_info, caches, mp_; and takes pages
 * away. All of it can be undone. */
#ifndef FRAGSCOPE_TEST_DAMAGE_H
#define FRAGSCOPE_TEST_DAMAGE_H

#include "image.h"

enum place {
	PLACE_HEADER, /* both words of a chunk's header */
	PLACE_LINK,   /* the words behind it, where they are pointers */
	PLACE_TOP,    /* malloc_state's top, and the top chunk's size */
	PLACE_BIN,    /* the ends of the bins that are not empty */
	PLACE_FASTBIN,
	PLACE_RING, /* malloc_state's next */
	PLACE_STATE,
	PLACE_HEAP_INFO,
	PLACE_TCACHE,
	PLACE_PAR,
	PLACES,
};

enum change {
	CHANGE_FLIP,	/* a bit */
	CHANGE_SIZE,	/* a plausible size field */
	CHANGE_HUGE,	/* a size or address at an edge of the possible */
	CHANGE_POINTER, /* an address of another place */
	CHANGE_SELF,	/* the place's own address: a loop */
	CHANGE_SWAP,	/* with another place */
	CHANGE_COPY,	/* of another place */
	CHANGE_NEAR,	/* some words more or less */
	CHANGE_ZERO,
	CHANGE_NOISE,
	CHANGE_DROP,	 /* the page, and some after it, are not resident */
	CHANGE_SWAP_OUT, /* or swapped out */
	CHANGES,
};

/* One change. Any value means something: it may come from a fuzzer. */
struct edit {
	uint8_t change; /* modulo CHANGES */
	uint8_t place;	/* modulo PLACES */
	uint16_t index; /* modulo how many there are */
	uint64_t value;
};

struct damage;

/* Finds all places in IMAGE, which must be undamaged and outlive it. Null: the image
 * could not be understood, or no memory. */
struct damage *damage_new(struct image *image);
void damage_free(struct damage *damage);

/* How many places of a kind there are. */
unsigned damage_places(const struct damage *damage, enum place place);

void damage_apply(struct damage *damage, const struct edit *edit);

/* Makes the image what it was. */
void damage_undo(struct damage *damage);

/* The next number of a sequence that STATE stands for. */
uint64_t damage_random(uint64_t *state);

#endif
