#include "inject/filter.h"

#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>

#define GET_FILTER 0x420c /* PTRACE_SECCOMP_GET_FILTER */

/* A classic BPF program that runs. */
struct filter_run {
	const struct seccomp_data *call;
	uint32_t a, x;
	uint32_t memory[BPF_MEMWORDS];
};

static bool load(struct filter_run *run, const struct sock_filter *at, uint32_t *value)
{
	switch (BPF_MODE(at->code)) {
	case BPF_IMM:
		*value = at->k;
		return true;
	case BPF_ABS:
		if (at->k > sizeof(*run->call) - sizeof(*value))
			return false;
		memcpy(value, (const char *)run->call + at->k, sizeof(*value));
		return true;
	case BPF_MEM:
		if (at->k >= BPF_MEMWORDS)
			return false;
		*value = run->memory[at->k];
		return true;
	case BPF_LEN:
		*value = sizeof(*run->call);
		return true;
	default:
		return false;
	}
}

static bool compute(struct filter_run *run, const struct sock_filter *at)
{
	uint32_t by = BPF_SRC(at->code) == BPF_X ? run->x : at->k;

	switch (BPF_OP(at->code)) {
	case BPF_ADD:
		run->a += by;
		return true;
	case BPF_SUB:
		run->a -= by;
		return true;
	case BPF_MUL:
		run->a *= by;
		return true;
	case BPF_DIV:
		run->a = by ? run->a / by : 0;
		return by != 0;
	case BPF_OR:
		run->a |= by;
		return true;
	case BPF_AND:
		run->a &= by;
		return true;
	case BPF_XOR:
		run->a ^= by;
		return true;
	case BPF_LSH:
		run->a = by < 32 ? run->a << by : 0;
		return true;
	case BPF_RSH:
		run->a = by < 32 ? run->a >> by : 0;
		return true;
	case BPF_NEG:
		run->a = -run->a;
		return true;
	default:
		return false;
	}
}

/* How many instructions are left out. */
static uint32_t jump(const struct filter_run *run, const struct sock_filter *at)
{
	uint32_t with = BPF_SRC(at->code) == BPF_X ? run->x : at->k;
	bool holds = false;

	switch (BPF_OP(at->code)) {
	case BPF_JA:
		return at->k;
	case BPF_JEQ:
		holds = run->a == with;
		break;
	case BPF_JGT:
		holds = run->a > with;
		break;
	case BPF_JGE:
		holds = run->a >= with;
		break;
	case BPF_JSET:
		holds = run->a & with;
		break;
	default:
		break;
	}
	return holds ? at->jt : at->jf;
}

static bool step(struct filter_run *run, const struct sock_filter *at)
{
	switch (BPF_CLASS(at->code)) {
	case BPF_LD:
		return load(run, at, &run->a);
	case BPF_LDX:
		return load(run, at, &run->x);
	case BPF_ST:
	case BPF_STX:
		if (at->k >= BPF_MEMWORDS)
			return false;
		run->memory[at->k] = BPF_CLASS(at->code) == BPF_ST ? run->a : run->x;
		return true;
	case BPF_ALU:
		return compute(run, at);
	case BPF_MISC:
		if (BPF_MISCOP(at->code) == BPF_TAX)
			run->x = run->a;
		else
			run->a = run->x;
		return true;
	default:
		return false;
	}
}

/* What the program answers; that it ends the process when it is none. It only jumps
 * forwards. */
static uint32_t run_filter(const struct sock_filter *code, uint32_t count,
			   const struct seccomp_data *call)
{
	struct filter_run run = {.call = call};

	for (uint64_t i = 0; i < count; i++) {
		const struct sock_filter *at = &code[i];

		if (BPF_CLASS(at->code) == BPF_RET)
			return BPF_RVAL(at->code) == BPF_A ? run.a : at->k;
		if (BPF_CLASS(at->code) == BPF_JMP)
			i += jump(&run, at);
		else if (!step(&run, at))
			break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static enum filter_answer meaning(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return FILTER_ALLOWS;
	case SECCOMP_RET_ERRNO:
		return FILTER_REFUSES;
	default:
		return FILTER_ENDS;
	}
}

int filter_ask(pid_t tid, const struct seccomp_data *call, enum filter_answer *answer)
{
	struct sock_filter code[BPF_MAXINSNS];

	*answer = FILTER_ALLOWS;
	for (long i = 0;; i++) {
		long count = ptrace((enum __ptrace_request)GET_FILTER, tid, i, NULL);
		enum filter_answer one;

		if (count < 0)
			return errno == ENOENT && i ? 0 : -errno;
		if (count > BPF_MAXINSNS)
			return -E2BIG;
		count = ptrace((enum __ptrace_request)GET_FILTER, tid, i, code);
		if (count < 0)
			return -errno;
		one = meaning(run_filter(code, (uint32_t)count, call));
		if (one > *answer)
			*answer = one;
	}
}
