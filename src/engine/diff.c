#include "engine/diff.h"

#include "engine/stream.h"
#include "recording/recording.h"
#include "source/replay.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_NAME = 256 };

static const int64_t second_ns = 1000000000;

/* ---- spans ---- */

/* What FORMAT reads of TEXT over TIME, all of it. */
static bool reads(const char *text, const char *format, struct tm *time)
{
	const char *end = strptime(text, format, time);

	return end && !*end;
}

/* An instant, with a day or on that of NEAR_NS. */
static bool instant(const char *text, int64_t near_ns, int64_t *ns)
{
	static const char *const format[] = {"%Y-%m-%dT%H:%M:%S",
					     "%Y-%m-%dT%H:%M",
					     "%Y-%m-%d %H:%M:%S",
					     "%Y-%m-%d %H:%M",
					     "%Y-%m-%d",
					     "%H:%M:%S",
					     "%H:%M"};
	time_t near_s = near_ns / second_ns;
	struct tm day;

	if (!localtime_r(&near_s, &day))
		return false;
	day.tm_hour = day.tm_min = day.tm_sec = 0;
	for (size_t i = 0; i < sizeof(format) / sizeof(*format); i++) {
		struct tm time = day;

		if (!reads(text, format[i], &time))
			continue;
		time.tm_isdst = -1;
		*ns = (int64_t)mktime(&time) * second_ns;
		return true;
	}
	return false;
}

int diff_span(const char *text, int64_t near_ns, int64_t *from_ns, int64_t *to_ns)
{
	const char *dots = strstr(text, ".."), *end = dots ? dots + 2 : NULL;
	char from[64];
	size_t length;

	if (!dots) {
		dots = strchr(text, '-');
		end = dots ? dots + 1 : NULL;
	}
	length = dots ? (size_t)(dots - text) : sizeof(from);
	if (length >= sizeof(from))
		return -EINVAL;
	memcpy(from, text, length);
	from[length] = '\0';
	*from_ns = INT64_MIN;
	*to_ns = INT64_MAX;
	if (*from && !instant(from, near_ns, from_ns))
		return -EINVAL;
	if (*end && !instant(end, near_ns, to_ns))
		return -EINVAL;
	return *from || *end ? 0 : -EINVAL;
}

/* ---- recordings ---- */

/* One side of a recording: the file's name without its span. */
struct diff_part {
	char file[FILE_NAME];
	const char *span; /* null: all of it */
	bool has_span;	  /* FROM_NS and TO_NS are set */
	int64_t from_ns, to_ns;
};

static int split(const char *what, struct diff_part *part, struct fault *fault)
{
	const char *at = access(what, F_OK) == 0 ? NULL : strrchr(what, '@');
	size_t length = at ? (size_t)(at - what) : strlen(what);

	*part = (struct diff_part){
		.span = at ? at + 1 : NULL, .from_ns = INT64_MIN, .to_ns = INT64_MAX};
	if (length >= FILE_NAME)
		return fault_set(fault, EXIT_FAILED, -ENAMETOOLONG,
				 "cannot read recording '%s': the name is too long",
				 what);
	memcpy(part->file, what, length);
	return 0;
}

static int no_span(const struct diff_part *part, struct fault *fault)
{
	return fault_set(fault, EXIT_USAGE, -EINVAL,
			 "'%s' is no span of time: write 10:00-11:00, or "
			 "2026-11-29T10:00..2026-11-30T02:00",
			 part->span);
}

static bool is_wanted(const struct diff_options *options, const struct sample *sample)
{
	if (!options->pids.count && !options->names.count)
		return true;
	for (size_t i = 0; i < options->pids.count; i++)
		if (options->pids.pid[i] == sample->pid)
			return true;
	for (size_t i = 0; i < options->names.count; i++)
		if (!strncmp(options->names.name[i], sample->comm, 15))
			return true;
	return false;
}

static int copy_fact(const char *name, const char *value, void *context)
{
	struct surroundings *surroundings = context;
	struct surroundings_fact *fact = &surroundings->fact[surroundings->count];

	if (surroundings->count == SURROUNDINGS_FACTS)
		return 1;
	snprintf(fact->name, sizeof(fact->name), "%s", name);
	snprintf(fact->value, sizeof(fact->value), "%s", value);
	surroundings->count++;
	return 0;
}

/* Of the life that SAMPLE is of: the last one before its time with its PID. */
static void read_facts(struct recording *recording, const struct sample *sample,
		       struct surroundings *surroundings)
{
	for (unsigned i = recording_lives(recording); i-- && !surroundings->count;) {
		const struct recorded_life *life = recording_life(recording, i);

		if (life->pid == sample->pid && life->first_ns <= sample->time_ns)
			recording_facts(recording, life->life, copy_fact, surroundings);
	}
}

