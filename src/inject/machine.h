/* machine.h: what of a call in another process differs between machines: registers and
 * what they say of a system call, a few pieces of libc's code, and how a signal's frame
 * looks. x86_64.c and aarch64.c have it. */
#ifndef FRAGSCOPE_INJECT_MACHINE_H
#define FRAGSCOPE_INJECT_MACHINE_H

#include "inject/chain.h"
#include "inject/restart.h"
#include "inject/waits.h"
#include "target/hold.h"
#include "unwind/unwind.h"

#include <linux/audit.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/* A step of a chain is MACHINE_STEP_BYTES on the stack. What the step before returns to
 * with the stack pointer at a step's first byte has the kernel restore the step. */
#ifdef __aarch64__
enum {
	MACHINE_RED_ZONE_BYTES = 0,
	MACHINE_VECTOR_ALIGN = 16,
	MACHINE_STEP_BYTES = 1168,
	MACHINE_SYSCALL_BYTES = 4,
	MACHINE_AUDIT = AUDIT_ARCH_AARCH64,
	MACHINE_HIDES_CALLS = true, /* the arguments, once a stop has ended them */
};
#else
enum {
	MACHINE_RED_ZONE_BYTES = 128,
	MACHINE_VECTOR_ALIGN = 64,
	MACHINE_STEP_BYTES = 312,
	MACHINE_SYSCALL_BYTES = 2,
	MACHINE_AUDIT = AUDIT_ARCH_X86_64,
	MACHINE_HIDES_CALLS = false,
};
#endif

/* ---- a thread ---- */

uint64_t machine_sp(const struct user_regs_struct *regs);

/* Registers of which the stack pointer and the address of the code are known. */
struct user_regs_struct machine_regs_at(uint64_t sp, uint64_t pc);

void machine_unwind_registers(const struct user_regs_struct *regs,
			      uint64_t reg[UNWIND_REGISTERS]);

/* Fills CALL with the system call that the thread TID, which stands still with REGS, was
 * stopped in. Where the kernel does not show all of it, what WAITS has noted is taken. */
void machine_call_of(const struct waits *waits, pid_t tid,
		     const struct user_regs_struct *regs, struct system_call *call);

/* Changes REGS so that a thread that gets them makes CALL, which it was stopped in,
 * again. */
void machine_make_again(struct user_regs_struct *regs, const struct system_call *call);

/* The same for the thread HELD, which stands still with REGS and goes on after this:
 * unless a handler runs first, which ends the call. */
void machine_mend(const struct process *process, const struct held_thread *held,
		  struct user_regs_struct *regs, const struct system_call *call);

/* What a thread's variables are found by. 0 or -errno. */
int machine_thread_pointer(pid_t tid, const struct user_regs_struct *regs,
			   uint64_t *pointer);

/* Whether a return is checked against a second stack: a chain's steps return to where no
 * call came from. */
bool machine_has_shadow_stack(pid_t tid);

/* Reads the vector state of the thread TID, which stands still, to TO: *BYTES are the
 * room there, then what there is. 0; -ENOTSUP: it cannot be restored; or -errno. */
int machine_read_vector(pid_t tid, uint8_t *to, uint32_t *bytes);

/* ---- code ---- */

/* How far errno lies from a thread's pointer, by __errno_location of PROCESS at ADDR,
 * whose first BYTES are at CODE. 0 or -errno. */
int machine_find_errno(const struct process *process, uint64_t addr, const uint8_t *code,
		       size_t bytes, int64_t *offset);

/* Fills LIBC's pieces of code from BYTES of its code at CODE, mapped at START. 0 or
 * -ENOENT. */
int machine_find_code(const struct process *process, uint64_t start, const uint8_t *code,
		      size_t bytes, struct inject_libc *libc);

/* ---- steps ---- */

/* Registers for a step of CALL with the stack pointer SP, and the next step there: to
 * call a function; to make a system call. */
struct user_regs_struct machine_function(const struct chain_call *call, uint64_t sp,
					 uint64_t function, const uint64_t argument[2]);
struct user_regs_struct machine_system_call(const struct chain_call *call, uint64_t sp,
					    long number, const uint64_t argument[6]);

/* Writes a step that gives a thread REGS and MASK, and vector state as a new thread has
 * it. TO has MACHINE_STEP_BYTES and is zero. */
void machine_step(const struct chain_call *call, const struct user_regs_struct *regs,
		  uint64_t mask, uint8_t *to);

/* How much room CALL's vector state takes behind the steps. 0; -E2BIG, or -EPROTO: it is
 * none. */
int machine_vector_bytes(const struct chain_call *call, uint32_t *bytes);

/* Has STEP restore CALL's vector state, which is written to TO, at ADDR. */
void machine_add_vector(const struct chain_call *call, uint8_t *step, uint8_t *to,
			uint64_t addr);

/* The registers with which a thread that had REGS begins the chain whose first step is at
 * ADDR. */
struct user_regs_struct machine_start(const struct chain_call *call, uint64_t addr);

#endif
