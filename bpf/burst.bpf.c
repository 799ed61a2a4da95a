/* The sizes that malloc is asked for, and how long it takes. Attached for milliseconds at
 * a time: each call costs its thread a trap, whatever is done in it. */
#include "vmlinux.h"

#include "burst.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct burst_counts);
} counts SEC(".maps");

/* Weak: kernels that lack them still load the program that only counts sizes. */
extern bool bpf_session_is_return(void) __weak __ksym;
extern u64 *bpf_session_cookie(void) __weak __ksym;

/* How many bits VALUE has. */
static __always_inline u32 class_of(u64 value)
{
	u32 bits = 0;

#pragma unroll
	for (u32 step = 32; step; step /= 2)
		if (value >> step) {
			value >>= step;
			bits += step;
		}
	return bits + (u32)value;
}

static __always_inline struct burst_counts *my_counts(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&counts, &key);
}

/* A thread can be preempted in here and another count on the same CPU: a plain increment
 * would lose one of the two. */
static __always_inline void count(u64 class[BURST_CLASSES], u64 value)
{
	u32 index = class_of(value);

	if (index < BURST_CLASSES)
		__sync_fetch_and_add(&class[index], 1);
}

SEC("kprobe")
int malloc_entered(struct pt_regs *regs)
{
	struct burst_counts *mine = my_counts();

	if (mine)
		count(mine->sizes, regs->di);
	return 0;
}

SEC("kprobe")
int malloc_timed(struct pt_regs *regs)
{
	struct burst_counts *mine = my_counts();
	u64 *start_ns = bpf_session_cookie();

	if (!mine || !start_ns)
		return 0;
	if (bpf_session_is_return()) {
		count(mine->latency_ns, bpf_ktime_get_ns() - *start_ns);
		return 0;
	}
	count(mine->sizes, regs->di);
	*start_ns = bpf_ktime_get_ns();
	return 0;
}
