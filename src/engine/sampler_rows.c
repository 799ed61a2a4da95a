#include "engine/sampler_rows.h"

#include "base/clock.h"

#include <errno.h>

enum {
	LOOK_NS = 5000000, /* between looks for a sampler that is not there yet */
	LOOK_DOUBLINGS = 6,
	/* Between looks for samples, at most: what a command leaves behind when it ends
	 * is lost. */
	ROWS_NS = 50000000,
	ROWS_LEAST_NS = 10000000,
};

int sampler_rows_open(struct sampler_rows *all, const struct view_options *wanted,
		      struct fault *fault)
{
	return rows_open(&all->rows, wanted, fault);
}

void sampler_rows_begin(struct sampler_rows *all, int pid)
{
	all->pid = pid;
	all->due_ns = clock_monotonic_ns() + LOOK_NS;
}

static void leave(struct sampler_rows *all)
{
	source_close(all->source);
	sample_free(all->sample);
	all->source = NULL;
	all->sample = NULL;
}

/* No row is written from now on. */
static void give_up(struct sampler_rows *all)
{
	frontend_message(all->frontend, "%s", all->fault.text);
	all->is_broken = true;
	leave(all);
}

/* The sampler comes some milliseconds after the program. */
static void look(struct sampler_rows *all)
{
	const struct source_options wanted = {
		.source = SOURCE_PRELOAD,
		.follow = true,
		.quick = true,
		.arenas = all->arenas,
	};

	if (source_open(&all->source, all->pid, &wanted, &all->fault)) {
		all->source = NULL;
		all->looks++;
		return;
	}
	all->looks = 0;
	all->sample = source_sample(all->source);
	if (!all->sample) {
		fault_set(&all->fault, EXIT_FAILED, -ENOMEM, "out of memory");
		give_up(all);
	} else if (rows_note(&all->rows, source_describe(all->source), &all->fault)) {
		give_up(all);
	}
}

/* A program that ended, or became another, has left the last ones behind. */
static void write_rows(struct sampler_rows *all)
{
	int result;

	while ((result = source_read(all->source, all->sample, &all->fault)) ==
	       SOURCE_READ) {
		if (rows_sample(&all->rows, all->sample, &all->fault)) {
			give_up(all);
			return;
		}
		all->written++;
	}
	if (result == SOURCE_ENDED)
		leave(all);
	else if (result != SOURCE_NOTHING_NEW)
		give_up(all);
}

static int64_t gap_ns(const struct sampler_rows *all)
{
	unsigned doublings = all->looks < LOOK_DOUBLINGS ? all->looks : LOOK_DOUBLINGS;
	int64_t rows_ns = all->interval_ns;

	if (!all->source)
		return (int64_t)LOOK_NS << doublings;
	if (rows_ns < ROWS_LEAST_NS)
		return ROWS_LEAST_NS;
	return rows_ns < ROWS_NS ? rows_ns : ROWS_NS;
}

void sampler_rows_tend(struct sampler_rows *all)
{
	if (!all->source)
		look(all);
	if (all->source)
		write_rows(all);
	all->due_ns = clock_monotonic_ns() + gap_ns(all);
}

int64_t sampler_rows_due_ns(const struct sampler_rows *all)
{
	return all->rows.view && !all->is_broken ? all->due_ns : 0;
}

void sampler_rows_close(struct sampler_rows *all)
{
	bool was_open = all->rows.view;

	if (all->source)
		write_rows(all);
	leave(all);
	if (rows_close(&all->rows, &all->fault) && !all->is_broken)
		frontend_message(all->frontend, "%s", all->fault.text);
	else if (was_open && !all->written && !all->is_broken)
		frontend_message(
			all->frontend, "no sample of the command could be read: %s",
			*all->fault.text ? all->fault.text : "it ended before the first");
}
