/* machine.h: what differs between processors: a thread's registers as the kernel saves
 * them, and the numbers of system calls. */
#ifndef FRAGSCOPE_BPF_MACHINE_H
#define FRAGSCOPE_BPF_MACHINE_H

#include "probe.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* The system calls that move a heap's bounds. NOT_IN_CALL is the number of one that is
 * not followed: read's, or io_setup's. */
#if defined(__TARGET_ARCH_x86)
enum {
	NOT_IN_CALL = 0,
	SYS_MMAP = 9,
	SYS_MPROTECT = 10,
	SYS_MUNMAP = 11,
	SYS_BRK = 12,
	SYS_MREMAP = 25,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
	NOT_IN_CALL = 0,
	SYS_BRK = 214,
	SYS_MUNMAP = 215,
	SYS_MREMAP = 216,
	SYS_MMAP = 222,
	SYS_MPROTECT = 226,
};
#else
#error "the registers and system calls of this processor are not known"
#endif

/* The number of the system call that the thread with the registers REGS is in. */
static __always_inline u64 machine_call(const struct pt_regs *regs)
{
#ifdef __TARGET_ARCH_x86
	return regs->orig_ax;
#else
	return (u32)regs->syscallno;
#endif
}

/* Where the function that it is in returns to: OFFSET bytes above the stack pointer, or,
 * of PROBE_IN_REGISTER, in the link register. */
static __always_inline u64 machine_return(const struct pt_regs *regs, s32 offset)
{
	u64 back = 0;

#ifdef __TARGET_ARCH_arm64
	if (offset == PROBE_IN_REGISTER)
		back = regs->regs[30];
	else
#endif
		bpf_probe_read_user(&back, sizeof(back),
				    (void *)(PT_REGS_SP(regs) + offset));
	/* It may be signed, in the bits that no address has. */
	return back & PROBE_ADDRESS_MASK;
}

/* All of them, in DWARF's order. */
static __always_inline void machine_registers(u64 to[PROBE_REGISTERS],
					      const struct pt_regs *from)
{
#ifdef __TARGET_ARCH_x86
	to[0] = from->ax;
	to[1] = from->dx;
	to[2] = from->cx;
	to[3] = from->bx;
	to[4] = from->si;
	to[5] = from->di;
	to[6] = from->bp;
	to[7] = from->sp;
	to[8] = from->r8;
	to[9] = from->r9;
	to[10] = from->r10;
	to[11] = from->r11;
	to[12] = from->r12;
	to[13] = from->r13;
	to[14] = from->r14;
	to[15] = from->r15;
	to[16] = from->ip;
#else
	/* x0 to x30, sp and pc begin the structure, which programs see too: for good. */
	bpf_probe_read_kernel(to, PROBE_REGISTERS * sizeof(*to), from);
#endif
}

#endif
