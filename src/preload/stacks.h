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

/* Pages are what the smallest are; what the kernel is to wipe begins and ends at the
 * largest. */
#ifdef __aarch64__
enum { STACKS_LARGEST_PAGE = 64 << 10 };
#else
enum { STACKS_LARGEST_PAGE = 4 << 10 };
#endif
enum { STACKS_PAGE = 4 << 10, STACKS_PLACES = 1 << 16 };

#define STACKS_EXPORT __attribute__((visibility("default")))
/* Within a line of the cache: malloc and free. */
#define STACKS_LINE __attribute__((aligned(64)))

/* One thread. LEFT goes down by what is asked for; the call that it does not suffice for
 * is looked at. All zero in a new thread. */
struct stacks_thread {
	uint64_t left_bytes;
	uint64_t random;     /* 0: not begun */
	uintptr_t stack_low; /* from here up to its end the stack is there for sure */
};

extern __thread struct stacks_thread stacks_thread
	__attribute__((tls_model("initial-exec")));

/* Zero in a child of fork. COUNT says how many sampled blocks begin in each place, and is
 * looked at for everything that is freed. */
struct stacks_shared {
	uint8_t count[STACKS_PLACES]; /* first: an addition less for each free */
	void *table;
	bool is_beginning;
} __attribute__((aligned(STACKS_LARGEST_PAGE)));

extern struct stacks_shared stacks_shared;

/* A place is 1680 bytes, so that a line of the cache serves 105 KB of a heap, and yet few
 * blocks are in the place of a sampled one. What is 64 MB apart, as glibc's arenas are,
 * is 0.61 of all places apart. */
static inline uint32_t stacks_place(const void *block)
{
	return (uint32_t)(uintptr_t)block * UINT32_C(39) >> 16;
}

static inline bool stacks_may_have(const void *block)
{
	const uint8_t *count = &stacks_shared.count[stacks_place(block)];

	return __builtin_expect(__atomic_load_n(count, __ATOMIC_RELAXED) != 0, 0);
}

/* Whether a call for BYTES must be looked at. On x86-64 one instruction subtracts in
 * memory: compilers make three of it. */
static inline bool stacks_spend(uint64_t bytes)
{
	bool is_spent;

#ifdef __x86_64__
	__asm__("sub %[bytes], %[left]"
		: [left] "+m"(stacks_thread.left_bytes), "=@ccc"(is_spent)
		: [bytes] "re"(bytes));
#else
	is_spent = __builtin_sub_overflow(stacks_thread.left_bytes, bytes,
					  &stacks_thread.left_bytes);
#endif
	return __builtin_expect(is_spent, 0);
}

/* ---- stacks.c ---- */

/* After stacks_spend said so: whether a call for BYTES is one of the sample. */
bool stacks_choose(uint64_t bytes);

/* Notes BLOCK, if any, that a chosen call for BYTES got, with the stack of the caller. */
void stacks_note(const void *block, uint64_t bytes);

/* BLOCK goes back, or moves: takes it out of the table, but for its *SLOT. False: it is
 * not there. */
bool stacks_forget(const void *block, uint32_t *slot);

/* BLOCK was not given back after all. */
void stacks_restore(const void *block, uint32_t slot);

/* SLOT's allocation is gone for good. */
void stacks_drop(uint32_t slot);

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
