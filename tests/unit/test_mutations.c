/* test_mutations.c: damaged heaps. Each image is damaged in thousands of ways, the same
 * ones in every run, and read: the reader must come to an end within bounds, read nothing
 * that is not resident, and not call complete what does not add up.
 *
 * FRAGSCOPE_MUTATIONS=COUNT sets how many for each image;
 * FRAGSCOPE_MUTATIONS=NAME:NUMBER runs the one that a failure names. */
#include "damage.h"
#include "saved.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MUTATIONS = 2250, /* of each image */
	EDITS_MAX = 4,
	READINGS = 6,
	SHARES = 18,
	CELLS = 100,
	CHUNKS = 4000,
	/* An undamaged image takes some hundred, lists that run in a circle some 100,000;
	 * more than this is no end. */
	LIMIT = 1000000,
	FAILURES_SHOWN = 20,
	LAST_RESORT_S = 280, /* for a reader that does not even read any more */
};

/* The ways to read, and of SHARES mutations how many are read so. */
static const struct {
	struct heap_options options;
	unsigned share;
} ways[READINGS] = {
	{{.threads = 1}, 6},
	{{.threads = 1, .arenas = true, .bins = true}, 5},
	{{.threads = 1, .quick = true}, 2},
	{{.threads = 2, .arenas = true}, 1},
	{{.threads = 1, .survey = true}, 2}, /* chunk by chunk, in place of a reading */
	/* A random sample, with time for the first of the lists only. */
	{{.threads = 1, .arenas = true, .budget_ns = 1, .whole_ns = 1, .seed = 1}, 2},
};

/* One image, and the readers of it, which stay from mutation to mutation. */
struct bench {
	const struct saved *saved;
	struct damage *damage;
	struct image_memory memory;
	struct heap *heap[READINGS];
	struct sample *sample[READINGS];
	struct heap_map *map;
	bool is_only; /* the one that was asked for: tell what is done */
	unsigned number;
	unsigned way;
	unsigned failures;
	unsigned count[STATUS_ESTIMATED + 1];
	unsigned errors;
	uint64_t most_reads;
	jmp_buf end;
};

/* What a signal handler and the limit's callback can name. */
static struct bench *current;

static void failure(struct bench *bench, const char *what)
{
	if (bench->failures++ < FAILURES_SHOWN)
		print_error("FRAGSCOPE_MUTATIONS=%s:%u: %s\n", bench->saved->name,
			    bench->number, what);
}

static void exhausted(void *context)
{
	struct bench *bench = context;

	failure(bench, "looks at pages without end");
	if (ways[bench->way].options.threads > 1)
		abort();
	longjmp(bench->end, 1);
}

static void open_reader(struct bench *bench, unsigned way)
{
	const struct image *image = bench->saved->image;
	struct fault fault;

	assert_int_equal(heap_new(&bench->heap[way], &bench->memory.memory,
				  image->instance, image->instance_count,
				  &ways[way].options, &fault),
			 0);
}

static void open_bench(struct bench *bench, const struct saved *saved)
{
	struct image *image = saved->image;

	memset(bench, 0, sizeof(*bench));
	bench->saved = saved;
	bench->damage = damage_new(image);
	assert_non_null(bench->damage);
	image_memory_init(&bench->memory, image);
	for (unsigned i = 0; i < READINGS; i++) {
		open_reader(bench, i);
		bench->sample[i] = sample_new(heap_arena_capacity(bench->heap[i]),
					      ways[i].options.bins);
		assert_non_null(bench->sample[i]);
	}
	bench->map = heap_map_new(CELLS, CHUNKS);
	assert_non_null(bench->map);
	bench->memory.limit = LIMIT;
	bench->memory.exhausted = exhausted;
	bench->memory.context = bench;
}

static void close_bench(struct bench *bench)
{
	for (unsigned i = 0; i < READINGS; i++) {
		heap_free(bench->heap[i]);
		sample_free(bench->sample[i]);
	}
	heap_map_free(bench->map);
	damage_free(bench->damage);
}

static unsigned pick_way(unsigned number)
{
	unsigned rest = number % SHARES, way = 0;

	while (rest >= ways[way].share)
		rest -= ways[way++].share;
	return way;
}

/* How often each kind of place is damaged, of 32: where damage is told at once, seldom.
 */
static const uint8_t shares[PLACES] = {
	[PLACE_HEADER] = 11, [PLACE_LINK] = 8, [PLACE_TOP] = 2,	  [PLACE_BIN] = 3,
	[PLACE_FASTBIN] = 2, [PLACE_RING] = 1, [PLACE_STATE] = 1, [PLACE_HEAP_INFO] = 1,
	[PLACE_TCACHE] = 2,  [PLACE_PAR] = 1,
};

