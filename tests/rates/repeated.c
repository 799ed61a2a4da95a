/* repeated.c: whether successive readings should look at the same cells or at others:
 * which of the two tells changes, slopes, means and trends better, on heaps that a
 * program works on. All cells of each heap are read at each step; then each way of
 * drawing some of them is tried many times. Prints a table of docs/ESTIMATES.md. */
#include "analysis/trend.h"
#include "base/fault.h"
#include "glibc/attach.h"
#include "glibc/heap.h"
#include "glibc/parts.h"
#include "glibc/sampled.h"
#include "sample/sample.h"
#include "target/live.h"
#include "target/maps.h"

#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BLOCKS = 300000,
	STEPS = 60,
	CELLS_MOST = 2000,
	DRAWN = 200,
	TRIALS = 400,
	WINDOW = 10,   /* readings that a change is told from */
	COURSE = 30,   /* and a trend */
	SETTLED = 200, /* steps of work before the first reading */
	REGIONS = 256,
};

/* What a program does between two readings, in thousandths of its blocks. */
struct work {
	const char *name;
	unsigned replaced, freed;
};

static const struct work works[] = {
	{"at rest", 0, 0},
	{"1% of the blocks replaced", 10, 0},
	{"20% replaced", 200, 0},
	{"1% replaced, 0.1% freed", 10, 1},
	{"20% replaced, 0.1% freed", 200, 1},
};

/* Of each step what each cell holds that is free, and all of them. */
struct course {
	double cell[STEPS][CELLS_MOST];
	double truth[STEPS];
	unsigned cells;
	double heap_bytes;
};

/* ---- the program ---- */

static size_t size_of(uint64_t *state)
{
	return 16 + estimate_below(state, 300);
}

static bool drop(char **block, uint64_t *state)
{
	uint64_t at = estimate_below(state, BLOCKS);
	bool held = block[at] != NULL;

	free(block[at]);
	block[at] = NULL;
	return held;
}

/* A quarter of the places is empty. */
static void step(char **block, const struct work *work, uint64_t *state)
{
	for (unsigned i = 0; i < BLOCKS / 1000 * work->replaced; i++) {
		uint64_t at;

		if (!drop(block, state))
			continue;
		do {
			at = estimate_below(state, BLOCKS);
		} while (block[at]);
		block[at] = malloc(size_of(state));
	}
	for (unsigned i = 0; i < BLOCKS / 1000 * work->freed; i++)
		drop(block, state);
}

static const struct work settles = {"", 200, 0};

static void work_on(const struct work *work, int from, int to)
{
	static char *block[BLOCKS];
	uint64_t state = 5;
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = malloc(size_of(&state));
		memset(block[i], 1, 16);
	}
	for (unsigned i = 0; i < BLOCKS / 4; i++)
		drop(block, &state);
	for (unsigned i = 0; i < SETTLED; i++)
		step(block, &settles, &state);
	while (write(to, &byte, 1) == 1 && read(from, &byte, 1) == 1)
		step(block, work, &state);
	_exit(0);
}

/* ---- what all cells hold ---- */

static int take_region(const struct mapping *mapping, void *context)
{
	struct regions *regions = context;
	bool is_break = !mapping->inode && strcmp(mapping->name, "[heap]") == 0;

	if ((is_break || maps_is_anonymous(mapping)) &&
	    regions->count < regions->capacity)
		regions->region[regions->count++] =
			(struct region){mapping->start, mapping->end, is_break};
	return 0;
}

static void read_cells(struct heap *heap, const struct process *process,
		       struct sample *sample, struct course *course, unsigned at)
{
	static struct region region[REGIONS];
	struct regions regions = {.region = region, .capacity = REGIONS};
	const struct estimate_draw *draw;
	struct fault fault = {.text = ""};

	sample_clear(sample);
	if (maps_scan(process, take_region, &regions) || heap_look(heap, &fault) ||
	    heap_read(heap, &regions, sample, &fault)) {
		fprintf(stderr, "repeated: %s\n", fault.text);
		exit(1);
	}
	draw = sampler_draw(heap->sampler);
	if (!at)
		course->cells = draw->cells < CELLS_MOST ? draw->cells : CELLS_MOST;
	for (unsigned i = 0; i < course->cells; i++) {
		const float *sum = draw->cell[i].sum;

		course->cell[at][i] = sum[SUM_BYTES] + sum[SUM_FAST_BYTES];
		course->truth[at] += course->cell[at][i];
	}
	course->heap_bytes = figure_number(&sample->fig, FIG_SYSTEM_BYTES);
}

/* A sampler of its own for each step: what one notes of lists that are too long would
 * change what it counts for cells. */
static void read_step(const struct process *process, const struct attached *attached,
		      struct course *course, unsigned at)
{
	const struct heap_options options = {.threads = 1,
					     .unusable_for_bytes = 4096,
					     .budget_ns = 1000000000,
					     .whole_ns = 1,
					     .cells_least = CELLS_MOST};
	struct fault fault = {.text = ""};
	struct live_memory live;
	struct sample *sample;
	struct heap *heap;

	live_init(&live, process, PAGEMAP_FILE);
	if (heap_new(&heap, &live.memory, attached->instance, attached->count, &options,
		     &fault)) {
		fprintf(stderr, "repeated: %s\n", fault.text);
		exit(1);
	}
	sample = sample_new(heap_arena_capacity(heap), false);
	read_cells(heap, process, sample, course, at);
	sample_free(sample);
	heap_free(heap);
}

