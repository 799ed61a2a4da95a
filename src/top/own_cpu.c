#include "top/own_cpu.h"

#define LEAST_NS INT64_C(5000000000)

/* Where something was excused, the marks from before would say too much. */
void own_cpu_mark(struct own_cpu *cpu, int64_t now_ns, int64_t used_ns,
		  int64_t excused_ns)
{
	const struct own_cpu_mark *oldest;

	if (excused_ns != cpu->excused_ns)
		*cpu = (struct own_cpu){.excused_ns = excused_ns};
	oldest = &cpu->mark[cpu->count < OWN_CPU_MARKS ? 0 : cpu->next];
	if (cpu->count && now_ns - oldest->at_ns >= LEAST_NS) {
		cpu->known = true;
		cpu->share = (double)(used_ns - oldest->used_ns) /
			     (double)(now_ns - oldest->at_ns);
	}
	cpu->mark[cpu->next] = (struct own_cpu_mark){now_ns, used_ns};
	cpu->next = (cpu->next + 1) % OWN_CPU_MARKS;
	if (cpu->count < OWN_CPU_MARKS)
		cpu->count++;
}
