#include "inject/chain.h"

#include <cpuid.h>
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	RED_ZONE_BYTES = 128,
	LINE = 64, /* XSAVE's alignment */
	SYSCALL_BYTES = 2,
	STORED_BITS = 11, /* that FUTEX_WAKE_OP can store, and a sign */
	XSAVE_LEGACY_BYTES = 512,
	XSAVE_HEADER_BYTES = 64,
	XSAVE_SOFTWARE = 464, /* where the kernel looks for what it has written there */
	XSAVE_MAGIC_1 = 0x46505853,
	XSAVE_MAGIC_2 = 0x46505845,
	XSAVE_PKRU = 9,
	FLAGS = 1 | 2 | 4,	/* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
	NO_STACK_MODE = 0x7fff, /* that sigaltstack refuses: the thread's stays */
};

/* struct sigcontext_64 and struct ucontext of the kernel's asm/sigcontext.h, whose
 * headers clash with libc's. */
struct machine_context {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, trap, old_mask, cr2;
	uint64_t vector;
	uint64_t reserved[8];
};

struct signal_context {
	uint64_t flags, link;
	uint64_t stack;
	int32_t stack_mode, pad;
	uint64_t stack_bytes;
	struct machine_context machine;
	uint64_t mask;
};

/* RESTORER is what the step before returns to; the kernel finds CONTEXT at the stack
 * pointer then. */
struct chain_step {
	uint64_t restorer;
	struct signal_context context;
};

enum { STEP_CALL, STEP_ERRNO, STEP_DONE, STEP_BACK, STEPS };

/* All that lies on the stack below the vector state, at a line's beginning. */
struct steps {
	struct chain_step step[STEPS];
	int64_t left[2];
	uint32_t done;
	uint32_t nobody; /* waits on this word */
	char text[INJECT_TEXT];
};

_Static_assert(sizeof(struct machine_context) == 256, "as the kernel has it");
_Static_assert(sizeof(struct signal_context) == 304, "as the kernel has it");
_Static_assert((offsetof(struct steps, step) + sizeof(struct chain_step)) % 16 == 8,
	       "a function is entered with its return address where the ABI wants it");

struct software_bytes {
	uint32_t magic, extended_bytes;
	uint64_t features;
	uint32_t bytes;
	uint32_t pad[7];
};

bool chain_can_keep(int32_t value)
{
	return value >= -(1 << STORED_BITS) && value < 1 << STORED_BITS;
}

/* ---- the vector state ---- */

/* As far as the features go that are in use: the kernel takes any size that holds them,
 * and no more than the thread may use. */
static uint32_t vector_extent(uint64_t features)
{
	uint32_t end = XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES;

	for (unsigned i = 2; i < 63; i++) {
		uint32_t bytes, offset, unused, unused2;

		if (!(features >> i & 1))
			continue;
		__cpuid_count(0xd, i, bytes, offset, unused, unused2);
		if (offset + bytes > end)
			end = offset + bytes;
	}
	return end;
}

static int add_vector(const struct chain_call *call, uint8_t *to, uint32_t *bytes)
{
	struct software_bytes software = {.magic = XSAVE_MAGIC_1};
	const uint32_t magic = XSAVE_MAGIC_2;
	uint64_t features, enabled;

	if (call->vector_bytes < XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES)
		return -EPROTO;
	memcpy(&enabled, call->vector + XSAVE_SOFTWARE, sizeof(enabled));
	memcpy(&features, call->vector + XSAVE_LEGACY_BYTES, sizeof(features));
	/* The kernel keeps protection keys apart, and has them in their place here. */
	features |= enabled & UINT64_C(1) << XSAVE_PKRU;
	*bytes = vector_extent(features);
	if (*bytes > call->vector_bytes)
		return -EPROTO;
	if (*bytes > CHAIN_VECTOR_BYTES)
		return -E2BIG;
	memcpy(to, call->vector, *bytes);
	memcpy(to + XSAVE_LEGACY_BYTES, &features, sizeof(features));
	software.extended_bytes = *bytes + sizeof(magic);
	software.features = features | 3; /* x87 and SSE */
	software.bytes = *bytes;
	memcpy(to + XSAVE_SOFTWARE, &software, sizeof(software));
	memcpy(to + *bytes, &magic, sizeof(magic));
	return 0;
}

/* ---- the steps ---- */

static void begin_step(const struct chain_call *call, struct chain_step *step)
{
	step->restorer = call->libc->restorer;
	step->context = (struct signal_context){
		.flags = FLAGS,
		.stack_mode = NO_STACK_MODE,
		.mask = UINT64_MAX,
		.machine = {.flags = 2, /* what is always set */
			    .cs = (uint16_t)call->regs.cs,
			    .ss = (uint16_t)call->regs.ss},
	};
}

