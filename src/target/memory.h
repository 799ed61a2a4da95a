/* memory.h: the readable memory of a target, live or saved: bytes, and which pages are
 * resident. Nothing above this file knows how either is had, and nothing reads a page
 * that is not resident: that would map the zero page or swap a page in. The one exception
 * is what pages_swap_in allows. */
#ifndef FRAGSCOPE_MEMORY_H
#define FRAGSCOPE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One piece to read: LEN bytes at ADDR in the target, to TO here. */
struct span {
	uint64_t addr;
	void *to;
	uint32_t len;
};

enum {
	PAGE_RESIDENT = 1, /* counts in RSS: present, and not the shared zero page */
	PAGE_SWAPPED = 2,
	PAGES_BLOCK = 512,  /* pages whose flags are learned at once, at most */
	MEMORY_SPANS = 256, /* the most that one read takes */
};

struct memory {
	/* Reads spans in order; returns how many were read whole, or -errno when the
	 * target cannot be read at all. Does not look at residency. */
	int (*read)(struct memory *memory, const struct span *spans, unsigned count);
	/* Fills FLAGS for COUNT pages from START (page aligned); 0 or -errno. Pages
	 * that are not mapped have no flag. */
	int (*pages)(struct memory *memory, uint64_t start, unsigned count,
		     uint8_t *flags);
	unsigned page_shift;
};

/* The flags of pages looked at during one reading, by blocks. Each reader thread has its
 * own: there is no lock. */
struct pages;

/* SLOTS (a power of two) blocks are kept. Null: no memory. */
struct pages *pages_new(struct memory *memory, unsigned slots);

/* The same for one that is narrow (see below) for good, in a small part of the memory. */
struct pages *pages_new_narrow(struct memory *memory, unsigned slots);
void pages_free(struct pages *pages);

/* Learns flags a few pages at a time from now on: quicker where reads lie far apart. */
void pages_narrow(struct pages *pages);

/* Undoes that. */
void pages_widen(struct pages *pages);

/* Forgets all flags: a new reading begins. */
void pages_forget(struct pages *pages);

/* Whether memory_fetch reads swapped pages too from now on, which swaps them in. */
void pages_swap_in(struct pages *pages, bool allowed);

/* The bytes of the pages that it has swapped in since the last call. */
uint64_t pages_swapped_in(struct pages *pages);

/* Flags of the pages of the aligned block that holds ADDR. Valid until the
 * next call. A block that cannot be looked at has no resident page. */
const uint8_t *pages_block(struct pages *pages, uint64_t addr);

/* Copies the flags of the COUNT pages from START (page aligned) on to FLAGS, and keeps
 * them for who asks next: those that are not known are learned in one call, or in one for
 * PAGES_BLOCK pages. Pages that cannot be looked at have none. */
void pages_copy(struct pages *pages, uint64_t start, unsigned count, uint8_t *flags);

/* Bytes of [START, END) that lie on resident pages. */
uint64_t pages_resident_bytes(struct pages *pages, uint64_t start, uint64_t end);

/* Whether every page of [ADDR, ADDR + LEN) is resident. */
bool pages_all_resident(struct pages *pages, uint64_t addr, uint64_t len);

/* The first address of [START, END) on a resident page, or END. */
uint64_t pages_next_resident(struct pages *pages, uint64_t start, uint64_t end);

/* The end of the run of resident pages from START on, END at most. */
uint64_t pages_run_end(struct pages *pages, uint64_t start, uint64_t end);

/* Bytes of [START, END) on swapped pages. */
uint64_t pages_swapped_bytes(struct pages *pages, uint64_t start, uint64_t end);

/* Reads LEN bytes at ADDR if all of it is resident. 0, -ENODATA when a page is not
 * resident, -EFAULT when it could not be read, -ESRCH... when the target is gone. */
int memory_fetch(struct memory *memory, struct pages *pages, uint64_t addr, void *to,
		 uint32_t len);

/* Reads COUNT spans (at most MEMORY_SPANS) of which all pages are known to be resident,
 * in one call, and one more for each span that cannot be read. OK[i] tells whether span i
 * was. 0, or -errno when the target is gone. */
int memory_read_many(struct memory *memory, const struct span *spans, unsigned count,
		     bool *ok);

/* memory_fetch for COUNT spans (at most MEMORY_SPANS) in one call. OK[i] tells whether
 * span i was read. 0, or -errno when the target is gone. */
int memory_fetch_many(struct memory *memory, struct pages *pages,
		      const struct span *spans, unsigned count, bool *ok);

#endif