static void follow(const struct work *work, struct course *course)
{
	struct attached attached = {0};
	struct fault fault = {.text = ""};
	struct process process;
	int to[2], from[2];
	char byte;
	pid_t pid;

	if (pipe(to) || pipe(from))
		abort();
	pid = fork();
	if (pid == 0)
		work_on(work, to[0], from[1]);
	if (read(from[0], &byte, 1) != 1 || process_open(&process, pid, &fault) ||
	    attach(&process, &attached, &fault)) {
		fprintf(stderr, "repeated: %s\n", fault.text);
		exit(1);
	}
	for (unsigned i = 0; i < STEPS; i++) {
		read_step(&process, &attached, course, i);
		if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1)
			abort();
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	process_close(&process);
}

/* ---- samples of them ---- */

/* What a sample says of each step: two cells of each stratum, the same at all steps or
 * others at each. */
static void draw_course(const struct course *course, bool same, uint64_t *random,
			double value[STEPS], double half[STEPS])
{
	uint64_t number[DRAWN];

	for (unsigned t = 0; t < STEPS; t++) {
		double variance = 0;

		value[t] = 0;
		for (unsigned s = 0; s < DRAWN / 2; s++) {
			uint64_t from = (uint64_t)course->cells * s / (DRAWN / 2);
			uint64_t to = (uint64_t)course->cells * (s + 1) / (DRAWN / 2);
			double cells = (double)(to - from), one, other;

			if (!same || !t)
				estimate_draw_numbers(random, from, to - from, 2,
						      &number[2 * s]);
			one = course->cell[t][number[2 * s]];
			other = course->cell[t][number[2 * s + 1]];
			value[t] += cells * (one + other) / 2;
			variance +=
				cells * (cells - 2) * (one - other) * (one - other) / 4;
		}
		half[t] = 1.98 * sqrt(variance);
	}
}

static double slope_of(const double *value, unsigned count)
{
	double top = 0, bottom = 0;

	for (unsigned i = 0; i < count; i++) {
		double x = i - (count - 1) / 2.0;

		top += x * value[i];
		bottom += x * x;
	}
	return top / bottom;
}

static double mean_of(const double *value, unsigned count)
{
	double sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += value[i];
	return sum / count;
}

struct figures_of_way {
	double reading, change, slope, mean; /* squares of errors */
	unsigned trends, early, delay;
};

static enum trend_direction direction(const double *value)
{
	static struct trend_scratch scratch;
	double time_s[COURSE];
	struct trend trend;

	for (unsigned i = 0; i < COURSE; i++)
		time_s[i] = i;
	trend_of(time_s, value, COURSE, 0.01, &scratch, &trend);
	return trend.direction;
}

/* When a rule that asks for the whole interval above LIMIT, thrice in a row, first
 * speaks.
 */
static unsigned speaks(const double *value, const double *half, double limit)
{
	unsigned in_row = 0;

	for (unsigned t = 0; t < STEPS; t++) {
		in_row = value[t] - half[t] > limit ? in_row + 1 : 0;
		if (in_row == 3)
			return t;
	}
	return STEPS;
}

static void try_way(const struct course *course, bool same, uint64_t *random,
		    struct figures_of_way *way)
{
	double value[STEPS], half[STEPS], error[STEPS];
	unsigned at, crossed = STEPS / 3;

	draw_course(course, same, random, value, half);
	for (unsigned t = 0; t < STEPS; t++)
		error[t] = value[t] - course->truth[t];
	way->reading += error[0] * error[0];
	way->change += (error[1] - error[0]) * (error[1] - error[0]);
	way->slope += pow(slope_of(error, WINDOW), 2);
	way->mean += pow(mean_of(error, WINDOW), 2);
	way->trends += direction(value) != TREND_FLAT;
	at = speaks(value, half, course->truth[crossed]);
	way->early += at < crossed;
	way->delay += at > crossed ? at - crossed : 0;
}

static void print_way(const struct work *work, const struct figures_of_way *way,
		      double percent, bool same)
{
	printf("| %s | %s | %.2f | %.2f | %.3f | %.2f | %.0f%% |", same ? "" : work->name,
	       same ? "the same" : "others", percent * sqrt(way->reading / TRIALS),
	       percent * sqrt(way->change / TRIALS), percent * sqrt(way->slope / TRIALS),
	       percent * sqrt(way->mean / TRIALS), 100.0 * way->trends / TRIALS);
	if (work->freed)
		printf(" %.1f, early in %.1f%% |\n", (double)way->delay / TRIALS,
		       100.0 * way->early / TRIALS);
	else
		printf(" |\n");
}

static void print(const struct work *work, const struct course *course)
{
	double percent = 100 / course->heap_bytes;
	uint64_t random = 3;

	for (unsigned same = 0; same < 2; same++) {
		struct figures_of_way way = {0};

		for (unsigned i = 0; i < TRIALS; i++)
			try_way(course, same, &random, &way);
		print_way(work, &way, percent, same);
	}
	printf("  truth: %u cells, %.2f%% free, %+.4f%% a reading, %s\n", course->cells,
	       percent * course->truth[0], percent * slope_of(course->truth, COURSE),
	       direction(course->truth) == TREND_FLAT ? "no trend" : "a trend");
	fflush(stdout);
}

int main(void)
{
	for (unsigned i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		struct course *course = calloc(1, sizeof(*course));

		if (!course)
			return 1;
		follow(&works[i], course);
		print(&works[i], course);
		free(course);
	}
	return 0;
}
