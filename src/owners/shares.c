#include "owners/shares.h"

#include "base/units.h"
#include "owners/chunks.h"

#include <errno.h>
#include <string.h>

enum { PAGE_BLOCKS = 1024 };

/* One page. */
struct crowd {
	uint64_t free_bytes;
	unsigned live;
};

static uint64_t overlap(uint64_t start, uint64_t end, uint64_t from, uint64_t to)
{
	start = start > from ? start : from;
	end = end < to ? end : to;
	return start < end ? end - start : 0;
}

/* What lies on the page from FROM to TO, beginning with the piece I, which is on it. */
static struct crowd count_page(const struct chunks *chunks, uint32_t i, uint64_t from,
			       uint64_t to)
{
	struct crowd crowd = {0};

	/* I may be in the middle. What is before the segment is far below, or above. */
	while (i && chunk_addr(chunks, i) > from &&
	       chunk_addr(chunks, i - 1) < chunk_addr(chunks, i))
		i--;
	for (; i + 1 < chunks->count && chunk_addr(chunks, i) < to &&
	       chunk_addr(chunks, i + 1) > chunk_addr(chunks, i);
	     i++) {
		unsigned kind = chunk_kind(chunks, i);

		if (kind == CHUNK_FREE || kind == CHUNK_TOP)
			crowd.free_bytes += overlap(chunk_addr(chunks, i),
						    chunk_addr(chunks, i + 1), from, to);
		crowd.live += chunk_is_live(chunks, i);
	}
	return crowd;
}

static double share_of_page(const struct chunks *chunks, struct pages *pages, uint32_t i,
			    uint64_t page, uint64_t page_bytes)
{
	struct crowd crowd;

	if (!pages_all_resident(pages, page, 1))
		return 0;
	crowd = count_page(chunks, i, page, page + page_bytes);
	return crowd.live ? (double)crowd.free_bytes / crowd.live : 0;
}

/* All pages between a chunk's first and its last are its own. */
static void find_share(const struct chunks *chunks, struct pages *pages,
		       uint64_t page_bytes, struct pin_share *share)
{
	uint64_t addr = share->block - CHUNK_HEADER, first, last;
	uint32_t i = share->block < CHUNK_HEADER ? NO_CHUNK : chunks_at(chunks, addr);

	share->pinned_bytes = 0;
	share->is_found = i != NO_CHUNK && chunk_addr(chunks, i) == addr &&
			  chunk_is_live(chunks, i) &&
			  share->bytes <= chunk_bytes(chunks, i);
	if (!share->is_found)
		return;
	first = addr & -page_bytes;
	last = (chunk_addr(chunks, i + 1) - 1) & -page_bytes;
	share->pinned_bytes = share_of_page(chunks, pages, i, first, page_bytes);
	if (last != first)
		share->pinned_bytes += share_of_page(chunks, pages, i, last, page_bytes);
}

static int say(const struct process *process, uint64_t memory_bytes, int error,
	       struct fault *fault)
{
	if (error == -ENOSPC)
		return fault_set(fault, EXIT_FAILED, error,
				 "the tables of this heap need more than %s: allow more "
				 "with --memory",
				 units_bytes_text(memory_bytes).s);
	if (error && !fault->text[0])
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot search the heap of process %d (%s): %s",
				 process->pid, process->comm, strerror(-error));
	return error;
}

int shares_find(struct pin_shares *shares, uint64_t memory_bytes,
		const struct process *process, struct heap *heap,
		const struct regions *regions, struct memory *memory, struct fault *fault)
{
	struct chunks chunks = {.limit_bytes = memory_bytes};
	struct pages *pages = pages_new(memory, PAGE_BLOCKS);
	int error = -ENOMEM;

	fault->text[0] = '\0';
	if (pages)
		error = chunks_read(&chunks, false, heap, regions, &shares->status,
				    shares->missing, &shares->in_doubt_bytes, fault);
	if (!error)
		shares->pinned_bytes =
			chunks_ask_pinning(&chunks, pages, memory->page_shift);
	for (unsigned i = 0; !error && i < shares->count; i++)
		find_share(&chunks, pages, UINT64_C(1) << memory->page_shift,
			   &shares->share[i]);
	chunks_free(&chunks);
	pages_free(pages);
	return say(process, memory_bytes, error, fault);
}
