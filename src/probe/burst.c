#include "probe/burst.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "bpf/burst.h"
#include "bpf/burst.skel.h"
#include "probe/calibrate.h"
#include "probe/entry.h"
#include "probe/multi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	DESCRIPTION_BYTES = 512,
	CALIBRATE_CLASS = 7, /* the bits of CALIBRATE_SIZE */
	LINKS = 2,
};

/* A busy program, for the price's sake. */
#define TYPICAL_CALLS_PER_SECOND 1e6

_Static_assert((int)BURST_CLASSES == (int)HISTOGRAM_CLASSES, "the same classes");
_Static_assert(CALIBRATE_SIZE >> (CALIBRATE_CLASS - 1) == 1, "CALIBRATE_SIZE's bits");

struct burst {
	const struct process *process;
	struct burst_options options;
	struct entry entry;
	struct burst_bpf *skeleton;
	struct burst_counts *per_cpu;
	int cpus;
	int map_fd;
	int link[LINKS]; /* at the entry and at the return, while attached; else -1 */
	struct burst_price price;
	unsigned own_latency_class;
	int64_t due_ns;
	uint64_t bursts;
	uint64_t watched_ns;
	char description[DESCRIPTION_BYTES];
};

/* ---- attaching ---- */

static void close_link(int *link)
{
	if (*link >= 0)
		close(*link);
	*link = -1;
}

/* Calls that were under way when the probe went have a start, and no end. */
static void forget_starts(const struct burst *burst)
{
	int map_fd = bpf_map__fd(burst->skeleton->maps.starts);
	uint32_t tid;

	while (!bpf_map_get_next_key(map_fd, NULL, &tid))
		if (bpf_map_delete_elem(map_fd, &tid))
			return;
}

static void *close_return(void *context)
{
	close_link(context);
	return NULL;
}

/* Both at once: while the kernel waits for the one to be out of use, calls would still
 * pay for the other. */
static void detach_probe(void *context)
{
	struct burst *burst = context;
	pthread_t thread;
	bool is_aside = burst->link[1] >= 0 &&
			!pthread_create(&thread, NULL, close_return, &burst->link[1]);

	close_link(&burst->link[0]);
	if (is_aside)
		pthread_join(thread, NULL);
	close_link(&burst->link[1]);
	if (burst->options.latency)
		forget_starts(burst);
}

/* The entry's probe comes after the return's: no start is noted whose end is not seen, to
 * be taken for that of a later call. */
static int attach_probe(void *context, pid_t pid, const char *path, uint64_t offset)
{
	struct burst *burst = context;
	struct burst_bpf *skeleton = burst->skeleton;
	bool latency = burst->options.latency;
	int error = 0;

	if (latency)
		error = burst->link[1] = multi_link(skeleton->progs.malloc_returned, true,
						    pid, path, &offset, NULL, 1);
	if (error < 0)
		return error;
	error = burst->link[0] = multi_link(latency ? skeleton->progs.malloc_started
						    : skeleton->progs.malloc_entered,
					    false, pid, path, &offset, NULL, 1);
	if (error >= 0)
		return 0;
	detach_probe(burst);
	return error;
}

static int cannot(const char *what, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, error,
			 "cannot probe malloc in bursts: cannot %s: %s; --verbose shows "
			 "what the kernel said",
			 what, strerror(-error));
}

static int load(struct burst *burst, struct fault *fault)
{
	struct burst_bpf *skeleton = burst_bpf__open();
	bool latency = burst->options.latency;
	int error;

	if (!skeleton)
		return cannot("load the probe", -errno, fault);
	burst->skeleton = skeleton;
	multi_choose(skeleton->progs.malloc_entered, !latency);
	multi_choose(skeleton->progs.malloc_started, latency);
	multi_choose(skeleton->progs.malloc_returned, latency);
	error = burst_bpf__load(skeleton);
	if (error)
		return cannot("load the probe", error, fault);
	burst->map_fd = bpf_map__fd(skeleton->maps.counts);
	burst->cpus = libbpf_num_possible_cpus();
	burst->per_cpu = burst->cpus > 0
				 ? alloc_touched(burst->cpus * sizeof(*burst->per_cpu))
				 : NULL;
	return burst->per_cpu ? 0 : cannot("load the probe", -ENOMEM, fault);
}

