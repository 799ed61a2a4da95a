/* links.h: what the walks of a reading noted of chunks that lie on one of malloc's lists:
 * where each is and which one follows, in eight bytes. So a list is followed here, when
 * the walks are done, and not by a read of the target for each chunk. */
#ifndef FRAGSCOPE_LINKS_H
#define FRAGSCOPE_LINKS_H

#include <stdbool.h>
#include <stdint.h>

enum link_kind {
	LINK_FAST,   /* looks in use, and like a chunk of a fastbin */
	LINK_BINNED, /* free, in a bin */
	/* A run of free chunks and of such as may be in a fastbin, from AT - BYTES to AT:
	 * what of it could be given back depends on which of them are. The latter come
	 * before it. LINK_TOP_RUN ends with the top chunk. */
	LINK_RUN,
	LINK_TOP_RUN,
	LINK_CACHED, /* looks in use, and like a chunk of a thread's cache */
};

enum link_way {
	LINK_END, /* nothing follows */
	LINK_FAR, /* what follows was not noted: it has to be read */
	LINK_NEXT,
};

struct link {
	enum link_kind kind;
	uint64_t at;
	uint64_t bytes;
	unsigned bin; /* of LINK_FAST and LINK_CACHED: index of the list of its size */
	enum link_way way;
	uint64_t to; /* of LINK_NEXT */
};

/* How far a walk has come with its notes. It goes back by taking up an earlier one. */
struct link_chain {
	uint32_t block; /* one more than its index; 0: none */
	uint32_t used;
};

struct links;

/* Room for BLOCKS blocks of LINKS_IN_BLOCK notes, WITH_SIZES for LINK_BINNED. Null: no
 * memory. */
enum { LINKS_IN_BLOCK = 254 };

struct links *links_new(unsigned blocks, bool with_sizes);
void links_free(struct links *links);

/* Forgets all. */
void links_reset(struct links *links);

/* The room of all notes, as addresses: used in place of them. */
uint64_t *links_room(struct links *links, uint32_t *capacity);

/* Notes LINK, of ARENA, behind CHAIN. Several threads may do so with chains of their own,
 * each in order of address. False: there is no room. LINK_CACHED, without which lists are
 * read instead, leaves room for others. */
bool links_note(struct links *links, struct link_chain *chain, unsigned arena,
		const struct link *link);

/* Whether something was not noted for want of room. */
bool links_overflowed(const struct links *links);

/* One thread alone from here on. Puts all of FROM before INTO, or gives its room back. */
void links_join(struct links *links, struct link_chain *into, struct link_chain from);
void links_drop(struct links *links, struct link_chain chain);

/* FROM is what came out of a segment: it is among those that are found. */
void links_keep(struct links *links, struct link_chain from);

/* Puts in order what was kept. Only then can it be found: */
void links_sort(struct links *links);

enum { LINKS_NONE = UINT32_MAX };

/* The note of the chunk at ADDR, or LINKS_NONE. Notes are numbered in order of address,
 * with gaps: links_next finds the one after NUMBER, and the first after LINKS_NONE. */
uint32_t links_find(const struct links *links, uint64_t addr);

/* The same in two steps, of which the first has the note fetched from memory. */
uint32_t links_guess(const struct links *links, uint64_t addr);
uint32_t links_find_near(const struct links *links, uint64_t addr, uint32_t guess);
uint32_t links_next(const struct links *links, uint32_t number);

/* Sets NUMBER to links_next's, and LINK to that note. False: there is none. */
bool links_each(const struct links *links, uint32_t *number, struct link *link);
uint32_t links_previous(const struct links *links, uint32_t number);
void links_get(const struct links *links, uint32_t number, struct link *link);
unsigned links_arena(const struct links *links, uint32_t number);

/* How many there are, or some more. */
uint64_t links_count(const struct links *links);

/* A note can be marked, once; false when it was. */
bool links_mark(struct links *links, uint32_t number);
void links_unmark(struct links *links, uint32_t number);
bool links_is_marked(const struct links *links, uint32_t number);

/* From now on what follows NUMBER has to be read. */
void links_distrust(struct links *links, uint32_t number);

/* Leaves the addresses of the marked LINK_FAST alone, ascending, in links_room. How many.
 */
uint32_t links_to_addresses(struct links *links);

#endif
