/* aarch64.c: see machine.h. The kernel keeps to itself what a stopped thread's system
 * call was: where it is to be made again, the program counter is back at its instruction
 * and the first argument in its register before there is a stop to be seen; where it
 * ended with EINTR, the first argument is lost to all but the kernel. */
#include "inject/machine.h"
#include "inject/memory.h"
#include "inject/waits.h"
#include "target/maps.h"

#include <asm/sigcontext.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	SVC = 0xd4000001,
	RET = 0xd65f03c0,
	MOV_RT_SIGRETURN = 0xd2801168, /* mov x8, #139 */
	VDSO_MAX_BYTES = 1 << 16,
	NUMBER = 8,		 /* the register with a system call's number */
	PLATFORM = 18,		 /* the platform's register */
	LINK = 30,		 /* the register with the return address */
	FRAMES_BYTES = 16 << 10, /* a signal's frame and what is behind it */
	PIECE = 256,		 /* words of it that are read at once */
	REGISTERS = 31,
	ARGUMENTS = 6,
	FILES_MAX = 4096,
};

#define STATE_FLAGS  UINT64_C(0xf0000000)
#define STATE_BRANCH UINT64_C(0xc00)	 /* a branch is to be checked (BTI) */
#define STATE_TAGS   UINT64_C(0x2000000) /* tags are not checked (MTE) */

#define REGSET_TLS  0x401
#define REGSET_SVE  0x405 /* Linux 4.15 */
#define REGSET_SSVE 0x40b /* Linux 5.19 */
#define REGSET_ZA   0x40c /* Linux 5.19 */
#define REGSET_GCS  0x410 /* Linux 6.13 */

/* ---- registers ---- */

static int read_set(pid_t tid, int type, void *to, size_t *bytes)
{
	struct iovec set = {to, *bytes};

	if (ptrace(PTRACE_GETREGSET, tid, type, &set) < 0)
		return -errno;
	*bytes = set.iov_len;
	return 0;
}

uint64_t machine_sp(const struct user_regs_struct *regs)
{
	return regs->sp;
}

struct user_regs_struct machine_regs_at(uint64_t sp, uint64_t pc)
{
	return (struct user_regs_struct){.sp = sp, .pc = pc};
}

void machine_unwind_registers(const struct user_regs_struct *regs,
			      uint64_t reg[UNWIND_REGISTERS])
{
	memcpy(reg, regs->regs, sizeof(regs->regs));
	reg[UNWIND_STACK_POINTER] = regs->sp;
	reg[UNWIND_REGISTERS - 1] = regs->pc;
}

int machine_thread_pointer(pid_t tid, const struct user_regs_struct *regs,
			   uint64_t *pointer)
{
	size_t bytes = sizeof(*pointer);

	(void)regs;
	return read_set(tid, REGSET_TLS, pointer, &bytes);
}

bool machine_has_shadow_stack(pid_t tid)
{
	uint64_t gcs[3] = {0}; /* features, which are locked, and the pointer */
	size_t bytes = sizeof(gcs);

	return read_set(tid, REGSET_GCS, gcs, &bytes) == 0 && gcs[0] & 1;
}

/* ---- the system call of a thread ---- */

static bool is_svc(const struct process *process, uint64_t addr)
{
	uint32_t code;

	return inject_read(process, addr, &code, sizeof(code)) == 0 && code == SVC;
}

/* What the kernel's result must have been. A thread that has not made the call yet, and
 * stands before it, looks the same, and is to make it as well. */
static long interrupted(const struct system_call *call)
{
	int operation = (int)call->arg[1] & FUTEX_CMD_MASK;

	switch (call->number) {
	case SYS_futex:
		return (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) &&
				       call->arg[3]
			       ? -ERESTART_RESTARTBLOCK_
			       : -ERESTARTNOHAND_;
	case SYS_clock_nanosleep:
		return call->arg[1] & TIMER_ABSTIME ? -ERESTARTNOHAND_
						    : -ERESTART_RESTARTBLOCK_;
	case SYS_nanosleep:
	case SYS_restart_syscall:
		return -ERESTART_RESTARTBLOCK_;
	default:
		return -ERESTARTNOHAND_;
	}
}

/* Whether below the stack pointer there is what a handler left that returned to where the
 * thread is: then its signal has ended the system call, and not the stop. */