/* ---- counts ---- */

static int read_counts(struct burst *burst)
{
	uint32_t key = 0;

	return bpf_map_lookup_elem(burst->map_fd, &key, burst->per_cpu) ? -errno : 0;
}

static int clear_counts(struct burst *burst)
{
	uint32_t key = 0;

	memset(burst->per_cpu, 0, (size_t)burst->cpus * sizeof(*burst->per_cpu));
	return bpf_map_update_elem(burst->map_fd, &key, burst->per_cpu, BPF_ANY) ? -errno
										 : 0;
}

static void add_counts(const struct burst *burst, struct bursts *total)
{
	for (int cpu = 0; cpu < burst->cpus; cpu++) {
		const struct burst_counts *one = &burst->per_cpu[cpu];

		for (unsigned i = 0; i < BURST_CLASSES; i++) {
			total->sizes.count[i] += one->sizes[i];
			total->latency_ns.count[i] += one->latency_ns[i];
			total->calls += one->sizes[i];
		}
	}
}

int burst_total(struct burst *burst, struct bursts *total)
{
	int error = read_counts(burst);

	if (error)
		return error;
	*total = (struct bursts){
		.time_ns = clock_realtime_ns(),
		.pid = burst->process->pid,
		.comm = burst->process->comm,
		.bursts = burst->bursts,
		.watched_ns = burst->watched_ns,
		.has_latency = burst->options.latency,
		.own_latency_class = burst->own_latency_class,
	};
	add_counts(burst, total);
	return 0;
}

/* ---- the price ---- */

double burst_slowdown(const struct burst *burst, double calls_per_second)
{
	double period_ns = (double)burst->options.period_ns;
	double length_ns = (double)burst->price.effective_ns;
	/* What a nanosecond's calls cost is added to that nanosecond. */
	double added = calls_per_second * burst->price.hit_ns / 1e9;

	return (length_ns * added / (1 + added) + (double)burst->price.pause_ns) /
	       period_ns;
}

static void describe_stall(const struct burst_price *price, struct text *text)
{
	if (!price->worst_pause_ns) {
		text_string(text, ", and no stall of 1ms or more");
		return;
	}
	text_string(text, " and a stall of ");
	units_ns(text, price->pause_ns);
	text_string(text, " (longest seen: ");
	units_ns(text, price->worst_pause_ns);
	text_string(text, ") as the probe comes and goes");
}

static void describe(struct burst *burst)
{
	double percent = 100 * burst_slowdown(burst, TYPICAL_CALLS_PER_SECOND);
	struct text text;

	text_init(&text, burst->description, sizeof(burst->description));
	text_string(&text, "bursts: ");
	text_fixed(&text, burst->price.hit_ns / 1000, 2);
	text_string(&text, " us a malloc while a burst lasts (");
	units_ns(&text, (uint64_t)burst->options.length_ns);
	text_string(&text, ", in effect ");
	units_ns(&text, burst->price.effective_ns);
	text_string(&text, ", every ");
	units_ns(&text, (uint64_t)burst->options.period_ns);
	text_string(&text, ")");
	describe_stall(&burst->price, &text);
	text_string(&text, "; a program of 1,000,000 mallocs a second is slowed by ");
	text_fixed(&text, percent, 2);
	text_string(&text, "% on average; measured now, on a child of this program, at ");
	text_string(&text, prologue_name(burst->entry.prologue.kind));
	text_string(&text, " as in the process");
}

/* Of type struct calibrated's hits. */
static int calls_so_far(void *context, uint64_t *hits)
{
	struct bursts total;
	int error = burst_total(context, &total);

	*hits = error ? 0 : total.calls;
	return error;
}

static unsigned commonest(const struct histogram *histogram)
{
	unsigned most = 0;

	for (unsigned i = 1; i < HISTOGRAM_CLASSES; i++)
		if (histogram->count[i] > histogram->count[most])
			most = i;
	return most;
}

/* The child's calls must have been seen, and nothing else. They take no time of their
 * own: what was measured is the probe's. */
