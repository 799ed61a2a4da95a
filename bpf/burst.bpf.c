/* The sizes that malloc is asked for, and how long it takes. Attached for milliseconds at
 * a time: each call costs its thread a trap, whatever is done in it. */
#include "vmlinux.h"

#include "burst.h"
#include "machine.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum { THREADS = 16384 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct burst_counts);
} counts SEC(".maps");

/* When the calls began that are under way, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, u32);
	__type(value, u64);
} starts SEC(".maps");

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
		count(mine->sizes, PT_REGS_PARM1(regs));
	return 0;
}

/* At the entry, when calls are timed; as late as can be. */
SEC("kprobe")
int malloc_started(struct pt_regs *regs)
{
	struct burst_counts *mine = my_counts();
	u32 tid = (u32)bpf_get_current_pid_tgid();
	u64 now_ns;

	if (mine)
		count(mine->sizes, PT_REGS_PARM1(regs));
	now_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&starts, &tid, &now_ns, BPF_ANY);
	return 0;
}

SEC("kprobe")
int malloc_returned(struct pt_regs *regs)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct burst_counts *mine = my_counts();
	u32 tid = (u32)bpf_get_current_pid_tgid();
	u64 *start_ns = bpf_map_lookup_elem(&starts, &tid);

	if (!mine || !start_ns)
		return 0;
	count(mine->latency_ns, now_ns - *start_ns);
	bpf_map_delete_elem(&starts, &tid);
	return 0;
}
