/* What the sampler inside a program has published, with the kernel's figures beside it.
 * The program can write into the ring what it likes: nothing of it is believed but as
 * figures. */
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/units.h"
#include "ipc/ring.h"
#include "source/driver.h"
#include "source/kernel.h"
#include "target/denied.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct preload_state {
	struct ring ring;
	struct ring_sample taken;
};

static struct preload_state *state_of(const struct source *source)
{
	return source->state;
}

/* ---- opening ---- */

static int no_ring(const struct source *source, int error, struct fault *fault)
{
	const struct process *process = &source->process;

	switch (error) {
	case -ENOENT:
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "there is no sampler in process %d (%s): it was not "
				 "started by 'fragscope run'",
				 process->pid, process->comm);
	case -ENOTSUP:
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "the sampler in process %d (%s) is of another version "
				 "of fragscope",
				 process->pid, process->comm);
	case -EPROTO:
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "what process %d (%s) calls " RING_MEMFD
				 " is not a sampler's memory",
				 process->pid, process->comm);
	default:
		return denied(process->pid, process->comm, "its memory", error, fault);
	}
}

static void describe(struct source *source)
{
	const struct ring_header *header = &state_of(source)->ring.header;
	char every[16];
	struct text text;

	text_init(&text, every, sizeof(every));
	if (header->asked_interval_ns > 0)
		units_ns(&text, (uint64_t)header->asked_interval_ns);
	snprintf(source->allocator, sizeof(source->allocator), "%s", header->name);
	snprintf(source->description, sizeof(source->description),
		 "process %d (%s), %s, source preload, a sample every %s",
		 source->process.pid, source->process.comm, source->allocator, every);
}

/* Bins are told of allocators with size classes alone. */
static int check_bins(const struct source *source, struct fault *fault)
{
	const struct ring_header *header = &state_of(source)->ring.header;

	if (!source->options.bins || header->allocator == RING_JEMALLOC ||
	    header->allocator == RING_TCMALLOC)
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "the sampler in process %d (%s) has no bins of %s",
			 source->process.pid, source->process.comm, header->name);
}

static int preload_open(struct source *source, struct fault *fault)
{
	struct preload_state *state = alloc_touched(sizeof(*state));
	int error;

	if (!state)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "there is no memory left to start");
	source->state = state;
	error = ring_attach(&state->ring, &source->process);
	if (error)
		return no_ring(source, error, fault);
	describe(source);
	return check_bins(source, fault);
}

static void preload_close(struct source *source)
{
	struct preload_state *state = state_of(source);

	if (state)
		ring_detach(&state->ring);
	free(state);
}

static unsigned preload_arenas(const struct source *source)
{
	return source->options.arenas ? RING_ARENAS : 0;
}

/* ---- reading ---- */