static bool handler_has_returned(const struct process *process,
				 const struct user_regs_struct *regs)
{
	uint64_t word[FRAMES_BYTES / sizeof(uint64_t)] = {0};
	uint64_t bottom = (regs->sp & ~UINT64_C(15)) - FRAMES_BYTES;
	size_t count = sizeof(word) / sizeof(word[0]), first = count;

	while (first && !inject_read(process, bottom + (first - PIECE) * sizeof(word[0]),
				     word + first - PIECE, PIECE * sizeof(word[0])))
		first -= PIECE;
	for (size_t i = first + REGISTERS; i + 1 < count; i++)
		if (word[i] == regs->sp && word[i + 1] == regs->pc &&
		    word[i - REGISTERS] == regs->regs[0])
			return true;
	return false;
}

/* The epoll instance of a process that has one; -1: it has none, several, or too many
 * files to look. */
static int only_epoll(const struct process *process)
{
	static const char epoll[] = "anon_inode:[eventpoll]";
	char name[64], link[sizeof(epoll)];
	struct dirent *entry;
	int found = -1;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/fd", process->pid);
	dir = opendir(name);
	for (unsigned i = 0; dir && (entry = readdir(dir)); i++) {
		ssize_t length =
			readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));

		if (length != sizeof(epoll) - 1 ||
		    memcmp(link, epoll, sizeof(epoll) - 1) != 0)
			length = 0;
		if (i == FILES_MAX || (length && found >= 0)) {
			found = -1;
			break;
		}
		found = length ? atoi(entry->d_name) : found;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Finds the first argument of CALL: the thread was seen in it just before it was asked to
 * stop, or there is but one that it can be. */
static bool find_first(const struct waits *waits, pid_t tid, struct system_call *call)
{
	const struct system_call *noted = waits_noted(waits, tid);
	int epoll = -1;

	if (noted && noted->number == call->number && noted->sp == call->sp &&
	    memcmp(noted->arg + 1, call->arg + 1,
		   sizeof(call->arg) - sizeof(call->arg[0])) == 0) {
		call->arg[0] = noted->arg[0];
		return true;
	}
	if (call->number == SYS_epoll_pwait || call->number == SYS_epoll_pwait2)
		epoll = only_epoll(waits->process);
	if (epoll >= 0)
		call->arg[0] = (uint64_t)epoll;
	return epoll >= 0;
}

/* Whether the stop has ended CALL: of those that it ends some only where the socket has a
 * timeout. */
static bool ended_by_stop(const struct waits *waits, pid_t tid,
			  const struct user_regs_struct *regs, struct system_call *call)
{
	return restart_ends(call) && !handler_has_returned(waits->process, regs) &&
	       find_first(waits, tid, call) &&
	       (!restart_socket_option(call) || waits_has_timeout(waits->process, call));
}

void machine_call_of(const struct waits *waits, pid_t tid,
		     const struct user_regs_struct *regs, struct system_call *call)
{
	*call = (struct system_call){
		.number = (int)regs->regs[NUMBER], .sp = regs->sp, .pc = regs->pc};
	memcpy(call->arg, regs->regs, sizeof(call->arg));
	if (call->number < 0)
		return;
	if (is_svc(waits->process, regs->pc)) {
		call->result = interrupted(call);
		return;
	}
	call->result = (long)regs->regs[0];
	if (call->result != -EINTR ||
	    !is_svc(waits->process, regs->pc - MACHINE_SYSCALL_BYTES) ||
	    !ended_by_stop(waits, tid, regs, call))
		call->number = -1;
}

void machine_make_again(struct user_regs_struct *regs, const struct system_call *call)
{
	memcpy(regs->regs, call->arg, sizeof(call->arg));
	if (call->result == -EINTR)
		regs->pc -= MACHINE_SYSCALL_BYTES;
}

/* A set of signals of the thread, by the name of its line in /proc/PID/status. */
static uint64_t signals(const char *status, const char *key)
{
	const char *line = strstr(status, key);

	return line ? strtoull(line + strlen(key), NULL, 16) : 0;
}

/* Whether a handler runs once the thread goes on, of the signal that it has met, or of
 * one that waits for it. */
