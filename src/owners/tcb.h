/* tcb.h: the record that glibc has of a thread (struct pthread) in the thread's own
 * memory, and the thread pointer beside it, by which its thread-local storage is found.
 */
#ifndef FRAGSCOPE_TCB_H
#define FRAGSCOPE_TCB_H

#include "target/memory.h"

#include <stdbool.h>
#include <stdint.h>

/* On x86-64 the record begins at the pointer, and storage lies below that; on arm64 the
 * record ends there, and storage lies above. */
struct tcb {
	uint64_t start, end; /* the record */
	uint64_t pointer;
	uint32_t tid;
};

enum {
	TCB_ALIGN = 16,
	TCB_BYTES = 2560, /* that tcb_at looks at */
};

/* Whether a thread's record is at ADDR, whose memory is at AT: TCB_BYTES of it, zeroes
 * where there are no more. Reads resident memory only. */
bool tcb_at(struct memory *memory, struct pages *pages, const uint8_t *at, uint64_t addr,
	    struct tcb *tcb);

/* How far from the thread pointer, in bytes, the program's own block begins, which takes
 * BYTES and is aligned to ALIGN. */
int64_t tcb_block(uint64_t bytes, uint64_t align);

#endif
