/* coverage.c: how often the 95% interval of an estimated figure holds the truth, on heaps
 * made by chance, and how wide it is. Prints the table of docs/ESTIMATES.md.
 *
 *   coverage [-k KIND] [-s SEEDS] [-n READINGS] [-m MB] [-b BUDGET_US] [-v] */
#include "heaps.h"

#include "base/output.h"
#include "source/source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum figure told[] = {
	FIG_LIVE_BYTES,
	FIG_FREE_BYTES,
	FIG_FREE_CHUNKS,
	FIG_FAST_BYTES,
	FIG_TCACHE_BYTES,
	FIG_FREE_RESIDENT_BYTES,
	FIG_TRIMMABLE_BYTES,
	FIG_PINNED_BYTES,
	FIG_RETAINED_BYTES,
	FIG_LIVE_RESIDENT_BYTES,
	FIG_UNUSABLE,
	FIG_SLACK,
	FIG_FRAG,
};

enum { TOLD = sizeof(told) / sizeof(told[0]) };

struct tally {
	unsigned held, missed, sure, wrong, absent;
	double width; /* of the intervals, in parts of the heap or of the ratio */
};

struct settings {
	const char *kind;
	unsigned seeds, readings, mb;
	int64_t budget_ns;
	bool verbose;
};

static pid_t start(const struct heap_kind *kind, uint64_t seed, unsigned mb, int *out)
{
	int ready[2];
	char word[16];
	pid_t pid;

	if (pipe(ready))
		abort();
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		if (kind->make) {
			kind->make(seed, mb);
			if (write(ready[1], "ready", 5) != 5)
				_exit(1);
		} else {
			char seed_text[24], mb_text[24];

			snprintf(seed_text, sizeof(seed_text), "%u", (unsigned)seed);
			snprintf(mb_text, sizeof(mb_text), "%u", mb);
			dup2(ready[1], STDOUT_FILENO);
			execlp(kind->command[0], kind->command[0], kind->command[1],
			       kind->command[2], seed_text, mb_text, (char *)NULL);
			_exit(127);
		}
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], word, sizeof(word)) <= 0) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	/* What the program still says must find a reader. */
	*out = ready[0];
	return pid;
}

static struct source *open_source(pid_t pid, int64_t budget_ns, struct sample **sample)
{
	struct source_options options = {
		.source = SOURCE_HEAP,
		.arenas = true,
		.threads = 1,
		.unusable_for_bytes = 4096,
		.budget_ns = budget_ns,
	};
	struct source *source;
	struct fault fault;

	if (source_open(&source, pid, &options, &fault)) {
		fprintf(stderr, "coverage: %s\n", fault.text);
		exit(1);
	}
	*sample = source_sample(source);
	return source;
}

static void count(const struct sample *truth, const struct sample *sample,
		  struct tally tally[TOLD], bool verbose)
{
	double whole = figure_number(&truth->fig, FIG_SYSTEM_BYTES);

	for (unsigned i = 0; i < TOLD; i++) {
		double low, high, is;
		enum figure f = told[i];

		if (!figure_has(&sample->fig, f) || !figure_has(&truth->fig, f)) {
			tally[i].absent++;
			continue;
		}
		is = figure_number(&truth->fig, f);
		if (!figure_range(&sample->fig, f, &low, &high)) {
			tally[i].sure++;
			tally[i].wrong += low != is;
			if (verbose && low != is)
				printf("  %s is %.6g, said to be %.6g\n",
				       figure_info[f].name, is, low);
			continue;
		}
		if (is < low - 0.5 * (figure_info[f].unit != UNIT_RATIO) ||
		    is > high + 0.5 * (figure_info[f].unit != UNIT_RATIO))
			tally[i].missed++;
		else
			tally[i].held++;
		if (verbose)
			printf("  %s is %.6g, %.6g from %.6g to %.6g%s\n",
			       figure_info[f].name, is, figure_number(&sample->fig, f),
			       low, high, is < low || is > high ? " MISSED" : "");
		tally[i].width += (high - low) / 2 /
				  (figure_info[f].unit == UNIT_BYTES   ? whole
				   : figure_info[f].unit == UNIT_RATIO ? 1
								       : is + 1);
	}
}

