/* stacks_hooks.c: what stands before malloc, free and their kin. The way of a call that
 * is not noted is a subtraction or a look at one byte, and a jump. */
#include "preload/stacks.h"

#include "preload/next.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

typedef void *malloc_fn(size_t);
typedef void *calloc_fn(size_t, size_t);
typedef void *realloc_fn(void *, size_t);
typedef void *aligned_fn(size_t, size_t);
typedef int posix_fn(void **, size_t, size_t);
typedef void free_fn(void *);
typedef void free_sized_fn(void *, size_t);
typedef void free_aligned_fn(void *, size_t, size_t);

static malloc_fn first_malloc, first_valloc, first_pvalloc;
static calloc_fn first_calloc;
static realloc_fn first_realloc;
static aligned_fn first_aligned_alloc, first_memalign;
static posix_fn first_posix_memalign;
static free_fn first_free;

/* What is called in the end. The first call of all finds it. */
static STACKS_LINE struct {
	malloc_fn *malloc;
	free_fn *free;
	malloc_fn *valloc, *pvalloc;
	calloc_fn *calloc;
	realloc_fn *realloc;
	aligned_fn *aligned_alloc, *memalign;
	posix_fn *posix_memalign;
	free_sized_fn *free_sized;
	free_aligned_fn *free_aligned_sized;
} next = {
	.malloc = first_malloc,
	.valloc = first_valloc,
	.pvalloc = first_pvalloc,
	.calloc = first_calloc,
	.realloc = first_realloc,
	.aligned_alloc = first_aligned_alloc,
	.memalign = first_memalign,
	.posix_memalign = first_posix_memalign,
	.free = first_free,
};

static uintptr_t malloc_object;

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Where an allocator lacks one of these nobody asks for it: malloc itself is always
 * there. */
