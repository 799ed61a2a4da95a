#include "top/replay.h"

#include "base/clock.h"
#include "base/take.h"
#include "base/text.h"
#include "base/units.h"
#include "source/replay.h"
#include "source/source.h"
#include "top/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS INT64_C(100000000)

enum { DESCRIPTION = 256 };

struct replayed {
	int pid;
	char comm[SAMPLE_TEXT];
	unsigned arenas; /* in its largest sample */
};

/* AT_NS is the instant of the recording that was reached at the monotonic SINCE_NS; from
 * there time runs SPEED times as fast as outside, unless it is held. */
struct replayer {
	struct replay *replay;
	const struct sample *pending; /* read, and not handed out yet */
	bool ended, cut, held;
	char why[FAULT_TEXT];
	double speed;
	int64_t at_ns, since_ns;
	int64_t first_ns, last_ns;
	uint64_t samples;
	unsigned count;
	struct replayed target[FEED_TARGETS];
	char description[DESCRIPTION];
};

/* ---- the first look ---- */

/* The target that SAMPLE is of, or FEED_TARGETS. */
static unsigned target_of(const struct replayer *replayer, const struct sample *sample)
{
	for (unsigned i = 0; i < replayer->count; i++)
		if (replayer->target[i].pid == sample->pid)
			return i;
	return FEED_TARGETS;
}

static int note(struct replayer *replayer, const struct sample *sample, const char *file,
		struct fault *fault)
{
	unsigned index = target_of(replayer, sample);
	struct replayed *target;

	if (index == FEED_TARGETS && replayer->count == FEED_TARGETS)
		return fault_set(fault, EXIT_FAILED, -E2BIG,
				 "%s holds more than %d processes, and no more can be "
				 "shown at once",
				 file, FEED_TARGETS);
	if (index == FEED_TARGETS)
		index = replayer->count++;
	target = &replayer->target[index];
	target->pid = sample->pid;
	memcpy(target->comm, sample->comm, sizeof(target->comm));
	if (sample->arena_count > target->arenas)
		target->arenas = sample->arena_count;
	if (!replayer->samples++)
		replayer->first_ns = sample->time_ns;
	replayer->last_ns = sample->time_ns;
	return 0;
}

/* A file that ends within a line is played up to there: why it ends is told then. */
static int look_through(struct replayer *replayer, const char *file, struct fault *fault)
{
	const struct sample *sample;
	int result = replay_open(&replayer->replay, file, fault), error = 0;

	if (result)
		return result;
	while (!error && !(result = replay_next(replayer->replay, &sample, fault)))
		error = note(replayer, sample, file, fault);
	replay_close(replayer->replay);
	replayer->replay = NULL;
	if (error)
		return error;
	if (replayer->samples)
		return 0;
	return result < 0 ? result
			  : fault_set(fault, EXIT_FAILED, -ENODATA,
				      "there is no reading in %s", file);
}

static void describe(struct replayer *replayer, const char *file)
{
	struct text text;

	text_init(&text, replayer->description, sizeof(replayer->description));
	text_string(&text, "recording ");
	text_printable(&text, file, SIZE_MAX);
	text_string(&text, ", ");
	text_u64(&text, replayer->samples);
	text_string(&text, replayer->samples == 1 ? " reading from " : " readings from ");
	clock_rfc3339(&text, replayer->first_ns);
	text_string(&text, " on");
}

int replayer_open(struct replayer **replayer, const char *file, double speed,
		  struct fault *fault)
{
	struct replayer *new = take(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	error = look_through(new, file, fault);
	if (!error)
		error = replay_open(&new->replay, file, fault);
	if (error) {
		replayer_close(new);
		return error;
	}
	new->speed = speed;
	new->at_ns = new->first_ns;
	new->since_ns = clock_monotonic_ns();
	describe(new, file);
	*replayer = new;
	return 0;
}

void replayer_close(struct replayer *replayer)
{
	if (!replayer)
		return;
	if (replayer->replay)
		replay_close(replayer->replay);
	free(replayer);
}

unsigned replayer_targets(const struct replayer *replayer)
{
	return replayer->count;
}

int replayer_pid(const struct replayer *replayer, unsigned target)
{
	return replayer->target[target].pid;
}

const char *replayer_comm(const struct replayer *replayer, unsigned target)
{
	return replayer->target[target].comm;
}

unsigned replayer_arenas(const struct replayer *replayer, unsigned target)
{
	return replayer->target[target].arenas;
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

static bool fetch(struct replayer *replayer)
{
	struct fault fault = {0};
	int result;

	if (replayer->pending)
		return true;
	if (replayer->ended)
		return false;
	result = replay_next(replayer->replay, &replayer->pending, &fault);
	if (!result)
		return true;
	replayer->pending = NULL;
	replayer->ended = true;
	replayer->cut = result < 0;
	snprintf(replayer->why, sizeof(replayer->why), "%s",
		 result < 0 ? fault.text : "the recording ends here");
	return false;
}

static const struct sample *hand_out(struct replayer *replayer, unsigned *target)
{
	const struct sample *sample = replayer->pending;

	replayer->pending = NULL;
	*target = target_of(replayer, sample);
	return sample;
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
	uint64_t gaps = replayer->samples / replayer->count;
	int64_t mean_ns = INT64_C(1000000000);

	if (gaps > 1)
		mean_ns = (replayer->last_ns - replayer->first_ns) / (int64_t)(gaps - 1);
	return (mean_ns + STEP_NS / 2) / STEP_NS * STEP_NS;
}

void replayer_hold(struct replayer *replayer, bool hold)
{
	stand_at(replayer, position_ns(replayer));
	replayer->held = hold;
}

bool replayer_held(const struct replayer *replayer)
{
	return replayer->held;
}

bool replayer_over(const struct replayer *replayer, bool *cut, const char **why)
{
	*cut = replayer->cut;
	*why = replayer->why;
	return replayer->ended && !replayer->pending;
}

double replayer_speed(const struct replayer *replayer)
{
	return replayer->speed;
}

void replayer_set_speed(struct replayer *replayer, double speed)
{
	stand_at(replayer, position_ns(replayer));
	replayer->speed = speed;
}

const char *replayer_describe(const struct replayer *replayer)
{
	return replayer->description;
}
