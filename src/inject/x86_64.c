/* x86_64.c: see machine.h. */
#include "inject/machine.h"
#include "inject/memory.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum {
	XSAVE_LEGACY_BYTES = 512,
	XSAVE_HEADER_BYTES = 64,
	XSAVE_SOFTWARE = 464, /* where the kernel looks for what it has written there */
	XSAVE_MAGIC_1 = 0x46505853,
	XSAVE_MAGIC_2 = 0x46505845,
	XSAVE_PKRU = 9,
	FLAGS = 1 | 2 | 4,	/* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
	NO_STACK_MODE = 0x7fff, /* that sigaltstack refuses: the thread's stays */
};

#define REGSET_SHSTK 0x204 /* NT_X86_SHSTK, Linux 6.6 */

/* ---- a thread ---- */

uint64_t machine_sp(const struct user_regs_struct *regs)
{
	return regs->rsp;
}

struct user_regs_struct machine_regs_at(uint64_t sp, uint64_t pc)
{
	return (struct user_regs_struct){.rsp = sp, .rip = pc};
}

void machine_unwind_registers(const struct user_regs_struct *regs,
			      uint64_t reg[UNWIND_REGISTERS])
{
	const uint64_t in_order[UNWIND_REGISTERS] = {
		regs->rax, regs->rdx, regs->rcx, regs->rbx, regs->rsi, regs->rdi,
		regs->rbp, regs->rsp, regs->r8,	 regs->r9,  regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15, regs->rip,
	};

	memcpy(reg, in_order, sizeof(in_order));
}

void machine_call_of(const struct waits *waits, pid_t tid,
		     const struct user_regs_struct *regs, struct system_call *call)
{
	(void)waits;
	(void)tid;
	*call = (struct system_call){
		.number = (long)regs->orig_rax,
		.result = (long)regs->rax,
		.arg = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9},
		.sp = regs->rsp,
		.pc = regs->rip,
	};
}

static void set_arguments(struct user_regs_struct *regs, const uint64_t argument[6])
{
	regs->rdi = argument[0];
	regs->rsi = argument[1];
	regs->rdx = argument[2];
	regs->r10 = argument[3];
	regs->r8 = argument[4];
	regs->r9 = argument[5];
}

void machine_make_again(struct user_regs_struct *regs, const struct system_call *call)
{
	set_arguments(regs, call->arg);
	regs->rax = (unsigned long long)call->number;
	regs->rip -= MACHINE_SYSCALL_BYTES;
}

/* The kernel makes it again, or ends it where there is a handler to run. */
void machine_mend(const struct process *process, const struct held_thread *held,
		  struct user_regs_struct *regs, const struct system_call *call)
{
	struct iovec set = {regs, sizeof(*regs)};

	(void)process;
	set_arguments(regs, call->arg);
	regs->rax = -(unsigned long long)ERESTARTNOHAND_;
	ptrace(PTRACE_SETREGSET, held->tid, NT_PRSTATUS, &set);
}

int machine_thread_pointer(pid_t tid, const struct user_regs_struct *regs,
			   uint64_t *pointer)
{
	(void)tid;
	*pointer = regs->fs_base;
	return 0;
}

bool machine_has_shadow_stack(pid_t tid)
{
	uint64_t pointer;
	struct iovec set = {&pointer, sizeof(pointer)};

	return ptrace(PTRACE_GETREGSET, tid, REGSET_SHSTK, &set) == 0;
}

int machine_read_vector(pid_t tid, uint8_t *to, uint32_t *bytes)
{
	struct iovec set = {to, *bytes};
	bool has = ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &set) == 0;

	/* A processor without XSAVE has the legacy state alone. */
	if (!has && errno == ENODEV)
		has = ptrace(PTRACE_GETREGSET, tid, NT_PRFPREG, &set) == 0;
	if (!has)
		return -errno;
	*bytes = (uint32_t)set.iov_len;
	return 0;
}

/* ---- code ---- */

/* "mov OFFSET(%rip),%rax; add %fs:0,%rax; ret" in every glibc; the word that OFFSET leads
 * to is how far errno lies from a thread's fs base. */
int machine_find_errno(const struct process *process, uint64_t addr, const uint8_t *code,
		       size_t bytes, int64_t *offset)
{
	static const uint8_t landing[] = {0xf3, 0x0f, 0x1e, 0xfa};
	static const uint8_t load[] = {0x48, 0x8b, 0x05};
	static const uint8_t add[] = {0x64, 0x48, 0x03, 0x04, 0x25, 0, 0, 0, 0, 0xc3};
	int32_t distance;
	size_t at = 0;

	if (bytes < 32)
		return -ENOENT;
	if (memcmp(code, landing, sizeof(landing)) == 0)
		at = sizeof(landing);
	if (memcmp(code + at, load, sizeof(load)) != 0 ||
	    memcmp(code + at + 7, add, sizeof(add)) != 0)
		return -ENOENT;
	memcpy(&distance, code + at + 3, sizeof(distance));
	return inject_read(process, addr + at + 7 + (uint64_t)(int64_t)distance, offset,
			   sizeof(*offset));
}

static uint64_t find_snippet(uint64_t start, const uint8_t *code, size_t bytes,
			     const void *snippet, size_t snippet_bytes)
{
	const uint8_t *at = memmem(code, bytes, snippet, snippet_bytes);

	return at ? start + (uint64_t)(at - code) : 0;
}

