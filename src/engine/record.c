#include "engine/record.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/units.h"
#include "engine/record_extra.h"
#include "engine/record_looks.h"
#include "recording/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	ARENAS = 128, /* of one process, at least */
	LIVES = 64,   /* at one time, where more may come */
};

/* After a write that failed, until the next is tried. */
#define RETRY_NS INT64_C(10000000000)

/* The probes hold so much that they must be asked from time to time. */
#define POLL_NS INT64_C(250000000)

struct record_session;

/* What is kept of a target: its life in the file, once it has one. IS_TOLD: its
 * surroundings are in the file; IS_CUT: the user knows that not all arenas are. */
struct place {
	bool has_life, is_told, is_cut;
	unsigned life;
	struct record_session *session;
	char comm[SAMPLE_TEXT]; /* of the program that the surroundings are of */
	struct record_looks_state looks;
	struct record_extra *extra; /* null: neither alerts nor events are asked for */
	struct surroundings surroundings;
};

struct record_session {
	const struct record_options *options;
	const struct frontend *frontend;
	struct stream *stream;
	struct recorder *recorder;
	struct record_looks *looks; /* null: none are asked for */
	unsigned arenas;
	int64_t retry_ns; /* on the monotonic clock; 0: the file is written to */
	uint64_t lost;	  /* samples, since then */
	uint64_t pending; /* samples, since the last commit */
	int status;
};

/* ---- a file that cannot be written ---- */

/* What was written last may not be in the file, or it is another file. */
static void tell_anew(struct record_session *session)
{
	for (size_t i = 0; i < stream_targets(session->stream); i++) {
		struct place *place = stream_target(session->stream, i)->state;

		if (place)
			place->is_told = false;
	}
}

/* A full disk must not end a recording of days: it goes on when there is room. */
static void stop_writing(struct record_session *session, const struct fault *fault)
{
	if (!session->retry_ns)
		frontend_message(session->frontend,
				 "%s; nothing is recorded until it can be written again "
				 "(tried every %s)",
				 fault->text, units_ns_text(RETRY_NS).s);
	session->retry_ns = clock_monotonic_ns() + RETRY_NS;
	session->lost += session->pending;
	session->pending = 0;
	tell_anew(session);
}

static bool may_write(const struct record_session *session)
{
	return !session->retry_ns || clock_monotonic_ns() >= session->retry_ns;
}

static void written(struct record_session *session)
{
	if (session->retry_ns)
		frontend_message(session->frontend,
				 "recording '%s' goes on; %llu readings are not in it",
				 session->options->file,
				 (unsigned long long)session->lost);
	session->retry_ns = 0;
	session->lost = session->pending = 0;
}

/* ---- lives ---- */

static int add_facts(struct record_session *session, struct place *place,
		     const struct sample *sample, struct fault *fault)
{
	const struct surroundings *surroundings = &place->surroundings;
	int error = recorder_fact(session->recorder, place->life, sample->time_ns,
				  "source", sample_source_name(sample->source), fault);

	if (!error && *sample->allocator)
		error = recorder_fact(session->recorder, place->life, sample->time_ns,
				      "allocator", sample->allocator, fault);
	for (unsigned i = 0; i < surroundings->count && !error; i++)
		error = recorder_fact(session->recorder, place->life, sample->time_ns,
				      surroundings->fact[i].name,
				      surroundings->fact[i].value, fault);
	place->is_told = !error;
	return error;
}

/* At first, and when the process has executed another program. Without them the samples
 * are as good. */
static void look_around(struct place *place, const struct stream_target *target)
{
	if (!target->source || !strcmp(place->comm, target->sample->comm))
		return;
	memcpy(place->comm, target->sample->comm, SAMPLE_TEXT);
	source_surroundings(target->source, &place->surroundings, NULL);
	place->is_told = false;
}

static void take_event(int64_t time_ns, const char *kind, uint64_t bytes,
		       const char *json, void *context)
{
	struct place *place = context;
	struct record_session *session = place->session;
	struct fault fault;

	if (place->has_life && may_write(session) &&
	    recorder_event(session->recorder, place->life, time_ns, kind, bytes, json,
			   &fault))
		stop_writing(session, &fault);
}

