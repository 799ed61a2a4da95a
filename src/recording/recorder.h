/* recorder.h: writes a recording of days: one SQLite file that holds the samples of many
 * processes second by second, their minutes and hours, events, and where all that was
 * seen. Takes its memory at the start. One thread may use it. */
#ifndef FRAGSCOPE_RECORDER_H
#define FRAGSCOPE_RECORDER_H

#include "base/fault.h"
#include "sample/heap_map.h"
#include "sample/owners.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

struct recorder_options {
	const char *file;
	bool append;	    /* go on with FILE if there is one */
	unsigned lives;	    /* processes at one time, at most */
	unsigned arenas;    /* of one of them, at most */
	bool looks;	    /* maps, sizes and owners are recorded, too */
	int64_t keep_ns;    /* of samples older than this only tiers stay; 0: all stay */
	uint64_t max_bytes; /* the oldest samples go when FILE is larger; 0: none do */
};

/* One process under recording, as it is known from its beginning. */
struct recorder_life {
	const char *service; /* what goes on through restarts: the name of the program */
	int pid;
	int64_t start_ns; /* CLOCK_REALTIME; 0: not known */
	int64_t time_ns;  /* now */
};

struct recorder;

/* Makes FILE, or goes on with it. 0, or -errno and FAULT: -EEXIST when it is there and
 * APPEND is not asked for. */
int recorder_open(struct recorder **recorder, const struct recorder_options *options,
		  struct fault *fault);

/* Ends what is open and gives all memory back. What was committed is in the file. */
void recorder_close(struct recorder *recorder);

/* If the name no longer leads to the file that is open, as after a rotation: closes that
 * and opens the name anew; the lives go on there. 0, or -errno and FAULT: what is written
 * next tries again. */
int recorder_reopen(struct recorder *recorder, struct fault *fault);

/* A process begins: *LIFE is its place, below options.lives, until it ends. The memory
 * for it is taken here, and stays for the process that has the place next. 0, or -errno
 * and FAULT; -ENOSPC: no place, or no space on the disk. */
int recorder_begin(struct recorder *recorder, const struct recorder_life *as,
		   unsigned *life, struct fault *fault);

/* Something about the surroundings of LIFE that is true from TIME_NS on. */
int recorder_fact(struct recorder *recorder, unsigned life, int64_t time_ns,
		  const char *name, const char *value, struct fault *fault);

/* The process ended, or is recorded no longer: WHY, for people. Its place is free then,
 * also when that could not be written. */
int recorder_end(struct recorder *recorder, unsigned life, int64_t time_ns,
		 const char *why, struct fault *fault);

/* One sample of LIFE. Where it is not later than the one before, the clock was set back:
 * in the file the process is another life from there on. */
int recorder_sample(struct recorder *recorder, unsigned life, const struct sample *sample,
		    struct fault *fault);

/* One event, as a line of JSON; BYTES 0: it has none. */
int recorder_event(struct recorder *recorder, unsigned life, int64_t time_ns,
		   const char *kind, uint64_t bytes, const char *json,
		   struct fault *fault);

/* What was seen of LIFE besides: the map of one arena; the free chunks of the arenas
 * whose rows have bins, by their size; who holds chunks. Only with options.looks. */
int recorder_map(struct recorder *recorder, unsigned life, const struct heap_map *map,
		 struct fault *fault);
int recorder_sizes(struct recorder *recorder, unsigned life, const struct sample *sample,
		   struct fault *fault);
int recorder_owners(struct recorder *recorder, unsigned life, const struct owners *owners,
		    struct fault *fault);

/* OWNERS' owner NUMBER, from 0 on, once more, for who asks the file, with PATH for
 * people. */
int recorder_owner(struct recorder *recorder, unsigned life, const struct owners *owners,
		   unsigned number, const char *path, struct fault *fault);

/* Everything since the last commit is in the file when this returns 0: kill -9 does not
 * take it away, a loss of power may take the last seconds. Where any of these functions
 * fails, nothing since the last commit is in the file; what follows is tried anew. */
int recorder_commit(struct recorder *recorder, int64_t now_ns, struct fault *fault);

#endif
