#include "glibc/free_parts.h"

#include "glibc/layout.h"

enum {
	HEADER = 16,	  /* prev_size and size */
	LIST_HEADER = 48, /* what mtrim leaves of a free chunk: struct malloc_chunk */
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & -unit;
}

struct free_parts free_parts_of_run(unsigned page_shift, uint64_t start, uint64_t end)
{
	uint64_t page = UINT64_C(1) << page_shift;
	uint64_t first = round_up(start + LIST_HEADER, page);

	/* The chunk must exceed a page, and so must what is left behind the first page.
	 */
	if (end - start > page - 1 + LIST_HEADER && end - first > page - 1)
		return (struct free_parts){first, first, end & -page};
	return (struct free_parts){end, end, end};
}

struct free_parts free_parts_of_top(unsigned page_shift, uint64_t unit_bytes,
				    uint64_t start, uint64_t end)
{
	uint64_t shared = round_up(start + HEADER, UINT64_C(1) << page_shift);
	uint64_t kept = end;

	if (unit_bytes && end - start > GLIBC_MIN_CHUNK + 1)
		kept = end - ((end - start - GLIBC_MIN_CHUNK - 1) & -unit_bytes);
	return (struct free_parts){shared < kept ? shared : kept, kept, end};
}
