/* own_cpu.h: what this process itself takes of a processor. */
#ifndef FRAGSCOPE_OWN_CPU_H
#define FRAGSCOPE_OWN_CPU_H

#include <stdbool.h>
#include <stdint.h>

enum { OWN_CPU_MARKS = 10 /* one a second */ };

struct own_cpu {
	bool known;
	double share;	    /* of a core, over the time of the marks */
	int64_t excused_ns; /* when they were made; see feed_used_ns */
	struct own_cpu_mark {
		int64_t at_ns, used_ns;
	} mark[OWN_CPU_MARKS];
	unsigned next, count;
};

/* At NOW_NS, monotonic, USED_NS have been used besides the EXCUSED_NS. The share is over
 * the last ten marks or so, and is known from five seconds on. */
void own_cpu_mark(struct own_cpu *cpu, int64_t now_ns, int64_t used_ns,
		  int64_t excused_ns);

#endif
