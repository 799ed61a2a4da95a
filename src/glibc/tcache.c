#include "glibc/tcache.h"

#include "base/bytes.h"
#include "base/machine.h"
#include "base/sort.h"

#include <errno.h>
#include <string.h>

enum {
	TCACHE_MAX_STRUCT = 0x310,
	STRUCTURE_LOOKS = 16,
	LOOKS = 4,	   /* at a list that does not hold what it counts */
	LOOK_READS = 8192, /* that these may take, of all lists */
	SIZE_BITS = 20,	   /* of a chunk's size, in units, beside its address */
};

/* The lists of all structures, one after the other. */
struct lists {
	struct tcache_search search;
	unsigned next; /* the structure after the one in RAW */
	unsigned bin;  /* the next bin of the one in RAW */
	uint8_t raw[TCACHE_MAX_STRUCT];
	struct tcache_totals *totals;
	struct tcache_totals *by_arena;
	struct tcache_met *met;
	unsigned reads; /* to look again */
};

unsigned tcache_filled(const struct malloc_layout *layout, unsigned count_max,
		       const uint8_t *raw, unsigned bin)
{
	const struct tcache_layout *tcache = &layout->tcache;
	unsigned count = raw[bin];

	if (tcache->count_bytes == 2)
		count = raw[2 * bin] | raw[2 * bin + 1] << 8;
	return tcache->counts_down ? count_max - count : count;
}

static uint64_t head(const struct malloc_layout *layout, const uint8_t *raw, unsigned bin)
{
	return bytes_u64(raw + layout->tcache.entries + 8 * bin);
}

/* malloc.c, tidx2csize: bin 0 holds the smallest chunk. 0 for a bin of mixed sizes. */
uint64_t tcache_bin_bytes(const struct malloc_layout *layout, unsigned bin)
{
	return bin < layout->tcache.small_bins ? GLIBC_MIN_CHUNK + 16 * bin : 0;
}

unsigned tcache_odd_lists(const struct malloc_layout *layout, unsigned count_max,
			  const uint8_t *raw)
{
	unsigned odd = 0, whole = 0;

	for (unsigned i = 0; i < layout->tcache.bins; i++) {
		uint64_t first = head(layout, raw, i);
		unsigned count = tcache_filled(layout, count_max, raw, i);

		if (count > count_max || first & (GLIBC_ALIGN - 1) ||
		    first >> ADDRESS_BITS)
			return TCACHE_NONE;
		odd += count > 1 && !first ? TCACHE_ODD + 1 : !count != !first;
		whole += count && first;
	}
	return whole ? odd : TCACHE_NONE;
}

uint64_t tcache_small_max(const struct malloc_layout *layout)
{
	return tcache_bin_bytes(layout, layout->tcache.small_bins - 1U);
}

uint64_t tcache_counted_bytes(const struct malloc_layout *layout, unsigned count_max,
			      const uint8_t *raw)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < layout->tcache.small_bins; i++)
		if (head(layout, raw, i))
			bytes += tcache_filled(layout, count_max, raw, i) *
				 tcache_bin_bytes(layout, i);
	return bytes;
}

/* Reads the next structure. One that its thread is just changing is read again; one that
 * is gone by now was of a thread that has ended. */
static bool next_structure(struct lists *lists)
{
	uint32_t bytes = lists->search.layout->tcache.chunk_bytes - 16;

	while (lists->next < lists->search.count) {
		uint64_t at = lists->search.address[lists->next++];
		unsigned odd = TCACHE_NONE;
		int error = 0;

		for (unsigned i = 0; i < STRUCTURE_LOOKS && odd; i++) {
			error = memory_fetch(lists->search.memory, lists->search.pages,
					     at, lists->raw, bytes);
			if (error)
				break;
			odd = tcache_odd_lists(lists->search.layout,
					       lists->search.par->tcache_count,
					       lists->raw);
		}
		lists->bin = 0;
		if (!error && odd <= TCACHE_ODD)
			return true;
		lists->totals->unread +=
			error && pages_swapped_bytes(lists->search.pages, at, at + bytes);
	}
	lists->bin = lists->search.layout->tcache.bins;
	return false;
}

