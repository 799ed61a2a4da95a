/* stacks_copy.c: the registers and the top of the stack of the thread that calls. What is
 * read is known to be there: of a thread's own stack, by having asked the kernel once; of
 * any other that a thread runs on, as coroutines have, the kernel copies it. */
#include "preload/stacks.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where the main thread's stack began; in glibc alone. */
extern void *__libc_stack_end; /* NOLINT: its name is not ours */
#pragma weak __libc_stack_end

enum {
	ASKED_PAGES = 64,
	EARLY_PAGES = 16,
	OWN_PAGES = 2048, /* deeper is not known for a thread's own */
	COPY_PARTS = 3,	  /* pages that a copy touches */
};

static uintptr_t main_thread;

static uintptr_t this_thread(void)
{
	uintptr_t thread = 0;

#ifdef __x86_64__
	__asm__("movq %%fs:0, %0" : "=r"(thread));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(thread));
#endif
	return thread;
}

void stacks_copy_begin(void)
{
	main_thread = this_thread();
}

/* What is above the stack of this thread: of a thread that libc has made, its own data,
 * which are at the upper end of the memory of its stack. */
static uintptr_t stack_end(void)
{
	if (this_thread() != main_thread)
		return this_thread();
	return &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
}

/* Whether the pages from FROM to TO, at most ASKED_PAGES, can be read. */
static bool are_there(int pid, uintptr_t from, uintptr_t to)
{
	struct iovec there[ASKED_PAGES];
	char bytes[ASKED_PAGES];
	struct iovec here = {bytes, sizeof(bytes)};
	long count = 0;

	for (; from < to; from += STACKS_PAGE)
		there[count++] = (struct iovec){(void *)from, 1};
	return syscall(SYS_process_vm_readv, pid, &here, 1L, there, count, 0L) == count;
}

/* Whether all from SP to END is readable: then it is one stack. The kernel keeps all else
 * far below the main thread's (mmap_base in arch/x86/mm/mmap.c: 128 MB). */
static bool is_own(int pid, uintptr_t sp, uintptr_t end)
{
	uintptr_t low = stacks_thread.stack_low ? stacks_thread.stack_low : end;

	if (sp >= end || end - sp > (uintptr_t)OWN_PAGES * STACKS_PAGE)
		return false;
	if (this_thread() == main_thread)
		return true;
	low &= -(uintptr_t)STACKS_PAGE;
	sp &= -(uintptr_t)STACKS_PAGE;
	while (sp < low) {
		uintptr_t from = low - sp > (uintptr_t)ASKED_PAGES * STACKS_PAGE
					 ? low - (uintptr_t)ASKED_PAGES * STACKS_PAGE
					 : sp;

		if (!are_there(pid, from, low))
			return false;
		low = stacks_thread.stack_low = from;
	}
	return true;
}

/* Early, for a thread may forbid itself to ask later. */
void stacks_copy_begin_thread(int pid)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0), end = stack_end();

	if (!is_own(pid, sp - (uintptr_t)EARLY_PAGES * STACKS_PAGE, end))
		is_own(pid, sp, end);
}

/* As far as it can be read; not beyond a page where the kernel is not let to. */
static uint32_t copy_foreign(struct stack_slot *slot, int pid, uintptr_t sp)
{
	struct iovec here = {slot->stack, sizeof(slot->stack)};
	struct iovec there[COPY_PARTS];
	uintptr_t at = sp, end = sp + sizeof(slot->stack);
	long parts = 0, got;

	for (; at < end; parts++) {
		uintptr_t next = (at | (STACKS_PAGE - 1)) + 1;

		next = next < end ? next : end;
		there[parts] = (struct iovec){(void *)at, next - at};
		at = next;
	}
	got = syscall(SYS_process_vm_readv, pid, &here, 1L, there, parts, 0L);
	if (got > 0)
		return (uint32_t)got;
	__builtin_memcpy(slot->stack, (const void *)sp, there[0].iov_len);
	return (uint32_t)there[0].iov_len;
}

static uint32_t copy(struct stack_slot *slot, int pid, uintptr_t sp)
{
	uintptr_t end = stack_end(), bytes = sizeof(slot->stack);

	if (!is_own(pid, sp, end))
		return copy_foreign(slot, pid, sp);
	bytes = end - sp < bytes ? end - sp : bytes;
	__builtin_memcpy(slot->stack, (const void *)sp, bytes);
	return (uint32_t)bytes;
}

#ifdef __x86_64__
/* What a caller may count on to be kept, the stack pointer, and where it is that they are
 * so; readers know the way from here by this library's own frame information. */
__attribute__((noinline)) void stacks_copy(struct stack_slot *slot, int pid)
{
	uint64_t *reg = slot->reg;

	for (unsigned i = 0; i < STACK_REGISTERS; i++)
		reg[i] = 0;
	__asm__ volatile("movq %%rbx, 24(%0)\n\t"
			 "movq %%rbp, 48(%0)\n\t"
			 "movq %%rsp, 56(%0)\n\t"
			 "movq %%r12, 96(%0)\n\t"
			 "movq %%r13, 104(%0)\n\t"
			 "movq %%r14, 112(%0)\n\t"
			 "movq %%r15, 120(%0)\n\t"
			 "leaq 0(%%rip), %%rax\n\t"
			 "movq %%rax, 128(%0)"
			 :
			 : "r"(reg)
			 : "rax", "memory");
	slot->stack_bytes = copy(slot, pid, reg[STACK_POINTER]);
}
#elif defined(__aarch64__)
__attribute__((noinline)) void stacks_copy(struct stack_slot *slot, int pid)
{
	uint64_t *reg = slot->reg;

	for (unsigned i = 0; i < STACK_REGISTERS; i++)
		reg[i] = 0;
	__asm__ volatile("stp x19, x20, [%0, #152]\n\t"
			 "stp x21, x22, [%0, #168]\n\t"
			 "stp x23, x24, [%0, #184]\n\t"
			 "stp x25, x26, [%0, #200]\n\t"
			 "stp x27, x28, [%0, #216]\n\t"
			 "stp x29, x30, [%0, #232]\n\t"
			 "mov x9, sp\n\t"
			 "adr x10, .\n\t"
			 "stp x9, x10, [%0, #248]"
			 :
			 : "r"(reg)
			 : "x9", "x10", "memory");
	slot->stack_bytes = copy(slot, pid, reg[STACK_POINTER]);
}
#else
/* The way of this machine's stacks is not known to readers either. */
void stacks_copy(struct stack_slot *slot, int pid)
{
	(void)pid;
	(void)copy;
	slot->stack_bytes = 0;
}
#endif
