/* surroundings.h: where a process runs and with what settings: host, kernel, program,
 * what malloc was told, limits. Two courses can only be compared with this beside them.
 */
#ifndef FRAGSCOPE_SAMPLE_SURROUNDINGS_H
#define FRAGSCOPE_SAMPLE_SURROUNDINGS_H

#include <string.h>

enum {
	SURROUNDINGS_FACTS = 48,
	SURROUNDINGS_NAME = 48,
	SURROUNDINGS_VALUE = 512,
};

struct surroundings_fact {
	char name[SURROUNDINGS_NAME];
	char value[SURROUNDINGS_VALUE]; /* as it was found: not for a terminal */
};

struct surroundings {
	unsigned count;
	struct surroundings_fact fact[SURROUNDINGS_FACTS];
};

/* The value of NAME, or null. */
static inline const char *surroundings_find(const struct surroundings *surroundings,
					    const char *name)
{
	for (unsigned i = 0; i < surroundings->count; i++)
		if (!strcmp(surroundings->fact[i].name, name))
			return surroundings->fact[i].value;
	return NULL;
}

#endif
