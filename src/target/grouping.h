/* grouping.h: what a process belongs to, as its cgroups name it: a container, a pod or a
 * systemd unit. */
#ifndef FRAGSCOPE_GROUPING_H
#define FRAGSCOPE_GROUPING_H

enum group_kind {
	GROUP_NAME, /* none of them: by the process's name */
	GROUP_UNIT,
	GROUP_POD,
	GROUP_CONTAINER,
	GROUP_OTHER, /* all that have no group of their own */
};

enum { GROUP_TEXT = 136, POD_TEXT = 40 };

/* NAME is a unit's name ("nginx.service"; "user@1000.service/app.service" of a user's
 * own), a container's id or a pod's UID. Names come from whoever makes cgroups. */
struct grouping {
	enum group_kind kind;
	char name[GROUP_TEXT]; /* empty of GROUP_NAME */
	char pod[POD_TEXT];    /* the UID of the pod around a container, or empty */
};

/* What the TEXT of a /proc/PID/cgroup says, which is changed: of both versions, as
 * systemd, Docker, containerd, CRI-O and podman name their cgroups. The outermost
 * container counts, and the outermost unit: what is inside is theirs to name. */
void grouping_parse(char *text, struct grouping *group);

/* The same for PID. What cannot be read is GROUP_NAME. */
void grouping_read(int pid, struct grouping *group);

/* "name", "unit", "pod", "container", "other". */
const char *group_kind_name(enum group_kind kind);

#endif
