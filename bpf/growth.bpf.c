/* Heap growth and failures, seen where the kernel takes and gives back the lock of an
 * address space: in brk, mmap, mprotect, mremap and munmap, and nowhere else. */
#include "vmlinux.h"

#include "machine.h"
#include "probe.h"
#include "refusals.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* linux/mman.h and linux/resource.h. */
enum {
	PROT_NONE = 0,
	PROT_READ_WRITE = 3,
	MAP_FIXED = 0x10,
	MAP_ANONYMOUS = 0x20,
	MAP_STACK = 0x20000,
	MAP_HUGETLB = 0x40000,
	RLIMIT_DATA = 2,
	RLIMIT_AS = 9,
};

/* malloc.c. */
enum {
	BIN_LOOKS = 8,	  /* bins that may look full and be empty, in one event */
	BINMAP = 254 * 8, /* behind the bins */
	CHUNK_FLAGS = 7,
	HEAP_ARENA = 0, /* offsets in struct _heap_info */
	HEAP_SIZE = 16,
	HEAP_COMMITTED = 24,
	PAR_MMAP_THRESHOLD = 16, /* offsets in struct malloc_par */
	PAR_ARENA_MAX = 32,
	FALLBACK_LEAST = 1 << 20, /* what a mapping that stands in for brk has at least */
};

enum {
	THREADS = 16384,
	COUNTERS = 0,
	NS_PER_S = 1000000000,
	STACK_PAGES = 17,
};

const volatile struct probe_config config = {};

/* Of .bss, which user space sees. */
u32 stopped;
u64 known_trim_threshold, known_mmap_threshold; /* 0: not known yet */
static u64 second, in_second;
static u64 bucket_ns[2];

/* What a thread's system call found; consumed when it gives the lock back. */
struct before {
	u64 brk;
	u64 total_vm;
	u64 data_vm;
	u64 call;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, s32);
	__type(value, struct before);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, u32);
	__type(value, struct refusals);
} refused SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct probe_counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* One system call that changed something, or was refused. */
struct change {
	struct mm_struct *mm;
	struct pt_regs *regs;
	struct before before;
	u64 bytes;
	u64 length;
	u64 granule;
	u64 brk_length;
	u64 arena;
	u64 old_trim_threshold, old_mmap_threshold;
	u32 pid, tid;
	u32 kind;
};

/* Whether the current task is the target's: its numbers are in *PID and *TID then. */
static __always_inline bool is_target(u32 *pid, u32 *tid)
{
	u64 both = bpf_get_current_pid_tgid();

	*pid = both >> 32;
	*tid = (u32)both;
	if (config.ns_inode) {
		struct bpf_pidns_info info;

		if (bpf_get_ns_current_pid_tgid(config.ns_dev, config.ns_inode, &info,
						sizeof(info)))
			return false;
		*pid = info.tgid;
		*tid = info.pid;
	}
	return *pid == config.pid;
}

static __always_inline struct probe_counts *my_counts(void)
{
	u32 key = COUNTERS;

	return bpf_map_lookup_elem(&counts, &key);
}

static __always_inline struct pt_regs *user_registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

static __always_inline u64 user_word(u64 addr)
{
	u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)addr);
	return word;
}

/* ---- full events ---- */

static __always_inline void read_par(struct probe_event *event)
{
	u64 par[3];

	if (bpf_probe_read_user(par, sizeof(par), (void *)config.par))
		return;
	event->trim_threshold = par[0];
	event->top_pad = par[1];
	event->mmap_threshold = par[2];
	event->has |= PROBE_HAS_PAR;
}

/* The index of the highest bit of a word that is not 0: without a branch, which the
 * verifier would follow both ways each time. */
static __always_inline u32 highest_bit(u64 word)
{
	word |= word >> 1;
	word |= word >> 2;
	word |= word >> 4;
	word |= word >> 8;
	word |= word >> 16;
	word |= word >> 32;
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (u32)((word * 0x0101010101010101) >> 56) - 1;
}

/* Takes the highest bit out of MAP, which has BINS of them: its index, or 0 when there is
 * none (no bin has that number). */
