/* recorder_drop.c: what a recording drops: what is too old, and the oldest of what is too
 * much. */
#include "recording/recorder_parts.h"

enum {
	PAGE_BYTES = 4096,
	FULL_PARTS = 10,  /* of the largest size: one tenth is left free */
	DROPS_A_TURN = 8, /* when the file is too large */
	DROP_PARTS = 8,	  /* an eighth of what there is goes each time */
};

#define HOUR_NS INT64_C(3600000000000)

static int drop(struct recorder *recorder, enum statement s, int64_t before_ns,
		struct fault *fault)
{
	sqlite3_bind_int64(recorder->statement[s], 1, before_ns);
	return recorder_run(recorder, s, NULL, fault);
}

static int drop_samples(struct recorder *recorder, int64_t before_ns, struct fault *fault)
{
	int error = drop(recorder, DROP_SAMPLES, before_ns, fault);

	return error ? error : drop(recorder, DROP_WHOLES, before_ns, fault);
}

/* And what has about their pace. */
static int drop_minutes(struct recorder *recorder, int64_t before_ns, struct fault *fault)
{
	static const enum statement drops[] = {DROP_MINUTES, DROP_EVENTS, DROP_LOOKS,
					       DROP_OWNERS};
	int error = 0;

	for (unsigned i = 0; i < sizeof(drops) / sizeof(drops[0]) && !error; i++)
		error = drop(recorder, drops[i], before_ns, fault);
	return error;
}

int recorder_drop_old(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	int64_t before_ns = now_ns - recorder->options.keep_ns, oldest_ns;
	int error;

	if (!recorder->options.keep_ns)
		return 0;
	error = recorder_run(recorder, OLDEST, &oldest_ns, fault);
	if (error || oldest_ns < 0 || oldest_ns >= before_ns)
		return error;
	if (before_ns > oldest_ns + HOUR_NS)
		before_ns = oldest_ns + HOUR_NS;
	return drop_samples(recorder, before_ns, fault);
}

/* The oldest part of what began at FROM_NS. */
static int64_t part_end(int64_t from_ns, int64_t now_ns)
{
	return from_ns + (now_ns - from_ns) / DROP_PARTS;
}

/* The oldest samples; but while they are of the last hour only, the oldest minutes and
 * events first. Where these are no older either, samples and events alike: a program that
 * grows without a pause makes more events in an hour than a small file holds. *DONE:
 * nothing is left that could go. */
static int drop_oldest(struct recorder *recorder, int64_t now_ns, bool *done,
		       struct fault *fault)
{
	int64_t sample_ns, minute_ns;
	int error = recorder_run(recorder, OLDEST, &sample_ns, fault);

	if (!error)
		error = recorder_run(recorder, OLDEST_MINUTE, &minute_ns, fault);
	if (error)
		return error;
	if (sample_ns < 0 || sample_ns + HOUR_NS >= now_ns) {
		*done = minute_ns < 0 || minute_ns + HOUR_NS >= now_ns;
		if (!*done)
			return drop_minutes(recorder, part_end(minute_ns, now_ns), fault);
	}
	*done = sample_ns < 0 || sample_ns + RECORDER_TEND_NS >= now_ns;
	if (*done)
		return 0;
	if (sample_ns + HOUR_NS >= now_ns)
		error = drop(recorder, DROP_EVENTS, part_end(sample_ns, now_ns), fault);
	return error ? error : drop_samples(recorder, part_end(sample_ns, now_ns), fault);
}

static int measure(struct recorder *recorder, uint64_t *used_bytes, struct fault *fault)
{
	int64_t pages = 0, free_pages = 0;
	int error = recorder_run(recorder, PAGES, &pages, fault);

	if (!error)
		error = recorder_run(recorder, FREE_PAGES, &free_pages, fault);
	*used_bytes = (uint64_t)(pages - free_pages) * PAGE_BYTES;
	return error;
}

int recorder_drop_excess(struct recorder *recorder, int64_t now_ns, struct fault *fault)
{
	uint64_t max_bytes = recorder->options.max_bytes, used_bytes;
	bool done = false;
	int error;

	if (!max_bytes)
		return 0;
	error = measure(recorder, &used_bytes, fault);
	for (unsigned i = 0; i < DROPS_A_TURN && !error && !done; i++) {
		if (used_bytes < max_bytes - max_bytes / FULL_PARTS)
			break;
		error = drop_oldest(recorder, now_ns, &done, fault);
		if (!error)
			error = measure(recorder, &used_bytes, fault);
	}
	return error;
}
