/* coverage.c: how often the 95% interval of an estimated figure holds the truth, on heaps
 * made by chance, and how wide it is. Prints the table of docs/ESTIMATES.md.
 *
 *   coverage [-s SEEDS] [-n READINGS] [-m MB] [-b BUDGET_US] [-v]
 *            [-k KIND | -p PID... | PROGRAM [ARGUMENT...]]
 *
 * PROGRAM is run once a seed, with the seed and MB behind its arguments; when its heap is
 * made it says something, and keeps it. The processes of -p are stopped for so long. */
#include "heaps.h"

#include "base/output.h"
#include "source/source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

enum { TOLD = sizeof(told) / sizeof(told[0]), ARGUMENTS = 30, PIDS = 64 };

struct tally {
	unsigned held, missed, sure, wrong, absent;
	double width; /* of the intervals, in parts of the heap or of the ratio */
};

struct settings {
	const char *kind;
	const char *const *program;
	pid_t pid[PIDS];
	unsigned pids;
	unsigned seeds, readings, mb;
	int64_t budget_ns;
	bool verbose;
};

static void run_program(const char *const *command, uint64_t seed, unsigned mb)
{
	const char *argument[ARGUMENTS + 3];
	char seed_text[24], mb_text[24];
	unsigned count = 0;

	for (; command[count] && count < ARGUMENTS; count++)
		argument[count] = command[count];
	snprintf(seed_text, sizeof(seed_text), "%u", (unsigned)seed);
	snprintf(mb_text, sizeof(mb_text), "%u", mb);
	argument[count++] = seed_text;
	argument[count++] = mb_text;
	argument[count] = NULL;
	execvp(argument[0], (char *const *)argument);
	_exit(127);
}

static pid_t start(const struct heap_kind *kind, uint64_t seed, unsigned mb, int *out)
{
	int ready[2];
	char word[16];
	pid_t pid;

	if (pipe(ready))
		abort();
	pid = fork();
	if (pid == 0) {
		/* Whatever ends this one. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		if (kind->make) {
			kind->make(seed, mb);
			if (write(ready[1], "ready", 5) != 5)
				_exit(1);
		} else {
			dup2(ready[1], STDOUT_FILENO);
			run_program(kind->command, seed, mb);
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

static void read_one(pid_t pid, const char *name, const struct settings *settings,
		     struct tally tally[TOLD])
{
	struct sample *truth, *sample;
	struct source *whole = open_source(pid, 0, &truth);
	struct source *some = open_source(pid, settings->budget_ns, &sample);
	struct fault fault;

	/* So that there is one truth. */
	kill(pid, SIGSTOP);
	if (source_read(whole, truth, &fault) != SOURCE_READ)
		abort();
	for (unsigned i = 0; i < settings->readings; i++) {
		int64_t before = source_cpu_ns(some);

		sample_clear(sample);
		if (source_read(some, sample, &fault) != SOURCE_READ)
			abort();
		if (settings->verbose)
			printf("%s %s %s: %.1f ms\n", name,
			       sample_status_name(sample->status), sample->missing,
			       (double)(source_cpu_ns(some) - before) / 1e6);
		count(truth, sample, tally, settings->verbose);
	}
	kill(pid, SIGCONT);
	source_close(whole);
	source_close(some);
	sample_free(truth);
	sample_free(sample);
}

static void run(const struct heap_kind *kind, const struct settings *settings,
		uint64_t seed, struct tally tally[TOLD])
{
	int out = -1;
	pid_t pid = start(kind, seed, settings->mb, &out);

	if (pid < 0)
		return;
	read_one(pid, kind->name, settings, tally);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out);
}

static void run_pids(const struct settings *settings, struct tally tally[TOLD])
{
	for (unsigned i = 0; i < settings->pids; i++)
		read_one(settings->pid[i], "process", settings, tally);
}

static void print(const char *name, const struct tally tally[TOLD])
{
	printf("| %-8s |", name);
	for (unsigned i = 0; i < TOLD; i++) {
		unsigned all = tally[i].held + tally[i].missed;
		unsigned others = tally[i].sure + tally[i].absent;

		if (tally[i].wrong)
			printf(" wrong %u |", tally[i].wrong);
		else if (all && others)
			printf(" %.1f ±%.2f (%u of %u) |", 100.0 * tally[i].held / all,
			       100 * tally[i].width / all, all, all + others);
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
	struct settings settings = {
		.seeds = 4, .readings = 100, .mb = 120, .budget_ns = 4000000};
	int option;

	while ((option = getopt(argc, argv, "+k:p:s:n:m:b:v")) != -1) {
		unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;

		switch (option) {
		case 'k':
			settings.kind = optarg;
			break;
		case 'p':
			if (settings.pids < PIDS)
				settings.pid[settings.pids++] = (pid_t)number;
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
	if (optind < argc)
		settings.program = (const char *const *)&argv[optind];
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

static void run_kind(const struct heap_kind *kind, const struct settings *settings,
		     struct tally all[TOLD])
{
	struct tally tally[TOLD] = {{0}};

	for (unsigned seed = 1; seed <= settings->seeds; seed++)
		run(kind, settings, seed, tally);
	print(kind->name, tally);
	add(all, tally);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	struct settings settings = parse(argc, argv);
	struct tally all[TOLD] = {{0}};
	struct heap_kind program = {.command = settings.program};

	printf("| heap |");
	for (unsigned i = 0; i < TOLD; i++)
		printf(" %s |", figure_info[told[i]].name);
	printf("\n");
	if (settings.program) {
		program.name = base_name(settings.program[0]);
		run_kind(&program, &settings, all);
	}
	if (settings.pids)
		run_pids(&settings, all);
	if (!settings.program && !settings.pids)
		for (unsigned k = 0; k < heap_kind_count; k++)
			if (!settings.kind || !strcmp(settings.kind, heap_kinds[k].name))
				run_kind(&heap_kinds[k], &settings, all);
	print("all", all);
	return 0;
}
