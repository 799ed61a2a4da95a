#include "top/replay.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "engine/days.h"
#include "engine/stream.h"
#include "top/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DESCRIPTION = 256,
	ARENAS = 8, /* room for so many at least */
};

/* AT_NS is the instant of the recording that was reached at the monotonic SINCE_NS; from
 * there time runs SPEED times as fast as outside, unless it is held. */
struct replayer {
	struct stream *stream; /* of rows; null: of days */
	struct days *days;
	/* What was read, and not handed out yet; null: nothing was. */
	const struct sample *pending;
	unsigned pending_target;
	bool ended, cut, held;
	char why[FAULT_TEXT];
	double speed;
	int64_t at_ns, since_ns;
	int64_t first_ns, last_ns;
	int64_t taken_ns; /* of the latest that was handed out */
	uint64_t samples;
	char description[DESCRIPTION];
};

/* ---- opening ---- */

static int open_stream(struct replayer *replayer, const char *file,
		       const struct pid_list *pids, const struct name_list *names,
		       struct fault *fault)
{
	const struct stream_options wanted = {
		.recording = file,
		.pids = *pids,
		.names = *names,
		.twice = true,
	};
	int error = stream_open(&replayer->stream, &wanted, fault);

	if (!error && stream_targets(replayer->stream) > FEED_TARGETS)
		error = contents_several(stream_contents(replayer->stream), file,
					 "no more than 16 can be shown at once: choose "
					 "with -p or -n",
					 fault);
	if (error)
		return error;
	for (size_t i = 0; i < stream_targets(replayer->stream); i++)
		replayer->samples += stream_target(replayer->stream, i)->left;
	replayer->first_ns = stream_contents(replayer->stream)->first_ns;
	replayer->last_ns = stream_contents(replayer->stream)->last_ns;
	return 0;
}

/* Of days nothing need be read before it is shown. */
static int open_days(struct replayer *replayer, const char *file,
		     const struct pid_list *pids, const struct name_list *names,
		     struct fault *fault)
{
	int error = days_open(&replayer->days, file, pids, names, FEED_TARGETS, fault);

	if (error)
		return error;
	replayer->first_ns = days_first_ns(replayer->days);
	replayer->last_ns = days_last_ns(replayer->days);
	return 0;
}

static const struct contents *contents(const struct replayer *replayer)
{
	return stream_contents(replayer->stream);
}

static void describe(struct replayer *replayer, const char *file)
{
	struct text text;

	text_init(&text, replayer->description, sizeof(replayer->description));
	text_string(&text, "recording ");
	text_printable(&text, file, SIZE_MAX);
	text_string(&text, ", ");
	if (replayer->days) {
		text_string(&text, units_span_text((double)(replayer->last_ns -
							    replayer->first_ns) /
						   1e9)
					   .s);
	} else {
		text_u64(&text, replayer->samples);
		text_string(&text, replayer->samples == 1 ? " reading" : " readings");
	}
	text_string(&text, " from ");
	clock_rfc3339(&text, replayer->first_ns);
	text_string(&text, " on");
}

/* 0 and PENDING, 1 at the end, or -errno and FAULT. */
static int read_next(struct replayer *replayer, struct fault *fault)
{
	struct stream_target *target;
	struct days_sample next;
	int news;

	if (replayer->days) {
		news = days_next(replayer->days, &next, fault);
		replayer->pending = news ? NULL : next.sample;
		replayer->pending_target = next.target;
		return news;
	}
	do
		news = stream_next(replayer->stream, &target, fault);
	while (news == STREAM_ENDED);
	if (news != STREAM_SAMPLE)
		return news < 0 ? news : 1;
	replayer->pending = target->sample;
	replayer->pending_target = 0;
	while (stream_target(replayer->stream, replayer->pending_target) != target)
		replayer->pending_target++;
	return 0;
}

static bool fetch(struct replayer *replayer)
{
	struct fault fault = {0};
	int error;

	if (replayer->pending)
		return true;
	if (replayer->ended)
		return false;
	error = read_next(replayer, &fault);
	if (!error)
		return true;
	replayer->ended = true;
	replayer->cut = error < 0;
	snprintf(replayer->why, sizeof(replayer->why), "%s",
		 error < 0 ? fault.text : "the recording ends here");
	return false;
}

