#include "probe/survivors.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "bpf/survivors.skel.h"
#include "probe/busy.h"
#include "probe/calibrate.h"
#include "probe/entry.h"
#include "probe/multi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A busy program, for the price's sake. */
#define TYPICAL_CALLS_PER_SECOND 1e6
#define CALIBRATE_NS		 INT64_C(20000000)
#define STEP_NS			 INT64_C(2000000)
#define ALL_CALLS		 (UINT64_C(1) << 32)

enum {
	DESCRIPTION_BYTES = 768,
	RING_BYTES = 8 << 20,
	CALIBRATE_SHARE = 50, /* calls a sample, as of a busy program */
	MOST_DILATION = 10,
	MOST_STRETCH = 20,
	LONGEST = 4, /* of so many parts of the period, a burst takes one at most */
};

/* What hands chunks out. posix_memalign does not return the address. */
static const char *const functions[] = {"malloc", "calloc", "realloc", "aligned_alloc",
					"memalign"};
enum { FUNCTIONS = sizeof(functions) / sizeof(*functions) };

struct survivors {
	const struct process *process;
	struct survivors_options options;
	struct entry entry;
	uint64_t offset[FUNCTIONS];
	unsigned offsets;
	char probed[64]; /* their names */
	struct survivors_bpf *skeleton;
	struct ring_buffer *ring;
	struct survivor_counts *per_cpu;
	int cpus;
	int link; /* while attached; else -1 */
	const struct survivors_listener *listener;
	double hit_ns;
	double budget_ns;	     /* that the calls of a burst may cost */
	int64_t longest_ns;	     /* of a burst */
	double pause_ns;	     /* a burst */
	struct survivor_counts seen; /* up to the end of the last burst */
	int64_t begin_ns;	     /* of the first burst */
	double spent_ns;	     /* by the process, on all bursts */
	double in_ns, in_calls;	     /* of all bursts */
	/* What its threads did in them; the last is the time of each that ran. */
	double run_ns, wait_ns, thread_ns;
	struct busy before, after;
	char description[DESCRIPTION_BYTES];
};

static int cannot(const char *what, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, error,
			 "cannot probe malloc in bursts: cannot %s: %s; --verbose shows "
			 "what the kernel said",
			 what, strerror(-error));
}

/* ---- attaching ---- */

static void detach(void *context)
{
	struct survivors *survivors = context;

	if (survivors->link >= 0)
		close(survivors->link);
	survivors->link = -1;
}

static int attach_to(struct survivors *survivors, pid_t pid, const char *path,
		     const uint64_t *offset, unsigned count)
{
	survivors->skeleton->bss->watching = 0;
	survivors->link = multi_link(survivors->skeleton->progs.malloc_returned, true,
				     pid, path, offset, count);
	survivors->skeleton->bss->watching = 1;
	return survivors->link < 0 ? survivors->link : 0;
}

static int attach_one(void *context, pid_t pid, const char *path, uint64_t offset)
{
	return attach_to(context, pid, path, &offset, 1);
}

/* ---- what came ---- */

static int on_record(void *context, void *data, size_t size)
{
	const struct survivors *survivors = context;
	const struct survivors_listener *listener = survivors->listener;
	const struct survivor_event *event = data;

	if (!listener)
		return 0;
	if (size == sizeof(struct survivor_again))
		listener->again(((const struct survivor_again *)data)->chunk,
				listener->context);
	else if (event->bytes)
		listener->chosen(event, (const uint8_t *)(event + 1), listener->context);
	return 0;
}

static int read_counts(struct survivors *survivors, struct survivor_counts *total)
{
	int map_fd = bpf_map__fd(survivors->skeleton->maps.counts);
	uint32_t key = 0;

	*total = (struct survivor_counts){0};
	if (bpf_map_lookup_elem(map_fd, &key, survivors->per_cpu))
		return -errno;
	for (int cpu = 0; cpu < survivors->cpus; cpu++) {
		total->hits += survivors->per_cpu[cpu].hits;
		total->calls += survivors->per_cpu[cpu].calls;
		total->sent += survivors->per_cpu[cpu].sent;
		total->lost += survivors->per_cpu[cpu].lost;
	}
	return 0;
}

/* Of type struct calibrated's hits. */
static int calls_so_far(void *context, uint64_t *hits)
{
	struct survivors *survivors = context;
	struct survivor_counts total;
	int error = read_counts(survivors, &total);

	*hits = total.calls;
	ring_buffer__consume(survivors->ring);
	return error;
}

