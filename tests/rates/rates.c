/* rates.c: how often rules find what is there, and their false-alarm rates: worlds of
 * known truth through the real engine, a second at a time. Prints the table of
 * fragscope-rates(7).
 *
 *   rates [ROUNDS [HOURS [COLUMN]]] */
#include "worlds.h"

#include "analysis/watch.h"
#include "series/track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

/* The default rules were chosen on the worlds of seeds below FIRST_SEED: on these they
 * are only measured. */
enum { FIRST_SEED = 1001 };

enum { DEFAULT_ROUNDS = 10, DEFAULT_HOURS = 24, ILL_FROM_S = 1800, ILL_FOR_S = 14400 };

/* One column of the table: rules without a text are the defaults. */
static const struct {
	const char *name, *text;
} columns[] = {
	{"default rules", NULL},
	{"drops 50% in 5m", "largest_free drops 50% in 5m"},
	{"rising while flat", "free_chunks rising 10m while free_bytes flat"},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

struct tally {
	unsigned begins;
	int64_t found_ns; /* the first begin after it; 0: none */
	int64_t ill_ns;
};

static void count_alert(const struct alert *alert, void *context)
{
	struct tally *tally = context;

	if (alert->kind != ALERT_BEGIN)
		return;
	tally->begins++;
	/* What began before the illness has not found it. */
	if (tally->ill_ns && !tally->found_ns)
		tally->found_ns = alert->time_ns;
}

static void run_world(const struct world_kind *kind, const struct rules *rules,
		      uint64_t seed, int64_t seconds, struct tally *tally)
{
	struct sample *sample = sample_new(0, false);
	struct watch *watch;
	struct world world;

	if (!sample || watch_new(&watch, rules))
		abort();
	*tally = (struct tally){0};
	world_begin(&world, kind, seed);
	if (kind->is_ill)
		world.ill_from_s = ILL_FROM_S;
	for (int64_t second = 0; second < seconds; second++) {
		if (!world_next(&world, sample))
			continue;
		if (kind->is_ill && second == ILL_FROM_S)
			tally->ill_ns = sample->time_ns;
		watch_sample(watch, sample, NULL, count_alert, tally);
	}
	watch_free(watch);
	sample_free(sample);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void healthy(const struct world_kind *kind, const struct rules *rules,
		    unsigned rounds, unsigned hours)
{
	unsigned alarms = 0, noisy = 0;
	struct tally tally;

	for (unsigned round = 0; round < rounds; round++) {
		run_world(kind, rules, FIRST_SEED + round, hours * INT64_C(3600), &tally);
		alarms += tally.begins;
		noisy += tally.begins > 0;
	}
	printf("  %5.2f a day (%u of %u runs)", alarms * 24.0 / (rounds * hours), noisy,
	       rounds);
}

static void ill(const struct world_kind *kind, const struct rules *rules, unsigned rounds)
{
	int64_t delay_s[1000];
	unsigned found = 0;
	struct tally tally;

	for (unsigned round = 0; round < rounds && found < 1000; round++) {
		run_world(kind, rules, FIRST_SEED + round, ILL_FROM_S + ILL_FOR_S,
			  &tally);
		if (tally.found_ns)
			delay_s[found++] = (tally.found_ns - tally.ill_ns) / NS_PER_S;
	}
	qsort(delay_s, found, sizeof(*delay_s), compare);
	if (found)
		printf("  found %3.0f%%, in %lld s (%lld s)", 100.0 * found / rounds,
		       (long long)delay_s[found / 2], (long long)delay_s[found - 1]);
	else
		printf("  found   0%%");
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : DEFAULT_ROUNDS;
	unsigned hours = argc > 2 ? (unsigned)atoi(argv[2]) : DEFAULT_HOURS;
	unsigned only = argc > 3 ? (unsigned)atoi(argv[3]) : COLUMNS;

	for (unsigned column = 0; column < COLUMNS; column++) {
		static struct rules rules;

		if (only < COLUMNS && column != only)
			continue;
		rules.count = 0;
		if (!columns[column].text)
			rules_add_defaults(&rules, NS_PER_S);
		else if (rules_add(&rules, columns[column].text, NULL))
			abort();
		printf("%s\n", columns[column].name);
		for (unsigned i = 0; i < world_kind_count; i++) {
			printf("  %-14s %-50s", world_kinds[i].name,
			       world_kinds[i].story);
			if (world_kinds[i].is_ill)
				ill(&world_kinds[i], &rules, rounds);
			else
				healthy(&world_kinds[i], &rules, rounds, hours);
			puts("");
			fflush(stdout);
		}
	}
	return 0;
}
