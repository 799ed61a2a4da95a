/* fold.h: events gathered by their stacks: how often each made the heap grow, by how
 * much, and how often it got nothing. */
#ifndef FRAGSCOPE_FOLD_H
#define FRAGSCOPE_FOLD_H

#include "sample/event.h"

#include <stdint.h>

/* To be read with every table of stacks. */
extern const char fold_caveat[];

struct fold;

/* Takes all memory that is ever needed, for MAX_STACKS different ones, 1 at least: some
 * 1.1 KB each. 0 or -ENOMEM. */
int fold_new(struct fold **fold, unsigned max_stacks);
void fold_free(struct fold *fold);

/* Counts EVENT by its stack; only growths and failures count. 0, or -ENOSPC when there is
 * no room for another stack: then it counts in the row "[no room]". */
int fold_add(struct fold *fold, const struct event *event);

/* The number of EVENT's stack, below fold_numbers; it counts nothing. What finds no room
 * has the last number. */
unsigned fold_number(struct fold *fold, const struct event *event);
unsigned fold_numbers(const struct fold *fold);

/* "outermost;...;innermost", or null: no stack has this number. FOLD's. */
const char *fold_stack(const struct fold *fold, unsigned number);

/* To be called after the last event. GROWTHS, their BYTES and the FAILURES are all that
 * were seen: what was not added goes to the row "[no stack: limited]", so that the sums
 * are exact. */
void fold_add_unseen(struct fold *fold, uint64_t growths, uint64_t bytes,
		     uint64_t failures);

/* One stack, and what it brought about. The string is FOLD's. */
struct fold_row {
	const char *stack;
	uint64_t bytes, growths, failures;
};

/* The MAX rows that come first in the table below; how many. */
unsigned fold_best(struct fold *fold, struct fold_row *out, unsigned max);

/* Writes a table for people to FD: the rows by bytes grown, then by failures, and their
 * sums. Each stack is "outermost;...;innermost". 0 or -errno of the write. */
int fold_table(struct fold *fold, int fd);

/* Writes "outermost;...;innermost BYTES" lines, as flame graph tools read them, of all
 * stacks that made the heap grow. 0 or -errno of the write. */
int fold_folded(struct fold *fold, int fd);

#endif
