/* days.h: a recording of days, for who looks at any instant of it, at any resolution:
 * what is read is what is shown, not the file. */
#ifndef FRAGSCOPE_DAYS_H
#define FRAGSCOPE_DAYS_H

#include "base/fault.h"
#include "engine/targets.h"
#include "sample/heap_map.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	DAYS_END = 1,
	DAYS_CELLS = 512,   /* of a map */
	DAYS_POINTS = 2400, /* that days_load gives of one process, at most about */
};

/* What comes of process TARGET: a reading; or the last values of a span, with what each
 * figure was in it at least, at most and on average. */
struct days_sample {
	unsigned target;
	const struct sample *sample;
	const struct figures *low, *high; /* null: a reading */
	const double *mean;
};

/* One event: the line is "brk 132K" or what an alert says, the detail its stack, a
 * function a line; both are plain text from the file. */
struct days_event {
	unsigned target;
	int64_t time_ns;
	const char *kind; /* as in the file: see docs/RECORDINGS.md */
	uint64_t bytes;
	const char *line, *detail;
};

struct days;

/* Whether WHAT, a file or a span of one, is such a recording. */
bool days_can_open(const char *what);

/* Opens WHAT for the processes PIDS and NAMES, or all, MOST at most. It stands at the
 * beginning. 0, or -errno and FAULT. */
int days_open(struct days **days, const char *what, const struct pid_list *pids,
	      const struct name_list *names, unsigned most, struct fault *fault);
void days_close(struct days *days);

unsigned days_targets(const struct days *days);
int days_pid(const struct days *days, unsigned target);
const char *days_name(const struct days *days, unsigned target);
int64_t days_end_ns(const struct days *days, unsigned target);

/* The most arenas of a reading at the end of the recording. */
unsigned days_arenas(const struct days *days);

/* From one reading of a process to its next, at the end of the recording. */
int64_t days_interval_ns(const struct days *days);

/* Whether there are events in it. */
bool days_has_events(struct days *days);

/* When the recording, or the span, begins and ends. */
int64_t days_first_ns(const struct days *days);
int64_t days_last_ns(const struct days *days);

/* The next one is the first at FROM_NS or later. 0, or -errno and FAULT. */
int days_seek(struct days *days, int64_t from_ns, struct fault *fault);

/* 0 and what comes next, valid until the next call; DAYS_END; or -errno and FAULT. */
int days_next(struct days *days, struct days_sample *next, struct fault *fault);

typedef int days_sample_fn(const struct days_sample *sample, void *context);
typedef int days_event_fn(const struct days_event *event, void *context);

/* Gives what there is in [FROM_NS, TO_NS] to TAKE, oldest first: seconds, minutes or
 * hours, as they suit so long a span; what follows the last whole one in finer ones. What
 * days_next gives is the first behind TO_NS then. 0, what TAKE returned, or -errno and
 * FAULT. */
int days_load(struct days *days, int64_t from_ns, int64_t to_ns, days_sample_fn *take,
	      void *context, struct fault *fault);

/* The same of the latest MOST events there. It leaves days_next alone. */
int days_events(struct days *days, int64_t from_ns, int64_t to_ns, unsigned most,
		days_event_fn *take, void *context, struct fault *fault);

/* The map of the arena that MAP names, of TARGET as it was last looked at up to AT_NS;
 * MAP has room for DAYS_CELLS. 0, DAYS_END: there was none; or -errno and FAULT. */
int days_map(struct days *days, unsigned target, int64_t at_ns, struct heap_map *map,
	     struct fault *fault);

/* How many rows of the file were read so far. */
uint64_t days_rows(const struct days *days);

#endif
