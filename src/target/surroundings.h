/* surroundings.h: where a process runs and with what settings: host, kernel, program,
 * what malloc was told, limits. Two courses can only be compared with this beside them.
 */
#ifndef FRAGSCOPE_SURROUNDINGS_H
#define FRAGSCOPE_SURROUNDINGS_H

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

/* Reads what can be had of PID; the rest is left out. Of its environment only variables
 * that allocators read are looked at; if a page of it or of its command line is not
 * resident it is left alone. May wait for ever where a file of the process does
 * (FUSE): for a child (base/apart.h). */
void surroundings_read(int pid, struct surroundings *surroundings);

/* The VALUE of NAME, or null. */
const char *surroundings_find(const struct surroundings *surroundings, const char *name);

#endif
