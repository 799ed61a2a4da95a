/* tcache.h: what the threads' caches hold. The counts in the structures suffice for the
 * sum; which arena owns it takes following the lists. */
#ifndef FRAGSCOPE_TCACHE_H
#define FRAGSCOPE_TCACHE_H

#include "glibc/arena.h"
#include "glibc/chain.h"

struct tcache_totals {
	uint64_t chunks;
	uint64_t bytes;
	uint64_t in_doubt_bytes; /* lists of mixed sizes that could not be followed */
};

/* Finds the arena that owns the chunk at an address; negative when none does. */
typedef int tcache_owner_fn(uint64_t chunk, void *context);

/* Adds up the COUNT structures at ADDRESS, all of the one glibc that LAYOUT and PAR are
 * of. With BY_ARENA (one entry an arena, else null) each list is followed and what it
 * holds is put to the arena that OWNER names; chunks that a moving list hid go to the
 * arena of the list's head, as in doubt. 0 or -errno. */
int tcache_read(struct chain_reader *reader, struct memory *memory, struct pages *pages,
		const struct layout *layout, const struct malloc_par *par,
		const uint64_t *address, unsigned count, struct tcache_totals *totals,
		struct tcache_totals *by_arena, tcache_owner_fn *owner, void *context);

#endif