/* *ADDR = VALUE, by the kernel's hand. */
static void store_step(const struct chain_call *call, struct chain_step *step,
		       uint64_t sp, uint64_t nobody, uint64_t addr, int32_t value)
{
	struct machine_context *to = &step->context.machine;

	begin_step(call, step);
	to->ip = call->libc->syscall_ret;
	to->sp = sp;
	to->ax = SYS_futex;
	to->di = nobody;
	to->si = FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG;
	to->r8 = addr;
	to->r9 = FUTEX_OP((uint32_t)FUTEX_OP_SET, (uint32_t)value & 0xfff,
			  (uint32_t)FUTEX_OP_CMP_EQ, 0U);
}

static void call_step(const struct chain_call *call, struct chain_step *step, uint64_t sp,
		      uint64_t text)
{
	struct machine_context *to = &step->context.machine;

	begin_step(call, step);
	to->ip = call->function;
	to->sp = sp;
	to->di = call->text ? text : call->argument[0];
	to->si = call->argument[1];
}

static void copy_registers(const struct user_regs_struct *regs,
			   struct machine_context *to)
{
	to->r8 = regs->r8;
	to->r9 = regs->r9;
	to->r10 = regs->r10;
	to->r11 = regs->r11;
	to->r12 = regs->r12;
	to->r13 = regs->r13;
	to->r14 = regs->r14;
	to->r15 = regs->r15;
	to->di = regs->rdi;
	to->si = regs->rsi;
	to->bp = regs->rbp;
	to->bx = regs->rbx;
	to->dx = regs->rdx;
	to->ax = regs->rax;
	to->cx = regs->rcx;
	to->sp = regs->rsp;
	to->ip = regs->rip;
	to->flags = regs->eflags;
}

/* A system call that the kernel would make again is made again by going back to its
 * instruction, as the kernel does. */
static void back_step(const struct chain_call *call, struct chain_step *step,
		      uint64_t vector, uint64_t left)
{
	struct user_regs_struct regs = call->regs;
	enum restart restart = call->restart;

	if (restart == RESTART_SLEEP)
		*restart_sleep_request(&regs) = left;
	if (restart == RESTART_AGAIN || restart == RESTART_SLEEP) {
		regs.rax = regs.orig_rax;
		regs.rip -= SYSCALL_BYTES;
	}
	begin_step(call, step);
	copy_registers(&regs, &step->context.machine);
	step->context.machine.vector = vector;
	step->context.mask = call->signal_mask;
}

static uint64_t step_addr(uint64_t steps, unsigned i)
{
	return steps + offsetof(struct steps, step) + i * sizeof(struct chain_step);
}

static void build_steps(const struct chain_call *call, struct steps *steps, uint64_t at,
			uint64_t vector)
{
	uint64_t nobody = at + offsetof(struct steps, nobody);
	uint64_t done = at + offsetof(struct steps, done);
	struct chain_step *step = steps->step;

	memset(steps, 0, sizeof(*steps));
	steps->done = call->nonce;
	memcpy(steps->left, call->left, sizeof(steps->left));
	if (call->text)
		strncpy(steps->text, call->text, sizeof(steps->text) - 1);
	call_step(call, &step[STEP_CALL], step_addr(at, STEP_ERRNO),
		  at + offsetof(struct steps, text));
	store_step(call, &step[STEP_ERRNO], step_addr(at, STEP_DONE), nobody,
		   call->regs.fs_base + (uint64_t)call->libc->errno_offset,
		   call->errno_value);
	store_step(call, &step[STEP_DONE], step_addr(at, STEP_BACK), nobody, done,
		   (int32_t)(~call->nonce & 0x7ff));
	back_step(call, &step[STEP_BACK], vector, at + offsetof(struct steps, left));
}

int chain_build(const struct chain_call *call, struct call_chain *chain)
{
	uint64_t top = (call->regs.rsp - RED_ZONE_BYTES) & ~(uint64_t)(LINE - 1);
	uint8_t vector[CHAIN_VECTOR_BYTES + LINE];
	struct steps steps;
	uint32_t bytes;
	uint64_t at;
	int error = add_vector(call, vector, &bytes);

	if (error)
		return error;
	at = (top - bytes - LINE) & ~(uint64_t)(LINE - 1);
	chain->addr = (at - sizeof(steps)) & ~(uint64_t)(LINE - 1);
	chain->bytes = (uint32_t)(at - chain->addr) + bytes + sizeof(uint32_t);
	if (chain->bytes > sizeof(chain->byte))
		return -E2BIG;
	build_steps(call, &steps, chain->addr, at);
	memset(chain->byte, 0, sizeof(chain->byte));
	memcpy(chain->byte, &steps, sizeof(steps));
	memcpy(chain->byte + (at - chain->addr), vector, bytes + sizeof(uint32_t));
	chain->done_addr = chain->addr + offsetof(struct steps, done);
	chain->start = call->regs;
	chain->start.orig_rax = UINT64_MAX; /* no system call is made again */
	chain->start.rip = call->libc->restorer;
	chain->start.rsp =
		step_addr(chain->addr, STEP_CALL) + offsetof(struct chain_step, context);
	return 0;
}
