/* The outside reader of a live glibc heap, with the kernel's figures beside it. */
#include "glibc/heap.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/subprocess.h"
#include "base/units.h"
#include "glibc/attach.h"
#include "owners/owners.h"
#include "owners/shares.h"
#include "source/driver.h"
#include "source/kernel.h"
#include "source/other_resident.h"
#include "target/denied.h"
#include "target/live.h"
#include "target/pause.h"
#include "target/usage.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REGIONS = 1 << 12,
	REGIONS_FACTOR = 4,
	REGIONS_MOST = 1 << 16,
	STOPS = 256,	/* that one reading may take */
	LATE_STOPS = 3, /* of these, such as came to nothing for their limit */
	GAP_NS = 50 * 1000,
	GAP_STOPS = 8, /* after so many the gap doubles */
	GAP_DOUBLINGS = 7,
	LATE_GAP_NS = 500 * 1000 * 1000,
	/* The kernel's exact figures hold the target's mmap_lock for all of the time that
	 * they take: a part of a budget, and what they take where it is not known yet. */
	USAGE_SHARE = 10,
	USAGE_MB_NS = 20 * 1000,
	USAGE_FORGETS = 32,
	READERS_PAY_BYTES = 256 << 20,
	READERS_AT_MOST = 4, /* more would be a burden to the host */
};

struct heap_state {
	struct live_memory live;
	struct pause *pause; /* null unless readings pause the target */
	bool was_at_rest;    /* a pause has led to a reading */
	struct heap *heap;
	uint64_t mappings;
	int64_t usage_mb_ns;	/* of the kernel's exact figures, by resident MB */
	bool is_quick;		/* the last reading did without */
	struct regions regions; /* the table is ours */
	bool scans;		/* by PAGEMAP_SCAN */
	struct other other;
};

static struct heap_state *state_of(const struct source *source)
{
	return source->state;
}

/* ---- opening ---- */

static int choose_method(struct source *source, enum pagemap_method *method,
			 struct fault *fault)
{
	bool can_scan = live_can_scan(&source->process);

	*method = PAGEMAP_IOCTL;
	if (source->options.residency == RESIDENCY_PAGEMAP)
		*method = PAGEMAP_FILE;
	else if (!can_scan && source->options.residency == RESIDENCY_AUTO)
		*method = PAGEMAP_FILE;
	else if (!can_scan)
		return fault_set(
			fault, EXIT_NO_SOURCE, -ENOTTY,
			"this kernel has no PAGEMAP_SCAN: Linux 6.7 or later is needed; "
			"--residency pagemap reads /proc/PID/pagemap instead");
	return 0;
}

static const char *method_name(enum pagemap_method method, uint64_t zero_frame)
{
	if (method == PAGEMAP_IOCTL)
		return "PAGEMAP_SCAN";
	return zero_frame ? "pagemap" : "pagemap (zero pages count as resident)";
}

static void describe(struct source *source, const struct attached *attached,
		     enum pagemap_method method, unsigned threads)
{
	const struct heap_state *state = state_of(source);
	int used;

	used = snprintf(source->description, sizeof(source->description),
			"process %d (%s), %s, source heap, residency by %s, %s",
			source->process.pid, source->process.comm, attached->allocator,
			method_name(method, state->live.zero_frame),
			units_counted_text(threads, "reader").s);
	if (attached->other[0] && used < (int)sizeof(source->description))
		snprintf(source->description + used, sizeof(source->description) - used,
			 "; %s is mapped too, its memory counts as other",
			 attached->other);
}

/* Yama lets the files of /proc be read where it forbids the memory itself. */
static int cannot_open(const struct source *source, int error, struct fault *fault)
{
	struct fault why = *fault;

	if (error == -EPERM)
		return denied(source->process.pid, source->process.comm, "its memory",
			      error, fault);
	return fault_set(fault, why.status, error,
			 "cannot read the heap of process %d (%s): %s",
			 source->process.pid, source->process.comm, why.text);
}

struct looked {
	struct attached attached;
	struct fault fault;
	int error;
};

static void look_for_malloc(void *context, void *result)
{
	const struct source *source = context;
	struct looked *looked = result;

	looked->error = attach(&source->process, &looked->attached, &looked->fault);
}

/* The files are the target's to choose: a child opens them. */
static int find_malloc(struct source *source, struct attached *attached,
		       struct fault *fault)
{
	struct looked looked;
	int error = subprocess_run(look_for_malloc, source, &looked, sizeof(looked),
				   &source->beats);

