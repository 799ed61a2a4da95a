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
	DESCRIPTION_BYTES = 1024,
	NAMES_BYTES = 128,
	RING_BYTES = 8 << 20,
	CALIBRATE_SHARE = 50, /* calls a sample, as of a busy program */
	MOST_DILATION = 10,
	MOST_STRETCH = 20,
	LONGEST = 4, /* of so many parts of the period, a burst takes one at most */
	MUCH_LONGER = 2,
};

enum { NOTHING = -1 };

/* What hands chunks out or takes them back: what is seen of it as it is called, and as it
 * returns. Malloc comes first; whether free is watched decides of what is behind it. */
static const struct probed_function {
	const char *name;
	int entered, returned; /* enum survivor_deed, or NOTHING */
} functions[] = {
	{"malloc", NOTHING, SURVIVOR_RETURNS},
	{"free", SURVIVOR_TAKES, NOTHING},
	{"calloc", NOTHING, SURVIVOR_RETURNS},
	{"realloc", SURVIVOR_TAKES, SURVIVOR_RETURNS},
	{"aligned_alloc", NOTHING, SURVIVOR_RETURNS},
	{"memalign", NOTHING, SURVIVOR_RETURNS},
	{"valloc", NOTHING, SURVIVOR_RETURNS},
	{"pvalloc", NOTHING, SURVIVOR_RETURNS},
	{"posix_memalign", SURVIVOR_FILLS, SURVIVOR_FILLS},
	{"free_sized", SURVIVOR_TAKES, NOTHING},
	{"free_aligned_sized", SURVIVOR_TAKES, NOTHING},
};
enum { FUNCTIONS = sizeof(functions) / sizeof(*functions) };

/* Where one of the two probes goes. */
struct places {
	uint64_t offset[FUNCTIONS];
	uint64_t cookie[FUNCTIONS];
	unsigned count;
};

enum survivors_probe { AT_RETURN, AT_ENTRY, SURVIVORS_PROBES };

struct survivors {
	const struct process *process;
	struct survivors_options options;
	struct entry entry;
	struct places places[SURVIVORS_PROBES];
	char probed[NAMES_BYTES];     /* the functions' names, but for free */
	enum prologue_kind free_kind; /* where it is probed */
	bool watches_free;
	struct survivors_bpf *skeleton;
	struct ring_buffer *ring;
	struct survivor_counts *per_cpu;
	int cpus;
	int link[SURVIVORS_PROBES]; /* while attached; else -1 */
	const struct survivors_listener *listener;
	double hit_ns[SURVIVORS_PROBES];
	double budget_ns;	     /* that the calls of a burst may cost */
	int64_t longest_ns;	     /* of a burst */
	double pause_ns;	     /* a burst */
	struct survivor_counts seen; /* up to the end of the last burst */
	int64_t begin_ns;	     /* of the first burst */
	double spent_ns;	     /* by the process, on all bursts */
	/* Of all bursts; the last is what the probes took of the threads' time. */
	double in_ns, in_calls, in_probes_ns;
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

	for (unsigned i = 0; i < SURVIVORS_PROBES; i++) {
		if (survivors->link[i] >= 0)
			close(survivors->link[i]);
		survivors->link[i] = -1;
	}
}

static int attach_to(struct survivors *survivors, enum survivors_probe probe, pid_t pid,
		     const char *path, const struct places *places)
{
	const struct bpf_program *program =
		probe == AT_RETURN ? survivors->skeleton->progs.malloc_returned
				   : survivors->skeleton->progs.free_entered;

	survivors->link[probe] =
		multi_link(program, probe == AT_RETURN, pid, path, places->offset,
			   places->cookie, places->count);
	return survivors->link[probe] < 0 ? survivors->link[probe] : 0;
}

