/* lent.h: the sampler's library as memory of a process that does not see its file, as in
 * another mount namespace: a memfd that a call there has made, which is filled and sealed
 * from outside, loaded by the name /proc/self/fd/N, and closed by a call. */
#ifndef FRAGSCOPE_LENT_H
#define FRAGSCOPE_LENT_H

#include "target/process.h"

#include <stdbool.h>
#include <sys/types.h>

struct lent {
	const struct process *process;
	int number; /* of the descriptor there; -1: there is none */
	ino_t inode;
};

/* The flags to make it with, by what this kernel knows. */
unsigned lent_flags(void);

/* Finds what a call has made in PROCESS, also one that nobody has closed since. False:
 * there is none. */
bool lent_find(struct lent *lent, const struct process *process);

/* Whether the descriptor is still what was found: the program may close any. LENT is a
 * struct lent. */
bool lent_is_there(void *lent);

/* Makes it the library that is open as LIBRARY, which nobody can change from then on. 0;
 * -EBUSY: it is something else, and cannot be changed; or -errno. */
int lent_fill(const struct lent *lent, int library);

/* Why nothing that is lent to PROCESS could be loaded, or be looked at once it is; null:
 * nothing is known against it. */
const char *lent_obstacle(const struct process *process);

#endif
