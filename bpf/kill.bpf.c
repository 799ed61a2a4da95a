/* Processes that the kernel kills for memory, anywhere on the host. */
#include "vmlinux.h"

#include "probe.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum {
	FILE_PAGES, /* linux/mm_types_task.h: indices of rss_stat */
	ANON_PAGES,
	SWAP_ENTRIES,
	SHMEM_PAGES,
	CGROUP_DEPTH = 16,
};

/* What one charge can ask for at once: a huge page. A page of tables maps one, 8 bytes a
 * page. */
const volatile u32 huge_pages = PROBE_PAGE / 8;

u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} ring SEC(".maps");

/* The kernel's count of resident pages of one kind. A macro: only an index that is
 * written as a constant is relocated by the size of the kernel's own elements. By a
 * field, not by a type that may be missing: for that libbpf searches the modules, too,
 * which takes CAP_SYS_ADMIN. */
#define RESIDENT(mm, index)                                                          \
	({                                                                           \
		struct mm_struct___before_6_2 *old_ = (void *)(mm);                  \
		s64 pages_;                                                          \
		if (bpf_core_field_exists(old_->rss_stat.count))                     \
			pages_ = BPF_CORE_READ(old_, rss_stat.count[index].counter); \
		else                                                                 \
			pages_ = BPF_CORE_READ(mm, rss_stat[index].count);           \
		pages_ < 0 ? 0 : (u64)pages_;                                        \
	})

/* A cgroup that is at its limit was what the kernel killed for: a charge that would have
 * gone above it had just failed. */
static __always_inline void read_cgroup(struct kill_event *event,
					struct task_struct *task)
{
	u32 index = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;
	struct page_counter *counter;
	struct mem_cgroup *group;

	bpf_core_read(&css, sizeof(css), &set->subsys[index & 15]);
	if (!css)
		return;
	event->cgroup = BPF_CORE_READ(css, cgroup, kn, id);
	group = (struct mem_cgroup *)css;
	counter = __builtin_preserve_access_index(&group->memory);
	for (u32 i = 0; counter && i < CGROUP_DEPTH; i++) {
		u64 used = BPF_CORE_READ(counter, usage.counter);
		u64 max = BPF_CORE_READ(counter, max);

		if (used + huge_pages > max) {
			event->cgroup_max_pages = max;
			event->cgroup_used_pages = used;
			event->cgroup_is_full = 1;
			return;
		}
		counter = BPF_CORE_READ(counter, parent);
	}
}

SEC("raw_tp/mark_victim")
int victim_marked(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct kill_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->pid = BPF_CORE_READ(task, tgid);
	event->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	event->total_vm_pages = BPF_CORE_READ(mm, total_vm);
	event->file_pages = RESIDENT(mm, FILE_PAGES);
	event->anon_pages = RESIDENT(mm, ANON_PAGES);
	event->shmem_pages = RESIDENT(mm, SHMEM_PAGES);
	read_cgroup(event, task);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