static int check_seen(struct burst *burst, struct fault *fault)
{
	struct bursts total;
	int error = burst_total(burst, &total);

	if (error)
		return cannot("read its counts", error, fault);
	if (!total.calls)
		return multi_lacks("sees only a process's first thread: Linux 6.10 or "
				   "later is needed",
				   fault);
	if (total.sizes.count[CALIBRATE_CLASS] != total.calls)
		return multi_lacks("shows other arguments than those of the call", fault);
	burst->own_latency_class = commonest(&total.latency_ns);
	return 0;
}

static int measure(struct burst *burst, struct calibration *calibration,
		   struct fault *fault)
{
	const struct calibrated probe = {attach_probe, detach_probe, calls_so_far, burst};
	const char *what;
	int error = calibrate(calibration, burst->entry.prologue.kind,
			      burst->options.length_ns, &probe, &what);

	if (error == -EAGAIN)
		return fault_set(
			fault, EXIT_FAILED, error,
			"cannot measure what bursts on malloc would cost: the machine is "
			"too busy for a child of this program to run");
	if (error)
		return cannot(what, error, fault);
	return check_seen(burst, fault);
}

static int set_price(struct burst *burst, struct fault *fault)
{
	struct calibration calibration;
	int error = measure(burst, &calibration, fault);

	if (error)
		return error;
	burst->price = (struct burst_price){
		.hit_ns = calibration.hit_ns,
		.effective_ns = calibration.effective_ns,
		.pause_ns = calibration.pause_ns,
		.worst_pause_ns = calibration.worst_pause_ns,
	};
	/* The return's probe comes first, and costs calls that are not counted yet. */
	if (burst->options.latency)
		burst->price.effective_ns += calibration.attach_ns;
	describe(burst);
	error = clear_counts(burst);
	return error ? cannot("clear its counts", error, fault) : 0;
}

const struct burst_price *burst_price(const struct burst *burst)
{
	return &burst->price;
}

const char *burst_describe(const struct burst *burst)
{
	return burst->description;
}

/* ---- opening ---- */

int burst_open(struct burst **burst, const struct process *process,
	       const struct burst_options *options, struct fault *fault)
{
	struct burst *new;
	int error = multi_check(fault);

	if (error)
		return error;
	new = alloc_touched(sizeof(*new));
	if (!new)
		return cannot("load the probe", -ENOMEM, fault);
	new->process = process;
	new->options = *options;
	new->entry.fd = -1;
	new->link[0] = new->link[1] = -1;
	error = entry_find(&new->entry, process, fault);
	if (!error)
		error = load(new, fault);
	if (!error)
		error = set_price(new, fault);
	if (error) {
		burst_close(new);
		return error;
	}
	*burst = new;
	return 0;
}

void burst_close(struct burst *burst)
{
	if (!burst)
		return;
	entry_close(&burst->entry);
	burst_bpf__destroy(burst->skeleton);
	free(burst->per_cpu);
	free(burst);
}

/* ---- bursts ---- */

int64_t burst_due_ns(const struct burst *burst)
{
	return burst->due_ns;
}

static int check_process(const struct burst *burst, struct fault *fault)
{
	enum process_state state = process_state(burst->process);

	if (state == PROCESS_RUNS)
		return 0;
	process_describe_end(burst->process, state, fault);
	return -ESRCH;
}

static int run_burst(struct burst *burst)
{
	char path[64];
	int64_t start_ns;
	int error;

	/* A descriptor's own link leads to the file that is mapped, named or not. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", burst->entry.fd);
	error = attach_probe(burst, burst->process->pid, path, burst->entry.offset);
	if (error)
		return error;
	start_ns = clock_monotonic_ns();
	clock_wait_until(start_ns + burst->options.length_ns, NULL);
	burst->watched_ns += (uint64_t)(clock_monotonic_ns() - start_ns);
	burst->bursts++;
	detach_probe(burst);
	return 0;
}

int burst_tick(struct burst *burst, int64_t now_ns, struct fault *fault)
{
	int error;

	if (now_ns < burst->due_ns)
		return 0;
	burst->due_ns = now_ns + burst->options.period_ns;
	error = check_process(burst, fault);
	if (error)
		return error;
	error = run_burst(burst);
	if (!error)
		return 0;
	/* It may have ended just now. */
	if (check_process(burst, fault))
		return -ESRCH;
	return cannot("attach to the process", error, fault);
}