/* ---- opening ---- */

/* Malloc itself wherever it must be; the others where that is cheap, each once. */
static int find_functions(struct survivors *survivors, struct fault *fault)
{
	int error = entry_find(&survivors->entry, survivors->process, fault);
	struct text names;

	if (error)
		return error;
	text_init(&names, survivors->probed, sizeof(survivors->probed));
	text_string(&names, "malloc");
	survivors->offset[survivors->offsets++] = survivors->entry.offset;
	for (unsigned i = 1; i < FUNCTIONS; i++) {
		struct prologue prologue;
		uint64_t offset;
		bool is_known = false;

		if (entry_named(survivors->entry.fd, functions[i], &offset, &prologue) ||
		    prologue.kind == PROLOGUE_STEPPED)
			continue;
		for (unsigned j = 0; j < survivors->offsets; j++)
			is_known |= survivors->offset[j] == offset;
		if (is_known)
			continue;
		survivors->offset[survivors->offsets++] = offset;
		text_string(&names, ", ");
		text_string(&names, functions[i]);
	}
	return 0;
}

static int load(struct survivors *survivors, struct fault *fault)
{
	struct survivors_bpf *skeleton = survivors_bpf__open();
	int error;

	if (!skeleton)
		return cannot("load the probe", -errno, fault);
	survivors->skeleton = skeleton;
	*(uint32_t *)&skeleton->rodata->stack_bytes = survivors->options.stack_bytes;
	bpf_map__set_max_entries(skeleton->maps.ring, RING_BYTES);
	bpf_map__set_max_entries(skeleton->maps.followed, survivors->options.followed);
	multi_choose(skeleton->progs.malloc_returned, true);
	error = survivors_bpf__load(skeleton);
	if (error)
		return cannot("load the probe", error, fault);
	survivors->ring = ring_buffer__new(bpf_map__fd(skeleton->maps.ring), on_record,
					   survivors, NULL);
	survivors->cpus = libbpf_num_possible_cpus();
	survivors->per_cpu = survivors->cpus > 0
				     ? alloc_touched((size_t)survivors->cpus *
						     sizeof(*survivors->per_cpu))
				     : NULL;
	return survivors->ring && survivors->per_cpu
		       ? 0
		       : cannot("load the probe", -ENOMEM, fault);
}

/* ---- the price ---- */

/* What the calls of a burst may cost. What comes before and after, the pauses and the
 * calls until the kernel has removed the probe, is taken off, for a busy program; it is
 * half of all at most, with a longer period if need be. */
static void choose_budget(struct survivors *survivors,
			  const struct calibration *calibration)
{
	double added = TYPICAL_CALLS_PER_SECOND * calibration->hit_ns / 1e9;
	double extra_ns = (double)calibration->effective_ns - (double)CALIBRATE_NS;
	double around_ns = (double)calibration->pause_ns;
	struct survivors_options *options = &survivors->options;

	/* What a nanosecond's calls cost is added to that nanosecond. */
	if (extra_ns > 0)
		around_ns += extra_ns * added / (1 + added);
	if (options->share * (double)options->period_ns < 2 * around_ns)
		options->period_ns = (int64_t)(2 * around_ns / options->share);
	survivors->budget_ns = options->share * (double)options->period_ns - around_ns;
	survivors->longest_ns = options->period_ns / LONGEST;
}

static void describe(struct survivors *survivors, const struct calibration *calibration)
{
	const struct survivors_options *options = &survivors->options;
	struct text text;

	text_init(&text, survivors->description, sizeof(survivors->description));
	text_string(&text, "survivors: ");
	text_fixed(&text, survivors->hit_ns / 1000, 2);
	text_string(&text, " us a call of ");
	text_string(&text, survivors->probed);
	text_string(&text, " while a burst lasts");
	if (calibration->worst_pause_ns) {
		text_string(&text, " and a stall of ");
		units_ns(&text, calibration->pause_ns);
		text_string(&text, " (longest seen: ");
		units_ns(&text, calibration->worst_pause_ns);
		text_string(&text, ") as the probe comes and goes");
	}
	text_string(&text, "; a burst every ");
	units_ns(&text, (uint64_t)options->period_ns);
	text_string(&text, ", which ends when its calls have cost ");
	units_ns(&text, (uint64_t)survivors->budget_ns);
	text_string(&text, ", waiting for a processor included, or after ");
	units_ns(&text, (uint64_t)survivors->longest_ns);
	text_string(&text, ": the process is slowed by ");
	text_fixed(&text, 100 * options->share, 1);
	text_string(&text, "% at most, on average; measured now, on a child of this "
			   "program, at ");
	text_string(&text, prologue_name(survivors->entry.prologue.kind));
	text_string(&text, " as in the process");
}

