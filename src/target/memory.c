#include "target/memory.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	WIDE_BITS = 9,
	NARROW_BITS = 4,
	HEAP_BITS = 3, /* blocks of a heap of some size */
};

_Static_assert(PAGES_BLOCK == 1 << WIDE_BITS, "a block has room for its flags");

struct pages {
	struct memory *memory;
	unsigned mask;
	unsigned block_bits; /* of the number of pages in a block */
	bool may_swap_in;
	uint64_t swapped_in_bytes;
	uint8_t *flags; /* of the blocks in all slots, behind TAG */
	uint64_t tag[]; /* of a slot: block number + 1; 0: empty */
};

static struct pages *new_pages(struct memory *memory, unsigned slots, unsigned bits)
{
	size_t tags_bytes = slots * sizeof(uint64_t);
	struct pages *pages =
		alloc_touched(sizeof(*pages) + tags_bytes + ((size_t)slots << bits));

	if (!pages)
		return NULL;
	pages->memory = memory;
	pages->mask = slots - 1;
	pages->block_bits = bits;
	pages->flags = (uint8_t *)&pages->tag[slots];
	return pages;
}

struct pages *pages_new(struct memory *memory, unsigned slots)
{
	return new_pages(memory, slots, WIDE_BITS);
}

struct pages *pages_new_narrow(struct memory *memory, unsigned slots)
{
	return new_pages(memory, slots, NARROW_BITS);
}

void pages_narrow(struct pages *pages)
{
	pages->block_bits = NARROW_BITS;
	pages_forget(pages);
}

void pages_widen(struct pages *pages)
{
	pages->block_bits = WIDE_BITS;
	pages_forget(pages);
}

void pages_free(struct pages *pages)
{
	free(pages);
}

void pages_forget(struct pages *pages)
{
	for (unsigned i = 0; i <= pages->mask; i++)
		pages->tag[i] = 0;
}

void pages_swap_in(struct pages *pages, bool allowed)
{
	pages->may_swap_in = allowed;
}