/* The next list that holds something, added up. */
static bool supply(struct chain *chain, void *context)
{
	struct lists *lists = context;

	for (;;) {
		uint64_t first, class_bytes;
		unsigned bin, count;

		if (lists->bin == lists->search.layout->tcache.bins &&
		    !next_structure(lists))
			return false;
		bin = lists->bin++;
		count = tcache_filled(lists->search.layout,
				      lists->search.par->tcache_count, lists->raw, bin);
		first = head(lists->search.layout, lists->raw, bin);
		class_bytes = tcache_bin_bytes(lists->search.layout, bin);
		if (!count || count > lists->search.par->tcache_count || first <= 16)
			continue;
		lists->totals->chunks += count;
		lists->totals->bytes += count * class_bytes;
		lists->totals->counted_bytes += count * class_bytes;
		*chain = (struct chain){
			.at = first - 16,
			.home = lists->search.address[lists->next - 1],
			.left = count,
			.to_memory = 16,
			.safe_linking = lists->search.layout->safe_linking,
			.bin = bin,
		};
		return true;
	}
}

static void meet(struct tcache_met *met, uint64_t chunk, uint64_t bytes)
{
	uint64_t size = bytes / GLIBC_ALIGN;

	if (met && met->count < met->capacity && !(chunk >> ADDRESS_BITS) &&
	    !(size >> SIZE_BITS))
		met->chunk[met->count++] = chunk / GLIBC_ALIGN << SIZE_BITS | size;
}

/* The chunk AT of CHAIN's list is in the cache. */
static void count_chunk(struct lists *lists, struct chain *chain, uint64_t at,
			uint64_t bytes)
{
	int arena = lists->by_arena ? lists->search.owner(at, lists->search.context) : -1;

	meet(lists->met, at, bytes);
	if (arena < 0)
		return;
	lists->by_arena[arena].chunks++;
	lists->by_arena[arena].bytes += bytes;
	chain->arena = arena;
}

/* Whether CHAIN is followed by what the walks noted: it may have changed since, so that
 * nothing counts before it has proved whole. */
static bool is_noted(const struct lists *lists, const struct chain *chain)
{
	return lists->search.links && !chain->attempts &&
	       chain->visited + chain->left <= CHAIN_PATH &&
	       tcache_bin_bytes(lists->search.layout, chain->bin);
}

static bool visit(struct chain *chain, uint64_t size_field, void *context)
{
	struct lists *lists = context;
	uint64_t bytes = size_field & ~(uint64_t)CHUNK_FLAGS;
	uint64_t class_bytes = tcache_bin_bytes(lists->search.layout, chain->bin);

	if (bytes < GLIBC_MIN_CHUNK || bytes >> 40 ||
	    (class_bytes && bytes != class_bytes))
		return false;
	if (is_noted(lists, chain)) {
		chain->path[chain->visited] = chain->at;
		return true;
	}
	if (!class_bytes)
		lists->totals->bytes += bytes;
	count_chunk(lists, chain, chain->at, bytes);
	return true;
}

/* Takes the next chunk off the notes. Those of small chunks may be noted as fastbins'. */
static bool known(struct chain *chain, uint64_t *size_field, uint64_t *next,
		  void *context)
{
	struct lists *lists = context;
	const struct links *links = lists->search.links;
	struct link link;
	uint32_t number;

	if (!is_noted(lists, chain))
		return false;
	number = chain_find_note(links, chain);
	if (number == LINKS_NONE)
		return false;
	links_get(links, number, &link);
	if ((link.kind != LINK_FAST && link.kind != LINK_CACHED) || link.way == LINK_FAR)
		return false;
	*size_field = link.bytes;
	*next = link.way == LINK_END ? 0 : link.to;
	if (*next && link.kind == LINK_FAST)
		*next -= chain->to_memory;
	chain_guess_note(links, chain, *next);
	return true;
}

/* What was seen of a list: whether it holds what its structure counts, give or take the
 * chunk that its thread is just taking or putting there; MARK tells two looks apart. */
struct list_look {
	bool is_whole;
	uint64_t mark;
};

