/* probe.h: what the probes in the kernel and their reader in user space share: fixed
 * widths, no padding, asserted on both sides. */
#ifndef FRAGSCOPE_BPF_PROBE_H
#define FRAGSCOPE_BPF_PROBE_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <stdint.h>
typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;
#endif

/* In the order of enum event_kind. */
enum probe_kind {
	PROBE_BRK,
	PROBE_FALLBACK,
	PROBE_NEW_HEAP,
	PROBE_MPROTECT,
	PROBE_MMAP,
	PROBE_MREMAP,
	PROBE_FAILURE,
	PROBE_THRESHOLD,
	PROBE_KINDS
};

enum {
	PROBE_PAGE = 4096, /* what stacks are copied by, whatever the kernel's page is */
	PROBE_COMM = 16,
	PROBE_ANY_CALLER = -1,
	PROBE_IN_REGISTER = -2,
};

/* As DWARF numbers them; the last is the instruction's. */
#if defined(__TARGET_ARCH_arm64) || defined(__aarch64__)
enum { PROBE_REGISTERS = 33, PROBE_STACK_POINTER = 31 };
#define PROBE_ADDRESS_MASK ((1ULL << 48) - 1)
#else
enum { PROBE_REGISTERS = 17, PROBE_STACK_POINTER = 7 };
#define PROBE_ADDRESS_MASK (~0ULL)
#endif

/* Why the probes stopped by themselves. */
enum probe_stop {
	PROBE_RUNS,
	PROBE_FLOOD,  /* more events in a second than they may cost */
	PROBE_EXECED, /* another program is in the process: its heap is elsewhere */
};

/* Bits of probe_event.has. */
enum probe_part {
	PROBE_HAS_ARENA = 1,
	PROBE_HAS_LARGEST = 2,
	PROBE_HAS_PAR = 4,
};

/* What to probe, set before the programs are loaded. */
struct probe_config {
	u64 main_arena;
	u64 par;
	u64 heap_max_bytes; /* what heaps of non-main arenas are aligned to */
	u64 text_start;	    /* malloc's own code: the file that holds it */
	u64 text_end;
	u64 ns_dev; /* the PID namespace that PID is of; 0: the initial one */
	u64 ns_inode;
	u64 interval_ns; /* between two full events, on average */
	u64 burst_ns;	 /* of that, what may be saved up */
	u64 flood;	 /* events in a second above which the probes stop */
	u32 pid;
	u32 stack_bytes; /* copied with an event: whole pages */
	u32 kinds;	 /* bits of the kinds that are sent; all are counted */
	/* The return address's distance from the stack pointer in these system calls of
	 * libc; or PROBE_IN_REGISTER; or PROBE_ANY_CALLER: it is not known. */
	s32 mmap_return;
	s32 mremap_return;
	u32 arena_top; /* offsets in struct malloc_state */
	u32 arena_bins;
	u32 arena_system_mem;
	u32 has_path; /* the tracepoint has a path before its flags: Linux before 6.10 */
	u32 brk_granule;  /* what malloc rounds its requests to, in bytes */
	u32 huge_granule; /* the same with MAP_HUGETLB */
	u32 par_n_mmaps;  /* offset in struct malloc_par; n_mmaps_max follows */
	s32 mprotect_return;
	u32 page_bytes; /* the kernel's */
};

/* One event, with STACK_BYTES of the thread's stack behind it from STACK_ADDR on. */
struct probe_event {
	u64 time_ns; /* CLOCK_MONOTONIC */
	u32 pid;     /* as the namespace numbers them */
	u32 tid;
	char comm[PROBE_COMM];
	u32 kind;
	u32 has;
	u64 bytes;	/* grown by; of a failure: what the last mmap was asked for */
	u64 length;	/* what malloc asked for, before the kernel or a limit cut it */
	u64 granule;	/* what malloc had rounded that to */
	u64 old_brk;	/* before the call */
	u64 brk_length; /* of a failure or fallback: what brk was asked for before */
	u64 arena;
	u64 arena_flags;
	u64 top;
	u64 top_bytes;
	u64 system_bytes;
	u64 largest_bytes; /* the first chunk of the highest bin; 0: all are empty */
	u64 trim_threshold;
	u64 top_pad;
	u64 mmap_threshold;
	u64 old_trim_threshold;
	u64 old_mmap_threshold;
	u64 total_vm_pages;
	u64 data_vm_pages;
	u64 map_count;
	u64 rlimit_as;
	u64 rlimit_data;
	u64 reg[PROBE_REGISTERS];
	u64 stack_addr;
	u64 stack_pages; /* bit I: page I of the stack could be copied */
};

/* A CPU's share of the counts. */
struct probe_counts {
	u64 events[PROBE_KINDS];
	u64 bytes[PROBE_KINDS];
	u64 sent;
	u64 limited; /* counted, but over the rate of full events */
	u64 lost;    /* counted, but the ring was full */
	u64 missed;  /* system calls that found no room to be followed: not counted */
	/* Calls of the probes, by any process, that the kernel left out: not counted. The
	 * kernel keeps this, not the probes: 0 but in the sum over all CPUs. */
	u64 skipped;
};

_Static_assert(sizeof(struct probe_config) == 10 * 8 + 14 * 4, "no padding");
_Static_assert(sizeof(struct probe_event) ==
		       8 + 4 * 4 + PROBE_COMM + 21 * 8 + PROBE_REGISTERS * 8 + 2 * 8,
	       "no padding");
_Static_assert(sizeof(struct probe_counts) == (2 * PROBE_KINDS + 5) * 8, "no padding");

/* A process that the kernel killed for memory. */
struct kill_event {
	u64 time_ns;
	u64 cgroup;	      /* the victim's memory cgroup: its directory's inode */
	u64 cgroup_max_pages; /* of the first one, upwards from there, that is at its
				 limit */
	u64 cgroup_used_pages;
	u64 cgroup_is_full; /* whether there is one */
	u64 total_vm_pages;
	u64 file_pages;
	u64 anon_pages;
	u64 shmem_pages;
	u32 pid;
	s32 oom_score_adj;
	char comm[PROBE_COMM];
};

_Static_assert(sizeof(struct kill_event) == 9 * 8 + 2 * 4 + PROBE_COMM, "no padding");

#endif