static bool is_to_handle(const struct process *process, const struct held_thread *held)
{
	char name[64], text[4096];
	uint64_t waiting = held->signal ? UINT64_C(1) << (held->signal - 1) : 0;

	snprintf(name, sizeof(name), "task/%d/status", (int)held->tid);
	/* The last of the lines; behind very many groups it is not read. */
	if (process_text(process->pid, name, text, sizeof(text)) <= 0 ||
	    !strstr(text, "\nSigCgt:"))
		return true;
	waiting |= signals(text, "\nSigPnd:") | signals(text, "\nShdPnd:");
	return waiting & signals(text, "\nSigCgt:") & ~signals(text, "\nSigBlk:");
}

/* The kernel would not end it again where a handler runs first, so it is left as it ended
 * where one is to run. A signal that only the call lets in waits for the call: its own
 * mask is the thread's until then. */
void machine_mend(const struct process *process, const struct held_thread *held,
		  struct user_regs_struct *regs, const struct system_call *call)
{
	struct iovec set = {regs, sizeof(*regs)};
	pid_t tid = held->tid;
	uint64_t mask;

	if (call->result != -EINTR ||
	    ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), &mask) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask) < 0 ||
	    is_to_handle(process, held))
		return;
	machine_make_again(regs, call);
	ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &set);
}

/* ---- code ---- */

/* What of __errno_location has been met: the registers, -1 while there are none. */
struct errno_code {
	int page_in, offset_in, pointer_in;
	uint64_t page, slot;
	bool is_added, is_end;
};

static int64_t page_distance(uint32_t code)
{
	uint64_t pages = (code >> 5 & 0x7ffff) << 2 | (code >> 29 & 3);

	return (int64_t)(pages << 43) >> 31;
}

/* One instruction; false when it is none of those that are known. */
static bool errno_step(struct errno_code *met, uint64_t addr, uint32_t code)
{
	static const uint32_t nop = 0xd503201f, landing = 0xd503245f; /* bti c */
	int to = (int)(code & 31), from = (int)(code >> 5 & 31), by = code >> 16 & 31;

	if ((code & 0x9f000000) == 0x90000000) { /* adrp */
		met->page_in = to;
		met->page = (addr & ~UINT64_C(0xfff)) + (uint64_t)page_distance(code);
	} else if ((code & 0xffc00000) == 0xf9400000 && from == met->page_in) { /* ldr */
		met->offset_in = to;
		met->slot = met->page + (code >> 10 & 0xfff) * 8;
	} else if ((code & 0xffffffe0) == 0xd53bd040) { /* mrs tpidr_el0 */
		met->pointer_in = to;
	} else if ((code & 0xffe0fc00) == 0x8b000000) { /* add */
		met->is_added =
			to == 0 && ((from == met->pointer_in && by == met->offset_in) ||
				    (by == met->pointer_in && from == met->offset_in));
		return met->is_added;
	} else {
		met->is_end = code == RET;
		return met->is_end || code == nop || code == landing;
	}
	return true;
}

/* "adrp x0, PAGE; ldr x0, [x0, AT]; mrs x1, tpidr_el0; add x0, x1, x0; ret" in some
 * order; the word there is how far errno lies from the thread's pointer. */
int machine_find_errno(const struct process *process, uint64_t addr, const uint8_t *code,
		       size_t bytes, int64_t *offset)
{
	struct errno_code met = {.page_in = -1, .offset_in = -1, .pointer_in = -1};

	for (size_t at = 0; at + 4 <= bytes && at < 32 && !met.is_end; at += 4) {
		uint32_t word;

		memcpy(&word, code + at, sizeof(word));
		if (!errno_step(&met, addr + at, word))
			return -ENOENT;
	}
	if (!met.is_end || !met.is_added)
		return -ENOENT;
	return inject_read(process, met.slot, offset, sizeof(*offset));
}

/* The address of two instructions, one behind the other, or 0. */
static uint64_t find_pair(uint64_t start, const uint8_t *code, size_t bytes,
			  uint32_t first, uint32_t second)
{
	const uint32_t pair[2] = {first, second};

	for (size_t at = 0; at + sizeof(pair) <= bytes; at += sizeof(pair[0]))
		if (memcmp(code + at, pair, sizeof(pair)) == 0)
			return start + at;
	return 0;
}

static int find_vdso(const struct mapping *mapping, void *context)
{
	struct mapping *vdso = context;

	if (strcmp(mapping->name, "[vdso]") != 0)
		return 0;
	*vdso = *mapping;
	return 1;
}