/* A process that cannot be put under probes is recorded without: that is told. */
static void begin_extra(struct record_session *session,
			const struct stream_target *target)
{
	const struct record_options *options = session->options;
	struct place *place = target->state;
	struct fault fault;

	place->session = session;
	if ((options->rules || options->events) && !place->extra &&
	    record_extra_new(&place->extra, target->pid, options->rules, options->events,
			     session->frontend, take_event, place, &fault))
		frontend_message(
			session->frontend,
			"process %d (%s) is recorded without alerts and events: %s",
			target->pid, target->sample->comm, fault.text);
}

static void poll_extras(struct record_session *session)
{
	struct fault fault;

	for (size_t i = 0; i < stream_targets(session->stream); i++) {
		struct place *place = stream_target(session->stream, i)->state;

		if (place && place->extra && record_extra_poll(place->extra, &fault))
			frontend_message(session->frontend, "%s", fault.text);
	}
}

/* What goes on through restarts is the name by which it was found, or that it has. */
static int begin_life(struct record_session *session, struct stream_target *target,
		      struct fault *fault)
{
	const struct sample *sample = target->sample;
	struct place *place = target->state;
	struct recorder_life as = {
		.service = target->name ? target->name : sample->comm,
		.pid = sample->pid,
		.start_ns = sample->origin.started_ns,
		.time_ns = sample->time_ns,
	};
	int error = recorder_begin(session->recorder, &as, &place->life, fault);

	if (error)
		return error;
	place->has_life = true;
	place->is_told = false;
	place->comm[0] = '\0';
	place->looks = (struct record_looks_state){0};
	begin_extra(session, target);
	return 0;
}

static void end_life(struct record_session *session, struct stream_target *target,
		     enum alert_reason reason, const char *why)
{
	struct place *place = target->state;
	struct fault fault;
	int64_t now_ns = clock_realtime_ns();
	int error;

	if (!place || !place->has_life)
		return;
	record_extra_free(place->extra, reason);
	place->extra = NULL;
	place->has_life = false;
	error = recorder_end(session->recorder, place->life, now_ns, why, &fault);
	if (!error)
		error = recorder_commit(session->recorder, now_ns, &fault);
	if (error)
		stop_writing(session, &fault);
}

/* ---- samples ---- */

static struct place *place_of(struct stream_target *target)
{
	if (!target->state)
		target->state = alloc_touched(sizeof(struct place));
	return target->state;
}

/* The arenas that there is no room for are left out; the process's figures have them. */
static void cut_arenas(struct record_session *session, struct place *place,
		       struct sample *sample)
{
	if (sample->arena_count <= session->arenas)
		return;
	if (!place->is_cut)
		frontend_message(
			session->frontend,
			"process %d (%s) has %u arenas: the first %u are recorded "
			"one by one, all of them in its totals",
			sample->pid, sample->comm, sample->arena_count, session->arenas);
	place->is_cut = true;
	sample->arena_count = session->arenas;
}

static int write_sample(struct record_session *session, struct stream_target *target,
			struct fault *fault)
{
	struct place *place = target->state;
	int error = place->has_life ? 0 : begin_life(session, target, fault);

	if (!error)
		look_around(place, target);
	if (!error && !place->is_told)
		error = add_facts(session, place, target->sample, fault);
	if (error)
		return error;
	cut_arenas(session, place, target->sample);
	error = recorder_sample(session->recorder, place->life, target->sample, fault);
	if (!error && place->extra)
		record_extra_sample(place->extra, target->sample);
	if (!error && session->looks)
		error = record_looks_take(session->looks, &place->looks,
					  session->recorder, place->life, target, fault);
	return error;
}

static int take_sample(struct record_session *session, struct stream_target *target,
		       struct fault *fault)
{
	struct fault why;

	if (!place_of(target))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	session->pending++;
	if (!may_write(session)) {
		session->lost += session->pending;
		session->pending = 0;
	} else if (write_sample(session, target, &why)) {
		stop_writing(session, &why);
	}
	return 0;
}

