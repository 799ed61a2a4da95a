/* types.h: what the chunks of a path are, by debug information: from the type of the
 * variable where the path begins downwards, through the members that the pointers are. */
#ifndef FRAGSCOPE_TYPES_H
#define FRAGSCOPE_TYPES_H

#include "sample/owners.h"
#include "target/maps.h"

#include <stdatomic.h>

enum { TYPE_STEPS = 16 };

struct type_step {
	uint64_t offset; /* of the pointer, in what is before it */
	uint64_t bytes;	 /* that a chunk here has for the program's data, at least */
	char type[OWNER_TYPE];
};

/* Asked about: a variable, and steps from there. */
struct type_path {
	bool is_thread;	   /* a thread's variable */
	uint64_t variable; /* its address in the file; a thread's, its offset in the
			      file's block; a local one's, see CODE */
	/* Or 0: a local variable of the function that has this instruction in the file.
	 * VARIABLE is the place asked about, from the canonical frame address on, and the
	 * first step's offset, from where the variable begins, is filled in. */
	uint64_t code;
	unsigned steps;
	char type[OWNER_TYPE]; /* of the variable */
	struct type_step step[TYPE_STEPS];
};

/* Fills in the types of COUNT paths that begin in the file that MAPPING of PROCESS is of,
 * by its debug information or its debug file's, as far as they can be known; others stay
 * empty. The file is the process's to choose: a child reads it, within bounds, and BEATS
 * moves as long as that makes headway. 0 or -errno. */
int types_find(struct type_path *path, unsigned count, const struct process *process,
	       const struct mapping *mapping, atomic_ulong *beats);

#endif