/* Handlers return to the kernel's own code: libc has none for that. */
static uint64_t find_restorer(const struct process *process)
{
	struct mapping vdso;
	uint64_t found = 0;
	uint8_t *code;
	size_t bytes;

	if (maps_scan(process, find_vdso, &vdso) != 1)
		return 0;
	bytes = vdso.end - vdso.start;
	code = bytes <= VDSO_MAX_BYTES ? malloc(bytes) : NULL;
	if (code && inject_read(process, vdso.start, code, bytes) == 0)
		found = find_pair(vdso.start, code, bytes, MOV_RT_SIGRETURN, SVC);
	free(code);
	return found;
}

int machine_find_code(const struct process *process, uint64_t start, const uint8_t *code,
		      size_t bytes, struct inject_libc *libc)
{
	libc->restorer = find_restorer(process);
	libc->syscall_ret = find_pair(start, code, bytes, SVC, RET);
	return libc->restorer && libc->syscall_ret ? 0 : -ENOENT;
}

/* ---- steps ---- */

enum {
	NO_STACK_MODE = 0x7fff, /* that sigaltstack refuses: the thread's stays */
	END_BYTES = 16,
};

/* struct rt_sigframe, as far as it is used: what is behind the records is not read. */
struct arm_step {
	uint8_t info[128];
	uint64_t flags, link;
	uint64_t stack;
	int32_t stack_mode, pad;
	uint64_t stack_bytes;
	uint64_t mask;
	uint8_t more_mask[120];
	uint64_t pad_context;
	uint64_t fault_address;
	uint64_t reg[31];
	uint64_t sp, pc, state;
	uint64_t pad_records;
	struct fpsimd_context vector;
	struct extra_context extra; /* or the end, where it is zero */
	uint8_t end[END_BYTES];
};

_Static_assert(offsetof(struct arm_step, mask) == 168, "as the kernel has it");
_Static_assert(offsetof(struct arm_step, fault_address) == 304, "as the kernel has it");
_Static_assert(offsetof(struct arm_step, vector) == 592, "as the kernel has it");
_Static_assert(sizeof(struct arm_step) == MACHINE_STEP_BYTES, "as machine.h says");

/* It returns to where the next step is restored. */
static struct user_regs_struct blank(const struct chain_call *call, uint64_t sp)
{
	struct user_regs_struct regs = {.sp = sp};

	regs.regs[PLATFORM] = call->regs.regs[PLATFORM];
	regs.regs[LINK] = call->libc->restorer;
	regs.pstate = call->regs.pstate & ~(STATE_FLAGS | STATE_BRANCH | STATE_TAGS);
	return regs;
}

struct user_regs_struct machine_function(const struct chain_call *call, uint64_t sp,
					 uint64_t function, const uint64_t argument[2])
{
	struct user_regs_struct regs = blank(call, sp);

	regs.pc = function;
	regs.regs[0] = argument[0];
	regs.regs[1] = argument[1];
	return regs;
}

struct user_regs_struct machine_system_call(const struct chain_call *call, uint64_t sp,
					    long number, const uint64_t argument[6])
{
	struct user_regs_struct regs = blank(call, sp);

	regs.pc = call->libc->syscall_ret;
	memcpy(regs.regs, argument, ARGUMENTS * sizeof(argument[0]));
	regs.regs[NUMBER] = (uint64_t)number;
	return regs;
}

void machine_step(const struct chain_call *call, const struct user_regs_struct *regs,
		  uint64_t mask, uint8_t *to)
{
	struct arm_step step = {
		.stack_mode = NO_STACK_MODE,
		.mask = mask,
		.sp = regs->sp,
		.pc = regs->pc,
		.state = regs->pstate,
		.vector.head = {FPSIMD_MAGIC, sizeof(step.vector)},
	};

	(void)call;
	memcpy(step.reg, regs->regs, sizeof(step.reg));
	memcpy(to, &step, sizeof(step));
}

struct user_regs_struct machine_start(const struct chain_call *call, uint64_t addr)
{
	struct user_regs_struct regs = call->regs;

	regs.pc = call->libc->restorer;
	regs.sp = addr;
	regs.pstate &= ~STATE_BRANCH;
	return regs;
}

/* ---- the vector state ---- */

/* As NT_PRFPREG has it. */
struct plain_vector {
	uint8_t vector[512];
	uint32_t fpsr, fpcr;
	uint32_t pad[2];
};

