/* chain.h: the memory that makes a thread call a function and then be as it was, with
 * nobody's help: signal frames on its stack, each of which the kernel itself restores
 * (rt_sigreturn). Setting the thread's registers to the first is the one step that starts
 * it; from then on it needs no tracer.
 *
 *   1. blocks all signals and calls the function;
 *   2. sets errno back (by a system call, FUTEX_WAKE_OP, that stores a number);
 *   3. changes the word DONE in the same way;
 *   4. restores registers, vector state and signal mask: the thread is where it was. */
#ifndef FRAGSCOPE_INJECT_CHAIN_H
#define FRAGSCOPE_INJECT_CHAIN_H

#include "inject/inject.h"
#include "inject/libc.h"
#include "inject/restart.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

enum {
	CHAIN_VECTOR_BYTES = 16 << 10, /* of vector state, at most */
	CHAIN_BYTES = CHAIN_VECTOR_BYTES + (4 << 10),
};

/* What a thread was, and what it is to do. */
struct chain_call {
	const struct inject_libc *libc;
	struct user_regs_struct regs;
	uint64_t signal_mask;
	struct system_call again; /* made at the end, as RESTART says */
	const uint8_t *vector;	  /* as machine_read_vector has it */
	uint32_t vector_bytes;
	uint64_t errno_addr;
	int32_t errno_value;
	uint64_t function;
	uint64_t argument[2];
	const char *text; /* given as the first argument in its place; or null */
	enum restart restart;
	int64_t left[2]; /* RESTART_SLEEP: its time now */
	uint32_t nonce;	 /* what DONE is until the call has returned */
};

struct call_chain {
	uint64_t addr; /* of BYTE[0] on the thread's stack */
	uint32_t bytes;
	uint64_t done_addr;
	struct user_regs_struct start; /* with these registers it begins */
	uint8_t byte[CHAIN_BYTES];
};

/* Whether errno can be set back to VALUE. */
bool chain_can_keep(int32_t value);

/* Builds CHAIN. 0; -E2BIG when the vector state is larger than there is room for;
 * -EPROTO when it is none. */
int chain_build(const struct chain_call *call, struct call_chain *chain);

#endif
