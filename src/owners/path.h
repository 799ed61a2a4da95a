/* path.h: the way from a root to a group of chunks, for people: what the root is called,
 * and step by step how the chunks are reached and what they are. */
#ifndef FRAGSCOPE_PATH_H
#define FRAGSCOPE_PATH_H

#include "owners/reach.h"

#include <stdatomic.h>

/* Fills OWNER's root and its steps from there to GROUP. */
void path_fill(const struct reach *reach, uint32_t group, struct owner *owner);

/* Fills the types of the paths of COUNT owners, OWNERS_MAX at most: OWNER[i] is
 * GROUP[i]'s. What no debug information says stays empty. BEATS: see globals.h. 0 or
 * -ENOMEM. */
int path_types(const struct reach *reach, const uint32_t *group,
	       struct owner *const *owner, unsigned count, const struct process *process,
	       atomic_ulong *beats);

#endif