static void end_target(struct record_session *session, struct stream_target *target,
		       enum stream_news news, const struct fault *fault)
{
	end_life(session, target,
		 news == STREAM_FAILED ? ALERT_READINGS_FAILED : ALERT_PROCESS_ENDED,
		 *fault->text ? fault->text : "it ended");
	if (*fault->text)
		frontend_message(session->frontend, "%s", fault->text);
	if (news == STREAM_FAILED)
		session->status = fault->status;
}

/* ---- rounds ---- */

static void reopen(struct record_session *session)
{
	struct fault fault;

	if (!session->options->reopen ||
	    !atomic_exchange(session->options->reopen, false))
		return;
	if (recorder_reopen(session->recorder, &fault)) {
		stop_writing(session, &fault);
		return;
	}
	session->retry_ns = 0;
	tell_anew(session);
}

static void wait_for_round(struct record_session *session)
{
	int64_t due_ns = stream_due_ns(session->stream), until_ns;

	while (session->options->events && !frontend_stops(session->frontend)) {
		until_ns = clock_monotonic_ns() + POLL_NS;
		if (until_ns >= due_ns)
			break;
		clock_wait_until(until_ns, &session->frontend->waiting);
		poll_extras(session);
	}
	stream_wait(session->stream);
}

static void end_round(struct record_session *session)
{
	struct fault fault;

	poll_extras(session);
	if (may_write(session)) {
		if (recorder_commit(session->recorder, clock_realtime_ns(), &fault))
			stop_writing(session, &fault);
		else
			written(session);
	}
	reopen(session);
	wait_for_round(session);
}

static int loop(struct record_session *session, struct fault *fault)
{
	struct stream_target *target;
	int news, error = 0;

	do {
		news = stream_next(session->stream, &target, fault);
		if (news == STREAM_SAMPLE || news == STREAM_UNREADABLE)
			error = take_sample(session, target, fault);
		else if (news == STREAM_ENDED || news == STREAM_FAILED)
			end_target(session, target, news, fault);
		else if (news == STREAM_ROUND)
			end_round(session);
	} while (!error && news >= 0 && news != STREAM_OVER);
	return error ? error : news < 0 ? news : 0;
}

/* ---- beginning and end ---- */

static int open_recorder(struct record_session *session, struct fault *fault)
{
	const struct record_options *options = session->options;
	size_t count = stream_targets(session->stream);
	struct recorder_options recorder = {
		.file = options->file,
		.append = options->append,
		.lives = options->stream.follow ? LIVES + (unsigned)count
						: (unsigned)count,
		.keep_ns = options->keep_ns,
		.max_bytes = options->max_bytes,
		.looks = options->looks.maps_ns || options->looks.owners_ns,
	};

	session->arenas = ARENAS;
	for (size_t i = 0; i < count; i++) {
		const struct stream_target *target = stream_target(session->stream, i);
		unsigned room = target->sample ? target->sample->arena_capacity : 0;

		if (room > session->arenas)
			session->arenas = room;
		if (!place_of(stream_target(session->stream, i)))
			return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	}
	recorder.arenas = session->arenas;
	if (recorder.looks &&
	    record_looks_new(&session->looks, &options->looks, session->frontend))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	return recorder_open(&session->recorder, &recorder, fault);
}

static void close_session(struct record_session *session)
{
	size_t count = session->stream ? stream_targets(session->stream) : 0;

	for (size_t i = 0; i < count; i++) {
		struct stream_target *target = stream_target(session->stream, i);

		if (session->recorder)
			end_life(session, target, ALERT_WATCH_ENDED,
				 "the recording ended");
		free(target->state);
	}
	recorder_close(session->recorder);
	record_looks_free(session->looks);
	stream_close(session->stream);
}

int record_run(const struct record_options *options, int *status, struct fault *fault)
{
	struct record_session session = {
		.options = options,
		.frontend = options->stream.frontend,
	};
	struct stream_options stream = options->stream;
	int error;

	record_looks_ask(&options->looks, &stream.source);
	error = stream_open(&session.stream, &stream, fault);

	if (!error)
		error = open_recorder(&session, fault);
	if (!error) {
		sigset_t before;

		pthread_sigmask(SIG_SETMASK, &session.frontend->reading, &before);
		error = loop(&session, fault);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	close_session(&session);
	*status = session.status;
	return error;
}
