/* growths.h: growths of the heap and failed allocations of one course, by their stacks.
 */
#ifndef FRAGSCOPE_GROWTHS_H
#define FRAGSCOPE_GROWTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GROWTHS_STACKS = 4096 }; /* different ones; further ones count as no_room */

/* One event. Of failures BYTES is 1: they are counted. */
struct growth {
	int64_t time_ns;
	unsigned stack; /* an index of growths.stack */
	bool is_failure;
	uint64_t bytes;
};

/* A stack is "outermost;...;innermost". */
struct growths {
	size_t count, capacity;
	struct growth *growth; /* in the order of time */
	unsigned stack_count;
	char **stack;
	void *tree; /* of stacks, by their text */
};

/* Adds one, no earlier than the last one; GROWTHS is zero before the first. 0 or -ENOMEM.
 */
int growths_add(struct growths *growths, int64_t time_ns, const char *stack,
		bool is_failure, uint64_t bytes);

/* The index of STACK, or GROWTHS_STACKS when there is none. */
unsigned growths_find(const struct growths *growths, const char *stack);

void growths_release(struct growths *growths);

#endif
