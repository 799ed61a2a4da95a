/* alert_replay.c: alerts in a recording. It is read twice: the end of a process's
 * readings is known only when the file was seen to its end, and live it is told at
 * once. */
#include "engine/alert.h"
#include "source/replay.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)
#define STEP_NS	 (NS_PER_S / 10)

enum { GAPS = 64 };

/* One process of the recording: rows still to come. */
struct player {
	int pid;
	uint64_t rows;
	int64_t last_ns;
	struct watch *watch; /* null before the first row and after the last */
};

struct playing {
	const struct alert_request *request;
	struct rules rules;
	struct teller teller;
	struct player *player;
	size_t count;
	int64_t gap_ns[GAPS]; /* between the first rows of the same process */
	size_t gaps;
};

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static struct player *player_of(struct playing *playing, int pid)
{
	for (size_t i = 0; i < playing->count; i++)
		if (playing->player[i].pid == pid)
			return &playing->player[i];
	return NULL;
}

static struct player *add_player(struct playing *playing, int pid)
{
	struct player *more =
		realloc(playing->player, (playing->count + 1) * sizeof(*playing->player));

	if (!more)
		return NULL;
	playing->player = more;
	more[playing->count] = (struct player){.pid = pid};
	return &more[playing->count++];
}

static int count_row(struct playing *playing, const struct sample *sample)
{
	struct player *player = player_of(playing, sample->pid);

	if (!player)
		player = add_player(playing, sample->pid);
	if (!player)
		return -ENOMEM;
	if (player->rows && playing->gaps < GAPS && sample->time_ns > player->last_ns)
		playing->gap_ns[playing->gaps++] = sample->time_ns - player->last_ns;
	player->rows++;
	player->last_ns = sample->time_ns;
	return 0;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* What INTERVAL most likely was: the middle of the first times between rows, to a tenth
 * of a second. */
static int64_t interval_of(struct playing *playing)
{
	if (!playing->gaps)
		return NS_PER_S;
	qsort(playing->gap_ns, playing->gaps, sizeof(playing->gap_ns[0]), compare);
	return (playing->gap_ns[playing->gaps / 2] + STEP_NS / 2) / STEP_NS * STEP_NS;
}

/* Hands each sample to SEE. What is wrong with a line is for the second time: by then all
 * alerts before it were told. */
static int each_sample(struct playing *playing, bool is_first,
		       int (*see)(struct playing *playing, const struct sample *sample),
		       struct fault *fault)
{
	const struct sample *sample;
	struct replay *replay;
	int result, error = replay_open(&replay, playing->request->replay, fault);

	if (error)
		return error;
	while (!error && !frontend_stops(playing->request->frontend) &&
	       !teller_done(&playing->teller)) {
		result = replay_next(replay, &sample, fault);
		if (result == -EINTR)
			continue;
		if (result != SOURCE_READ) {
			error = result == SOURCE_ENDED || is_first ? 0 : result;
			break;
		}
		error = see(playing, sample);
		if (error)
			out_of_memory(fault);
	}
	replay_close(replay);
	return error;
}

static int see_row(struct playing *playing, const struct sample *sample)
{
	struct player *player = player_of(playing, sample->pid);
	int error = 0;

	/* The file grew meanwhile. */
	if (!player || !player->rows)
		return 0;
	if (!player->watch)
		error = watch_new(&player->watch, &playing->rules);
	if (error)
		return error;
	watch_sample(player->watch, sample, NULL, teller_alert, &playing->teller);
	if (--player->rows)
		return 0;
	watch_end(player->watch, ALERT_NO_READINGS, teller_alert, &playing->teller);
	watch_free(player->watch);
	player->watch = NULL;
	return 0;
}

static int play(struct playing *playing, struct fault *fault)
{
	int error = each_sample(playing, true, count_row, fault);

	if (!error)
		error = alert_rules(playing->request, interval_of(playing),
				    &playing->rules, fault);
	if (error)
		return error;
	if (rules_need_limit(&playing->rules))
		frontend_message(
			playing->request->frontend,
			"a recording does not have the limits of its processes: what "
			"rules say of 'limit' is not known");
	error = each_sample(playing, false, see_row, fault);
	if (!error && !playing->count && !frontend_stops(playing->request->frontend))
		return fault_set(fault, EXIT_FAILED, -ENODATA,
				 "%s has no rows: its header is all there is",
				 playing->request->replay);
	return error;
}

int alert_replay(const struct alert_request *request, int *status, struct fault *fault)
{
	struct playing *playing = calloc(1, sizeof(*playing));
	struct fault at_close;
	int error;

	if (!playing)
		return out_of_memory(fault);
	playing->request = request;
	pthread_sigmask(SIG_SETMASK, &request->frontend->reading, NULL);
	error = teller_open(&playing->teller, request, fault);
	if (!error) {
		error = play(playing, fault);
		*status = playing->teller.fired && request->once ? EXIT_ALERT : EXIT_DONE;
		if (teller_close(&playing->teller, &at_close) && !error) {
			*fault = at_close;
			error = -EIO;
		}
	}
	for (size_t i = 0; i < playing->count; i++)
		watch_free(playing->player[i].watch);
	free(playing->player);
	free(playing);
	return error;
}