static int set_price(struct survivors *survivors, struct fault *fault)
{
	const struct calibrated probe = {attach_one, detach, calls_so_far, survivors};
	struct survivor_counts total;
	struct calibration calibration;
	const char *what;
	int error;

	survivors->skeleton->bss->chosen = ALL_CALLS / CALIBRATE_SHARE;
	error = calibrate(&calibration, survivors->entry.prologue.kind, CALIBRATE_NS,
			  &probe, &what);
	if (error == -EAGAIN)
		return fault_set(
			fault, EXIT_FAILED, error,
			"cannot measure what bursts on malloc would cost: the machine is "
			"too busy for a child of this program to run");
	if (!error)
		error = read_counts(survivors, &total);
	if (error)
		return cannot(what, error, fault);
	if (!total.calls)
		return multi_lacks("sees only a process's first thread: Linux 6.10 or "
				   "later is needed",
				   fault);
	survivors->seen = total;
	survivors->pause_ns = (double)calibration.pause_ns;
	survivors->hit_ns = calibration.hit_ns > 1 ? calibration.hit_ns : 1;
	choose_budget(survivors, &calibration);
	describe(survivors, &calibration);
	return 0;
}

static int open_all(struct survivors *survivors, struct fault *fault)
{
	int error = find_functions(survivors, fault);

	if (!error)
		error = load(survivors, fault);
	if (!error)
		error = set_price(survivors, fault);
	return error;
}

int survivors_open(struct survivors **survivors, const struct process *process,
		   const struct survivors_options *options, struct fault *fault)
{
	struct survivors *new;
	int error = multi_check(fault);

	if (error)
		return error;
	new = alloc_touched(sizeof(*new));
	if (!new)
		return cannot("load the probe", -ENOMEM, fault);
	new->process = process;
	new->options = *options;
	new->entry.fd = -1;
	new->link = -1;
	error = open_all(new, fault);
	if (error) {
		survivors_close(new);
		return error;
	}
	*survivors = new;
	return 0;
}

void survivors_close(struct survivors *survivors)
{
	if (!survivors)
		return;
	detach(survivors);
	entry_close(&survivors->entry);
	ring_buffer__free(survivors->ring);
	survivors_bpf__destroy(survivors->skeleton);
	free(survivors->per_cpu);
	free(survivors);
}

const char *survivors_describe(const struct survivors *survivors)
{
	return survivors->description;
}

int64_t survivors_period_ns(const struct survivors *survivors)
{
	return survivors->options.period_ns;
}

/* ---- bursts ---- */

static void note_threads(struct survivors *survivors, uint64_t watched_ns)
{
	struct busy_sum sum;

	busy_look(&survivors->after, survivors->process->pid);
	sum = busy_since(&survivors->before, &survivors->after);
	survivors->run_ns += sum.run_ns;
	survivors->wait_ns += sum.wait_ns;
	survivors->thread_ns += (double)sum.active * (double)watched_ns;
}

/* What a call costs the process's progress: where processors are short, what takes one
 * for longer waits for it for longer, too. */
static double cost_ns(const struct survivors *survivors)
{
	double stretch =
		survivors->run_ns > 0 ? 1 + survivors->wait_ns / survivors->run_ns : 1;

	return survivors->hit_ns * (stretch < MOST_STRETCH ? stretch : MOST_STRETCH);
}

/* So many of 2^32 calls that SAMPLES of them come in a burst like those before; of the
 * first, whose program is not known yet, one in CALIBRATE_SHARE. */
static uint64_t share_of_calls(const struct survivors *survivors, unsigned samples)
{
	double most = survivors->budget_ns / cost_ns(survivors), expected;

	if (survivors->in_calls < 1)
		return ALL_CALLS / CALIBRATE_SHARE;
	expected = survivors->in_calls / survivors->in_ns * (double)survivors->longest_ns;
	expected = expected < most ? expected : most;
	return expected <= samples ? ALL_CALLS
				   : (uint64_t)((double)ALL_CALLS * samples / expected);
}