static enum place pick_place(uint64_t draw)
{
	unsigned rest = draw % 32, place = 0;

	while (rest >= shares[place])
		rest -= shares[place++];
	return place;
}

static void mutate(struct bench *bench, uint64_t seed)
{
	uint64_t random = seed;
	unsigned edits = 1 + damage_random(&random) % EDITS_MAX;

	for (unsigned i = 0; i < edits; i++) {
		uint64_t draw = damage_random(&random);
		struct edit edit = {draw, pick_place(draw >> 8), draw >> 16,
				    damage_random(&random)};

		if (bench->is_only)
			print_message("change %u of place %u, %u: %#" PRIx64 "\n",
				      edit.change % CHANGES, edit.place % PLACES,
				      edit.index, edit.value);
		damage_apply(bench->damage, &edit);
	}
}

/* ---- what must hold of whatever was read ---- */

static void expect(struct bench *bench, bool holds, const char *what)
{
	if (!holds)
		failure(bench, what);
}

static void check_error(struct bench *bench, int error, const struct fault *fault)
{
	bench->errors++;
	if (error == -ETIMEDOUT) {
		failure(bench, "reads without end");
		return;
	}
	expect(bench,
	       error == -EUCLEAN || error == -ENODATA || error == -ENOSPC ||
		       error == -EFAULT,
	       "an error that damage cannot cause");
	expect(bench, fault->text[0] && fault->status != EXIT_DONE,
	       "an error without its reason");
}

static uint64_t value(const struct figures *fig, enum figure f)
{
	return figure_has(fig, f) ? fig->v[f].u : 0;
}

/* Whatever the status: parts are parts of their wholes. */
static void check_parts(struct bench *bench, const struct figures *fig)
{
	expect(bench,
	       value(fig, FIG_TRIMMABLE_BYTES) + value(fig, FIG_PINNED_BYTES) +
			       value(fig, FIG_RETAINED_BYTES) ==
		       value(fig, FIG_FREE_RESIDENT_BYTES),
	       "trimmable, pinned and retained are not what is resident and free");
	expect(bench,
	       value(fig, FIG_LARGEST_HOLE_BYTES) <= value(fig, FIG_LARGEST_FREE_BYTES),
	       "a hole larger than the largest free chunk");
}

/* Only what adds up may be called complete. */
static void check_complete(struct bench *bench, const struct sample *sample)
{
	const struct figures *fig = &sample->fig;
	uint64_t system = value(fig, FIG_SYSTEM_BYTES);
	uint64_t free_bytes = value(fig, FIG_FREE_BYTES);

	expect(bench, value(fig, FIG_IN_DOUBT_BYTES) == 0, "complete and in doubt");
	expect(bench, free_bytes <= system, "complete, more is free than there is");
	expect(bench,
	       figure_has(fig, FIG_LIVE_BYTES) &&
		       figure_has(fig, FIG_LIVE_RESIDENT_BYTES),
	       "complete, and what is live is not known");
	expect(bench, value(fig, FIG_FREE_RESIDENT_BYTES) <= free_bytes,
	       "complete, more is resident and free than free");
	expect(bench,
	       value(fig, FIG_TOP_BYTES) + value(fig, FIG_FAST_BYTES) <= free_bytes,
	       "complete, tops and fastbins exceed what is free");
	expect(bench, value(fig, FIG_LARGEST_FREE_BYTES) <= free_bytes,
	       "complete, the largest free chunk is larger than all");
	expect(bench,
	       value(fig, FIG_LIVE_RESIDENT_BYTES) <=
		       value(fig, FIG_LIVE_BYTES) + value(fig, FIG_TCACHE_BYTES),
	       "complete, more is resident and live than live");
	for (unsigned i = 0; i < sample->arena_count; i++)
		check_parts(bench, &sample->arena[i].fig);
}

/* Whatever a quick look says, it is no more than there is. */
static void check_quick(struct bench *bench, const struct figures *fig)
{
	uint64_t system = value(fig, FIG_SYSTEM_BYTES);

	expect(bench, value(fig, FIG_TOP_BYTES) <= system, "tops larger than the arenas");
	expect(bench, value(fig, FIG_LARGEST_FREE_BYTES) <= system,
	       "a free chunk larger than the arenas");
	expect(bench,
	       value(fig, FIG_LARGEST_HOLE_BYTES) <= value(fig, FIG_LARGEST_FREE_BYTES),
	       "a hole larger than the largest free chunk");
}

