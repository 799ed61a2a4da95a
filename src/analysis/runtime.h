/* runtime.h: programs and language runtimes that keep memory by themselves, known by what
 * they have mapped, and what tells more of that memory. A pure function. */
#ifndef FRAGSCOPE_RUNTIME_H
#define FRAGSCOPE_RUNTIME_H

#include "sample/mappings.h"

#include <stddef.h>

struct runtime {
	const char *name;      /* in JSON */
	enum smaps_kind kind;  /* of the mappings that it keeps its memory in */
	const char *memory;    /* what that memory is, for the end of a sentence */
	const char *remedy;    /* what bounds it, and what tells more of it */
	const char *by_malloc; /* what tells more of what it holds by malloc, or null */
	/* What has it trim, where its threads have code made at run time on their stacks
	 * at all times, so that none can be made to call; null where one can be. */
	const char *trims;
	/* What bounds its memory, and what tells more of it, where another allocator than
	 * glibc's is loaded; null: nothing. */
	const char *beside;
};

/* The runtime of the process of SMAPS, of whose anonymous memory ANON_BYTES are not
 * malloc's; null: none that is known to run. */
const struct runtime *runtime_of(const struct smaps *smaps, uint64_t anon_bytes);

/* WORDS of a runtime into TEXT, with the number of process PID for each PID. */
void runtime_say(const char *words, int pid, char *text, size_t size);

#endif