	if (error)
		return fault_set(
			fault, EXIT_FAILED, error,
			"cannot start the helper that opens the files of process "
			"%d (%s): %s",
			source->process.pid, source->process.comm, strerror(-error));
	*attached = looked.attached;
	if (looked.error && fault)
		*fault = looked.fault;
	return looked.error;
}

unsigned source_readers(uint64_t rss_bytes, unsigned processors, double load)
{
	double idle = (double)processors - load;

	if (rss_bytes < READERS_PAY_BYTES || !(idle >= 2))
		return 1;
	return idle < READERS_AT_MOST ? (unsigned)idle : READERS_AT_MOST;
}

/* A reading with a budget is whole only of a small heap. */
static unsigned choose_readers(const struct source *source)
{
	struct usage usage;
	cpu_set_t allowed;
	double load;

	if (source->options.budget_ns || usage_quick(&source->process, &usage) ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) || getloadavg(&load, 1) != 1)
		return 1;
	return source_readers(usage.rss_bytes, (unsigned)CPU_COUNT(&allowed), load);
}

static int open_reader(struct source *source, struct fault *fault)
{
	struct heap_state *state = state_of(source);
	uint64_t unusable_for = source->options.unusable_for_bytes;
	unsigned threads = source->options.threads ? source->options.threads
						   : choose_readers(source);
	const struct heap_options options = {
		.bins = source->options.bins,
		.sizes = source->options.sizes,
		.arenas = source->options.arenas || source->options.bins,
		.quick = source->options.quick,
		.survey = source->options.survey && !source->options.quick,
		.patient = source->options.go_on,
		.swap_in = source->options.swap_in,
		.threads = threads,
		.unusable_for_bytes =
			unusable_for ? unusable_for : DEFAULT_UNUSABLE_FOR_BYTES,
		.budget_ns = source->options.budget_ns,
		.whole_ns = source->options.whole_ns,
	};
	enum pagemap_method method;
	struct attached attached = {0};
	int error;

	error = find_malloc(source, &attached, fault);
	if (!error)
		error = choose_method(source, &method, fault);
	if (error)
		return error;
	/* Before memory and threads are taken: the helper is a small process. */
	if (source->options.pause_ns)
		error = pause_new(&state->pause, &source->process, fault);
	if (error)
		return error;
	live_init(&state->live, &source->process, method);
	state->scans = method == PAGEMAP_IOCTL;
	state->live.beats = &source->beats;
	error = heap_new(&state->heap, &state->live.memory, attached.instance,
			 attached.count, &options, fault);
	if (error)
		return cannot_open(source, error, fault);
	if (!heap_is_used(state->heap))
		return attach_unused(&source->process, &attached, fault);
	snprintf(source->allocator, sizeof(source->allocator), "%s", attached.allocator);
	describe(source, &attached, method, threads);
	return 0;
}

/* Replaces the table of REGIONS by one with room for COUNT. False: there is no memory. */
static bool take_regions(struct regions *regions, unsigned count)
{
	struct region *region = alloc_touched(count * sizeof(*region));

	if (!region)
		return false;
	free(regions->region);
	regions->region = region;
	regions->capacity = count;
	return true;
}

static int heap_open(struct source *source, struct fault *fault)
{
	struct heap_state *state = alloc_touched(sizeof(*state));

	source->state = state;
	if (!state || !take_regions(&state->regions, REGIONS))
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "there is no memory left to start");
	return open_reader(source, fault);
}

static void heap_close(struct source *source)
{
	struct heap_state *state = state_of(source);

	if (state) {
		heap_free(state->heap);
		pause_free(state->pause);
		free(state->regions.region);
	}
	free(state);
}

static unsigned heap_arenas(const struct source *source)
{
	return heap_arena_capacity(state_of(source)->heap);
}

/* ---- reading ---- */

/* Mappings that only flags or names keep apart are one region: madvise and prctl split
 * what malloc got as a whole. */
static int take_mapping(const struct mapping *mapping, void *context)
{
	struct heap_state *state = context;
	struct regions *regions = &state->regions;
	struct region *last =
		regions->count ? &regions->region[regions->count - 1] : NULL;
	bool is_break = !mapping->inode && strcmp(mapping->name, "[heap]") == 0;

	state->mappings++;
	other_resident_add(&state->other, mapping);
	if (!is_break && !maps_is_anonymous(mapping))
		return 0;
	if (last && last->end == mapping->start && last->is_break == is_break) {
		last->end = mapping->end;
	} else if (regions->count == regions->capacity) {
		regions->overflow = true;
	} else {
		regions->region[regions->count++] =
			(struct region){mapping->start, mapping->end, is_break};
	}
	return 0;
}

