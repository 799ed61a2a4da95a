/* groups.h: the population summed up by what its processes belong to: the largest groups
 * one by one, the rest as one. */
#ifndef FRAGSCOPE_EXPORT_GROUPS_H
#define FRAGSCOPE_EXPORT_GROUPS_H

#include "analysis/rule.h"
#include "export/events.h"
#include "export/population.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The sums of one group. FIG has each figure's sum over the processes whose last reading
 * has it, but for resident memory and swap, which are the kernel's of the last look; a
 * ratio is one of sums, where every process that was read has what it is made of. */
struct group_sums {
	struct grouping group;
	char comm[PROCESS_COMM]; /* of one process of its own */
	int pid;		 /* 0 unless groups are processes */
	unsigned processes;
	unsigned in_state[MEMBER_STATES];
	unsigned with[FIG_COUNT]; /* processes whose reading has the figure */
	unsigned read;		  /* processes that have one */
	int64_t oldest_ns;	  /* when the oldest of these was, CLOCK_MONOTONIC */
	struct figures fig;
	bool has_events;
	struct event_counts events;
	unsigned alerts[RULES_MAX]; /* processes of which the rule's alert is on */
};

struct groups;

/* Room for TOP groups and the rest. With BY_PID each process is a group. 0 or -ENOMEM. */
int groups_new(struct groups **groups, size_t top, bool by_pid);
void groups_free(struct groups *groups);

/* Sums POPULATION up, which is locked. A group that was among the largest before stays
 * until another is a tenth larger: series shall not come and go. */
void groups_gather(struct groups *groups, struct population *population);

/* What was counted of each; population is locked still. */
void groups_take_events(struct groups *groups, const struct export_events *events);

/* How many there are to show, and how many the last of them, the rest, stands for. */
size_t groups_count(const struct groups *groups);
size_t groups_in_rest(const struct groups *groups);

const struct group_sums *groups_at(const struct groups *groups, size_t i);

#endif