/* All or nothing; what is seen before all are there does not count. */
static int attach_all(struct survivors *survivors, pid_t pid, const char *path)
{
	int error = 0;

	survivors->skeleton->bss->watching = 0;
	for (unsigned i = 0; i < SURVIVORS_PROBES && !error; i++)
		if (survivors->places[i].count)
			error = attach_to(survivors, i, pid, path, &survivors->places[i]);
	if (error)
		detach(survivors);
	survivors->skeleton->bss->watching = 1;
	return error;
}

static int attach_one(struct survivors *survivors, enum survivors_probe probe, pid_t pid,
		      const char *path, uint64_t offset)
{
	const struct places place = {
		.offset = {offset},
		.cookie = {probe == AT_RETURN ? SURVIVOR_RETURNS : SURVIVOR_TAKES},
		.count = 1,
	};

	survivors->skeleton->bss->watching = 1;
	return attach_to(survivors, probe, pid, path, &place);
}

static int attach_return(void *context, pid_t pid, const char *path, uint64_t offset)
{
	return attach_one(context, AT_RETURN, pid, path, offset);
}

static int attach_entry(void *context, pid_t pid, const char *path, uint64_t offset)
{
	return attach_one(context, AT_ENTRY, pid, path, offset);
}

/* ---- what came ---- */

