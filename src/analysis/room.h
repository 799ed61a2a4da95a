/* room.h: how far a process is from each limit on its memory, which is the nearest, and
 * when it would be reached. Pure functions: nothing is read here. */
#ifndef FRAGSCOPE_ROOM_H
#define FRAGSCOPE_ROOM_H

#include "sample/bounds.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum room_kind {
	ROOM_ADDRESS_SPACE, /* RLIMIT_AS */
	ROOM_DATA,	    /* RLIMIT_DATA */
	ROOM_STACK,	    /* RLIMIT_STACK, of the first thread */
	ROOM_MAPPINGS,	    /* vm.max_map_count */
	ROOM_COMMIT,	    /* CommitLimit, where the host never overcommits */
	ROOM_CGROUP_MAX,    /* memory.max, or version 1's limit_in_bytes */
	ROOM_CGROUP_HIGH,   /* memory.high */
	ROOM_HOST,	    /* MemAvailable and free swap */
	ROOM_KINDS
};

struct room_info {
	const char *name;    /* in JSON; released */
	const char *limit;   /* what people call the limit */
	const char *outcome; /* what happens beyond it */
	bool is_count;	     /* mappings, not bytes */
};

extern const struct room_info room_info[ROOM_KINDS];

/* One limit. IS_SET is false where there is no such limit, or where it or what is used of
 * it could not be had: then nothing else may be read. LEFT is 0 beyond the limit. */
struct room_row {
	bool is_set;
	uint64_t limit, used, left;
	double left_share; /* of LIMIT: 0 to 1 */
};

struct room {
	struct room_row row[ROOM_KINDS];
	int nearest; /* enum room_kind: the least left_share; -1: there is no limit */
	/* What the process can have resident at most: the host's memory, or less where
	 * its cgroups allow less. 0: not known. */
	uint64_t memory_bytes;
};

/* Fills ROOM from BOUNDS, and the number of mappings from FIG, which may be null or have
 * none. */
void room_of(const struct bounds *bounds, const struct figures *fig, struct room *room);

/* When a limit is reached. */
enum room_when {
	ROOM_WHEN_UNKNOWN, /* no trend is known */
	ROOM_WHEN_NEVER,   /* not at this rate: what is used stays or falls */
	ROOM_WHEN_REACHED, /* nothing is left */
	ROOM_WHEN_IN,	   /* in IN_S seconds; EARLIEST_S and LATEST_S bound it */
};

/* LATEST_S is INFINITY when the slowest rate that the readings allow is none. */
struct room_reach {
	enum room_when when;
	double in_s, earliest_s, latest_s;
};

/* A rate in units of ROW a second, with its bounds. IS_KNOWN: there were enough readings;
 * IS_RISING: the rise is no chance. */
struct room_rate {
	bool is_known, is_rising;
	double per_s, low_per_s, high_per_s;
};

void room_reach(const struct room_row *row, const struct room_rate *rate,
		struct room_reach *reach);

#endif
