/* live.h: the memory of a live process: process_vm_readv for bytes, PAGEMAP_SCAN or
 * /proc/PID/pagemap for residency. */
#ifndef FRAGSCOPE_LIVE_H
#define FRAGSCOPE_LIVE_H

#include "target/memory.h"
#include "target/process.h"

#include <stdatomic.h>

/* How residency is learned. */
enum pagemap_method {
	PAGEMAP_IOCTL, /* Linux 6.7 and later: knows the zero page for anybody */
	PAGEMAP_FILE,  /* tells the zero page only where page frames are shown (root) */
};

enum { LIVE_CALLS = 64 };

/* A read that goes on: of some of [FROM, TO). FROM is 0 when there is none. */
struct live_call {
	_Atomic uint64_t from;
	_Atomic uint64_t to;
};

struct live_memory {
	struct memory memory; /* first: a struct memory is what the callbacks get */
	int pid;
	int pagemap_fd;
	uint64_t zero_frame; /* the zero page's frame, or 0 when frames are hidden */
	struct live_call call[LIVE_CALLS];
	atomic_ulong *beats; /* counts the reads that have returned; may be null */
	/* The reader hands the processor over before the kernel takes it. */
	bool takes_turns;
	_Atomic unsigned calls;
	_Atomic int64_t turn_ns; /* of the reading thread's processor time */
};

/* Whether PROCESS's kernel knows the PAGEMAP_SCAN ioctl. */
bool live_can_scan(const struct process *process);

/* Sets LIVE up over PROCESS, which must stay open; it owns nothing. */
void live_init(struct live_memory *live, const struct process *process,
	       enum pagemap_method method);

/* Called with each run of resident pages, in order of address. */
typedef void live_run_fn(uint64_t start, uint64_t end, void *context);

/* Finds the pages of [START, END) that count in RSS, by PAGEMAP_SCAN; with FILES_ONLY
 * those that are of a file or of shared memory: in a mapping that is shared, others are a
 * device's, which do not count. 0 or -errno. */
int live_scan(const struct live_memory *live, uint64_t start, uint64_t end,
	      bool files_only, live_run_fn *fn, void *context);

/* Where a read goes on now, if one does. Any thread may ask. */
bool live_reads(const struct live_memory *live, uint64_t *from, uint64_t *to);

#endif
