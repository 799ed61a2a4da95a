/* targets.h: lists of processes, and finding them by name. */
#ifndef FRAGSCOPE_TARGETS_H
#define FRAGSCOPE_TARGETS_H

#include "base/fault.h"

#include <stdbool.h>
#include <stddef.h>

struct name_list {
	char **name;
	size_t count;
};

struct pid_list {
	int *pid;
	size_t count;
};

/* Adds PID unless it is there. 0 or -ENOMEM. */
int pid_list_add(struct pid_list *list, int pid);

/* Adds a copy of the LENGTH bytes at NAME. 0 or -ENOMEM. */
int name_list_add(struct name_list *list, const char *name, size_t length);
void name_list_free(struct name_list *list);

/* Adds to LIST every process whose name in /proc (cut at 15 characters by the kernel) or
 * whose program file's name is NAME, this one left out. What has no program (kernel
 * threads, zombies) is no match. 0, or -errno and FAULT: none matches, no /proc. */
int targets_named(const char *name, struct pid_list *list, struct fault *fault);

/* Whether PID is one of those. */
bool targets_matches(int pid, const char *name);

/* The same for each of NAMES. */
int targets_all_named(const struct name_list *names, struct pid_list *list,
		      struct fault *fault);

#endif