uint64_t pages_swapped_in(struct pages *pages)
{
	uint64_t bytes = pages->swapped_in_bytes;

	pages->swapped_in_bytes = 0;
	return bytes;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static unsigned block_shift(const struct pages *pages)
{
	return pages->memory->page_shift + pages->block_bits;
}

static uint64_t page_mask(const struct pages *pages)
{
	return (UINT64_C(1) << pages->block_bits) - 1;
}

/* Where the flags of block NUMBER are kept: neighbours apart, and heaps of arenas, which
 * begin at multiples of 64 MB, not on top of each other. */
static unsigned slot_of(const struct pages *pages, uint64_t number)
{
	uint64_t upper = number >> __builtin_popcount(pages->mask);

	return (number ^ upper << HEAP_BITS) & pages->mask;
}

static uint8_t *flags_in(const struct pages *pages, unsigned slot)
{
	return pages->flags + ((size_t)slot << pages->block_bits);
}

const uint8_t *pages_block(struct pages *pages, uint64_t addr)
{
	uint64_t number = addr >> block_shift(pages);
	unsigned slot = slot_of(pages, number), count = 1U << pages->block_bits;
	uint8_t *flags = flags_in(pages, slot);

	if (pages->tag[slot] != number + 1) {
		if (pages->memory->pages(pages->memory, number << block_shift(pages),
					 count, flags) < 0)
			memset(flags, 0, count);
		pages->tag[slot] = number + 1;
	}
	return flags;
}

static uint8_t page_flags(struct pages *pages, uint64_t addr)
{
	return pages_block(pages,
			   addr)[addr >> pages->memory->page_shift & page_mask(pages)];
}

static bool is_known(const struct pages *pages, uint64_t number)
{
	return pages->tag[slot_of(pages, number)] == number + 1;
}

/* Learns the flags of COUNT blocks, PAGES_BLOCK pages at most, from NUMBER on. */
static void learn(struct pages *pages, uint64_t number, unsigned count)
{
	uint8_t flags[PAGES_BLOCK];
	unsigned bits = pages->block_bits;

	if (pages->memory->pages(pages->memory, number << block_shift(pages),
				 count << bits, flags) < 0)
		memset(flags, 0, sizeof(flags));
	for (unsigned i = 0; i < count; i++) {
		unsigned slot = slot_of(pages, number + i);

		memcpy(flags_in(pages, slot), flags + (i << bits), (size_t)1 << bits);
		pages->tag[slot] = number + i + 1;
	}
}

void pages_copy(struct pages *pages, uint64_t start, unsigned count, uint8_t *flags)
{
	unsigned shift = pages->memory->page_shift, bits = pages->block_bits;
	uint64_t first = start >> block_shift(pages);
	uint64_t last = ((start >> shift) + count - 1) >> bits;
	uint64_t most = PAGES_BLOCK >> bits;

	for (uint64_t number = first; number <= last; number++) {
		uint64_t end = least(number + most, last + 1);

		if (is_known(pages, number))
			continue;
		while (is_known(pages, end - 1))
			end--;
		learn(pages, number, (unsigned)(end - number));
		number = end - 1;
	}
	for (unsigned i = 0; i < count; i++)
		flags[i] = page_flags(pages, start + ((uint64_t)i << shift));
}

/* The end of the block that holds ADDR, or END if that comes first. */
static uint64_t block_end(const struct pages *pages, uint64_t addr, uint64_t end)
{
	uint64_t next = ((addr >> block_shift(pages)) + 1) << block_shift(pages);

	return next ? least(next, end) : end;
}

/* Pages with FLAG among those that [START, END), inside one block, touches. */
static unsigned count_pages(struct pages *pages, uint64_t start, uint64_t end,
			    uint8_t flag)
{
	const uint8_t *flags = pages_block(pages, start);
	unsigned shift = pages->memory->page_shift;
	unsigned first = start >> shift & page_mask(pages);
	unsigned last = (end - 1) >> shift & page_mask(pages);
	unsigned count = 0;

	for (unsigned i = first; i <= last; i++)
		count += (flags[i] & flag) != 0;
	return count;
}

static uint64_t flagged_bytes(struct pages *pages, uint64_t start, uint64_t end,
			      uint8_t flag)
{
	uint64_t page_bytes = UINT64_C(1) << pages->memory->page_shift;
	uint64_t total = 0;

	for (uint64_t at = start, stop; at < end; at = stop) {
		stop = block_end(pages, at, end);
		total += (uint64_t)count_pages(pages, at, stop, flag) * page_bytes;
		if (page_flags(pages, at) & flag)
			total -= at & (page_bytes - 1);
		if (page_flags(pages, stop - 1) & flag)
			total -= -stop & (page_bytes - 1);
	}
	return total;
}

uint64_t pages_resident_bytes(struct pages *pages, uint64_t start, uint64_t end)
{
	return flagged_bytes(pages, start, end, PAGE_RESIDENT);
}

uint64_t pages_swapped_bytes(struct pages *pages, uint64_t start, uint64_t end)
{
	return flagged_bytes(pages, start, end, PAGE_SWAPPED);
}

/* The first page of [START, END) whose residency is WANTED. */
static uint64_t find_page(struct pages *pages, uint64_t start, uint64_t end, bool wanted)
{
	unsigned shift = pages->memory->page_shift;

	while (start < end) {
		const uint8_t *flags = pages_block(pages, start);
		uint64_t stop = block_end(pages, start, end);

		for (uint64_t next; start < stop; start = next) {
			next = ((start >> shift) + 1) << shift;
			if (!!(flags[start >> shift & page_mask(pages)] &
			       PAGE_RESIDENT) == wanted)
				return start;
			if (next < start)
				return end;
		}
	}
	return end;
}

uint64_t pages_next_resident(struct pages *pages, uint64_t start, uint64_t end)
{
	return find_page(pages, start, end, true);
}

uint64_t pages_run_end(struct pages *pages, uint64_t start, uint64_t end)
{
	return find_page(pages, start, end, false);
}

bool pages_all_resident(struct pages *pages, uint64_t addr, uint64_t len)
{
	return len && addr + len > addr &&
	       pages_run_end(pages, addr, addr + len) == addr + len;
}

/* Whether all of [ADDR, ADDR + LEN) may be read although some of it is swapped out. A
 * page that is neither there nor in swap is none of malloc's. */
static bool may_swap_in(struct pages *pages, uint64_t addr, uint64_t len)
{
	return pages->may_swap_in && len && addr + len > addr &&
	       pages_resident_bytes(pages, addr, addr + len) +
			       pages_swapped_bytes(pages, addr, addr + len) ==
		       len;
}

static uint64_t swapped_pages_bytes(struct pages *pages, uint64_t addr, uint64_t len)
{
	uint64_t page_bytes = UINT64_C(1) << pages->memory->page_shift;
	uint64_t start = addr & -page_bytes;

	return pages_swapped_bytes(pages, start,
				   (addr + len + page_bytes - 1) & -page_bytes);
}

/* Looks anew at what of [ADDR, ADDR + LEN) is resident. */
static void forget_range(struct pages *pages, uint64_t addr, uint64_t len)
{
	unsigned shift = block_shift(pages);

	for (uint64_t at = addr >> shift; at <= (addr + len - 1) >> shift; at++)
		pages->tag[slot_of(pages, at)] = 0;
}

int memory_fetch(struct memory *memory, struct pages *pages, uint64_t addr, void *to,
		 uint32_t len)
{
	struct span span = {addr, to, len};
	uint64_t swapped = 0;
	int got;

	if (!pages_all_resident(pages, addr, len)) {
		if (!may_swap_in(pages, addr, len))
			return -ENODATA;
		swapped = swapped_pages_bytes(pages, addr, len);
	}
	got = memory->read(memory, &span, 1);
	if (got < 0)
		return got;
	if (got == 1 && swapped) {
		pages->swapped_in_bytes += swapped;
		forget_range(pages, addr, len);
	}
	return got == 1 ? 0 : -EFAULT;
}

int memory_read_many(struct memory *memory, const struct span *spans, unsigned count,
		     bool *ok)
{
	/* A span that cannot be read ends a call: go on behind it. */
	for (unsigned done = 0; done < count;) {
		int got = memory->read(memory, spans + done, count - done);

		if (got < 0)
			return got;
		for (int i = 0; i < got && done < count; i++)
			ok[done++] = true;
		if (done < count)
			ok[done++] = false;
	}
	return 0;
}

int memory_fetch_many(struct memory *memory, struct pages *pages,
		      const struct span *spans, unsigned count, bool *ok)
{
	struct span want[MEMORY_SPANS];
	unsigned from[MEMORY_SPANS];
	bool is_read[MEMORY_SPANS];
	unsigned wanted = 0;
	int error;

	for (unsigned i = 0; i < count; i++) {
		ok[i] = false;
		if (!pages_all_resident(pages, spans[i].addr, spans[i].len))
			continue;
		want[wanted] = spans[i];
		from[wanted++] = i;
	}
	if (!wanted)
		return 0;
	error = memory_read_many(memory, want, wanted, is_read);
	for (unsigned i = 0; !error && i < wanted; i++)
		ok[from[i]] = is_read[i];
	return error;
}
