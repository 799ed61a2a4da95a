/* What malloc hands out: a random share of the calls with address, size and stack, and
 * whether an address of that share is given back or handed out again. Attached for
 * milliseconds at a time: each call costs its thread two traps, and one of free a trap,
 * whatever is done in them. */
#include "vmlinux.h"

#include "machine.h"
#include "survivors.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum {
	STACK_PAGES = 17,
	CHUNK_HEADER = 16,
	CHUNK_FLAGS = 7,
	CALLS = 4096,
	ROOM_FOR_ENDS = 1 << 20
};

const volatile u32 stack_bytes = PROBE_PAGE;

/* Of .bss, which user space sees. */
u64 chosen; /* of 2^32 calls so many are sampled */
u32 watching;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct survivor_counts);
} counts SEC(".maps");

/* The chunks that were sampled, by their headers' addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, u32);
} followed SEC(".maps");

/* The first argument of the calls that are under way and store the address there, by
 * thread. A thread that ends in one leaves it for others to replace. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CALLS);
	__type(key, u64);
	__type(value, u64);
} filled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* Page by page: a read that fails gives nothing of what it could have read. */
static __always_inline void read_stack(struct survivor_event *event)
{
	u8 *stack = (u8 *)(event + 1);
	u64 addr = event->reg[PROBE_STACK_POINTER] & ~(u64)(PROBE_PAGE - 1), pages = 0;

	for (u32 i = 0; i < STACK_PAGES; i++) {
		if ((i + 1) * PROBE_PAGE > stack_bytes)
			break;
		if (!bpf_probe_read_user(stack + i * PROBE_PAGE, PROBE_PAGE,
					 (void *)(addr + i * PROBE_PAGE)))
			pages |= 1ULL << i;
	}
	event->stack_addr = addr;
	event->stack_pages = pages;
}

/* Where there is no room it stays followed: what comes next shows that it went. */
static __always_inline void tell_end(u64 chunk, bool is_free)
{
	struct survivor_end *end = bpf_ringbuf_reserve(&ring, sizeof(*end), 0);

	if (!end)
		return;
	end->chunk = chunk;
	end->is_free = is_free;
	bpf_ringbuf_submit(end, BPF_RB_NO_WAKEUP);
	bpf_map_delete_elem(&followed, &chunk);
}

/* What is too much for the ring must not keep out what becomes of the sample. */
static __always_inline bool has_room(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) + ROOM_FOR_ENDS <
	       bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
}

/* 0, or -1 where there was no room. */
static __always_inline int tell(struct pt_regs *regs, u64 chunk)
{
	struct survivor_event *event =
		has_room() ? bpf_ringbuf_reserve(&ring, sizeof(*event) + stack_bytes, 0)
			   : NULL;
	u32 one = 1;
	u64 size;

	if (!event)
		return -1;
	event->chunk = chunk;
	if (bpf_probe_read_user(&size, sizeof(size), (void *)(chunk + 8)))
		size = 0;
	event->bytes = size & ~(u64)CHUNK_FLAGS;
	/* They are those of malloc's caller, behind the call. */
	machine_registers(event->reg, regs);
	read_stack(event);
	if (event->bytes && bpf_map_update_elem(&followed, &chunk, &one, BPF_ANY)) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return -1;
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* What the call that returns handed out: 0 is nothing, or it began before the watch. */
static __always_inline u64 block_of(struct pt_regs *regs, u64 result)
{
	u64 thread, block, *at;

	if (bpf_get_attach_cookie(regs) == SURVIVOR_RETURNS)
		return result;
	thread = bpf_get_current_pid_tgid();
	at = bpf_map_lookup_elem(&filled, &thread);
	if (!at)
		return 0;
	if ((int)result || bpf_probe_read_user(&block, sizeof(block), (void *)*at))
		block = 0;
	bpf_map_delete_elem(&filled, &thread);
	return block;
}

SEC("kprobe")
int malloc_returned(struct pt_regs *regs)
{
	u64 chunk, result = PT_REGS_RC(regs);
	u32 key = 0;
	struct survivor_counts *mine = bpf_map_lookup_elem(&counts, &key);

	/* The verifier knows REGS's own members only, and no pointer to one. */
	barrier_var(result);
	if (!mine)
		return 0;
	/* A thread can be preempted in here and another count on the same CPU. */
	__sync_fetch_and_add(&mine->hits, 1);
	if (!watching)
		return 0;
	chunk = block_of(regs, result) - CHUNK_HEADER;
	if (chunk == -(u64)CHUNK_HEADER)
		return 0;
	__sync_fetch_and_add(&mine->calls, 1);
	if (bpf_map_lookup_elem(&followed, &chunk))
		tell_end(chunk, false);
	if (bpf_get_prandom_u32() >= chosen)
		return 0;
	if (tell(regs, chunk))
		__sync_fetch_and_add(&mine->lost, 1);
	else
		__sync_fetch_and_add(&mine->sent, 1);
	return 0;
}

SEC("kprobe")
int free_entered(struct pt_regs *regs)
{
	u64 argument = PT_REGS_PARM1(regs), chunk = argument - CHUNK_HEADER, thread;
	u32 key = 0;
	struct survivor_counts *mine = bpf_map_lookup_elem(&counts, &key);

	if (!mine)
		return 0;
	__sync_fetch_and_add(&mine->entries, 1);
	if (!watching || !argument)
		return 0;
	if (bpf_get_attach_cookie(regs) == SURVIVOR_FILLS) {
		thread = bpf_get_current_pid_tgid();
		bpf_map_update_elem(&filled, &thread, &argument, BPF_ANY);
	} else if (bpf_map_lookup_elem(&followed, &chunk)) {
		tell_end(chunk, true);
	}
	return 0;
}
