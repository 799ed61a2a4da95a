/* stacks.h: which stacks allocated what a program holds, in one of three formats: a table
 * for people, JSON, and folded stacks for a flame graph. */
#ifndef FRAGSCOPE_VIEW_STACKS_H
#define FRAGSCOPE_VIEW_STACKS_H

#include "analysis/estimate.h"

#include <stdbool.h>
#include <stdint.h>

enum stacks_format {
	STACKS_TEXT,
	STACKS_JSON,
	STACKS_FOLDED,
};

/* What one stack has allocated, and nobody has freed. */
struct stack_use {
	const char *stack; /* "outermost;...;innermost" */
	uint64_t samples;
	struct estimate blocks;
	struct estimate bytes; /* asked for */
	struct estimate pinned_bytes;
	int64_t oldest_ns; /* how long ago the oldest of the sample was allocated */
};

struct stack_uses {
	int pid;
	const char *comm;
	const char *allocator;	 /* the file that serves malloc */
	uint64_t mean_bytes;	 /* between two samples */
	uint64_t taken;		 /* samples since it began */
	uint64_t dropped;	 /* of these: there was no room for them */
	bool forked;		 /* what its parent had allocated is not in it */
	int64_t since_ns;	 /* how long ago the sample began */
	const char *no_blockers; /* null, or why nothing is known of pins */
	uint64_t pinned_bytes;	 /* of the heap: what all chunks pin */
	struct stack_use total;
	struct stack_use *use; /* in the order in which they are to be written */
	unsigned count;
};

/* Writes USES to FD: no more than TOP stacks as text, all in the other formats. BY_PINS:
 * folded stacks are weighted by what they pin, not by what they hold. 0 or -errno. */
int stacks_write(const struct stack_uses *uses, unsigned top, bool by_pins,
		 enum stacks_format format, int fd);

#endif