static __always_inline u32 take_bin(u64 map[2])
{
	u32 bit;

	if (map[1]) {
		bit = highest_bit(map[1]);
		map[1] &= ~(1ULL << (bit & 63));
		return bit + 64;
	}
	if (!map[0])
		return 0;
	bit = highest_bit(map[0]);
	map[0] &= ~(1ULL << (bit & 63));
	return bit;
}

/* Large bins are sorted, so the first chunk of the highest one is the largest of all bins
 * but the unsorted list, which malloc has emptied when it asks the kernel. A bit of the
 * map may be left from a bin that has been emptied since. */
static __always_inline void read_largest(struct probe_event *event)
{
	u64 bins = event->arena + config.arena_bins, map[2];

	if (bpf_probe_read_user(map, sizeof(map), (void *)(bins + BINMAP)))
		return;
	for (u32 looks = 0; looks < BIN_LOOKS; looks++) {
		u32 bin = take_bin(map);
		u64 self = bins + bin * 16 - 32, first;

		if (!bin) {
			event->has |= PROBE_HAS_LARGEST;
			return;
		}
		if (bpf_probe_read_user(&first, sizeof(first), (void *)(self + 16)))
			return;
		if (first == self)
			continue;
		event->largest_bytes = user_word(first + 8) & ~(u64)CHUNK_FLAGS;
		event->has |= PROBE_HAS_LARGEST;
		return;
	}
}

/* The thread holds the arena's lock: nothing of it moves. */
static __always_inline void read_arena(struct probe_event *event)
{
	u64 arena = event->arena;
	u32 flags;

	if (!arena ||
	    bpf_probe_read_user(&event->top, 8, (void *)(arena + config.arena_top)) ||
	    bpf_probe_read_user(&event->system_bytes, 8,
				(void *)(arena + config.arena_system_mem)) ||
	    bpf_probe_read_user(&flags, 4, (void *)(arena + 4)))
		return;
	event->arena_flags = flags;
	/* Before the first chunk top points into the arena itself, at a word of 0. */
	event->top_bytes = user_word(event->top + 8) & ~(u64)CHUNK_FLAGS;
	event->has |= PROBE_HAS_ARENA;
	read_largest(event);
}

static __always_inline void read_limits(struct probe_event *event,
					const struct change *change)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	event->total_vm_pages = change->before.total_vm;
	event->data_vm_pages = change->before.data_vm;
	event->map_count = change->mm->map_count;
	event->rlimit_as = BPF_CORE_READ(signal, rlim[RLIMIT_AS].rlim_cur);
	event->rlimit_data = BPF_CORE_READ(signal, rlim[RLIMIT_DATA].rlim_cur);
}

/* Page by page: a read that fails gives nothing of what it could have read. */
static __always_inline void read_stack(struct probe_event *event, u64 sp)
{
	u8 *stack = (u8 *)(event + 1);
	u64 addr = sp & ~(u64)(PROBE_PAGE - 1), pages = 0;

	for (u32 i = 0; i < STACK_PAGES; i++) {
		if ((i + 1) * PROBE_PAGE > config.stack_bytes)
			break;
		if (!bpf_probe_read_user(stack + i * PROBE_PAGE, PROBE_PAGE,
					 (void *)(addr + i * PROBE_PAGE)))
			pages |= 1ULL << i;
	}
	event->stack_addr = addr;
	event->stack_pages = pages;
}

/* A bucket of tokens that fills with time, kept as the instant up to which they are
 * spent. Failures have one of their own: growth must not hide them. */
static __always_inline bool may_send(u32 kind, u64 now)
{
	u64 *bucket = &bucket_ns[kind >= PROBE_FAILURE];
	u64 spent = *bucket, from = now - config.burst_ns;

	if (spent > from)
		from = spent;
	from += config.interval_ns;
	return from <= now && __sync_val_compare_and_swap(bucket, spent, from) == spent;
}

static __always_inline void fill(struct probe_event *event, const struct change *change)
{
	event->pid = change->pid;
	event->tid = change->tid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->kind = change->kind;
	event->bytes = change->bytes;
	event->length = change->length;
	event->granule = change->granule;
	event->old_brk = change->before.brk;
	event->brk_length = change->brk_length;
	event->arena = change->arena;
	event->old_trim_threshold = change->old_trim_threshold;
	event->old_mmap_threshold = change->old_mmap_threshold;
	read_par(event);
	read_arena(event);
	read_limits(event, change);
	machine_registers(event->reg, change->regs);
	read_stack(event, event->reg[PROBE_STACK_POINTER]);
}

