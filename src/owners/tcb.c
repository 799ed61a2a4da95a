#include "owners/tcb.h"

#include "base/bytes.h"

static uint64_t aligned(uint64_t bytes, uint64_t align)
{
	return align & (align - 1) || !align ? bytes : (bytes + align - 1) & ~(align - 1);
}

#ifdef __aarch64__

/* struct pthread and tcbhead_t (nptl/descr.h, sysdeps/aarch64/nptl/tls.h), the same
 * in 2.27 to 2.44 but for the record's size. The list of robust mutexes begins with where
 * a mutex has its word. */
enum {
	TID = 208,
	ROBUST_OFFSET = 232,
	ROBUST_IS = -32,
	POINTER_ALIGN = TCB_ALIGN,
	POINTER_LEAST = 1600, /* behind the record's begin, and the most */
	POINTER_MOST = TCB_BYTES - 16,
	HEAD = 16,  /* at the pointer: where blocks are, and a null pointer */
	BLOCKS = 4, /* that are looked at: the program, libc, the loader */
	BLOCKS_WITHIN = 1 << 16, /* of the pointer */
};

/* Whether the words at POINTER say where the thread's blocks are: some of them behind it.
 */
static bool is_pointer(struct memory *memory, struct pages *pages, const uint8_t *at,
		       uint64_t pointer)
{
	uint64_t blocks = bytes_u64(at), block[2 * BLOCKS];

	if (!blocks || blocks % sizeof(block[0]) || bytes_u64(at + 8) ||
	    memory_fetch(memory, pages, blocks, block, sizeof(block)))
		return false;
	for (unsigned i = 1; i < BLOCKS; i++)
		if (block[2 * i] >= pointer + HEAD &&
		    block[2 * i] < pointer + BLOCKS_WITHIN)
			return true;
	return false;
}

bool tcb_at(struct memory *memory, struct pages *pages, const uint8_t *at, uint64_t addr,
	    struct tcb *tcb)
{
	if ((int64_t)bytes_u64(at + ROBUST_OFFSET) != ROBUST_IS)
		return false;
	for (uint64_t i = aligned(addr + POINTER_LEAST, POINTER_ALIGN) - addr;
	     i <= POINTER_MOST; i += POINTER_ALIGN) {
		if (!is_pointer(memory, pages, at + i, addr + i))
			continue;
		*tcb = (struct tcb){addr, addr + i + HEAD, addr + i, bytes_u32(at + TID)};
		return true;
	}
	return false;
}

int64_t tcb_block(uint64_t bytes, uint64_t align)
{
	(void)bytes;
	return (int64_t)aligned(HEAD, align);
}

#else

/* struct pthread (nptl/descr.h): a pointer to itself at 0 and 16, and the thread's number
 * at 720, in all of 2.27 to 2.44. */
enum { SELF = 16, TID = 720, RECORD_BYTES = 2304 };

bool tcb_at(struct memory *memory, struct pages *pages, const uint8_t *at, uint64_t addr,
	    struct tcb *tcb)
{
	(void)memory;
	(void)pages;
	if (bytes_u64(at) != addr || bytes_u64(at + SELF) != addr)
		return false;
	*tcb = (struct tcb){addr, addr + RECORD_BYTES, addr, bytes_u32(at + TID)};
	return true;
}

int64_t tcb_block(uint64_t bytes, uint64_t align)
{
	return -(int64_t)aligned(bytes, align);
}

#endif
