/* stream.h: the next sample and its process: of running processes at an interval, or of a
 * recording, by the same calls. */
#ifndef FRAGSCOPE_STREAM_H
#define FRAGSCOPE_STREAM_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "engine/targets.h"
#include "source/contents.h"
#include "source/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_options {
	const struct frontend *frontend;
	const char *recording; /* a file, "-": standard input; null: the processes */
	struct pid_list pids;  /* of a recording: without either all of its processes */
	struct name_list names;
	bool follow; /* wait for processes of NAMES, and for others in their place */
	bool twice;  /* a recording that can be read only once is refused */
	int64_t interval_ns;	      /* 0: back to back */
	uint64_t count;		      /* of readings; 0: until all have ended */
	struct source_options source; /* of running processes */
};

/* One process, or the place for one. */
struct stream_target {
	const char *name;      /* what it was found by; null: a PID */
	int pid;	       /* 0: there was none yet */
	struct source *source; /* null: there is none now, or it is recorded */
	struct sample *sample; /* the last one; a recorded one until the next of any */
	uint64_t readings;     /* since it was opened */
	uint64_t left;	       /* of a recording: samples that are still to come */
	void *state;	       /* whatever who reads the stream keeps of it */
};

enum stream_news {
	STREAM_SAMPLE,	   /* the target's sample is new */
	STREAM_UNREADABLE, /* the same, but it says that nothing could be read; so does
			      FAULT */
	STREAM_ENDED,	   /* no more of the target: FAULT says why, or is "" */
	STREAM_FAILED,	   /* the same, because of an error */
	STREAM_ROUND,	   /* all were read: wait until stream_due_ns */
	STREAM_OVER,	   /* no more of any */
};

struct stream;

/* Opens the targets and takes the memory that they need; or looks through the recording,
 * if that can be read twice. Names and lists stay the caller's. A process found by name
 * may end before it is opened; that is an error only when no other is left. 0 and
 * *STREAM, or -errno and FAULT. */
int stream_open(struct stream **stream, const struct stream_options *options,
		struct fault *fault);
void stream_close(struct stream *stream);

/* What comes next, one of enum stream_news, and of which target; or -errno and FAULT:
 * what is wrong in a recording, after all samples before it. Never waits for the
 * interval. Once an end is asked for: STREAM_OVER. */
int stream_next(struct stream *stream, struct stream_target **target,
		struct fault *fault);

/* When the next round is due, on the monotonic clock: instants that a long reading has
 * let pass are left out, not made up for. */
int64_t stream_due_ns(const struct stream *stream);

/* Waits for that, or for a signal that asks for an end. */
void stream_wait(const struct stream *stream);

/* The targets. There may be more later only of a recording that is read once. */
size_t stream_targets(const struct stream *stream);
struct stream_target *stream_target(const struct stream *stream, size_t index);

bool stream_is_recorded(const struct stream *stream);

/* Whether samples of several processes may come. */
bool stream_is_several(const struct stream *stream);

/* From one sample of a process to its next. */
int64_t stream_interval_ns(const struct stream *stream);

/* What the recording holds, as far as it was read. */
const struct contents *stream_contents(const struct stream *stream);

/* The header line of TARGET, or of the recording. */
const char *stream_describe(const struct stream *stream,
			    const struct stream_target *target);

#endif
