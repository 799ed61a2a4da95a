#include "glibc/chain.h"

#include "base/alloc_touched.h"
#include "glibc/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHAINS = 64,
	CHAIN_WINDOW = 4096, /* neighbours on a list often are neighbours in memory */
	NODE = 24,	     /* prev_size, size and the link */
};

struct chain_slot {
	struct chain chain;
	bool active;
	uint64_t window;
	uint32_t window_bytes;
	uint8_t data[CHAIN_WINDOW];
};

struct chain_reader {
	struct memory *memory;
	struct pages *pages;
	struct chain_slot slot[CHAINS];
};

struct chain_reader *chain_reader_new(struct memory *memory, struct pages *pages)
{
	struct chain_reader *reader = alloc_touched(sizeof(*reader));

	if (!reader)
		return NULL;
	reader->memory = memory;
	reader->pages = pages;
	return reader;
}

void chain_reader_free(struct chain_reader *reader)
{
	free(reader);
}

uint32_t chain_find_note(const struct links *links, struct chain *chain)
{
	if (chain->guessed != chain->at)
		chain_guess_note(links, chain, chain->at);
	return links_find_near(links, chain->at, chain->guess);
}

void chain_guess_note(const struct links *links, struct chain *chain, uint64_t next)
{
	chain->guessed = next;
	chain->guess = links_guess(links, next);
}

static bool has_node(const struct chain_slot *slot)
{
	uint64_t at = slot->chain.at;

	return at >= slot->window && at - slot->window + NODE <= slot->window_bytes;
}

static uint64_t follow_link(const struct chain *chain, uint64_t stored)
{
	uint64_t place = chain->at + 16;
	uint64_t to = chain->safe_linking ? stored ^ place >> 12 : stored;

	return to ? to - chain->to_memory : 0;
}

/* The lists that are followed, and by whom. */
struct follower {
	chain_supply_fn *supply;
	chain_visit_fn *visit;
	chain_ended_fn *ended;
	chain_known_fn *known;
	void *context;
	bool exhausted; /* there are no more lists */
};

/* Visits the node at CHAIN->at and moves on to NEXT. */
static void step(const struct follower *follower, struct chain *chain, uint64_t field,
		 uint64_t next)
{
	if (chain->left == 0 || !follower->visit(chain, field, follower->context)) {
		chain->broken = true;
		return;
	}
	chain->left--;
	chain->visited++;
	chain->from = chain->at;
	chain->at = next;
}

static bool is_over(const struct chain *chain)
{
	return chain->broken || !chain->at || chain->at == chain->end;
}

/* Takes one step: to the next chunk, or the next list. False: SLOT needs a read for that,
 * or has nothing to do. */
static bool advance(struct chain_slot *slot, struct follower *follower)
{
	struct chain *chain = &slot->chain;
	uint64_t node[3], field, next;

	if (!slot->active) {
		if (follower->exhausted)
			return false;
		*chain = (struct chain){0};
		slot->active = follower->supply(chain, follower->context);
		follower->exhausted = !slot->active;
	} else if (is_over(chain)) {
		slot->window_bytes = 0;
		slot->active = follower->ended(chain, follower->context);
	} else if (chain->at & (GLIBC_ALIGN - 1)) {
		chain->broken = true;
	} else if (follower->known &&
		   follower->known(chain, &field, &next, follower->context)) {
		step(follower, chain, field, next);
	} else if (has_node(slot)) {
		memcpy(node, slot->data + (chain->at - slot->window), sizeof(node));
		step(follower, chain, node[1], follow_link(chain, node[2]));
	} else {
		return false;
	}
	return true;
}

/* Goes on with all lists as far as no read is needed, with each in turn: what one waits
 * for comes from memory while the others go on. */
static void advance_all(struct chain_reader *reader, struct follower *follower)
{
	bool moved;

	do {
		moved = false;
		for (unsigned i = 0; i < CHAINS; i++)
			moved |= advance(&reader->slot[i], follower);
	} while (moved);
}

/* The page that holds the node, or the node alone where it crosses into the next page. */
static struct span window_span(struct chain_slot *slot)
{
	uint64_t at = slot->chain.at, page = at & -(uint64_t)CHAIN_WINDOW;

	slot->window = at - page + NODE <= CHAIN_WINDOW ? page : at;
	slot->window_bytes = slot->window == page ? CHAIN_WINDOW : NODE;
	return (struct span){slot->window, slot->data, slot->window_bytes};
}

int chain_follow(struct chain_reader *reader, chain_supply_fn *supply,
		 chain_visit_fn *visit, chain_ended_fn *ended, chain_known_fn *known,
		 void *context)
{
	struct follower follower = {supply, visit, ended, known, context, false};

	for (unsigned i = 0; i < CHAINS; i++) {
		reader->slot[i].active = false;
		reader->slot[i].window_bytes = 0;
	}
	for (;;) {
		struct span span[CHAINS];
		unsigned of[CHAINS], count = 0;
		bool ok[CHAINS];
		int error;

		advance_all(reader, &follower);
		for (unsigned i = 0; i < CHAINS; i++) {
			struct chain_slot *slot = &reader->slot[i];

			if (slot->active) {
				of[count] = i;
				span[count++] = window_span(slot);
			}
		}
		if (!count)
			return 0;
		error = memory_fetch_many(reader->memory, reader->pages, span, count, ok);
		if (error)
			return error;
		for (unsigned i = 0; i < count; i++)
			reader->slot[of[i]].chain.broken |= !ok[i];
	}
}