/* Whether there is more room for regions now, where there was too little. */
static bool grow_regions(struct regions *regions)
{
	return regions->overflow && regions->capacity < REGIONS_MOST &&
	       take_regions(regions, REGIONS_FACTOR * regions->capacity);
}

static int read_regions(struct source *source, struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error;

	do {
		state->regions.count = 0;
		state->regions.overflow = false;
		state->mappings = 0;
		other_resident_begin(&state->other);
		error = maps_scan(&source->process, take_mapping, state);
	} while (!error && grow_regions(&state->regions));
	return error ? source_unreadable(source, "maps", error, fault) : 0;
}

/* What of RSS is not malloc's, measured right after RSS was. */
static int set_other_resident(struct source *source, struct sample *sample,
			      struct fault *fault)
{
	struct heap_state *state = state_of(source);
	uint64_t bytes;
	int error;

	if (!state->scans || state->is_quick || heap_is_estimated(state->heap)) {
		other_resident_set_remainder(&sample->fig);
		return 0;
	}
	if (state->other.overflow)
		return 0;
	error = other_resident_bytes_of(&state->other, &state->live, state->heap, &bytes);
	if (error)
		return source_unreadable(source, "pagemap", error, fault);
	if (other_resident_set(&state->other, &sample->fig, bytes) &&
	    (sample->status == STATUS_COMPLETE || sample->status == STATUS_ESTIMATED))
		sample->status = STATUS_TORN;
	return 0;
}

/* What the kernel's exact figures, which cost a walk over all page tables, may take: a
 * small part of an estimate, and half of what else is read whole. */
static int64_t usage_most_ns(const struct source *source)
{
	const struct source_options *options = &source->options;

	if (heap_is_estimated(state_of(source)->heap))
		return options->budget_ns / USAGE_SHARE;
	return (options->whole_ns ? options->whole_ns : options->budget_ns) / 2;
}

static bool affords_usage(const struct source *source)
{
	int64_t mb_ns = state_of(source)->usage_mb_ns;
	struct usage usage;

	if (!source->options.budget_ns)
		return true;
	if (!mb_ns)
		mb_ns = USAGE_MB_NS;
	return !usage_quick(&source->process, &usage) &&
	       (int64_t)(usage.rss_bytes >> 20) * mb_ns <= usage_most_ns(source);
}

/* Once slow is not slow for ever: it is thought to take less with each reading that did
 * without, until it is tried again. */
static void note_usage(struct heap_state *state, const struct sample *sample,
		       int64_t took_ns)
{
	if (state->is_quick)
		state->usage_mb_ns -= state->usage_mb_ns / USAGE_FORGETS;
	else if (figure_has(&sample->fig, FIG_RSS_BYTES))
		state->usage_mb_ns =
			took_ns / (int64_t)((sample->fig.v[FIG_RSS_BYTES].u >> 20) + 1) +
			1;
}

static int read_usage(struct source *source, struct sample *sample, struct fault *fault)
{
	struct heap_state *state = state_of(source);
	bool quick = source->options.quick || !affords_usage(source);
	int64_t begin_ns = clock_thread_ns();
	int error = source_usage_by(source, sample, quick, fault);

	state->is_quick = quick;
	if (!error)
		note_usage(state, sample, clock_thread_ns() - begin_ns);
	return error;
}

static int read_other_resident(struct source *source, struct sample *sample,
			       struct fault *fault)
{
	struct heap_state *state = state_of(source);
	bool quick = source->options.quick;
	int error = quick ? 0 : read_regions(source, fault);

	if (!error)
		error = heap_read(state->heap, &state->regions, sample, fault);
	if (!error)
		error = read_usage(source, sample, fault);
	if (error)
		return error;
	if (source->options.swap_in)
		figure_set(&sample->fig, FIG_SWAPPED_IN_BYTES,
			   heap_swapped_in(state->heap));
	if (!quick) {
		figure_set(&sample->fig, FIG_MAPPINGS, state->mappings);
		error = set_other_resident(source, sample, fault);
	}
	return error;
}

static int read_now(struct source *source, struct sample *sample, struct fault *fault)
{
	int error = heap_look(state_of(source)->heap, fault);

	return error ? error : read_other_resident(source, sample, fault);
}

/* What came of one stop of the target; LATE and IN_MALLOC: nothing was read. */
struct stop {
	bool late;	/* not every thread stood within the limit */
	bool in_malloc; /* a thread was stopped inside malloc */
	bool cut_short; /* the limit came before the end of the reading */
	int64_t stood_ns;
};