/* "mov $15,%rax; syscall", as handlers return to, and "syscall; ret". */
int machine_find_code(const struct process *process, uint64_t start, const uint8_t *code,
		      size_t bytes, struct inject_libc *libc)
{
	static const uint8_t restorer[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t syscall_ret[] = {0x0f, 0x05, 0xc3};

	(void)process;
	libc->restorer = find_snippet(start, code, bytes, restorer, sizeof(restorer));
	libc->syscall_ret =
		find_snippet(start, code, bytes, syscall_ret, sizeof(syscall_ret));
	return libc->restorer && libc->syscall_ret ? 0 : -ENOENT;
}

/* ---- steps ---- */

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

_Static_assert(sizeof(struct machine_context) == 256, "as the kernel has it");
_Static_assert(sizeof(struct signal_context) == 304, "as the kernel has it");
_Static_assert(sizeof(struct chain_step) == MACHINE_STEP_BYTES, "as machine.h says");
_Static_assert(sizeof(struct chain_step) % 16 == 8,
	       "a function is entered with its return address where the ABI wants it");

/* FLAGS has what is always set. */
static struct user_regs_struct blank(const struct chain_call *call, uint64_t sp)
{
	return (struct user_regs_struct){
		.rsp = sp, .eflags = 2, .cs = call->regs.cs, .ss = call->regs.ss};
}

struct user_regs_struct machine_function(const struct chain_call *call, uint64_t sp,
					 uint64_t function, const uint64_t argument[2])
{
	struct user_regs_struct regs = blank(call, sp);

	regs.rip = function;
	regs.rdi = argument[0];
	regs.rsi = argument[1];
	return regs;
}

struct user_regs_struct machine_system_call(const struct chain_call *call, uint64_t sp,
					    long number, const uint64_t argument[6])
{
	struct user_regs_struct regs = blank(call, sp);

	regs.rip = call->libc->syscall_ret;
	regs.rax = (unsigned long long)number;
	set_arguments(&regs, argument);
	return regs;
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
	to->cs = (uint16_t)regs->cs;
	to->ss = (uint16_t)regs->ss;
}

void machine_step(const struct chain_call *call, const struct user_regs_struct *regs,
		  uint64_t mask, uint8_t *to)
{
	struct chain_step step = {
		.restorer = call->libc->restorer,
		.context = {.flags = FLAGS, .stack_mode = NO_STACK_MODE, .mask = mask},
	};

	copy_registers(regs, &step.context.machine);
	memcpy(to, &step, sizeof(step));
}

struct user_regs_struct machine_start(const struct chain_call *call, uint64_t addr)
{
	struct user_regs_struct regs = call->regs;

	regs.orig_rax = UINT64_MAX; /* no system call is made again */
	regs.rip = call->libc->restorer;
	regs.rsp = addr + offsetof(struct chain_step, context);
	return regs;
}

/* ---- the vector state ---- */

struct software_bytes {
	uint32_t magic, extended_bytes;
	uint64_t features;
	uint32_t bytes;
	uint32_t pad[7];
};

/* The kernel keeps protection keys apart, and has them in their place here. */
static uint64_t vector_features(const struct chain_call *call)
{
	uint64_t features, enabled;

	memcpy(&enabled, call->vector + XSAVE_SOFTWARE, sizeof(enabled));
	memcpy(&features, call->vector + XSAVE_LEGACY_BYTES, sizeof(features));
	return features | (enabled & UINT64_C(1) << XSAVE_PKRU);
}

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

int machine_vector_bytes(const struct chain_call *call, uint32_t *bytes)
{
	uint32_t extent;

	*bytes = XSAVE_LEGACY_BYTES;
	if (call->vector_bytes == XSAVE_LEGACY_BYTES)
		return 0;
	if (call->vector_bytes < XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES)
		return -EPROTO;
	extent = vector_extent(vector_features(call));
	if (extent > call->vector_bytes)
		return -EPROTO;
	*bytes = extent + sizeof(uint32_t);
	return extent > CHAIN_VECTOR_BYTES ? -E2BIG : 0;
}

static void add_extended(const struct chain_call *call, uint8_t *to)
{
	uint64_t features = vector_features(call);
	uint32_t bytes = vector_extent(features);
	const uint32_t magic = XSAVE_MAGIC_2;
	const struct software_bytes software = {
		.magic = XSAVE_MAGIC_1,
		.extended_bytes = bytes + sizeof(magic),
		.features = features | 3, /* x87 and SSE */
		.bytes = bytes,
	};

	memcpy(to, call->vector, bytes);
	memcpy(to + XSAVE_LEGACY_BYTES, &features, sizeof(features));
	memcpy(to + XSAVE_SOFTWARE, &software, sizeof(software));
	memcpy(to + bytes, &magic, sizeof(magic));
}

void machine_add_vector(const struct chain_call *call, uint8_t *step, uint8_t *to,
			uint64_t addr)
{
	if (call->vector_bytes > XSAVE_LEGACY_BYTES)
		add_extended(call, to);
	else
		memcpy(to, call->vector, XSAVE_LEGACY_BYTES);
	memcpy(step + offsetof(struct chain_step, context.machine.vector), &addr,
	       sizeof(addr));
}
