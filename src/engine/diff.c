#include "engine/diff.h"

#include "engine/diff_events.h"
#include "engine/stream.h"
#include "recording/recording.h"
#include "source/span.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What one stream is gathered for: two running processes, or one side of a recording,
 * whose PID is 0. */
struct gathering {
	struct diff_side *side[2];
	int pid[2];
	const struct stream_target *last; /* whose sample was the last one */
};

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

/* Of the life that SAMPLE is of: the last one before its time with its PID. Rows say
 * nothing of it. */
static int read_facts(const char *what, const struct sample *sample,
		      struct surroundings *surroundings, struct fault *fault)
{
	struct recording *recording;
	struct time_span span;
	int error = span_split(what, &span, fault);

	if (error || !recording_is_database(span.file))
		return error;
	error = recording_open(&recording, span.file, fault);
	if (error)
		return error;
	for (unsigned i = recording_lives(recording); i-- && !surroundings->count;) {
		const struct recorded_life *life = recording_life(recording, i);

		if (life->pid == sample->pid && life->first_ns <= sample->time_ns)
			recording_facts(recording, life->life, copy_fact, surroundings);
	}
	recording_close(recording);
	return 0;
}

static int add_sample(struct diff_side *side, const struct sample *sample,
		      struct fault *fault)
{
	int error;

	if (!side->count)
		snprintf(side->label + strlen(side->label),
			 sizeof(side->label) - strlen(side->label), " (%s, process %d)",
			 sample->comm, sample->pid);
	error = diff_add(side, sample);
	if (!error && side->wants_arenas)
		error = diff_add_arenas(side, sample);
	if (!error && side->wants_sizes)
		error = diff_add_sizes(side, sample);
	return error ? fault_set(fault, EXIT_FAILED, error, "out of memory") : 0;
}

/* The PID that WHAT is, unless there is a file of that name; or 0. */
static int pid_of(const char *what)
{
	char *end;
	long number = strtol(what, &end, 10);
	bool is_pid = isdigit((unsigned char)*what) && !*end && number > 0 &&
		      number <= INT_MAX && access(what, F_OK) != 0;

	return is_pid ? (int)number : 0;
}

static int take_sample(struct gathering *gathering, const char *what,
		       struct stream_target *target, struct fault *fault)
{
	int error = 0;

	for (unsigned i = 0; i < 2 && !error; i++) {
		struct diff_side *side = gathering->side[i];

		if (!side || (gathering->pid[i] && gathering->pid[i] != target->pid))
			continue;
		if (!side->count && what)
			error = read_facts(what, target->sample, &side->surroundings,
					   fault);
		else if (!side->count)
			source_surroundings(target->source, &side->surroundings, NULL);
		if (!error)
			error = add_sample(side, target->sample, fault);
	}
	return error;
}

/* Processes of one name that ran at the same time are no course either: one of them comes
 * back after another. */
static int check_turns(struct gathering *gathering, const struct stream *stream,
		       const char *what, const struct stream_target *target,
		       struct fault *fault)
{
	const struct stream_target *last = gathering->last;

	gathering->last = target;
	if (!last || last == target || target->readings <= 1)
		return 0;
	return contents_several(stream_contents(stream), what,
				"they ran at the same time; choose one with -p", fault);
}

static int read_stream(struct gathering *gathering, const char *what,
		       struct stream *stream, struct fault *fault)
{
	struct stream_target *target;
	int news, error = 0;

	do {
		news = stream_next(stream, &target, fault);
		if (news == STREAM_SAMPLE && what)
			error = check_turns(gathering, stream, what, target, fault);
		if (news == STREAM_SAMPLE && !error)
			error = take_sample(gathering, what, target, fault);
		else if (news == STREAM_ROUND)
			stream_wait(stream);
	} while (!error && news >= 0 && news != STREAM_OVER);
	return error ? error : news < 0 ? news : 0;
}

/* Restarts of one program are one course; several programs are none. */
static int check_one(const struct stream *stream, const char *what, struct fault *fault)
{
	const struct contents *contents = stream_contents(stream);
	const char *comm = NULL;

	for (size_t i = 0; i < contents->count; i++) {
		if (!contents->process[i].is_chosen)
			continue;
		if (comm && strcmp(comm, contents->process[i].comm) != 0)
			return contents_several(contents, what,
						"choose one with -p or -n", fault);
		comm = contents->process[i].comm;
	}
	return 0;
}

/* What the recording WHAT has besides samples. */
static int read_besides(struct diff_side *side, const char *what,
			const struct stream *stream, struct fault *fault)
{
	const struct contents *contents = stream_contents(stream);
	struct time_span span;
	int error = span_split(what, &span, fault);

	if (!error)
		error = diff_read_events(side, span.file, contents, fault);
	if (!error && side->wants_sizes && !side->sizes_looks)
		error = diff_read_sizes(side, span.file, contents, fault);
	return error;
}

/* WHAT is a recording, or null: running processes. */
static int gather(struct gathering *gathering, const char *what,
		  const struct stream_options *wanted, struct fault *fault)
{
	struct stream *stream;
	sigset_t before;
	int error = stream_open(&stream, wanted, fault);

	if (error)
		return error;
	if (what)
		error = check_one(stream, what, fault);
	if (!error) {
		pthread_sigmask(SIG_SETMASK, &wanted->frontend->reading, &before);
		error = read_stream(gathering, what, stream, fault);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (what && !error)
		error = read_besides(gathering->side[0], what, stream, fault);
	stream_close(stream);
	return error;
}

static int gather_file(struct diff_side *side, const char *what,
		       const struct diff_options *options, struct fault *fault)
{
	const struct stream_options wanted = {
		.frontend = options->frontend,
		.recording = what,
		.pids = options->pids,
		.names = options->names,
		.twice = true,
	};
	struct gathering gathering = {.side = {side, NULL}};

	snprintf(side->label, sizeof(side->label), "%s", what);
	return gather(&gathering, what, &wanted, fault);
}

static int gather_live(struct gathering *gathering, const struct diff_options *options,
		       struct fault *fault)
{
	int pids[2];
	struct stream_options wanted = {
		.frontend = options->frontend,
		.pids = {pids, 0},
		.interval_ns = options->interval_ns,
		.count = (uint64_t)(options->for_ns / options->interval_ns) + 1,
		.source = {.or_preload = true,
			   .threads = 1,
			   .go_on = true,
			   .arenas = options->arenas || options->sizes,
			   .sizes = options->sizes},
	};

	for (unsigned i = 0; i < 2; i++)
		if (gathering->side[i])
			pids[wanted.pids.count++] = gathering->pid[i];
	return gather(gathering, NULL, &wanted, fault);
}

int diff_gather(struct diff_side side[2], const struct diff_options *options,
		struct fault *fault)
{
	struct gathering live = {.side = {NULL, NULL}};
	int error = 0;

	for (unsigned i = 0; i < 2 && !error; i++) {
		side[i].wants_arenas = options->arenas;
		side[i].wants_sizes = options->sizes;
		live.pid[i] = pid_of(options->what[i]);
		if (live.pid[i]) {
			live.side[i] = &side[i];
			snprintf(side[i].label, sizeof(side[i].label), "process");
		} else {
			error = gather_file(&side[i], options->what[i], options, fault);
		}
	}
	if (!error && (live.pid[0] || live.pid[1]))
		error = gather_live(&live, options, fault);
	for (unsigned i = 0; i < 2 && !error; i++)
		if (!side[i].count)
			error = fault_set(fault, EXIT_NO_SOURCE, -ENODATA,
					  "'%s' has no readings to compare",
					  options->what[i]);
	return error;
}