/* What a figure of the ring is called in a row. */
static const struct {
	unsigned from;
	enum figure to;
} names[] = {
	{RING_SYSTEM_BYTES, FIG_SYSTEM_BYTES},
	{RING_FREE_BYTES, FIG_FREE_BYTES},
	{RING_FREE_CHUNKS, FIG_FREE_CHUNKS},
	{RING_LARGEST_FREE_BYTES, FIG_LARGEST_FREE_BYTES},
	{RING_LARGEST_HOLE_BYTES, FIG_LARGEST_HOLE_BYTES},
	{RING_TOP_BYTES, FIG_TOP_BYTES},
	{RING_FAST_CHUNKS, FIG_FAST_CHUNKS},
	{RING_FAST_BYTES, FIG_FAST_BYTES},
	{RING_LIVE_BYTES, FIG_LIVE_BYTES},
	{RING_ARENA_COUNT, FIG_ARENAS},
	{RING_MMAPPED_CHUNKS, FIG_MMAPPED_CHUNKS},
	{RING_MMAPPED_BYTES, FIG_MMAPPED_BYTES},
	{RING_THREAD_CACHE_BYTES, FIG_TCACHE_BYTES},
	{RING_ACTIVE_BYTES, FIG_ACTIVE_BYTES},
	{RING_DIRTY_BYTES, FIG_DIRTY_BYTES},
	{RING_MUZZY_BYTES, FIG_MUZZY_BYTES},
	{RING_RESIDENT_BYTES, FIG_HEAP_RESIDENT_BYTES},
	{RING_MAPPED_BYTES, FIG_MAPPED_BYTES},
	{RING_UNMAPPED_BYTES, FIG_UNMAPPED_BYTES},
	{RING_PEAK_MAPPED_BYTES, FIG_PEAK_MAPPED_BYTES},
	{RING_RESERVED_BYTES, FIG_RESERVED_BYTES},
	{RING_HEAP_THREADS, FIG_HEAP_THREADS},
	{RING_LARGEST_EXTENT_BYTES, FIG_LARGEST_EXTENT_BYTES},
	{RING_SLAB_BYTES, FIG_SLAB_BYTES},
	{RING_SLAB_FREE_BYTES, FIG_SLAB_FREE_BYTES},
	{RING_MALLINFO2 + 0, FIG_MALLINFO2_ARENA},
	{RING_MALLINFO2 + 1, FIG_MALLINFO2_ORDBLKS},
	{RING_MALLINFO2 + 2, FIG_MALLINFO2_SMBLKS},
	{RING_MALLINFO2 + 3, FIG_MALLINFO2_HBLKS},
	{RING_MALLINFO2 + 4, FIG_MALLINFO2_HBLKHD},
	{RING_MALLINFO2 + 5, FIG_MALLINFO2_USMBLKS},
	{RING_MALLINFO2 + 6, FIG_MALLINFO2_FSMBLKS},
	{RING_MALLINFO2 + 7, FIG_MALLINFO2_UORDBLKS},
	{RING_MALLINFO2 + 8, FIG_MALLINFO2_FORDBLKS},
	{RING_MALLINFO2 + 9, FIG_MALLINFO2_KEEPCOST},
};

_Static_assert((int)RING_CLASSES <= (int)SAMPLE_CLASSES,
	       "a sample has room for all classes");
_Static_assert(RING_MALLINFO2 + 10 == RING_MALLINFO2_END, "mallinfo2 has ten fields");

/* Sets what of the first COUNT figures VALUE has, and what follows from them. */
static void set_figures(struct figures *fig, uint64_t have, const uint64_t *value,
			unsigned count)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].from < count && have >> names[i].from & 1)
			figure_set(fig, names[i].to, value[names[i].from]);
	figures_derive(fig);
}

static void set_arenas(const struct ring_sample *taken, struct sample *sample)
{
	unsigned count = taken->arenas_filled;

	if (count > sample->arena_capacity)
		count = sample->arena_capacity;
	for (unsigned i = 0; i < count; i++) {
		const struct ring_arena *from = &taken->arena[i];
		struct arena_row *row = &sample->arena[i];

		row->index = from->index;
		row->bins = NULL; /* of arenas none are told */
		set_figures(&row->fig, from->have, from->value, RING_ARENA_FIGURES);
	}
	sample->arena_count = count;
}

static void set_classes(const struct ring_sample *taken, struct size_classes *classes)
{
	classes->has_slabs = taken->flags & RING_SLABS;
	classes->count = taken->classes_filled;
	for (unsigned i = 0; i < taken->classes_filled; i++) {
		const struct ring_class *from = &taken->class[i];

		classes->class[i] = (struct region_class){from->region_bytes, from->free,
							  from->used, from->slabs};
	}
}

static void set_ns(struct figures *fig, enum figure f, int64_t ns)
{
	if (ns >= 0)
		figure_set(fig, f, (uint64_t)ns);
}

static void miss(struct sample *sample, const char *what)
{
	sample->status = STATUS_PARTIAL;
	snprintf(sample->missing, sizeof(sample->missing), "%s", what);
}