/* NT_ARM_SVE begins so, and NT_ARM_ZA. The registers of SVE follow as in a signal's
 * frame. */
struct scalable_head {
	uint32_t bytes, max_bytes;
	uint16_t vector_bytes, max_vector_bytes, flags, reserved;
};

enum {
	HAS_SCALABLE = 1, /* else the registers are plain ones */
	QUAD = 16,
	QUAD_BYTES = 32 * QUAD + 17 * QUAD / 8, /* of all registers, a quad of each */
};

/* What machine_read_vector puts behind each other. */
struct vector_state {
	struct plain_vector plain;
	struct scalable_head head;
};

static uint32_t scalable_bytes(const struct scalable_head *head)
{
	return head->vector_bytes / QUAD * (uint32_t)QUAD_BYTES;
}

/* Of the matrix extension (SME): a library's function is not to be called with it. */
static bool has_matrix(pid_t tid)
{
	struct scalable_head head = {0};
	size_t bytes = sizeof(head);

	if (!read_set(tid, REGSET_SSVE, &head, &bytes) && head.flags & HAS_SCALABLE)
		return true;
	head = (struct scalable_head){0};
	bytes = sizeof(head);
	return !read_set(tid, REGSET_ZA, &head, &bytes) && head.bytes > sizeof(head);
}

int machine_read_vector(pid_t tid, uint8_t *to, uint32_t *bytes)
{
	struct scalable_head head = {0};
	size_t plain = sizeof(struct plain_vector);
	size_t more = *bytes - plain;
	int error = read_set(tid, NT_PRFPREG, to, &plain);

	if (error)
		return error;
	if (has_matrix(tid))
		return -ENOTSUP;
	*bytes = sizeof(struct plain_vector);
	if (read_set(tid, REGSET_SVE, to + *bytes, &more) || more < sizeof(head))
		return 0;
	memcpy(&head, to + *bytes, sizeof(head));
	if (head.flags & HAS_SCALABLE)
		*bytes += (uint32_t)more;
	return 0;
}

static bool is_scalable(const struct chain_call *call)
{
	return call->vector_bytes > sizeof(struct plain_vector);
}

static uint32_t scalable_record_bytes(const struct scalable_head *head)
{
	uint32_t bytes = sizeof(struct sve_context) + scalable_bytes(head);

	return (bytes + QUAD - 1) / QUAD * QUAD;
}

int machine_vector_bytes(const struct chain_call *call, uint32_t *bytes)
{
	struct vector_state state;

	*bytes = 0;
	if (call->vector_bytes < sizeof(struct plain_vector))
		return -EPROTO;
	if (!is_scalable(call))
		return 0;
	if (call->vector_bytes < sizeof(state))
		return -EPROTO;
	memcpy(&state, call->vector, sizeof(state));
	if (call->vector_bytes < sizeof(state) + scalable_bytes(&state.head))
		return -EPROTO;
	*bytes = scalable_record_bytes(&state.head) + END_BYTES;
	return *bytes > CHAIN_VECTOR_BYTES ? -E2BIG : 0;
}

static void add_scalable(const struct chain_call *call, const struct scalable_head *head,
			 struct arm_step *step, uint8_t *to, uint64_t addr)
{
	const struct sve_context record = {
		.head = {SVE_MAGIC, scalable_record_bytes(head)},
		.vl = head->vector_bytes,
	};

	step->extra = (struct extra_context){
		.head = {EXTRA_MAGIC, sizeof(step->extra)},
		.datap = addr,
		.size = record.head.size + END_BYTES,
	};
	memcpy(to, &record, sizeof(record));
	memcpy(to + sizeof(record), call->vector + sizeof(struct vector_state),
	       scalable_bytes(head));
}

void machine_add_vector(const struct chain_call *call, uint8_t *step, uint8_t *to,
			uint64_t addr)
{
	struct vector_state state = {0};
	struct arm_step frame;

	memcpy(&state, call->vector,
	       is_scalable(call) ? sizeof(state) : sizeof(state.plain));
	memcpy(&frame, step, sizeof(frame));
	memcpy(frame.vector.vregs, state.plain.vector, sizeof(frame.vector.vregs));
	frame.vector.fpsr = state.plain.fpsr;
	frame.vector.fpcr = state.plain.fpcr;
	if (is_scalable(call))
		add_scalable(call, &state.head, &frame, to, addr);
	memcpy(step, &frame, sizeof(frame));
}