static __always_inline void send(const struct change *change, u64 now)
{
	struct probe_counts *mine = my_counts();
	struct probe_event *event;

	if (!mine || !(config.kinds >> change->kind & 1))
		return;
	if (!may_send(change->kind, now)) {
		mine->limited++;
		return;
	}
	event = bpf_ringbuf_reserve(&ring, sizeof(*event) + config.stack_bytes, 0);
	if (!event) {
		mine->lost++;
		return;
	}
	mine->sent++;
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	fill(event, change);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* A flood ends the probes: what they would cost from here on is not theirs to take. */
static __always_inline void watch_flood(u64 now)
{
	u64 this_second = now / NS_PER_S;

	if (second != this_second) {
		second = this_second;
		in_second = 0;
	}
	if (__sync_fetch_and_add(&in_second, 1) >= config.flood)
		stopped = PROBE_FLOOD;
}

static __always_inline void note(const struct change *change)
{
	struct probe_counts *mine = my_counts();
	u64 now = bpf_ktime_get_ns();
	u32 kind = change->kind;

	if (!mine || kind >= PROBE_KINDS)
		return;
	mine->events[kind]++;
	mine->bytes[kind] += change->bytes;
	send(change, now);
	watch_flood(now);
}

/* ---- who asks ---- */

/* Whether the call comes from malloc's own file, not from the program's. */
static __always_inline bool is_from_malloc(const struct pt_regs *regs, s32 offset)
{
	u64 back;

	if (offset == PROBE_ANY_CALLER)
		return true;
	back = machine_return(regs, offset);
	return back >= config.text_start && back < config.text_end;
}

/* ---- what failed ---- */

static __always_inline struct refusals *refusals_of(u32 tid)
{
	struct refusals none = {}, *found = bpf_map_lookup_elem(&refused, &tid);

	if (found)
		return found;
	bpf_map_update_elem(&refused, &tid, &none, BPF_ANY);
	return bpf_map_lookup_elem(&refused, &tid);
}

static __always_inline void forget_refusals(const struct change *change)
{
	bpf_map_delete_elem(&refused, &change->tid);
}

/* Whether a mapping of LENGTH stands in for a brk that was refused BRK_LENGTH: it makes
 * up for the old top, too, and has at least a megabyte or is rounded up to one; in 2.35
 * and 2.36 the least is confused with the page. Another one follows an sbrk of the
 * program's own. */
static __always_inline bool is_fallback(u64 length, u64 brk_length)
{
	u64 top = user_word(config.main_arena + config.arena_top);
	u64 most = brk_length + user_word(top + 8) + FALLBACK_LEAST;

	if (!brk_length || length < brk_length || length > most)
		return false;
	return length == brk_length || length >= FALLBACK_LEAST;
}

static __always_inline bool has_threads(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, signal, nr_threads) > 1;
}

/* Whether malloc would give a chunk that takes LENGTH a mapping of its own. */
static __always_inline bool is_large(u64 length)
{
	u64 threshold = user_word(config.par + PAR_MMAP_THRESHOLD);
	u64 counts = user_word(config.par + config.par_n_mmaps);

	return length > threshold + config.page_bytes && (u32)counts < counts >> 32;
}

/* A mapping was refused. With one arena for all threads both attempts are there, and
 * nothing else is one. */
static __always_inline bool is_failure(struct refusals *refusals, u64 sp, u64 length,
				       bool is_main)
{
	bool threads = has_threads();

	if (is_main)
		return refusals_main(refusals, sp, threads);
	if (!threads || user_word(config.par + PAR_ARENA_MAX) == 1)
		return false;
	return refusals_chunk(refusals, sp, length, config.heap_max_bytes,
			      is_large(length));
}

/* ---- what the system calls mean ---- */