static void find_all(void)
{
	struct next found = next_find("malloc");

#define FIND(name)                                                                 \
	do {                                                                       \
		void *function = next_find(#name).function;                        \
		__atomic_store_n((void **)&next.name, function, __ATOMIC_RELEASE); \
	} while (0)
	malloc_object = found.object;
	FIND(valloc);
	FIND(pvalloc);
	FIND(calloc);
	FIND(realloc);
	FIND(aligned_alloc);
	FIND(memalign);
	FIND(posix_memalign);
	FIND(free);
	FIND(free_sized);
	FIND(free_aligned_sized);
	FIND(malloc);
#undef FIND
}

/* ---- the first call ---- */

static void *first_malloc(size_t bytes)
{
	find_all();
	return next.malloc(bytes);
}

static void *first_valloc(size_t bytes)
{
	find_all();
	return next.valloc(bytes);
}

static void *first_pvalloc(size_t bytes)
{
	find_all();
	return next.pvalloc(bytes);
}

static void *first_calloc(size_t count, size_t size)
{
	find_all();
	return next.calloc(count, size);
}

static void *first_realloc(void *block, size_t bytes)
{
	find_all();
	return next.realloc(block, bytes);
}

static void *first_aligned_alloc(size_t align, size_t bytes)
{
	find_all();
	return next.aligned_alloc(align, bytes);
}

static void *first_memalign(size_t align, size_t bytes)
{
	find_all();
	return next.memalign(align, bytes);
}

static int first_posix_memalign(void **block, size_t align, size_t bytes)
{
	find_all();
	return next.posix_memalign(block, align, bytes);
}

static void first_free(void *block)
{
	find_all();
	next.free(block);
}

const void *fragscope_stacks_malloc(void);

STACKS_EXPORT const void *fragscope_stacks_malloc(void)
{
	if (!stacks_is_asked())
		return NULL;
	if (next.malloc == first_malloc)
		find_all();
	return (const void *)next.malloc;
}

bool stacks_is_asked(void)
{
	malloc_fn *volatile asked = malloc;

	return next_is_here((const void *)asked);
}

uintptr_t stacks_malloc_object(void)
{
	if (next.malloc == first_malloc)
		find_all();
	return malloc_object;
}

/* ---- calls that are noted ---- */

__attribute__((noinline)) static void *noted_malloc(size_t bytes)
{
	bool chosen = stacks_choose(bytes);
	void *block = next.malloc(bytes);

	if (chosen)
		stacks_note(block, bytes);
	return block;
}

__attribute__((noinline)) static void *noted_calloc(size_t count, size_t size)
{
	bool chosen = stacks_choose(count * size);
	void *block = next.calloc(count, size);

	if (chosen)
		stacks_note(block, count * size);
	return block;
}

__attribute__((noinline)) static void *noted_aligned(aligned_fn *function, size_t align,
						     size_t bytes)
{
	bool chosen = stacks_choose(bytes);
	void *block = function(align, bytes);

	if (chosen)
		stacks_note(block, bytes);
	return block;
}

__attribute__((noinline)) static void *noted_valloc(malloc_fn *function, size_t bytes)
{
	bool chosen = stacks_choose(bytes);
	void *block = function(bytes);

	if (chosen)
		stacks_note(block, bytes);
	return block;
}

__attribute__((noinline)) static int noted_posix(void **block, size_t align, size_t bytes)
{
	bool chosen = stacks_choose(bytes);
	int error = next.posix_memalign(block, align, bytes);

	if (chosen && !error)
		stacks_note(*block, bytes);
	return error;
}

/* A block that moves, or changes its size, is another one, of whoever asked for that. */
__attribute__((noinline)) static void *noted_realloc(void *block, size_t bytes,
						     bool spent)
{
	uint32_t slot;
	bool chosen = spent && stacks_choose(bytes);
	bool was = block && stacks_forget(block, &slot);
	void *moved = next.realloc(block, bytes);

	if (was && !moved && bytes)
		stacks_restore(block, slot);
	else if (was)
		stacks_drop(slot);
	if (chosen && bytes)
		stacks_note(moved, bytes);
	return moved;
}

__attribute__((noinline)) static void forget(void *block)
{
	uint32_t slot;

	if (block && stacks_forget(block, &slot))
		stacks_drop(slot);
}

__attribute__((noinline)) static void noted_free(void *block)
{
	forget(block);
	next.free(block);
}

/* ---- what is called instead ---- */

STACKS_EXPORT STACKS_LINE void *malloc(size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_malloc(bytes);
	return next.malloc(bytes);
}

STACKS_EXPORT STACKS_LINE void free(void *block)
{
	if (stacks_may_have(block))
		noted_free(block);
	else
		next.free(block);
}

/* Of C23: what an allocator that does not know them has free do. */
void free_sized(void *block, size_t bytes);
void free_aligned_sized(void *block, size_t align, size_t bytes);

STACKS_EXPORT void free_sized(void *block, size_t bytes)
{
	if (stacks_may_have(block))
		forget(block);
	if (next.free_sized)
		next.free_sized(block, bytes);
	else
		next.free(block);
}

STACKS_EXPORT void free_aligned_sized(void *block, size_t align, size_t bytes)
{
	if (stacks_may_have(block))
		forget(block);
	if (next.free_aligned_sized)
		next.free_aligned_sized(block, align, bytes);
	else
		next.free(block);
}

STACKS_EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(count, size, &bytes) && stacks_spend(bytes))
		return noted_calloc(count, size);
	return next.calloc(count, size);
}

STACKS_EXPORT void *realloc(void *block, size_t bytes)
{
	bool spent = stacks_spend(bytes);

	if (spent || stacks_may_have(block))
		return noted_realloc(block, bytes, spent);
	return next.realloc(block, bytes);
}

/* By realloc, as everybody has it, where the allocator has none of its own. */
STACKS_EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return no_memory();
	return realloc(block, bytes);
}

STACKS_EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_aligned(next.aligned_alloc, align, bytes);
	return next.aligned_alloc(align, bytes);
}

STACKS_EXPORT void *memalign(size_t align, size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_aligned(next.memalign, align, bytes);
	return next.memalign(align, bytes);
}

STACKS_EXPORT int posix_memalign(void **block, size_t align, size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_posix(block, align, bytes);
	return next.posix_memalign(block, align, bytes);
}

STACKS_EXPORT void *valloc(size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_valloc(next.valloc, bytes);
	return next.valloc(bytes);
}

STACKS_EXPORT void *pvalloc(size_t bytes)
{
	if (stacks_spend(bytes))
		return noted_valloc(next.pvalloc, bytes);
	return next.pvalloc(bytes);
}
