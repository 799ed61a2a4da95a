/* recording.h: reads a recording of days: its lives, what is known of each, and its
 * samples in the order of time, from any instant on. */
#ifndef FRAGSCOPE_RECORDING_READER_H
#define FRAGSCOPE_RECORDING_READER_H

#include "base/fault.h"
#include "sample/heap_map.h"
#include "sample/owners.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	RECORDING_READ = 0,
	RECORDING_END = 1, /* there is no further one */
};

/* One process that was recorded. Strings belong to the recording. */
struct recorded_life {
	int64_t life; /* its number in the file */
	const char *service;
	int pid;
	int64_t start_ns; /* 0: not known */
	int64_t first_ns, last_ns;
	const char *end; /* why it ended; null: that is not in the file */
};

struct recording;

/* Whether FILE begins as a database does, recording or not. */
bool recording_is_database(const char *file);

/* 0, or -errno and FAULT: it is not to be read, no recording, or of a later version. */
int recording_open(struct recording **reader, const char *file, struct fault *fault);
void recording_close(struct recording *reader);

unsigned recording_lives(const struct recording *reader);
const struct recorded_life *recording_life(const struct recording *reader, unsigned i);

/* When the last sample of all is, or the last of a life was seen. What a life says itself
 * may be some minutes old. 0, or -errno and FAULT. */
int recording_last(struct recording *reader, int64_t *last_ns, struct fault *fault);

/* What was known of LIFE under NAME at its end, or null. Valid until the next call. */
const char *recording_fact(struct recording *reader, int64_t life, const char *name);

/* Calls VISIT for each fact of LIFE, by name. 0, what VISIT returned, or -errno. */
int recording_facts(struct recording *reader, int64_t life,
		    int (*visit)(const char *name, const char *value, void *context),
		    void *context);

/* What happened to a life: a growth, a failure, an alert. JSON is a line as `trace` or
 * `alert` writes it; it comes from the file and may be anything. */
struct recorded_event {
	int64_t time_ns;
	const struct recorded_life *life;
	const char *kind;
	uint64_t bytes; /* 0: it has none */
	const char *json;
};

/* Calls VISIT for each event in [FROM_NS, TO_NS], or the latest MOST (0: all) of them,
 * oldest first; what it is given is valid until it returns. 0, what VISIT returned (not
 * 0: the last one), or -errno and FAULT. */
int recording_events(struct recording *reader, int64_t from_ns, int64_t to_ns,
		     unsigned most,
		     int (*visit)(const struct recorded_event *event, void *context),
		     void *context, struct fault *fault);

/* The next sample is the first at FROM_NS or later. At the beginning of a reader that is
 * the first of all. Minutes stand for seconds that were dropped, hours for minutes. 0 or
 * -errno and FAULT. */
int recording_seek(struct recording *reader, int64_t from_ns, struct fault *fault);

/* The next samples are the minutes (SECONDS 60) or hours (3600) that begin in [FROM_NS,
 * TO_NS), and behind them there is none. 0 or -errno and FAULT. */
int recording_seek_spans(struct recording *reader, unsigned seconds, int64_t from_ns,
			 int64_t to_ns, struct fault *fault);

/* RECORDING_READ: *SAMPLE, valid until the next call, and whose it is, in *LIFE, an index
 * of recording_life. RECORDING_END; or -errno and FAULT: the rest is damaged. */
int recording_next(struct recording *reader, const struct sample **sample, unsigned *life,
		   struct fault *fault);

/* What the figures of a life were in a span, of which the sample has the last. */
struct recorded_span {
	struct figures low, high;
	double mean[FIG_COUNT];
};

/* The one that the last sample stands for; null: that was one reading. */
const struct recorded_span *recording_span(const struct recording *reader);

/* How many rows of the file were read so far: what a question costs. */
uint64_t recording_rows(const struct recording *reader);

/* ---- what was looked at besides ---- */

enum { RECORDING_CELLS = 512 }; /* that a map in a recording has at most */

/* Each of these gives what was seen of LIFE at AT_NS, or last before: RECORDING_READ, and
 * its time_ns says when; RECORDING_END: there is nothing; or -errno and FAULT. They leave
 * it alone which sample is the next. */

/* The map of the arena that MAP names, which has room for RECORDING_CELLS; of chunks it
 * has none. Fingerprints are only for comparing with those of other recorded maps. */
int recording_map(struct recording *reader, int64_t life, int64_t at_ns,
		  struct heap_map *map, struct fault *fault);

/* The free chunks by their size: SAMPLE, valid until the next call, has a row for each
 * arena, with its bins and top_bytes and no other figures (see free_sizes_of). */
int recording_sizes(struct recording *reader, int64_t life, int64_t at_ns,
		    const struct sample **sample, struct fault *fault);

int recording_owners(struct recording *reader, int64_t life, int64_t at_ns,
		     struct owners *owners, struct fault *fault);

#endif