/* A day cannot be told before the first sample is known. */
static int place_span(struct diff_part *part, struct replay *replay,
		      const struct sample *sample, bool *again, struct fault *fault)
{
	struct recording *recording = replay_recording(replay);

	*again = false;
	if (!part->span || part->has_span)
		return 0;
	if (diff_span(part->span, sample->time_ns, &part->from_ns, &part->to_ns))
		return no_span(part, fault);
	part->has_span = true;
	*again = recording != NULL;
	return recording ? recording_seek(recording, part->from_ns, fault) : 0;
}

static int add_sample(struct diff_side *side, const struct sample *sample,
		      struct fault *fault)
{
	if (!side->count && !strchr(side->label, ' '))
		snprintf(side->label + strlen(side->label),
			 sizeof(side->label) - strlen(side->label), " (%s, process %d)",
			 sample->comm, sample->pid);
	if (diff_add(side, sample))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	return 0;
}

static int read_part(struct diff_side *side, struct diff_part *part,
		     const struct diff_options *options, struct replay *replay,
		     struct fault *fault)
{
	struct recording *recording = replay_recording(replay);
	const struct sample *sample;
	bool again;
	int result;

	while ((result = replay_next(replay, &sample, fault)) == SOURCE_READ) {
		int error = place_span(part, replay, sample, &again, fault);

		if (error)
			return error;
		if (again || sample->time_ns < part->from_ns ||
		    !is_wanted(options, sample))
			continue;
		if (sample->time_ns >= part->to_ns)
			return 0;
		if (!side->count && recording)
			read_facts(recording, sample, &side->surroundings);
		error = add_sample(side, sample, fault);
		if (error)
			return error;
	}
	return result == SOURCE_ENDED ? 0 : result;
}

static int gather_file(struct diff_side *side, const char *what,
		       const struct diff_options *options, struct fault *fault)
{
	struct replay *replay = NULL;
	struct diff_part part;
	int error = split(what, &part, fault);

	if (!error)
		error = replay_open(&replay, part.file, fault);
	if (error)
		return error;
	snprintf(side->label, sizeof(side->label), "%s", what);
	error = read_part(side, &part, options, replay, fault);
	replay_close(replay);
	return error;
}

/* ---- running processes ---- */

static bool is_pid(const char *what, int *pid)
{
	char *end;
	long number = strtol(what, &end, 10);

	*pid = (int)number;
	return isdigit((unsigned char)*what) && !*end && number > 0 &&
	       number <= INT_MAX && access(what, F_OK) != 0;
}

struct live {
	struct diff_side *side[2];
	int pid[2];
	int pids[2];
	size_t count;
};

static int take_live(struct live *live, struct stream_target *target, struct fault *fault)
{
	for (unsigned i = 0; i < 2; i++) {
		struct diff_side *side = live->side[i];
		int error;

		if (live->pid[i] != target->pid)
			continue;
		if (!side->count)
			source_surroundings(target->source, &side->surroundings, NULL);
		error = add_sample(side, target->sample, fault);
		if (error)
			return error;
	}
	return 0;
}

static int watch_live(struct live *live, struct stream *stream, struct fault *fault)
{
	struct stream_target *target;
	int news, error = 0;

	do {
		news = stream_next(stream, &target, fault);
		if (news == STREAM_SAMPLE)
			error = take_live(live, target, fault);
		else if (news == STREAM_ROUND)
			stream_wait(stream);
	} while (!error && news >= 0 && news != STREAM_OVER);
	return error ? error : news < 0 ? news : 0;
}

static int gather_live(struct live *live, const struct diff_options *options,
		       struct fault *fault)
{
	struct stream_options wanted = {
		.frontend = options->frontend,
		.pids = {live->pids, live->count},
		.interval_ns = options->interval_ns,
		.count = (uint64_t)(options->for_ns / options->interval_ns) + 1,
		.source = {.or_preload = true, .threads = 1, .go_on = true},
	};
	struct stream *stream;
	sigset_t before;
	int error = stream_open(&stream, &wanted, fault);

	if (error)
		return error;
	pthread_sigmask(SIG_SETMASK, &options->frontend->reading, &before);
	error = watch_live(live, stream, fault);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stream_close(stream);
	return error;
}

int diff_gather(struct diff_side side[2], const struct diff_options *options,
		struct fault *fault)
{
	struct live live = {.side = {&side[0], &side[1]}};
	int error = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (!is_pid(options->what[i], &live.pid[i])) {
			live.pid[i] = 0;
			continue;
		}
		live.pids[live.count++] = live.pid[i];
		snprintf(side[i].label, sizeof(side[i].label), "process");
	}
	for (unsigned i = 0; i < 2 && !error; i++)
		if (!live.pid[i])
			error = gather_file(&side[i], options->what[i], options, fault);
	if (!error && live.count)
		error = gather_live(&live, options, fault);
	for (unsigned i = 0; i < 2 && !error; i++)
		if (!side[i].count)
			error = fault_set(fault, EXIT_NO_SOURCE, -ENODATA,
					  "'%s' has no readings to compare",
					  options->what[i]);
	return error;
}
