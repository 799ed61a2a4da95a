#include "inject/chain.h"

#include "inject/machine.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	LINE = 64,
	STORED_BITS = 11, /* that FUTEX_WAKE_OP can store, and a sign */
};

enum { STEP_CALL, STEP_ERRNO, STEP_DONE, STEP_BACK, STEPS };

/* What lies behind the steps and the vector state: above all that the function's stack
 * takes. */
struct chain_words {
	int64_t left[2];
	uint32_t done;
	uint32_t nobody; /* waits on this word */
	char text[INJECT_TEXT];
};

/* Where the parts are, from CHAIN's first byte on. */
struct chain_plan {
	uint32_t vector, words;
};

bool chain_can_keep(int32_t value)
{
	return value >= -(1 << STORED_BITS) && value < 1 << STORED_BITS;
}

static uint32_t round_up(uint32_t bytes, uint32_t to)
{
	return (bytes + to - 1) & ~(to - 1);
}

static uint64_t step_addr(const struct call_chain *chain, unsigned i)
{
	return chain->addr + (uint64_t)i * MACHINE_STEP_BYTES;
}

static uint8_t *step_at(struct call_chain *chain, unsigned i)
{
	return chain->byte + i * MACHINE_STEP_BYTES;
}

/* *ADDR = VALUE, by the kernel's hand. */
static void store_step(const struct chain_call *call, struct call_chain *chain,
		       unsigned step, uint64_t nobody, uint64_t addr, int32_t value)
{
	const uint64_t argument[6] = {
		nobody,
		FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG,
		0,
		0,
		addr,
		FUTEX_OP((uint32_t)FUTEX_OP_SET, (uint32_t)value & 0xfff,
			 (uint32_t)FUTEX_OP_CMP_EQ, 0U),
	};
	struct user_regs_struct regs = machine_system_call(
		call, step_addr(chain, step + 1), SYS_futex, argument);

	machine_step(call, &regs, UINT64_MAX, step_at(chain, step));
}

static void call_step(const struct chain_call *call, struct call_chain *chain,
		      uint64_t text)
{
	const uint64_t argument[2] = {call->text ? text : call->argument[0],
				      call->argument[1]};
	struct user_regs_struct regs = machine_function(
		call, step_addr(chain, STEP_ERRNO), call->function, argument);

	machine_step(call, &regs, UINT64_MAX, step_at(chain, STEP_CALL));
}

/* A system call that the kernel would make again is made again by going back to its
 * instruction, as the kernel does. */
static void back_step(const struct chain_call *call, struct call_chain *chain,
		      uint64_t left)
{
	struct user_regs_struct regs = call->regs;
	struct system_call again = call->again;

	if (call->restart == RESTART_SLEEP)
		*restart_sleep_request(&again) = left;
	if (call->restart == RESTART_AGAIN || call->restart == RESTART_SLEEP)
		machine_make_again(&regs, &again);
	machine_step(call, &regs, call->signal_mask, step_at(chain, STEP_BACK));
}

static void fill(const struct chain_call *call, const struct chain_plan *plan,
		 struct call_chain *chain)
{
	uint64_t words_addr = chain->addr + plan->words;
	uint64_t nobody = words_addr + offsetof(struct chain_words, nobody);
	struct chain_words words = {.done = call->nonce};

	memcpy(words.left, call->left, sizeof(words.left));
	if (call->text)
		strncpy(words.text, call->text, sizeof(words.text) - 1);
	memcpy(chain->byte + plan->words, &words, sizeof(words));
	chain->done_addr = words_addr + offsetof(struct chain_words, done);
	call_step(call, chain, words_addr + offsetof(struct chain_words, text));
	store_step(call, chain, STEP_ERRNO, nobody, call->errno_addr, call->errno_value);
	store_step(call, chain, STEP_DONE, nobody, chain->done_addr,
		   (int32_t)(~call->nonce & 0x7ff));
	back_step(call, chain, words_addr + offsetof(struct chain_words, left));
	machine_add_vector(call, step_at(chain, STEP_BACK), chain->byte + plan->vector,
			   chain->addr + plan->vector);
}

int chain_build(const struct chain_call *call, struct call_chain *chain)
{
	struct chain_plan plan = {
		.vector = round_up(STEPS * MACHINE_STEP_BYTES, MACHINE_VECTOR_ALIGN)};
	uint64_t top = machine_sp(&call->regs) - MACHINE_RED_ZONE_BYTES;
	uint32_t vector_bytes;
	int error = machine_vector_bytes(call, &vector_bytes);

	if (error)
		return error;
	plan.words = round_up(plan.vector + vector_bytes, 16);
	chain->bytes = plan.words + sizeof(struct chain_words);
	if (chain->bytes > sizeof(chain->byte) - LINE)
		return -E2BIG;
	chain->addr = (top - chain->bytes) & ~(uint64_t)(LINE - 1);
	memset(chain->byte, 0, sizeof(chain->byte));
	fill(call, &plan, chain);
	chain->start = machine_start(call, step_addr(chain, STEP_CALL));
	return 0;
}
