/* contents.h: what a recording holds: its processes, how many readings of each, and the
 * interval at which they were taken. */
#ifndef FRAGSCOPE_CONTENTS_H
#define FRAGSCOPE_CONTENTS_H

#include "base/fault.h"
#include "sample/sample.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTENTS_GAPS = 64 };

/* One process. */
struct content {
	int pid;
	char comm[SAMPLE_TEXT]; /* in its last reading */
	uint64_t readings;
	unsigned arenas; /* of its largest reading */
	int64_t last_ns;
	bool is_chosen; /* contents_choose; else all are */
};

struct contents {
	struct content *process; /* in the order of their first readings */
	size_t count;
	uint64_t readings;
	bool is_tail; /* CSV without a header: see replay_is_tail */
	int64_t first_ns, last_ns;
	int64_t gap_ns[CONTENTS_GAPS]; /* between the first readings of a process */
	size_t gaps;
};

/* Whether FILE can be read twice, as contents_read needs it: no pipe, no terminal. */
bool contents_can_read(const char *file);

/* Reads FILE to its end, to a line that is wrong, or until STOP (or null) is set. What is
 * wrong behind a reading is for who reads it again. 0, or -errno and FAULT: it is no
 * recording, or there is no reading in it. CONTENTS is zero before; see contents_free. */
int contents_read(struct contents *contents, const char *file, const atomic_bool *stop,
		  struct fault *fault);
void contents_free(struct contents *contents);

/* Counts SAMPLE: of a file that is read as it comes. 0 or -ENOMEM. */
int contents_add(struct contents *contents, const struct sample *sample);

/* The process PID, or null. */
struct content *contents_find(const struct contents *contents, int pid);

/* Chooses the processes PIDS and those called one of NAMES, of which the kernel keeps 15
 * characters; without either, all of them. 0, or -errno and FAULT, which lists the
 * processes of FILE: one is not there. */
int contents_choose(struct contents *contents, const char *file, const int *pids,
		    size_t pid_count, char *const *names, size_t name_count,
		    struct fault *fault);

/* How many are chosen. */
size_t contents_chosen(const struct contents *contents);

/* Fills FAULT: FILE has several processes, and which; HOW says what to do. -EINVAL. */
int contents_several(const struct contents *contents, const char *file, const char *how,
		     struct fault *fault);

/* What the interval most likely was: the middle of the first times between two readings
 * of the same process, to a tenth of a second; a second where there are none. */
int64_t contents_interval_ns(const struct contents *contents);

#endif
