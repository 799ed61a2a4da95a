/* stacks_cxx.c: what stands before C++'s operators new and delete. Those of the allocator
 * itself, which tcmalloc and jemalloc have, do not come by malloc: they are noted here.
 * All others go by malloc in the end, and are handed on. A program that has none, but may
 * load a library of C++ later, gets what libstdc++ does: for that library may go again,
 * and is not held on to. */
#include "preload/stacks.h"

#include "preload/next.h"

#include <stdlib.h>

/* As they are called in object files, which the C++ ABI fixes. Those with the tag
 * nothrow_t, whose numbers have this bit, answer a null pointer, the others throw. */
enum { NEW_TAG = 2 };

enum { NEWS = 8, DELETES = 12, ALIGNED_NEWS = 4 };

static const char *const new_names[NEWS] = {
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
};

static const char *const delete_names[DELETES] = {
	"_ZdlPv",
	"_ZdaPv",
	"_ZdlPvRKSt9nothrow_t",
	"_ZdaPvRKSt9nothrow_t",
	"_ZdlPvm",
	"_ZdaPvm",
	"_ZdlPvSt11align_val_t",
	"_ZdaPvSt11align_val_t",
	"_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t",
	"_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t",
};

/* All have at most two more arguments, which are in registers and are handed on whether
 * they are there or not. */
typedef void *new_fn(size_t bytes, uintptr_t one, uintptr_t two);
typedef void delete_fn(void *block, uintptr_t one, uintptr_t two);

static struct {
	bool is_known;
	new_fn *make[NEWS];
	bool is_noted[NEWS]; /* it is the allocator's own: jemalloc has some of them */
	delete_fn *unmake[DELETES];
} next;

static void find_all(void)
{
	for (unsigned i = 0; i < NEWS; i++) {
		struct next found = next_find(new_names[i]);

		next.make[i] = (new_fn *)found.function;
		next.is_noted[i] = found.object == stacks_malloc_object();
	}
	for (unsigned i = 0; i < DELETES; i++)
		next.unmake[i] = (delete_fn *)next_find(delete_names[i]).function;
	__atomic_store_n(&next.is_known, true, __ATOMIC_RELEASE);
}

/* What is loaded later is not among those. */
__attribute__((constructor)) static void load(void)
{
	find_all();
}

/* Null where there is no memory; then C++'s own says so, where it is by now. */
static void *make_here(unsigned number, size_t bytes, uintptr_t one, uintptr_t two)
{
	bool has_align = number >= NEWS - ALIGNED_NEWS;
	void *block = NULL;
	new_fn *late;

	if (!has_align)
		block = malloc(bytes ? bytes : 1);
	else if (bytes <= -one) /* else no multiple of the alignment is as large */
		block = aligned_alloc(one, (bytes + one - 1) & -one);
	if (block || number & NEW_TAG)
		return block;
	late = (new_fn *)next_find(new_names[number]).function;
	if (!late)
		abort();
	return late(bytes, one, two);
}

__attribute__((noinline)) static void *make(unsigned number, size_t bytes, uintptr_t one,
					    uintptr_t two)
{
	bool chosen;
	void *block;

	if (!__atomic_load_n(&next.is_known, __ATOMIC_ACQUIRE))
		find_all();
	if (!next.make[number])
		return make_here(number, bytes, one, two);
	if (!next.is_noted[number] || !stacks_spend(bytes))
		return next.make[number](bytes, one, two);
	chosen = stacks_choose(bytes);
	block = next.make[number](bytes, one, two);
	if (chosen)
		stacks_note(block, bytes);
	return block;
}

__attribute__((noinline)) static void unmake(unsigned number, void *block, uintptr_t one,
					     uintptr_t two)
{
	uint32_t slot;

	if (!__atomic_load_n(&next.is_known, __ATOMIC_ACQUIRE))
		find_all();
	if (!next.unmake[number]) {
		free(block);
		return;
	}
	/* Whoever noted it; where it goes on to free there is nothing left to do. */
	if (stacks_may_have(block) && stacks_forget(block, &slot))
		stacks_drop(slot);
	next.unmake[number](block, one, two);
}

#define MAKE(symbol, number)                                                   \
	new_fn symbol;                                                         \
	STACKS_EXPORT void *symbol(size_t bytes, uintptr_t one, uintptr_t two) \
	{                                                                      \
		return make(number, bytes, one, two);                          \
	}
#define UNMAKE(symbol, number)                                               \
	delete_fn symbol;                                                    \
	STACKS_EXPORT void symbol(void *block, uintptr_t one, uintptr_t two) \
	{                                                                    \
		unmake(number, block, one, two);                             \
	}

/* NOLINTBEGIN: their names are not ours */
MAKE(_Znwm, 0)
MAKE(_Znam, 1)
MAKE(_ZnwmRKSt9nothrow_t, 2)
MAKE(_ZnamRKSt9nothrow_t, 3)
MAKE(_ZnwmSt11align_val_t, 4)
MAKE(_ZnamSt11align_val_t, 5)
MAKE(_ZnwmSt11align_val_tRKSt9nothrow_t, 6)
MAKE(_ZnamSt11align_val_tRKSt9nothrow_t, 7)
UNMAKE(_ZdlPv, 0)
UNMAKE(_ZdaPv, 1)
UNMAKE(_ZdlPvRKSt9nothrow_t, 2)
UNMAKE(_ZdaPvRKSt9nothrow_t, 3)
UNMAKE(_ZdlPvm, 4)
UNMAKE(_ZdaPvm, 5)
UNMAKE(_ZdlPvSt11align_val_t, 6)
UNMAKE(_ZdaPvSt11align_val_t, 7)
UNMAKE(_ZdlPvSt11align_val_tRKSt9nothrow_t, 8)
UNMAKE(_ZdaPvSt11align_val_tRKSt9nothrow_t, 9)
UNMAKE(_ZdlPvmSt11align_val_t, 10)
UNMAKE(_ZdaPvmSt11align_val_t, 11)
/* NOLINTEND */
