/* stacks.h: what the files of the library that `run --stacks` loads share. It stands
 * before malloc, and notes a sample of the calls with their stacks (ipc/stack_table.h).
 *
 * A call may come at any time: before constructors have run, in a signal handler, in a
 * child of fork that no handler of fork ran in, in one of vfork. So there is no lock
 * anywhere, and no call that takes memory; the kernel itself wipes STACKS_SHARED in a
 * child, which then has no table and has sampled nothing. */
#ifndef FRAGSCOPE_PRELOAD_STACKS_H
#define FRAGSCOPE_PRELOAD_STACKS_H

#include "ipc/stack_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STACKS_PAGE = 4096, STACKS_FILTER = 1 << 16 };

#define STACKS_EXPORT	 __attribute__((visibility("default")))
#define STACKS_LIKELY(x) __builtin_expect(!!(x), 1)

/* One thread. LEFT goes down by what is asked for; the call that it does not suffice for
 * is looked at. All zero in a new thread. */
struct stacks_thread {
	uint64_t left_bytes;
	uint64_t random;     /* 0: not begun */
	uintptr_t stack_low; /* from here up to its end the stack is there for sure */
};

extern __thread struct stacks_thread stacks_thread
	__attribute__((tls_model("initial-exec")));

/* Zero in a child of fork. FILTER counts the sampled addresses that hash to a place: what
 * is freed is looked for in the table only where that is not zero. */
struct stacks_shared {
	void *table;
	bool is_beginning;
	uint8_t filter[STACKS_FILTER] __attribute__((aligned(64)));
} __attribute__((aligned(STACKS_PAGE)));

extern struct stacks_shared stacks_shared;

/* Neighbours share a line of the cache. */
static inline uint8_t *stacks_filter(const void *block)
{
	uintptr_t addr = (uintptr_t)block;

	return &stacks_shared.filter[(addr >> 4 ^ addr >> 20) & (STACKS_FILTER - 1)];
}

static inline bool stacks_may_have(const void *block)
{
	return __builtin_expect(*(volatile uint8_t *)stacks_filter(block), 0);
}

/* Whether a call for BYTES must be looked at. */
static inline bool stacks_spend(uint64_t bytes)
{
	return __builtin_expect(__builtin_sub_overflow(stacks_thread.left_bytes, bytes,
						       &stacks_thread.left_bytes),
				0);
}

/* ---- stacks.c ---- */

/* After stacks_spend said so: whether a call for BYTES is one of the sample. */
bool stacks_choose(uint64_t bytes);

/* Notes BLOCK, if any, that a chosen call for BYTES got, with the stack of the caller. */
void stacks_note(const void *block, uint64_t bytes);

/* BLOCK goes back, or moves: takes it out of the table. False: it is not there. */
bool stacks_forget(const void *block, struct stack_entry *entry);

/* BLOCK was not given back after all. */
void stacks_restore(const void *block, struct stack_entry *entry);

/* ENTRY's allocation is gone for good. */
void stacks_drop(const struct stack_entry *entry);

/* ---- stacks_copy.c ---- */

/* Fills SLOT with the registers here and the stack above. PID is this process. */
void stacks_copy(struct stack_slot *slot, int pid);
void stacks_copy_begin(void);
void stacks_copy_begin_thread(int pid);

/* ---- stacks_hooks.c, stacks_cxx.c: what stands before malloc and operator new ---- */

/* Whether malloc comes by here. */
bool stacks_is_asked(void);

/* Of the allocator behind: as struct next has it. */
uintptr_t stacks_malloc_object(void);

#endif