/* Whatever an estimate is of, it lies in its interval. */
static void check_estimate(struct bench *bench, const struct figures *fig)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		double low, high, is;

		if (!figure_has(fig, f))
			continue;
		is = figure_number(fig, f);
		figure_range(fig, f, &low, &high);
		expect(bench, low <= is && is <= high && low >= 0,
		       "an estimate outside its interval");
		if (figure_info[f].is_share)
			expect(bench, is <= 1, "a share above 1");
	}
	/* Of segments that were found: each is in a mapping, or a little longer. */
	expect(bench, value(fig, FIG_LIVE_RESIDENT_BYTES) < UINT64_C(1) << 40,
	       "more is resident and live than the segments have");
}

static void check_sample(struct bench *bench, const struct sample *sample)
{
	bool is_sampled = ways[bench->way].options.budget_ns != 0;

	expect(bench, sample->status <= (is_sampled ? STATUS_ESTIMATED : STATUS_PARTIAL),
	       "a status that there is not");
	if (sample->status <= STATUS_ESTIMATED)
		bench->count[sample->status]++;
	expect(bench, (sample->missing[0] != '\0') == (sample->status == STATUS_PARTIAL),
	       "partial and nothing missing, or the reverse");
	if (ways[bench->way].options.quick) {
		check_quick(bench, &sample->fig);
		return;
	}
	if (is_sampled) {
		check_estimate(bench, &sample->fig);
		for (unsigned i = 0; i < sample->arena_count; i++)
			check_estimate(bench, &sample->arena[i].fig);
		return;
	}
	check_parts(bench, &sample->fig);
	if (sample->status == STATUS_COMPLETE)
		check_complete(bench, sample);
	if (sample->status == STATUS_TORN)
		expect(bench,
		       value(&sample->fig, FIG_IN_DOUBT_BYTES) != 0 ||
			       value(&sample->fig, FIG_SKEW_BYTES) != 0,
		       "torn and nothing in doubt");
}

/* Whatever a map says, each byte is of one kind. */
static void check_map(struct bench *bench, const struct heap_map *map)
{
	for (unsigned i = 0; i < map->cell_count; i++) {
		const struct map_cell *cell = &map->cell[i];
		uint64_t bytes = 0;

		for (unsigned k = 0; k < MAP_KINDS; k++)
			bytes += cell->bytes[k];
		expect(bench, bytes && bytes == cell->to - cell->from,
		       "a cell holds more than there is, or less");
		expect(bench, cell->resident_bytes <= bytes,
		       "more of a cell is resident than there is");
	}
	for (unsigned i = 1; i < map->chunk_count; i++)
		expect(bench,
		       map->chunk[i].addr >=
			       map->chunk[i - 1].addr + map->chunk[i - 1].bytes,
		       "pieces of the heap overlap");
}

static void check_blockers(struct bench *bench, const struct blockers *blockers)
{
	for (unsigned i = 0; i < blockers->best_count; i++)
		expect(bench,
		       blockers->best[i].chunks &&
			       blockers->best[i].unlocked_free_bytes &&
			       blockers->best[i].unlocked_free_bytes <=
				       blockers->best[i].unlocked_bytes,
		       "a pin that pins nothing");
	for (unsigned i = 1; i < blockers->step_count; i++)
		expect(bench, blockers->step[i].chunks > blockers->step[i - 1].chunks,
		       "steps that lead nowhere");
}

static void survey_once(struct bench *bench)
{
	const struct regions *regions = &bench->saved->image->regions;
	struct heap *heap = bench->heap[bench->way];
	struct blockers blockers = {.arena = BLOCKERS_ALL_ARENAS};
	struct fault fault = {.text = ""};
	int error;

	heap_map_clear(bench->map);
	bench->map->arena = bench->number / SHARES % 2;
	error = heap_look(heap, &fault);
	if (!error)
		error = heap_map(heap, regions, bench->map, &fault);
	check_map(bench, bench->map);
	if (error) {
		/* Damage may leave one arena only. */
		if (error != -ENOENT)
			check_error(bench, error, &fault);
		return;
	}
	error = heap_look(heap, &fault);
	if (!error)
		error = heap_blockers(heap, regions, &blockers, &fault);
	if (error)
		check_error(bench, error, &fault);
	else
		check_blockers(bench, &blockers);
}

static void read_once(struct bench *bench)
{
	struct heap *heap = bench->heap[bench->way];
	struct sample *sample = bench->sample[bench->way];
	struct fault fault = {.text = ""};
	int error;

	sample_clear(sample);
	error = heap_look(heap, &fault);
	if (!error)
		error = heap_read(heap, &bench->saved->image->regions, sample, &fault);
	if (error)
		check_error(bench, error, &fault);
	else
		check_sample(bench, sample);
}