int replayer_open(struct replayer **replayer, const char *file,
		  const struct pid_list *pids, const struct name_list *names,
		  double speed, struct fault *fault)
{
	struct replayer *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	error = days_can_open(file) ? open_days(new, file, pids, names, fault)
				    : open_stream(new, file, pids, names, fault);
	if (error) {
		replayer_close(new);
		return error;
	}
	new->speed = speed;
	/* Of processes that joined later, from there on. */
	if (fetch(new))
		new->first_ns = new->pending->time_ns;
	new->at_ns = new->first_ns;
	new->since_ns = clock_monotonic_ns();
	describe(new, file);
	*replayer = new;
	return 0;
}

void replayer_close(struct replayer *replayer)
{
	if (replayer) {
		stream_close(replayer->stream);
		days_close(replayer->days);
	}
	free(replayer);
}

unsigned replayer_targets(const struct replayer *replayer)
{
	return replayer->days ? days_targets(replayer->days)
			      : (unsigned)stream_targets(replayer->stream);
}

int replayer_pid(const struct replayer *replayer, unsigned target)
{
	return replayer->days ? days_pid(replayer->days, target)
			      : stream_target(replayer->stream, target)->pid;
}

const char *replayer_comm(const struct replayer *replayer, unsigned target)
{
	if (replayer->days)
		return days_name(replayer->days, target);
	return contents_find(contents(replayer), replayer_pid(replayer, target))->comm;
}

unsigned replayer_arenas(const struct replayer *replayer, unsigned target)
{
	if (replayer->days)
		return 2 * days_arenas(replayer->days) + ARENAS;
	return contents_find(contents(replayer), replayer_pid(replayer, target))->arenas;
}

bool replayer_is_last(const struct replayer *replayer, unsigned target)
{
	return replayer->days ? replayer->taken_ns >= days_end_ns(replayer->days, target)
			      : !stream_target(replayer->stream, target)->left;
}

struct days *replayer_days(const struct replayer *replayer)
{
	return replayer->days;
}

/* ---- playing ---- */

/* The instant of the recording that is reached now. */
static int64_t position_ns(const struct replayer *replayer)
{
	double passed_ns = (double)(clock_monotonic_ns() - replayer->since_ns);

	if (replayer->held)
		return replayer->at_ns;
	passed_ns *= replayer->speed;
	if (passed_ns > (double)(replayer->last_ns - replayer->at_ns))
		return replayer->last_ns;
	return replayer->at_ns + (int64_t)passed_ns;
}

/* What follows is counted from AT_NS and now on. */
static void stand_at(struct replayer *replayer, int64_t at_ns)
{
	replayer->at_ns = at_ns;
	replayer->since_ns = clock_monotonic_ns();
}

static const struct sample *hand_out(struct replayer *replayer, unsigned *target)
{
	const struct sample *sample = replayer->pending;

	replayer->pending = NULL;
	replayer->taken_ns = sample->time_ns;
	*target = replayer->pending_target;
	return sample;
}

void replayer_moved(struct replayer *replayer, int64_t at_ns)
{
	replayer->pending = NULL;
	replayer->ended = replayer->cut = false;
	replayer->taken_ns = at_ns;
	stand_at(replayer, at_ns);
}

const struct sample *replayer_take(struct replayer *replayer, unsigned *target)
{
	if (!fetch(replayer) || replayer->held ||
	    replayer->pending->time_ns > position_ns(replayer))
		return NULL;
	return hand_out(replayer, target);
}

const struct sample *replayer_step(struct replayer *replayer, unsigned *target)
{
	if (!fetch(replayer))
		return NULL;
	stand_at(replayer, replayer->pending->time_ns);
	return hand_out(replayer, target);
}

int64_t replayer_wait_ns(const struct replayer *replayer)
{
	double ahead_ns;

	if (!replayer->pending || replayer->held)
		return -1;
	ahead_ns = (double)(replayer->pending->time_ns - position_ns(replayer)) /
		   replayer->speed;
	return ahead_ns > 0 ? (int64_t)ahead_ns : 0;
}

int64_t replayer_interval_ns(const struct replayer *replayer)
{
	return replayer->days ? days_interval_ns(replayer->days)
			      : stream_interval_ns(replayer->stream);
}

void replayer_hold(struct replayer *replayer, bool hold)
{
	stand_at(replayer, position_ns(replayer));
	replayer->held = hold;
}

bool replayer_over(const struct replayer *replayer, bool *cut, const char **why)
{
	*cut = replayer->cut;
	*why = replayer->why;
	return replayer->ended && !replayer->pending;
}

int64_t replayer_taken_ns(const struct replayer *replayer)
{
	return replayer->taken_ns;
}

double replayer_speed(const struct replayer *replayer)
{
	return replayer->speed;
}

const char *replayer_describe(const struct replayer *replayer)
{
	return replayer->description;
}
