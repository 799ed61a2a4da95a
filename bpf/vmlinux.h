/* vmlinux.h: the few fields of the kernel's structures that the probes read. libbpf finds
 * where they lie in the running kernel (CO-RE): order and neighbours mean nothing here.
 */
#ifndef FRAGSCOPE_VMLINUX_H
#define FRAGSCOPE_VMLINUX_H

#define __VMLINUX_H__ /* for libbpf: registers have the kernel's names */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef s32 __s32;
typedef u64 __u64;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
typedef _Bool bool;

enum { false, true };

#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#ifdef __TARGET_ARCH_arm64
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
};

struct pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	s32 syscallno;
};
#else
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif

struct rlimit {
	unsigned long rlim_cur;
};

struct signal_struct {
	struct rlimit rlim[16];
	int nr_threads;
	short oom_score_adj;
};

struct percpu_counter {
	s64 count;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct mm_rss_stat { /* before Linux 6.2 */
	atomic64_t count[4];
};

struct mm_struct___before_6_2 {
	struct mm_rss_stat rss_stat;
};

struct mm_struct {
	unsigned long total_vm;
	unsigned long data_vm;
	unsigned long brk;
	int map_count;
	struct percpu_counter rss_stat[4];
};

struct kernfs_node {
	u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct page_counter {
	atomic64_t usage;
	unsigned long max;
	struct page_counter *parent;
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
};

enum cgroup_subsys_id { memory_cgrp_id };

struct css_set {
	struct cgroup_subsys_state *subsys[16];
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

#pragma clang attribute pop

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

struct bpf_pidns_info {
	u32 pid;
	u32 tgid;
};

#endif