static __always_inline bool see_brk(struct change *change)
{
	u64 asked = PT_REGS_PARM1(change->regs);
	u64 now = change->mm->brk, old = change->before.brk;
	struct refusals *refusals;

	if (asked <= old)
		return false;
	change->length = asked - old;
	change->granule = config.brk_granule;
	if (now <= old) {
		refusals = refusals_of(change->tid);
		if (refusals)
			refusals_brk(refusals, change->length);
		return false;
	}
	forget_refusals(change);
	change->kind = PROBE_BRK;
	change->bytes = now - old;
	change->arena = config.main_arena;
	return true;
}

/* A heap was refused COUNT times. Whether a large request has failed with that: what it
 * was refused before is what is told. */
static __always_inline bool see_heap_refused(struct change *change, u32 count)
{
	struct refusals *refusals = refusals_of(change->tid);

	if (!refusals)
		return false;
	change->length = refusals->large;
	change->bytes = refusals->large;
	change->granule = config.page_bytes;
	change->kind = PROBE_FAILURE;
	return refusals_heap(refusals, count);
}

/* A heap is cut out of a reservation of its size or twice that. */
static __always_inline bool see_reservation(struct change *change, u64 grown)
{
	u64 length = change->length;

	if (grown ||
	    (length != config.heap_max_bytes && length != 2 * config.heap_max_bytes))
		return false;
	return see_heap_refused(change, 1);
}

/* Whether to note a mapping for malloc that was granted (GROWN), or refused. */
static __always_inline bool see_malloc_mmap(struct change *change, u64 grown)
{
	u64 sp = PT_REGS_SP(change->regs);
	struct refusals *refusals = grown ? bpf_map_lookup_elem(&refused, &change->tid)
					  : refusals_of(change->tid);
	bool is_main;

	change->kind = grown ? PROBE_MMAP : PROBE_FAILURE;
	if (!refusals)
		return grown;
	is_main = is_fallback(change->length, refusals->brk_length);
	if (is_main) {
		change->brk_length = refusals->brk_length;
		change->granule = config.brk_granule;
		change->arena = config.main_arena;
	}
	if (!grown)
		return is_failure(refusals, sp, change->length, is_main);
	if (is_main)
		change->kind = PROBE_FALLBACK;
	forget_refusals(change);
	return true;
}

/* glibc asks for huge pages first where it was told to, and again without: that refusal
 * is not the last word. */
static __always_inline bool see_mmap(struct change *change)
{
	u64 flags = PT_REGS_PARM4_SYSCALL(change->regs);
	u64 protection = PT_REGS_PARM3(change->regs);
	u64 grown = change->mm->total_vm - change->before.total_vm;

	if ((flags & (MAP_ANONYMOUS | MAP_STACK | MAP_FIXED)) != MAP_ANONYMOUS ||
	    !is_from_malloc(change->regs, config.mmap_return))
		return false;
	change->length = PT_REGS_PARM2(change->regs);
	if (protection == PROT_NONE)
		return see_reservation(change, grown);
	if (protection != PROT_READ_WRITE || (!grown && flags & MAP_HUGETLB))
		return false;
	change->granule = flags & MAP_HUGETLB ? config.huge_granule : config.page_bytes;
	change->bytes = grown ? grown * config.page_bytes : change->length;
	return see_malloc_mmap(change, grown);
}

/* Memory that becomes writable counts as data from then on, so the difference is what was
 * granted. Heaps of non-main arenas are aligned to what they can grow to; the first call
 * for one begins at its very start, before malloc wrote anything there. */
static __always_inline bool see_mprotect(struct change *change)
{
	u64 addr = PT_REGS_PARM1(change->regs);
	u64 heap = addr & ~(config.heap_max_bytes - 1);
	u64 grown = change->mm->data_vm - change->before.data_vm;
	struct refusals *refusals;

	if (PT_REGS_PARM3(change->regs) != PROT_READ_WRITE || (s64)grown < 0 ||
	    !is_from_malloc(change->regs, config.mprotect_return))
		return false;
	if (!grown)
		return addr == heap && see_heap_refused(change, HEAP_REFUSALS);
	if (addr != heap && user_word(heap + HEAP_COMMITTED) != addr - heap)
		return false;
	if (addr != heap) {
		forget_refusals(change);
	} else {
		refusals = bpf_map_lookup_elem(&refused, &change->tid);
		if (refusals)
			refusals_end_heap(refusals);
	}
	change->length = addr + PT_REGS_PARM2(change->regs) - heap;
	if (addr != heap)
		change->length -= user_word(heap + HEAP_SIZE);
	change->granule = config.page_bytes;
	change->bytes = grown * config.page_bytes;
	change->kind = addr == heap ? PROBE_NEW_HEAP : PROBE_MPROTECT;
	if (addr != heap)
		change->arena = user_word(heap + HEAP_ARENA);
	return true;
}

