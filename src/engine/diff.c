#include "engine/diff.h"

#include "engine/stream.h"
#include "recording/recording.h"
#include "source/replay.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- recordings ---- */

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

static int gather_file(struct diff_side *side, const char *what,
		       const struct diff_options *options, struct fault *fault)
{
	struct replay *replay = NULL;
	const struct sample *sample;
	int result = replay_open(&replay, what, fault), error = 0;

	if (result)
		return result;
	snprintf(side->label, sizeof(side->label), "%s", what);
	while (!error && !(result = replay_next(replay, &sample, fault))) {
		if (!is_wanted(options, sample))
			continue;
		if (!side->count && replay_recording(replay))
			read_facts(replay_recording(replay), sample, &side->surroundings);
		error = add_sample(side, sample, fault);
	}
	replay_close(replay);
	return error ? error : result == SOURCE_ENDED ? 0 : result;
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
