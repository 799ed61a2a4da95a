/* live.h: the memory of a live process: process_vm_readv for bytes, PAGEMAP_SCAN or
 * /proc/PID/pagemap for residency. */
#ifndef FRAGSCOPE_LIVE_H
#define FRAGSCOPE_LIVE_H

#include "target/memory.h"
#include "target/process.h"

/* How residency is learned. */
enum pagemap_method {
	PAGEMAP_IOCTL, /* Linux 6.7 and later: knows the zero page for anybody */
	PAGEMAP_FILE,  /* tells the zero page only where page frames are shown (root) */
};

struct live_memory {
	struct memory memory; /* first: a struct memory is what the callbacks get */
	int pid;
	int pagemap_fd;
	uint64_t zero_frame; /* the zero page's frame, or 0 when frames are hidden */
};

/* Whether PROCESS's kernel knows the PAGEMAP_SCAN ioctl. */
bool live_can_scan(const struct process *process);

/* Sets LIVE up over PROCESS, which must stay open; it owns nothing. */
void live_init(struct live_memory *live, const struct process *process,
	       enum pagemap_method method);

#endif
