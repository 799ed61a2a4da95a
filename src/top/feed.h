/* feed.h: reads the targets of `top` in a thread of its own, and hands whole samples
 * over; as often as is asked for, or as what the whole process uses of a processor
 * allows.
 */
#ifndef FRAGSCOPE_TOP_FEED_H
#define FRAGSCOPE_TOP_FEED_H

#include "base/fault.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "source/source.h"
#include "target/bounds.h"
#include "target/huge.h"
#include "target/smaps.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FEED_TARGETS = 16,
	FEED_CELLS = 8192, /* of a heap map, at most */
	FEED_CHUNKS = 4096,
};

struct feed_options {
	struct source_options source;
	int64_t interval_ns;
	double share; /* of one core, that the whole process may take */
};

/* What one call of feed_take found. */
struct feed_news {
	bool fresh;	     /* a sample came; see feed_sample */
	bool over;	     /* no further one will: WHY says so */
	bool reading;	     /* one is under way */
	int64_t interval_ns; /* between the beginnings of two readings, as things are */
	struct fault why;
};

/* What is looked at besides the readings, of one target at a time. */
struct inspection_request {
	int target;    /* -1: nothing */
	bool map;      /* of ARENA, [FROM, TO) in CELLS cells; both 0: all of it */
	bool blockers; /* of all arenas */
	bool around;   /* the mappings */
	unsigned arena;
	uint64_t from, to;
	unsigned cells;
};

/* One look. What was not wished for, or could not be had, is not there. */
struct inspection_result {
	struct inspection_request request; /* that it answers */
	struct heap_map *map;
	bool has_map, has_blockers, has_smaps, has_huge;
	struct blockers blockers;
	struct smaps smaps;
	struct huge huge; /* the host's settings */
	struct fault why_no_map, why_no_blockers;
};

struct feed;

/* A feed without targets, its thread at rest. 0, or -errno and FAULT. */
int feed_new(struct feed **feed, const struct feed_options *options, struct fault *fault);

/* Ends the thread, after a reading that is under way, and frees all. */
void feed_free(struct feed *feed);

/* Whether feed_free would wait for nothing. */
bool feed_idle(struct feed *feed);

/* Attaches to PID and reads it from now on. The index of the target, or -errno and FAULT:
 * where all places are taken, that of one that has ended. Takes the memory that its
 * readings need. */
int feed_attach(struct feed *feed, int pid, struct fault *fault);

/* What became of TARGET since the last call. Holds the feed's lock for the swap of two
 * pointers: never waits for a reading. */
void feed_take(struct feed *feed, int target, struct feed_news *news);

/* The sample that feed_take last found, until the next call of it; null: none yet. */
const struct sample *feed_sample(const struct feed *feed, int target);

/* The bounds of TARGET, read right after that sample. */
const struct bounds *feed_bounds(const struct feed *feed, int target);

/* The header line of TARGET: see source_describe. */
const char *feed_describe(const struct feed *feed, int target);

/* How many rows of arenas a sample of TARGET can have. */
unsigned feed_arenas(const struct feed *feed, int target);

/* Wishes for looks: one at once, for which half a minute's worth may be overdrawn, and
 * one after each reading of that target. */
void feed_inspect(struct feed *feed, const struct inspection_request *request);

bool inspection_same(const struct inspection_request *a,
		     const struct inspection_request *b);

/* The latest look, and the one before it where both answer the same wish; null: there is
 * none. Valid until the next call. True: it is another one than at the last call. */
bool feed_inspections(struct feed *feed, const struct inspection_result **inspected,
		      const struct inspection_result **before);

/* Readable when there is something to take. A taker calls feed_heard and then takes from
 * all targets: what comes meanwhile makes it readable again. */
int feed_fd(const struct feed *feed);

/* Polls as readable once TARGET has exited; -1 when that has been told. A taker that sees
 * it calls feed_wake, so that the end is not told a whole interval late. */
int feed_exit_fd(struct feed *feed, int target);
void feed_wake(struct feed *feed, int target);
void feed_heard(struct feed *feed);

/* CPU_NS went into attaching to a process, which is done once: no reading is put off for
 * it. */
void feed_excuse(struct feed *feed, int64_t cpu_ns);

/* All that was excused; and what this process has used of processors besides. */
int64_t feed_used_ns(struct feed *feed, int64_t *excused_ns);

#endif