static __always_inline bool see_mremap(struct change *change)
{
	s64 grown = change->mm->total_vm - change->before.total_vm;

	if (grown <= 0 || !is_from_malloc(change->regs, config.mremap_return))
		return false;
	forget_refusals(change);
	change->length = PT_REGS_PARM3(change->regs);
	change->granule = config.page_bytes;
	change->bytes = grown * config.page_bytes;
	change->kind = PROBE_MREMAP;
	return true;
}

/* free sets the thresholds by the chunk that it is about to unmap: the call whose length
 * fits is the one that did it. */
static __always_inline bool see_munmap(struct change *change)
{
	u64 par[3], length = PT_REGS_PARM2(change->regs);

	if (bpf_probe_read_user(par, sizeof(par), (void *)config.par) ||
	    par[2] == known_mmap_threshold || par[2] > length ||
	    par[2] + config.page_bytes < length)
		return false;
	if (!known_mmap_threshold) {
		known_trim_threshold = par[0];
		known_mmap_threshold = par[2];
		return false;
	}
	change->length = length;
	change->kind = PROBE_THRESHOLD;
	change->old_trim_threshold = known_trim_threshold;
	change->old_mmap_threshold = known_mmap_threshold;
	known_trim_threshold = par[0];
	known_mmap_threshold = par[2];
	return true;
}

static __always_inline bool is_followed(u64 call)
{
	return call == SYS_BRK || call == SYS_MMAP || call == SYS_MPROTECT ||
	       call == SYS_MUNMAP || call == SYS_MREMAP;
}

/* Whether a lock for writing was got. The barrier keeps the compiler from choosing
 * between two addresses, which the verifier does not follow. */
static __always_inline bool is_write_lock(const struct bpf_raw_tracepoint_args *ctx)
{
	u64 write = ctx->args[1], success = ctx->args[2];

	barrier_var(success);
	if (config.has_path) {
		write = success;
		success = ctx->args[3];
	}
	return write & success & 1;
}

SEC("raw_tp/mmap_lock_acquire_returned")
int mmap_lock_acquired(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct probe_counts *mine;
	struct before *before;
	struct mm_struct *mm;
	u32 pid, tid;
	u64 call;

	if (stopped || !is_write_lock(ctx) || !is_target(&pid, &tid))
		return 0;
	call = machine_call(user_registers());
	if (!is_followed(call))
		return 0;
	before = bpf_task_storage_get(&calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!before) {
		mine = my_counts();
		if (mine)
			mine->missed++;
		return 0;
	}
	mm = task->mm;
	before->brk = mm->brk;
	before->total_vm = mm->total_vm;
	before->data_vm = mm->data_vm;
	before->call = call;
	return 0;
}

/* Whether CHANGE is one to note. */
static __always_inline bool see(struct change *change)
{
	switch (change->before.call) {
	case SYS_BRK:
		return see_brk(change);
	case SYS_MMAP:
		return see_mmap(change);
	case SYS_MPROTECT:
		return see_mprotect(change);
	case SYS_MREMAP:
		return see_mremap(change);
	default:
		return see_munmap(change);
	}
}

SEC("raw_tp/mmap_lock_released")
int mmap_lock_released(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct change change = {};
	struct before *before;

	if (stopped || !is_target(&change.pid, &change.tid))
		return 0;
	before = bpf_task_storage_get(&calls, task, NULL, 0);
	if (!before || before->call == NOT_IN_CALL)
		return 0;
	change.before = *before;
	before->call = NOT_IN_CALL;
	change.mm = task->mm;
	change.regs = user_registers();
	if (see(&change))
		note(&change);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int process_execed(void *ctx)
{
	u32 pid, tid;

	if (is_target(&pid, &tid) && !stopped)
		stopped = PROBE_EXECED;
	return 0;
}
