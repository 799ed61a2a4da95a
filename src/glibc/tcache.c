#include "glibc/tcache.h"

#include <errno.h>
#include <string.h>

enum { TCACHE_MAX_STRUCT = 0x310 };

/* The lists of all structures, one after the other. */
struct lists {
	struct memory *memory;
	struct pages *pages;
	const struct layout *layout;
	const struct malloc_par *par;
	const uint64_t *address;
	unsigned count;
	unsigned next; /* the structure after the one in RAW */
	unsigned bin;  /* the next bin of the one in RAW */
	uint8_t raw[TCACHE_MAX_STRUCT];
	struct tcache_totals *totals;
	struct tcache_totals *by_arena;
	tcache_owner_fn *owner;
	void *context;
};

static unsigned filled(const struct lists *lists, unsigned bin)
{
	const struct tcache_layout *tcache = &lists->layout->tcache;
	unsigned count = lists->raw[bin];

	if (tcache->count_bytes == 2)
		count = lists->raw[2 * bin] | lists->raw[2 * bin + 1] << 8;
	return tcache->counts_down ? lists->par->tcache_count - count : count;
}

static uint64_t head(const struct lists *lists, unsigned bin)
{
	uint64_t word;

	memcpy(&word, lists->raw + lists->layout->tcache.entries + 8 * bin, sizeof(word));
	return word;
}

/* malloc.c, tidx2csize: bin 0 holds the smallest chunk. 0 for a bin of mixed sizes. */
static uint64_t bin_bytes(const struct lists *lists, unsigned bin)
{
	return bin < lists->layout->tcache.small_bins ? GLIBC_MIN_CHUNK + 16 * bin : 0;
}

static bool next_structure(struct lists *lists)
{
	uint32_t bytes = lists->layout->tcache.chunk_bytes - 16;

	while (lists->next < lists->count) {
		lists->bin = 0;
		if (memory_fetch(lists->memory, lists->pages,
				 lists->address[lists->next++], lists->raw, bytes) == 0)
			return true;
	}
	return false;
}

/* The next list that has to be followed; those that need not are added up on the way. */
static bool supply(struct chain *chain, void *context)
{
	struct lists *lists = context;

	for (;;) {
		unsigned bin, count;

		if (lists->bin == lists->layout->tcache.bins && !next_structure(lists))
			return false;
		bin = lists->bin++;
		count = filled(lists, bin);
		if (!count || count > lists->par->tcache_count || head(lists, bin) <= 16)
			continue;
		lists->totals->chunks += count;
		lists->totals->bytes += count * bin_bytes(lists, bin);
		if (!lists->by_arena && bin_bytes(lists, bin))
			continue;
		*chain = (struct chain){
			.at = head(lists, bin) - 16,
			.left = count,
			.to_memory = 16,
			.safe_linking = lists->layout->safe_linking,
			.bin = bin,
		};
		return true;
	}
}

static bool visit(struct chain *chain, uint64_t size_field, void *context)
{
	struct lists *lists = context;
	uint64_t bytes = size_field & ~(uint64_t)CHUNK_FLAGS;
	uint64_t class_bytes = bin_bytes(lists, chain->bin);
	int arena;

	if (bytes < GLIBC_MIN_CHUNK || bytes >> 40 ||
	    (class_bytes && bytes != class_bytes))
		return false;
	if (!class_bytes)
		lists->totals->bytes += bytes;
	arena = lists->by_arena ? lists->owner(chain->at, lists->context) : -1;
	if (arena >= 0) {
		lists->by_arena[arena].chunks++;
		lists->by_arena[arena].bytes += bytes;
		chain->arena = arena;
	}
	return true;
}

static bool ended(struct chain *chain, void *context)
{
	struct lists *lists = context;
	uint64_t hidden = chain->left * bin_bytes(lists, chain->bin);

	if (!chain->left)
		return false;
	if (!bin_bytes(lists, chain->bin))
		lists->totals->in_doubt_bytes += chain->left * GLIBC_MIN_CHUNK;
	if (!lists->by_arena)
		return false;
	lists->by_arena[chain->arena].chunks += chain->left;
	lists->by_arena[chain->arena].bytes += hidden;
	lists->by_arena[chain->arena].in_doubt_bytes += hidden;
	return false;
}

int tcache_read(struct chain_reader *reader, struct memory *memory, struct pages *pages,
		const struct layout *layout, const struct malloc_par *par,
		const uint64_t *address, unsigned count, struct tcache_totals *totals,
		struct tcache_totals *by_arena, tcache_owner_fn *owner, void *context)
{
	struct lists lists = {
		.memory = memory,
		.pages = pages,
		.layout = layout,
		.par = par,
		.address = address,
		.count = count,
		.bin = layout->tcache.bins,
		.totals = totals,
		.by_arena = by_arena,
		.owner = owner,
		.context = context,
	};

	return chain_follow(reader, supply, visit, ended, &lists);
}
