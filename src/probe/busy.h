/* busy.h: for how much of a time the threads of a process ran or waited for a processor,
 * as the kernel counts it. */
#ifndef FRAGSCOPE_BUSY_H
#define FRAGSCOPE_BUSY_H

#include <stdint.h>

enum { BUSY_THREADS = 1024 }; /* of more, these are taken for the others */

struct busy {
	struct {
		int tid;
		uint64_t run_ns, wait_ns;
	} thread[BUSY_THREADS];
	unsigned threads;
};

/* What the threads did between two looks: those of them that ran. */
struct busy_sum {
	double run_ns;
	double wait_ns; /* for a processor */
	unsigned active;
};

/* Nothing where the kernel does not report it. */
void busy_look(struct busy *busy, int pid);
struct busy_sum busy_since(const struct busy *before, const struct busy *after);

#endif