/* Waits until the burst has cost what it may. */
static int wait_out(struct survivors *survivors, int64_t start_ns)
{
	int64_t end_ns = start_ns + survivors->longest_ns, now_ns;
	double most = survivors->budget_ns / cost_ns(survivors);

	do {
		struct survivor_counts total;
		int error = read_counts(survivors, &total);

		if (error)
			return error;
		if ((double)(total.hits - survivors->seen.hits) >= most)
			return 0;
		now_ns = clock_monotonic_ns();
		clock_wait_until(now_ns + STEP_NS < end_ns ? now_ns + STEP_NS : end_ns,
				 NULL);
	} while (now_ns < end_ns);
	return 0;
}

static int count(struct survivors *survivors, struct survivors_watch *watch)
{
	struct survivor_counts total;
	int error = read_counts(survivors, &total);

	if (error)
		return error;
	watch->calls = total.calls - survivors->seen.calls;
	watch->sent = total.sent - survivors->seen.sent;
	watch->lost = total.lost - survivors->seen.lost;
	survivors->spent_ns +=
		(double)(total.hits - survivors->seen.hits) * cost_ns(survivors) +
		survivors->pause_ns;
	survivors->seen = total;
	survivors->in_ns += (double)watch->watched_ns;
	survivors->in_calls += (double)watch->calls;
	return 0;
}

static int run_burst(struct survivors *survivors, struct survivors_watch *watch)
{
	char path[64];
	int error;

	/* A descriptor's own link leads to the file that is mapped, named or not. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", survivors->entry.fd);
	error = attach_to(survivors, survivors->process->pid, path, survivors->offset,
			  survivors->offsets);
	if (error)
		return error;
	watch->start_ns = clock_monotonic_ns();
	if (!survivors->begin_ns)
		survivors->begin_ns = watch->start_ns;
	busy_look(&survivors->before, survivors->process->pid);
	error = wait_out(survivors, watch->start_ns);
	survivors->skeleton->bss->watching = 0;
	watch->watched_ns = (uint64_t)(clock_monotonic_ns() - watch->start_ns);
	note_threads(survivors, watch->watched_ns);
	detach(survivors);
	return error ? error : count(survivors, watch);
}

static int check_process(const struct survivors *survivors, struct fault *fault)
{
	enum process_state state = process_state(survivors->process);

	if (state == PROCESS_RUNS)
		return 0;
	process_describe_end(survivors->process, state, fault);
	return -ESRCH;
}

int survivors_burst(struct survivors *survivors, unsigned samples,
		    const struct survivors_listener *listener,
		    struct survivors_watch *watch, struct fault *fault)
{
	int error = check_process(survivors, fault);

	if (error)
		return error;
	*watch = (struct survivors_watch){0};
	survivors->skeleton->bss->chosen = share_of_calls(survivors, samples);
	error = run_burst(survivors, watch);
	if (error) {
		/* It may have ended just now. */
		if (check_process(survivors, fault))
			return -ESRCH;
		return cannot("attach to the process", error, fault);
	}
	survivors->listener = listener;
	ring_buffer__consume(survivors->ring);
	survivors->listener = NULL;
	return 0;
}

int64_t survivors_due_ns(const struct survivors *survivors)
{
	return survivors->begin_ns +
	       (int64_t)(survivors->spent_ns / survivors->options.share);
}

void survivors_forget(struct survivors *survivors, uint64_t chunk)
{
	bpf_map_delete_elem(bpf_map__fd(survivors->skeleton->maps.followed), &chunk);
}

/* What the probe takes of the time in which the threads run or wait for a processor would
 * have gone into more calls; the time in which they wait for other things would not. */
double survivors_dilation(const struct survivors *survivors)
{
	double probe_ns = survivors->in_calls * survivors->hit_ns;
	double runnable_ns = survivors->run_ns + survivors->wait_ns;
	double share;

	if (survivors->thread_ns <= 0 || survivors->run_ns <= 0)
		return 1;
	if (runnable_ns > survivors->thread_ns)
		runnable_ns = survivors->thread_ns;
	share = probe_ns / survivors->run_ns * runnable_ns / survivors->thread_ns;
	return share < 1 - 1.0 / MOST_DILATION ? 1 / (1 - share) : MOST_DILATION;
}