static uint64_t mark_of(uint64_t mark, uint64_t word)
{
	return (mark ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Fetches what may lie on a page that was not there when flags were learned. */
static bool fetch_now(struct lists *lists, uint64_t at, void *to, uint32_t bytes)
{
	if (memory_fetch(lists->search.memory, lists->search.pages, at, to, bytes) == 0)
		return true;
	pages_forget(lists->search.pages);
	return memory_fetch(lists->search.memory, lists->search.pages, at, to, bytes) ==
	       0;
}

/* Follows the list of CHAIN once more, all of it close together. */
static struct list_look look_at_list(struct lists *lists, const struct chain *chain)
{
	uint32_t bytes = lists->search.layout->tcache.chunk_bytes - 16;
	uint64_t class_bytes = tcache_bin_bytes(lists->search.layout, chain->bin), at,
		 node[3];
	struct list_look look = {0};
	uint8_t raw[TCACHE_MAX_STRUCT];
	unsigned count, met = 0;

	if (!fetch_now(lists, chain->home, raw, bytes))
		return look;
	count = tcache_filled(lists->search.layout, lists->search.par->tcache_count, raw,
			      chain->bin);
	at = head(lists->search.layout, raw, chain->bin);
	look.mark = mark_of(count, at);
	for (; at && met <= count + 1 && lists->reads < LOOK_READS;
	     met++, lists->reads++) {
		if (!fetch_now(lists, at - 16, node, sizeof(node)) ||
		    (class_bytes && (node[1] & ~(uint64_t)CHUNK_FLAGS) != class_bytes))
			return look;
		at = lists->search.layout->safe_linking ? node[2] ^ at >> 12 : node[2];
		look.mark = mark_of(look.mark, at);
	}
	look.is_whole = !at && met + 1 >= count && met <= count + 1;
	return look;
}

/* A list that its thread changed while it was followed is whole when it is followed again
 * quickly, or is another each time; one that is damaged never is. A chunk that is swapped
 * out says nothing. */
static bool is_in_doubt(struct lists *lists, const struct chain *chain)
{
	uint64_t mark = 0;

	if (!chain->broken && !chain->left)
		return false;
	if (chain->left &&
	    pages_swapped_bytes(lists->search.pages, chain->at, chain->at + 24))
		return false;
	for (unsigned i = 0; i < LOOKS; i++) {
		struct list_look look = look_at_list(lists, chain);

		if (look.is_whole || (i && look.mark != mark))
			return false;
		mark = look.mark;
	}
	return true;
}

/* A list that was followed by notes counts now, or is read. */
static bool end_noted(struct lists *lists, struct chain *chain)
{
	if (!chain->broken && !chain->left) {
		for (unsigned i = 0; i < chain->visited; i++)
			count_chunk(lists, chain, chain->path[i],
				    tcache_bin_bytes(lists->search.layout, chain->bin));
		return false;
	}
	chain->at = chain->visited ? chain->path[0] : chain->at;
	chain->from = 0;
	chain->left += chain->visited;
	chain->visited = 0;
	chain->broken = false;
	chain->attempts++;
	return true;
}

static bool ended(struct chain *chain, void *context)
{
	struct lists *lists = context;
	uint64_t class_bytes = tcache_bin_bytes(lists->search.layout, chain->bin);
	uint64_t hidden, doubt = 0;

	if (is_noted(lists, chain))
		return end_noted(lists, chain);
	hidden = chain->left * class_bytes;
	if (is_in_doubt(lists, chain))
		doubt = (chain->visited + chain->left) *
			(class_bytes ? class_bytes : GLIBC_MIN_CHUNK);
	else if (chain->left && !class_bytes)
		doubt = chain->left * GLIBC_MIN_CHUNK;
	lists->totals->in_doubt_bytes += doubt;
	if (!lists->by_arena || (!chain->left && !doubt))
		return false;
	lists->by_arena[chain->arena].chunks += chain->left;
	lists->by_arena[chain->arena].bytes += hidden;
	lists->by_arena[chain->arena].in_doubt_bytes += doubt > hidden ? doubt : hidden;
	return false;
}

uint64_t tcache_met_chunk(const struct tcache_met *met, uint32_t i)
{
	return (met->chunk[i] >> SIZE_BITS) * GLIBC_ALIGN;
}

uint64_t tcache_met_bytes(const struct tcache_met *met, uint32_t i)
{
	return (met->chunk[i] & ((1 << SIZE_BITS) - 1)) * GLIBC_ALIGN;
}

uint64_t tcache_met_twice(struct tcache_met *met, uint64_t *mark)
{
	uint64_t bytes = 0;

	*mark = 0;
	sort_addresses(met->chunk, met->count);
	for (uint32_t i = 1; i < met->count; i++)
		if (met->chunk[i] >> SIZE_BITS == met->chunk[i - 1] >> SIZE_BITS) {
			bytes += tcache_met_bytes(met, i);
			*mark = mark_of(*mark, met->chunk[i]);
		}
	return bytes;
}

int tcache_read(const struct tcache_search *search, struct tcache_totals *totals,
		struct tcache_totals *by_arena, struct tcache_met *met)
{
	struct lists lists = {
		.search = *search,
		.bin = search->layout->tcache.bins,
		.totals = totals,
		.by_arena = by_arena,
		.met = met,
	};

	return chain_follow(search->reader, supply, visit, ended,
			    search->links ? known : NULL, &lists);
}