static void run(const struct heap_kind *kind, const struct settings *settings,
		uint64_t seed, struct tally tally[TOLD])
{
	int out = -1;
	pid_t pid = start(kind, seed, settings->mb, &out);
	struct sample *truth, *sample;
	struct source *whole, *some;
	struct fault fault;

	if (pid < 0)
		return;
	whole = open_source(pid, 0, &truth);
	some = open_source(pid, settings->budget_ns, &sample);
	if (source_read(whole, truth, &fault) != SOURCE_READ)
		abort();
	for (unsigned i = 0; i < settings->readings; i++) {
		int64_t before = source_cpu_ns(some);

		sample_clear(sample);
		if (source_read(some, sample, &fault) != SOURCE_READ)
			abort();
		if (settings->verbose)
			printf("%s %s %s: %.1f ms\n", kind->name,
			       sample_status_name(sample->status), sample->missing,
			       (double)(source_cpu_ns(some) - before) / 1e6);
		count(truth, sample, tally, settings->verbose);
	}
	source_close(whole);
	source_close(some);
	sample_free(truth);
	sample_free(sample);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out);
}

static void print(const char *name, const struct tally tally[TOLD])
{
	printf("| %-8s |", name);
	for (unsigned i = 0; i < TOLD; i++) {
		unsigned all = tally[i].held + tally[i].missed;

		if (tally[i].wrong)
			printf(" wrong %u |", tally[i].wrong);
		else if (all)
			printf(" %.1f ±%.2f |", 100.0 * tally[i].held / all,
			       100 * tally[i].width / all);
		else
			printf(" %s |", tally[i].sure ? "exact" : "absent");
	}
	printf("\n");
	fflush(stdout);
}

static struct settings parse(int argc, char **argv)
{
	struct settings settings = {NULL, 4, 100, 120, 4000000, false};
	int option;

	while ((option = getopt(argc, argv, "k:s:n:m:b:v")) != -1) {
		unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;

		switch (option) {
		case 'k':
			settings.kind = optarg;
			break;
		case 's':
			settings.seeds = (unsigned)number;
			break;
		case 'n':
			settings.readings = (unsigned)number;
			break;
		case 'm':
			settings.mb = (unsigned)number;
			break;
		case 'b':
			settings.budget_ns = (int64_t)number * 1000;
			break;
		case 'v':
			settings.verbose = true;
			break;
		default:
			exit(2);
		}
	}
	return settings;
}

static void add(struct tally into[TOLD], const struct tally from[TOLD])
{
	for (unsigned i = 0; i < TOLD; i++) {
		into[i].held += from[i].held;
		into[i].missed += from[i].missed;
		into[i].sure += from[i].sure;
		into[i].wrong += from[i].wrong;
		into[i].absent += from[i].absent;
		into[i].width += from[i].width;
	}
}

int main(int argc, char **argv)
{
	struct settings settings = parse(argc, argv);
	struct tally all[TOLD] = {{0}};

	printf("| heap |");
	for (unsigned i = 0; i < TOLD; i++)
		printf(" %s |", figure_info[told[i]].name);
	printf("\n");
	for (unsigned k = 0; k < heap_kind_count; k++) {
		struct tally tally[TOLD] = {{0}};

		if (settings.kind && strcmp(settings.kind, heap_kinds[k].name) != 0)
			continue;
		for (unsigned seed = 1; seed <= settings.seeds; seed++)
			run(&heap_kinds[k], &settings, seed, tally);
		print(heap_kinds[k].name, tally);
		add(all, tally);
	}
	print("all", all);
	return 0;
}
