/* unwind.h: turns a thread's registers and a copy of the top of its stack into frames
 * with names, by the call frame information of the files that the process has mapped: no
 * frame pointers, no symbols of libc's debug package, nothing read from the target but
 * files. */
#ifndef FRAGSCOPE_UNWIND_H
#define FRAGSCOPE_UNWIND_H

#include "base/fault.h"
#include "sample/event.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

/* Of the machine that this is built for: no process is of another. */
#ifdef __aarch64__
enum { UNWIND_REGISTERS = 33, UNWIND_STACK_POINTER = 31 };
#else
enum { UNWIND_REGISTERS = 17, UNWIND_STACK_POINTER = 7 };
#endif

/* A thread as it was at an event. REG is in DWARF's order (x86-64: rax, rdx, rcx, rbx,
 * rsi, rdi, rbp, rsp, r8 to r15, rip; arm64: x0 to x30, sp, pc). */
struct thread_state {
	uint64_t reg[UNWIND_REGISTERS];
	uint64_t stack_addr; /* of STACK's first byte */
	const uint8_t *stack;
	uint32_t stack_bytes;
	uint64_t missing_pages; /* bit I: the bytes from 4096 * I on are not there */
};

struct unwinder;

/* Opens the files that PROCESS, which must stay open, has mapped, through
 * /proc/PID/map_files: right in other mount namespaces and for files replaced on disk.
 * Allocates, and goes on to allocate. 0, or -errno and FAULT. */
int unwind_new(struct unwinder **unwinder, const struct process *process,
	       struct fault *fault);
void unwind_free(struct unwinder *unwinder);

/* Fills EVENT's frames, stack_whole, not_malloc and EVENT_HAS_STACK from STATE; where
 * libc's debug information is installed also its request, exactly. Files mapped since are
 * found by themselves. 0 or -errno. */
int unwind_event(struct unwinder *unwinder, const struct thread_state *state,
		 struct event *event);

/* A frame of a walk; its strings belong to the unwinder. */
struct unwind_frame {
	struct frame at;
	bool is_malloc;
	bool is_unsure; /* it has no name, in a file with a malloc: it may be of that */
	bool is_signal; /* the kernel put it there: a signal's handler is what is inside
			 */
};

/* Called with each frame, innermost first; false ends the walk. */
typedef bool unwind_frame_fn(const struct unwind_frame *frame, void *context);

/* Walks STATE's stack by the files that were mapped at the last scan. True when it came
 * to where the thread began. */
bool unwind_each(struct unwinder *unwinder, const struct thread_state *state,
		 unwind_frame_fn *fn, void *context);

/* Brings what is known of the mapped files up to date: 1 when something had changed, 0,
 * or -errno. */
int unwind_scan(struct unwinder *unwinder);

/* Whether unwind_scan would find a change: 1, 0, or -errno. Opens no file. */
int unwind_is_stale(const struct unwinder *unwinder);

/* Loads what unwind_each needs of all files, which takes the longest of it. Requests are
 * not read from then on. */
void unwind_prepare(struct unwinder *unwinder);

/* Code of the file mapped at an address. */
struct unwind_code {
	uint64_t start, end;
	const char *module; /* the unwinder's; equal for frames of the same file */
};

/* The function NAME of the first file whose name begins with MODULE. 0 or -ENOENT. */
int unwind_function_of(struct unwinder *unwinder, const char *module, const char *name,
		       struct unwind_code *code);

/* The function that the file mapped at ADDR calls NAME. 0 or -ENOENT. */
int unwind_function(struct unwinder *unwinder, uint64_t addr, const char *name,
		    struct unwind_code *code);

/* What lies between the neighbours, in the symbol table of the file mapped at ADDR, of
 * all functions called NAMES, of which a null is the last: with it, whatever was compiled
 * with them and has no name. 0 or -ENOENT. */
int unwind_surroundings(struct unwinder *unwinder, uint64_t addr,
			const char *const *names, struct unwind_code *code);

/* A function's frame: PC is an address in the instruction that it is at, CFA the
 * stack pointer of who called it, before the call (DWARF's canonical frame address). */
struct unwind_place {
	uint64_t pc, cfa;
};

/* Fills PLACE with that of STATE in which ADDR lies, if the rules of all functions on the
 * way there tell it. A register that is not known is to be 0: then nothing that hangs on
 * it is found. 0 or -ENOENT. */
int unwind_place_of(struct unwinder *unwinder, const struct thread_state *state,
		    uint64_t addr, struct unwind_place *place);

/* Whether FUNCTION is one of malloc's own, by any of its names; a compiler's variant of
 * one ("sysmalloc.isra.0") is. */
bool unwind_is_malloc(const char *function);

/* *OFFSET of a return address that is in the register for it. */
enum { UNWIND_IN_REGISTER = -2 };

/* How far above the stack pointer the return address lies when the exported FUNCTION of
 * the file mapped at ADDR is in its system call: *OFFSET, in bytes, or
 * UNWIND_IN_REGISTER. 0, or -ENOENT when there is no such function, system call, or frame
 * information. */
int unwind_return_offset(struct unwinder *unwinder, uint64_t addr, const char *function,
			 int *offset);

#endif