static void run_one(struct bench *bench, unsigned image, unsigned number)
{
	uint64_t reads;
	int broke_off;

	bench->number = number;
	bench->way = pick_way(number);
	bench->memory.reads = bench->memory.looks = bench->memory.outside = 0;
	mutate(bench, (uint64_t)image << 32 | number);
	broke_off = setjmp(bench->end);
	if (!broke_off && ways[bench->way].options.survey)
		survey_once(bench);
	else if (!broke_off)
		read_once(bench);
	expect(bench, bench->memory.outside == 0, "read what is not resident");
	reads = bench->memory.reads + bench->memory.looks;
	damage_undo(bench->damage);
	if (broke_off) {
		/* It was left in the middle. */
		bench->memory.reads = bench->memory.looks = 0;
		heap_free(bench->heap[bench->way]);
		open_reader(bench, bench->way);
	}
	if (reads > bench->most_reads)
		bench->most_reads = reads;
}

/* ---- running them ---- */

static struct saved saved[SAVED_MAX];
static int saved_count;

/* What FRAGSCOPE_MUTATIONS asks for of the image NAME: from FIRST, COUNT of them. */
static void wanted(const char *name, unsigned *first, unsigned *count)
{
	const char *text = getenv("FRAGSCOPE_MUTATIONS");
	const char *colon = text ? strchr(text, ':') : NULL;

	*first = 0;
	*count = MUTATIONS;
	if (colon) {
		bool is_it =
			strncmp(text, name, colon - text) == 0 && !name[colon - text];

		*first = strtoul(colon + 1, NULL, 10);
		*count = is_it;
	} else if (text) {
		*count = strtoul(text, NULL, 10);
	}
}

static unsigned run_image(unsigned image)
{
	static struct bench bench;
	unsigned first, count;

	wanted(saved[image].name, &first, &count);
	open_bench(&bench, &saved[image]);
	bench.is_only = count == 1;
	current = &bench;
	for (unsigned i = first; i < first + count; i++)
		run_one(&bench, image, i);
	current = NULL;
	close_bench(&bench);
	print_message("%s: %u complete, %u torn, %u partial, %u estimated, %u refused; "
		      "at most %" PRIu64 " reads\n",
		      saved[image].name, bench.count[STATUS_COMPLETE],
		      bench.count[STATUS_TORN], bench.count[STATUS_PARTIAL],
		      bench.count[STATUS_ESTIMATED], bench.errors, bench.most_reads);
	return bench.failures;
}

static void damaged_heaps_are_survived(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (int i = 0; i < saved_count; i++)
		failures += run_image(i);
	assert_int_equal(failures, 0);
}

/* The damage reaches everything it is meant to, and leaves nothing behind. */
static void damage_can_be_undone(void **state)
{
	(void)state;
	for (int i = 0; i < saved_count; i++) {
		struct image *image = saved[i].image;
		size_t size = image->page_count << image->page_shift;
		struct damage *damage = damage_new(image);
		uint8_t *before = malloc(size);
		uint64_t random = i;

		assert_non_null(damage);
		assert_non_null(before);
		memcpy(before, image->bytes, size);
		for (unsigned p = 0; p < PLACES; p++)
			if (p != PLACE_FASTBIN)
				assert_true(damage_places(damage, p));
		for (unsigned n = 0; n < 100; n++) {
			uint64_t draw = damage_random(&random);

			damage_apply(damage, &(struct edit){draw, draw >> 8, draw >> 16,
							    damage_random(&random)});
		}
		assert_memory_not_equal(before, image->bytes, size);
		damage_undo(damage);
		assert_memory_equal(before, image->bytes, size);
		for (uint64_t p = 0; p < image->page_count; p++)
			assert_int_equal(image->flags[p], PAGE_RESIDENT);
		free(before);
		damage_free(damage);
	}
}

static void last_resort(int signal)
{
	char text[128];
	int length = snprintf(text, sizeof(text), "FRAGSCOPE_MUTATIONS=%s:%u: no end\n",
			      current ? current->saved->name : "?",
			      current ? current->number : 0);

	(void)signal;
	if (write(STDERR_FILENO, text, length) < 0)
		_exit(2);
	_exit(1);
}

static int load(void **state)
{
	/* Of processor time: what the machine does besides does not count. */
	const struct itimerval limit = {.it_value.tv_sec = LAST_RESORT_S};
	char why[SAVED_PATH];

	(void)state;
	saved_count = saved_load(saved, why);
	if (saved_count < 0)
		print_error("%s: %s\n", why, strerror(-saved_count));
	signal(SIGPROF, last_resort);
	setitimer(ITIMER_PROF, &limit, NULL);
	return saved_count < 0 ? -1 : 0;
}

static int unload(void **state)
{
	(void)state;
	saved_free(saved, saved_count);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_can_be_undone),
		cmocka_unit_test(damaged_heaps_are_survived),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
