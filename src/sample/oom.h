/* oom.h: whom the kernel would kill first when the host is out of memory, and where a
 * process stands in that order. */
#ifndef FRAGSCOPE_SAMPLE_OOM_H
#define FRAGSCOPE_SAMPLE_OOM_H

#include <stdint.h>

enum { OOM_COMM = 64 };

/* A process in the order; pid 0: there is none. */
struct oom_process {
	int pid;
	int score;
	uint64_t rss_bytes; /* of the exempt one only */
	char comm[OOM_COMM];
};

/* PLACE is 1 for the first to go; processes of the same score share one. A score of 0 is
 * never chosen: then PLACE is 0. When a cgroup is full, only its own processes count. */
struct oom_rank {
	int score;
	int score_adj; /* what was set: -1000 never to 1000 first */
	unsigned place;
	int panics; /* vm.panic_on_oom, above 0: nobody is chosen on the host; -1: not
		       known */
	unsigned candidates;		  /* processes that could be chosen */
	struct oom_process first, second; /* to go */
	struct oom_process exempt; /* the largest that is never chosen, and not this */
};

#endif