static void set_sample(const struct source *source, const struct ring_sample *taken,
		       struct sample *sample)
{
	enum ring_allocator allocator = state_of(source)->ring.header.allocator;
	struct figures *fig = &sample->fig;

	set_figures(fig, taken->have, taken->value, RING_FIGURES);
	set_arenas(taken, sample);
	if (sample->classes)
		set_classes(taken, sample->classes);
	set_ns(fig, FIG_SAMPLE_COST_NS, taken->cost_ns);
	set_ns(fig, FIG_SAMPLE_INTERVAL_NS, taken->interval_ns);
	set_ns(fig, FIG_SAMPLE_AGE_NS, clock_monotonic_ns() - taken->monotonic_ns);
	if (allocator == RING_UNKNOWN)
		miss(sample, "the sampler does not know this allocator");
	else if (taken->flags & RING_WRAPS)
		miss(sample, "this glibc counts up to 2 GB: larger figures are wrong");
	else if (allocator == RING_GLIBC && source->options.arenas &&
		 !taken->arenas_filled)
		miss(sample, "arenas: the sampler asks for them less often, to spare the "
			     "program");
}

/* The kernel's figures. A sample that its process left behind goes without. */
static int read_kernel(struct source *source, struct sample *sample, struct fault *fault)
{
	int error = source_usage(source, sample, fault);

	if (!error && !source->options.quick)
		error = source_mappings(source, sample, fault);
	if (error != -ESRCH || !source->options.follow)
		return error;
	miss(sample, "the program has ended: the kernel has no figures any more");
	return 0;
}

static int cannot_follow(const struct source *source, int error, struct fault *fault)
{
	if (error == -ESRCH)
		return error;
	if (error == -EPROTO)
		return fault_set(fault, EXIT_FAILED, error,
				 "the samples in process %d (%s) are damaged: something "
				 "there writes over the sampler's memory; until it is "
				 "restarted, --source heap reads the heap itself",
				 source->process.pid, source->process.comm);
	return fault_set(fault, EXIT_FAILED, error,
			 "the sampler in process %d (%s) cannot be read any more: %s",
			 source->process.pid, source->process.comm, strerror(-error));
}

/* The next sample, to be a row at the time when it was taken. */
static int read_next(struct source *source, struct sample *sample, struct fault *fault)
{
	struct preload_state *state = state_of(source);
	uint64_t missed;
	int error = ring_next(&state->ring, &state->taken, &missed);

	/* What came between this look and the end is looked for once more. */
	if (error == -EAGAIN && process_state(&source->process) != PROCESS_RUNS)
		error = ring_next(&state->ring, &state->taken, &missed);
	if (error == -EAGAIN)
		return SOURCE_NOTHING_NEW;
	if (error)
		return cannot_follow(source, error, fault);
	/* A clock that was set, at most: no row is of the future, or before the epoch. */
	if (state->taken.time_ns >= 0 && state->taken.time_ns < sample->time_ns)
		sample->time_ns = state->taken.time_ns;
	set_sample(source, &state->taken, sample);
	figure_set(&sample->fig, FIG_MISSED_SAMPLES, missed);
	return read_kernel(source, sample, fault);
}

static int read_latest(struct source *source, struct sample *sample, struct fault *fault)
{
	struct preload_state *state = state_of(source);
	int error = ring_latest(&state->ring, &state->taken);

	if (error && error != -EAGAIN)
		return cannot_follow(source, error, fault);
	if (error)
		miss(sample, "the sampler has taken no sample yet");
	else
		set_sample(source, &state->taken, sample);
	return read_kernel(source, sample, fault);
}

static int preload_read(struct source *source, struct sample *sample, struct fault *fault)
{
	return source->options.follow ? read_next(source, sample, fault)
				      : read_latest(source, sample, fault);
}

const struct driver preload_driver = {
	.open = preload_open,
	.read = preload_read,
	.close = preload_close,
	.arenas = preload_arenas,
};