static int read_stopped(struct source *source, struct sample *sample, struct stop *stop,
			struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error, end;

	*stop = (struct stop){0};
	error = pause_begin(state->pause, source->options.pause_ns, &stop->stood_ns,
			    fault);
	stop->late = error == -ETIMEDOUT;
	if (error)
		return stop->late ? 0 : error;
	error = heap_look(state->heap, fault);
	stop->in_malloc = !error && heap_is_locked(state->heap);
	if (!error && !stop->in_malloc)
		error = read_other_resident(source, sample, fault);
	end = pause_end(state->pause, &stop->stood_ns, &stop->cut_short);
	if (!error && end)
		return fault_set(fault, EXIT_FAILED, end,
				 "the helper that paused process %d (%s) is gone",
				 source->process.pid, source->process.comm);
	return error;
}

static void empty(struct sample *sample)
{
	figures_clear(&sample->fig);
	sample->missing[0] = '\0';
	for (unsigned i = 0; i < sample->arena_count; i++)
		figures_clear(&sample->arena[i].fig);
	sample->arena_count = 0;
}

static bool is_settled(const struct stop *stop, const struct sample *sample)
{
	return !stop->late && !stop->in_malloc &&
	       (stop->cut_short || sample->status != STATUS_TORN);
}

/* Lets the target run until the next stop: 50 us at first, 6 ms in the end. It needs
 * processor time to come out of malloc, and may have to queue for it: stopped again at
 * once, it would be found where it was. After a late stop it runs as long as it stood. */
static void run_on(const struct source *source, const struct stop *stop, unsigned stops)
{
	unsigned doublings = stops / GAP_STOPS;
	int64_t gap_ns = GAP_NS
			 << (doublings < GAP_DOUBLINGS ? doublings : GAP_DOUBLINGS);

	if (stop->late)
		gap_ns = source->options.pause_ns < LATE_GAP_NS ? source->options.pause_ns
								: LATE_GAP_NS;
	clock_wait_until(clock_monotonic_ns() + gap_ns, NULL);
}

/* The target cannot be had at rest. That ends the first reading; later the program has
 * shown that it can, and a row tells what the kernel knows. */
static int read_restless(struct source *source, struct sample *sample,
			 const struct stop *stop, struct fault *fault)
{
	if (!state_of(source)->was_at_rest)
		return stop->late ? -ETIMEDOUT
				  : fault_set(fault, EXIT_FAILED, -EBUSY,
					      "cannot read process %d (%s) at rest: a "
					      "thread was inside malloc at each of %d "
					      "stops; read it without --pause",
					      source->process.pid, source->process.comm,
					      STOPS);
	sample->status = STATUS_PARTIAL;
	if (stop->late)
		snprintf(sample->missing, sizeof(sample->missing),
			 "not every thread stopped within %g ms",
			 (double)source->options.pause_ns / 1e6);
	else
		snprintf(sample->missing, sizeof(sample->missing),
			 "a thread was inside malloc at each of %d stops", STOPS);
	return source_usage(source, sample, fault);
}

static void note_cut(const struct source *source, struct sample *sample)
{
	if (sample->status == STATUS_PARTIAL)
		return;
	sample->status = STATUS_PARTIAL;
	snprintf(sample->missing, sizeof(sample->missing),
		 "the pause of %g ms ended before the reading",
		 (double)source->options.pause_ns / 1e6);
}

/* The reading of a target that stands still, as long as the limit allows. A heap that was
 * stopped in the middle of a change is let go on and stopped again. */
static int read_paused(struct source *source, struct sample *sample, struct fault *fault)
{
	unsigned stops = 0, late = 0;
	int64_t stood_ns = 0;
	struct stop stop;

	for (;;) {
		int error;

		empty(sample);
		error = read_stopped(source, sample, &stop, fault);
		if (error)
			return error;
		stood_ns += stop.stood_ns;
		late += stop.late;
		if (is_settled(&stop, sample) || ++stops == STOPS || late == LATE_STOPS)
			break;
		run_on(source, &stop, stops);
	}
	figure_set(&sample->fig, FIG_PAUSE_NS, stood_ns);
	if (stop.late || stop.in_malloc)
		return read_restless(source, sample, &stop, fault);
	state_of(source)->was_at_rest = true;
	if (stop.cut_short)
		note_cut(source, sample);
	return 0;
}