static int on_record(void *context, void *data, size_t size)
{
	const struct survivors *survivors = context;
	const struct survivors_listener *listener = survivors->listener;
	const struct survivor_event *event = data;
	const struct survivor_end *end = data;

	if (!listener)
		return 0;
	if (size == sizeof(*end))
		listener->ended(end->chunk, end->is_free, listener->context);
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
		total->entries += survivors->per_cpu[cpu].entries;
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

static int entries_so_far(void *context, uint64_t *hits)
{
	struct survivor_counts total;
	int error = read_counts(context, &total);

	*hits = total.entries;
	return error;
}

/* ---- opening ---- */

/* False: it is one already, by another name. */
static bool add_place(struct places *places, uint64_t offset, int deed)
{
	if (deed == NOTHING)
		return false;
	for (unsigned i = 0; i < places->count; i++)
		if (places->offset[i] == offset)
			return false;
	places->offset[places->count] = offset;
	places->cookie[places->count++] = (uint64_t)deed;
	return true;
}

static void note_entry(struct survivors *survivors,
		       const struct probed_function *function, uint64_t offset,
		       enum prologue_kind kind)
{
	if (!strcmp(function->name, "free")) {
		survivors->free_kind = kind;
		survivors->watches_free = true;
	}
	if (function->entered != SURVIVOR_TAKES || survivors->watches_free)
		add_place(&survivors->places[AT_ENTRY], offset, function->entered);
}

/* Malloc itself wherever it must be; the others where that is cheap, each once. */
static int find_functions(struct survivors *survivors, struct fault *fault)
{
	int error = entry_find(&survivors->entry, survivors->process, fault);
	struct text names;

	if (error)
		return error;
	text_init(&names, survivors->probed, sizeof(survivors->probed));
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		const struct probed_function *function = &functions[i];
		uint64_t offset = survivors->entry.offset;
		struct prologue prologue = survivors->entry.prologue;

		if (i && (entry_named(survivors->entry.fd, function->name, &offset,
				      &prologue) ||
			  prologue.kind == PROLOGUE_STEPPED))
			continue;
		if (add_place(&survivors->places[AT_RETURN], offset,
			      function->returned)) {
			text_string(&names, i ? ", " : "");
			text_string(&names, function->name);
		}
		note_entry(survivors, function, offset, prologue.kind);
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
	multi_choose(skeleton->progs.free_entered, true);
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

/* A malloc and its free. */
static double pair_ns(const struct survivors *survivors)
{
	return survivors->hit_ns[AT_RETURN] +
	       (survivors->watches_free ? survivors->hit_ns[AT_ENTRY] : 0);
}

/* What the calls of a burst may cost. What comes before and after, the pauses and the
 * calls until the kernel has removed the probe, is taken off, for a busy program; it is
 * half of all at most, with a longer period if need be. */
static void choose_budget(struct survivors *survivors,
			  const struct calibration *calibration)
{
	double added = TYPICAL_CALLS_PER_SECOND * pair_ns(survivors) / 1e9;
	double extra_ns = (double)calibration->effective_ns - (double)CALIBRATE_NS;
	double around_ns = survivors->pause_ns;
	struct survivors_options *options = &survivors->options;

	/* What a nanosecond's calls cost is added to that nanosecond. */
	if (extra_ns > 0)
		around_ns += extra_ns * added / (1 + added);
	if (options->share * (double)options->period_ns < 2 * around_ns)
		options->period_ns = (int64_t)(2 * around_ns / options->share);
	survivors->budget_ns = options->share * (double)options->period_ns - around_ns;
	survivors->longest_ns = options->period_ns / LONGEST;
}

static void describe(struct survivors *survivors, uint64_t worst_pause_ns)
{
	const struct survivors_options *options = &survivors->options;
	struct text text;

	text_init(&text, survivors->description, sizeof(survivors->description));
	text_string(&text, "survivors: ");
	text_fixed(&text, survivors->hit_ns[AT_RETURN] / 1000, 2);
	text_string(&text, " us a call of ");
	text_string(&text, survivors->probed);
	if (survivors->watches_free) {
		text_string(&text, " and ");
		text_fixed(&text, survivors->hit_ns[AT_ENTRY] / 1000, 2);
		text_string(&text, " us one of free");
	}
	text_string(&text, " while a burst lasts");
	if (worst_pause_ns) {
		text_string(&text, " and a stall of ");
		units_ns(&text, (uint64_t)survivors->pause_ns);
		text_string(&text, " (longest seen: ");
		units_ns(&text, worst_pause_ns);
		text_string(&text, ") as the probes come and go");
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
	if (!survivors->watches_free)
		text_string(&text, "; free is not watched: that would cost more than "
				   "ten times as much here");
}

static int measure(struct survivors *survivors, enum survivors_probe probe,
		   struct calibration *calibration, struct fault *fault)
{
	static int (*const attach[])(void *, pid_t, const char *, uint64_t) = {
		[AT_RETURN] = attach_return, [AT_ENTRY] = attach_entry};
	static int (*const hits[])(void *, uint64_t *) = {
		[AT_RETURN] = calls_so_far, [AT_ENTRY] = entries_so_far};
	const struct calibrated probed = {attach[probe], detach, hits[probe], survivors};
	const char *what;
	int error = calibrate(calibration,
			      probe == AT_RETURN ? survivors->entry.prologue.kind
						 : survivors->free_kind,
			      CALIBRATE_NS, &probed, &what);

	if (error == -EAGAIN)
		return fault_set(
			fault, EXIT_FAILED, error,
			"cannot measure what bursts on malloc would cost: the machine is "
			"too busy for a child of this program to run");
	if (error)
		return cannot(what, error, fault);
	if (!calibration->hits)
		return multi_lacks("sees only a process's first thread: Linux 6.10 or "
				   "later is needed",
				   fault);
	survivors->hit_ns[probe] = calibration->hit_ns > 1 ? calibration->hit_ns : 1;
	survivors->pause_ns += (double)calibration->pause_ns;
	return 0;
}

static int set_price(struct survivors *survivors, struct fault *fault)
{
	struct calibration at_return, at_entry = {0};
	uint64_t worst_pause_ns;
	int error;

	survivors->skeleton->bss->chosen = ALL_CALLS / CALIBRATE_SHARE;
	error = measure(survivors, AT_RETURN, &at_return, fault);
	if (!error && survivors->places[AT_ENTRY].count)
		error = measure(survivors, AT_ENTRY, &at_entry, fault);
	if (error)
		return error;
	error = read_counts(survivors, &survivors->seen);
	if (error)
		return cannot("read what the probes counted", error, fault);
	worst_pause_ns = at_return.worst_pause_ns;
	if (at_entry.worst_pause_ns > worst_pause_ns)
		worst_pause_ns = at_entry.worst_pause_ns;
	choose_budget(survivors, &at_return);
	describe(survivors, worst_pause_ns);
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
	for (unsigned i = 0; i < SURVIVORS_PROBES; i++)
		new->link[i] = -1;
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

bool survivors_watches_free(const struct survivors *survivors)
{
	return survivors->watches_free;
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

/* What the probes have taken of the threads' time since the last burst. */
static double probes_ns(const struct survivors *survivors,
			const struct survivor_counts *total)
{
	return (double)(total->hits - survivors->seen.hits) *
		       survivors->hit_ns[AT_RETURN] +
	       (double)(total->entries - survivors->seen.entries) *
		       survivors->hit_ns[AT_ENTRY];
}

/* How many times as much that costs the process's progress: where processors are short,
 * what takes one for longer waits for it for longer, too. */
static double stretch(const struct survivors *survivors)
{
	double times =
		survivors->run_ns > 0 ? 1 + survivors->wait_ns / survivors->run_ns : 1;

	return times < MOST_STRETCH ? times : MOST_STRETCH;
}

/* So many of 2^32 calls that SAMPLES of them come in a burst like those before; of the
 * first, whose program is not known yet, one in CALIBRATE_SHARE. */
static uint64_t share_of_calls(const struct survivors *survivors, unsigned samples)
{
	double call_ns, most, expected;

	if (survivors->in_calls < 1)
		return ALL_CALLS / CALIBRATE_SHARE;
	call_ns = survivors->in_probes_ns / survivors->in_calls;
	most = survivors->budget_ns / stretch(survivors) / call_ns;
	expected = survivors->in_calls / survivors->in_ns * (double)survivors->longest_ns;
	expected = expected < most ? expected : most;
	return expected <= samples ? ALL_CALLS
				   : (uint64_t)((double)ALL_CALLS * samples / expected);
}

/* Waits until the burst has cost what it may. */
static int wait_out(struct survivors *survivors, int64_t start_ns)
{
	int64_t end_ns = start_ns + survivors->longest_ns, now_ns;
	double most_ns = survivors->budget_ns / stretch(survivors);

	do {
		struct survivor_counts total;
		int error = read_counts(survivors, &total);

		if (error)
			return error;
		if (probes_ns(survivors, &total) >= most_ns)
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
	double taken_ns;
	int error = read_counts(survivors, &total);

	if (error)
		return error;
	watch->calls = total.calls - survivors->seen.calls;
	watch->sent = total.sent - survivors->seen.sent;
	watch->lost = total.lost - survivors->seen.lost;
	taken_ns = probes_ns(survivors, &total);
	survivors->spent_ns += taken_ns * stretch(survivors) + survivors->pause_ns;
	survivors->seen = total;
	if (watch->stood_still)
		return 0;
	survivors->in_probes_ns += taken_ns;
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
	error = attach_all(survivors, survivors->process->pid, path);
	if (error)
		return error;
	watch->start_ns = clock_monotonic_ns();
	if (!survivors->begin_ns)
		survivors->begin_ns = watch->start_ns;
	busy_look(&survivors->before, survivors->process->pid);
	error = wait_out(survivors, watch->start_ns);
	survivors->skeleton->bss->watching = 0;
	watch->watched_ns = (uint64_t)(clock_monotonic_ns() - watch->start_ns);
	watch->stood_still =
		watch->watched_ns > (uint64_t)survivors->longest_ns * MUCH_LONGER;
	if (!watch->stood_still)
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
	double probe_ns = survivors->in_probes_ns;
	double runnable_ns = survivors->run_ns + survivors->wait_ns;
	double share;

	if (survivors->thread_ns <= 0 || survivors->run_ns <= 0)
		return 1;
	if (runnable_ns > survivors->thread_ns)
		runnable_ns = survivors->thread_ns;
	share = probe_ns / survivors->run_ns * runnable_ns / survivors->thread_ns;
	return share < 1 - 1.0 / MOST_DILATION ? 1 / (1 - share) : MOST_DILATION;
}
