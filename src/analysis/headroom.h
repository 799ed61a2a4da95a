/* headroom.h: how far a process is from each limit on its memory, which is the nearest,
 * and when it would be reached. Pure functions: nothing is read here. */
#ifndef FRAGSCOPE_HEADROOM_H
#define FRAGSCOPE_HEADROOM_H

#include "sample/bounds.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum headroom_kind {
	HEADROOM_ADDRESS_SPACE, /* RLIMIT_AS */
	HEADROOM_DATA,		/* RLIMIT_DATA */
	HEADROOM_STACK,		/* RLIMIT_STACK, of the first thread */
	HEADROOM_MAPPINGS,	/* vm.max_map_count */
	HEADROOM_COMMIT,	/* CommitLimit, where the host never overcommits */
	HEADROOM_CGROUP_MAX,	/* memory.max, or version 1's limit_in_bytes */
	HEADROOM_CGROUP_HIGH,	/* memory.high */
	HEADROOM_HOST,		/* MemAvailable and free swap */
	HEADROOM_KINDS
};

struct headroom_info {
	const char *name;    /* in JSON; released */
	const char *limit;   /* what people call the limit */
	const char *outcome; /* what happens beyond it */
	bool is_count;	     /* mappings, not bytes */
};

extern const struct headroom_info headroom_info[HEADROOM_KINDS];

/* One limit. IS_SET is false where there is no such limit, or where it or what is used of
 * it could not be had: then nothing else may be read. LEFT is 0 beyond the limit. */
struct headroom_row {
	bool is_set;
	uint64_t limit, used, left;
	double left_share; /* of LIMIT: 0 to 1 */
};

struct headroom {
	struct headroom_row row[HEADROOM_KINDS];
	int nearest; /* enum headroom_kind: the least left_share; -1: there is no limit */
	/* What the process can have resident at most: the host's memory, or less where
	 * its cgroups allow less. 0: not known. */
	uint64_t memory_bytes;
};

/* Fills HEADROOM from BOUNDS, and the number of mappings from FIG, which may be null or
 * have none. */
void headroom_of(const struct bounds *bounds, const struct figures *fig,
		 struct headroom *headroom);

/* When a limit is reached. */
enum headroom_when {
	HEADROOM_WHEN_UNKNOWN, /* no trend is known */
	HEADROOM_WHEN_NEVER,   /* not at this rate: what is used stays or falls */
	HEADROOM_WHEN_REACHED, /* nothing is left */
	HEADROOM_WHEN_IN,      /* in IN_S seconds; EARLIEST_S and LATEST_S bound it */
};

/* LATEST_S is INFINITY when the slowest rate that the readings allow is none. */
struct headroom_reach {
	enum headroom_when when;
	double in_s, earliest_s, latest_s;
};

/* A rate in units of ROW a second, with its bounds. IS_KNOWN: there were enough readings;
 * IS_RISING: the rise is no chance. */
struct headroom_rate {
	bool is_known, is_rising;
	double per_s, low_per_s, high_per_s;
};

void headroom_reach(const struct headroom_row *row, const struct headroom_rate *rate,
		    struct headroom_reach *reach);

#endif
