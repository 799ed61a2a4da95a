/* chain.h: follows malloc's linked lists (fastbins, unsorted, tcache), many at once, so
 * that one system call fetches a node of each. A list is data of the target: it may be
 * cut, cross itself or lead anywhere. */
#ifndef FRAGSCOPE_CHAIN_H
#define FRAGSCOPE_CHAIN_H

#include "glibc/links.h"
#include "target/memory.h"

#include <stdbool.h>
#include <stdint.h>

enum { CHAIN_PATH = 16 };

struct chain {
	uint64_t at;   /* the chunk to visit next; 0: the list has ended */
	uint64_t from; /* the one visited before; 0: none */
	uint64_t end;  /* the address that ends the list */
	uint64_t left; /* visits allowed; a longer list is broken */
	uint64_t visited;
	uint32_t to_memory; /* links lead this far behind a chunk's start: 0 or 16 */
	bool safe_linking;
	bool broken;
	unsigned attempts; /* for the one who sets it up */
	uint32_t note;	   /* of the chunk that is visited, in a table of its own */
	uint32_t guess;	   /* at that of the chunk at GUESSED */
	uint64_t guessed;
	uint64_t home;	/* of the structure that it begins in; so, too */
	unsigned arena; /* for the visitor */
	unsigned bin;
	uint64_t path[CHAIN_PATH]; /* so, too */
};

/* Called with each node and its size field; false breaks the list. */
typedef bool chain_visit_fn(struct chain *chain, uint64_t size_field, void *context);

/* Fills CHAIN with the next list to follow; false when there is none. */
typedef bool chain_supply_fn(struct chain *chain, void *context);

/* Called when a list has ended, or broke; true when CHAIN was set up to be followed
 * again. */
typedef bool chain_ended_fn(struct chain *chain, void *context);

/* What is known of the chunk CHAIN->at without a read: its size field, and which chunk is
 * NEXT (0: the list ends). False: it has to be read. */
typedef bool chain_known_fn(struct chain *chain, uint64_t *size_field, uint64_t *next,
			    void *context);

/* The note of the chunk that CHAIN is at; and a guess at that of the one after it, which
 * has it fetched from memory. */
uint32_t chain_find_note(const struct links *links, struct chain *chain);
void chain_guess_note(const struct links *links, struct chain *chain, uint64_t next);

struct chain_reader;

struct chain_reader *chain_reader_new(struct memory *memory, struct pages *pages);
void chain_reader_free(struct chain_reader *reader);

/* Follows every list that SUPPLY gives. KNOWN may be null. 0, or -errno when the target
 * cannot be read. */
int chain_follow(struct chain_reader *reader, chain_supply_fn *supply,
		 chain_visit_fn *visit, chain_ended_fn *ended, chain_known_fn *known,
		 void *context);

#endif