static int heap_source_read(struct source *source, struct sample *sample,
			    struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error;

	heap_set_budget(state->heap, source->options.budget_ns);
	state->live.takes_turns = source->options.budget_ns != 0;
	error = source->options.pause_ns ? read_paused(source, sample, fault)
					 : read_now(source, sample, fault);
	state->live.takes_turns = false;
	return error;
}

/* ---- looking at single chunks ---- */

/* What is to be known before. The target is not paused for a look: it takes longer than a
 * reading. */
static int look(struct source *source, struct fault *fault)
{
	int error = heap_look(state_of(source)->heap, fault);

	return error ? error : read_regions(source, fault);
}

static int heap_source_map(struct source *source, struct heap_map *map,
			   struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error = look(source, fault);

	return error ? error : heap_map(state->heap, &state->regions, map, fault);
}

static int heap_source_blockers(struct source *source, struct blockers *blockers,
				struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error = look(source, fault);

	return error ? error
		     : heap_blockers(state->heap, &state->regions, blockers, fault);
}

static int heap_source_map_more(struct source *source, struct heap_map *map,
				struct fault *fault)
{
	return heap_map_more(state_of(source)->heap, map, fault);
}

static int heap_source_closer(struct source *source, struct blockers *blockers,
			      struct heap_map *map, struct fault *fault)
{
	return heap_look_closer(state_of(source)->heap, blockers, map, fault);
}

static int find_owners(struct source *source, struct owners *owners,
		       uint64_t chunk[OWNERS_MAX], const struct owners_options *options,
		       owners_progress_fn *progress, void *context, struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error = look(source, fault);

	return error ? error
		     : owners_find(owners, chunk, options, &source->process, state->heap,
				   &state->regions, &state->live.memory, &source->beats,
				   progress, context, fault);
}

/* Paused, a search that takes longer than the pause may be of a target that runs again:
 * then it says so. */
static int heap_source_owners(struct source *source, struct owners *owners,
			      uint64_t chunk[OWNERS_MAX],
			      const struct owners_options *options,
			      owners_progress_fn *progress, void *context,
			      struct fault *fault)
{
	struct heap_state *state = state_of(source);
	bool cut_short = false;
	int64_t stood_ns;
	int error, end;

	if (!state->pause)
		return find_owners(source, owners, chunk, options, progress, context,
				   fault);
	error = pause_begin(state->pause, source->options.pause_ns, &stood_ns, fault);
	if (error)
		return error;
	error = find_owners(source, owners, chunk, options, progress, context, fault);
	end = pause_end(state->pause, &stood_ns, &cut_short);
	if (!error && (end || cut_short)) {
		owners->status = STATUS_PARTIAL;
		snprintf(owners->missing, sizeof(owners->missing),
			 "the pause of %g ms ended before the search",
			 (double)source->options.pause_ns / 1e6);
	}
	return error;
}

static int heap_source_shares(struct source *source, struct pin_shares *shares,
			      uint64_t memory_bytes, struct fault *fault)
{
	struct heap_state *state = state_of(source);
	int error = look(source, fault);

	return error ? error
		     : shares_find(shares, memory_bytes, &source->process, state->heap,
				   &state->regions, &state->live.memory, fault);
}

static int heap_source_pieces(struct source *source,
			      const struct heap_piece_visitor *visitor, bool *is_whole,
			      struct fault *fault)
{
	struct heap_state *state = state_of(source);
	char missing[SAMPLE_TEXT] = "";
	enum sample_status status = STATUS_COMPLETE;
	uint64_t doubt_bytes = 0;
	int error = look(source, fault);

	if (!error)
		error = heap_pieces(state->heap, &state->regions, visitor, &status,
				    missing, &doubt_bytes, fault);
	*is_whole = status == STATUS_COMPLETE && !doubt_bytes;
	return error;
}

static int heap_source_peek(struct source *source, uint64_t addr, void *to,
			    uint32_t bytes)
{
	return heap_peek(state_of(source)->heap, addr, to, bytes);
}

static bool heap_source_reads(const struct source *source, uint64_t *from, uint64_t *to)
{
	return live_reads(&state_of(source)->live, from, to);
}

const struct driver heap_driver = {
	.open = heap_open,
	.read = heap_source_read,
	.close = heap_close,
	.arenas = heap_arenas,
	.map = heap_source_map,
	.map_more = heap_source_map_more,
	.blockers = heap_source_blockers,
	.closer = heap_source_closer,
	.owners = heap_source_owners,
	.shares = heap_source_shares,
	.pieces = heap_source_pieces,
	.reads = heap_source_reads,
	.peek = heap_source_peek,
};
