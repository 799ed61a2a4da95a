#include "engine/trim.h"

#include "analysis/non_malloc.h"
#include "analysis/prediction.h"
#include "analysis/runtime.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "inject/inject.h"
#include "ipc/ring.h"
#include "source/source.h"
#include "target/huge.h"
#include "target/process.h"
#include "target/usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define PATIENCE_NS INT64_C(60000000000)

enum { TRIM_STACK_BYTES = 16 << 10 }; /* more than malloc_trim needs */

/* clang-format off */
const struct trim_result_info trim_result_info[TRIM_RESULTS] = {
	[TRIM_RSS_BEFORE] = {"rss_before_bytes", "rss", TRIM_BYTES, "now"},
	[TRIM_PREDICTED] = {"predicted_bytes", "predicted", TRIM_BYTES, "would be returned"},
	[TRIM_PREDICTED_FAULTS] = {"predicted_faults", "faults", TRIM_COUNT, "to need it all again, at most"},
	[TRIM_FORKED] = {"forked_least_bytes", "shared", TRIM_BYTES, "of it, at least, since a fork: free on the host when all processes return it"},
	[TRIM_LASTS] = {"lasts_ns", "lasts", TRIM_TIME,
		   "at least; then huge pages may have filled it again"},
	[TRIM_WALK] = {"walk_ns", "walk", TRIM_TIME,
		  "of the bins, by the sampler at its last sample; a trim is longer"},
	[TRIM_THREADS] = {"threads", "threads", TRIM_COUNT, "stopped, looked at, and let go"},
	[TRIM_LOOKS] = {"looks", "looks", TRIM_COUNT, "until all were where a call is safe"},
	[TRIM_STOOD] = {"stood_ns", "stood", TRIM_TIME, "the process, at the last look"},
	[TRIM_STOOD_LONGEST] = {"stood_longest_ns", "longest", TRIM_TIME, "that it stood at any look"},
	[TRIM_RSS_AFTER] = {"rss_after_bytes", "rss", TRIM_BYTES, "after the trim"},
	[TRIM_GIVEN_BACK] = {"given_back_bytes", "given back", TRIM_BYTES, ""},
	[TRIM_TOOK] = {"trim_ns", "took", TRIM_TIME, "under the allocator's locks"},
	[TRIM_WATCHED] = {"watched_ns", "watched", TRIM_TIME, "since"},
	[TRIM_FAULTS] = {"faults", "faults", TRIM_COUNT, "in that time, whatever their cause"},
};

/* clang-format on */

/* One trim, or the prediction of one. */
struct trim {
	const struct frontend *frontend;
	struct process process;
	struct ring ring;
	struct trim_options options;
	bool is_open, is_attached;
	bool counts; /* faults, from BEGIN_NS on */
	int64_t begin_ns;
	uint64_t faults_before;
	uint64_t have;
	uint64_t value[TRIM_RESULTS];
};

static void set(struct trim *trim, enum trim_result result, uint64_t value)
{
	trim->value[result] = value;
	trim->have |= UINT64_C(1) << result;
}

bool trim_has(const struct trim *trim, enum trim_result result)
{
	return trim->have >> result & 1;
}

uint64_t trim_value(const struct trim *trim, enum trim_result result)
{
	return trim->value[result];
}

/* ---- what is read ---- */

/* A reading of KIND's into *SAMPLE, which is null when there is none. */
static int read_once(const struct trim *trim, enum sample_source kind,
		     struct sample **sample, struct fault *fault)
{
	const struct source_options wanted = {
		.source = kind, .threads = 1, .hurry = trim->frontend->stop};
	struct source *source;
	int result = source_open(&source, trim->process.pid, &wanted, fault);

	*sample = NULL;
	if (result)
		return result;
	*sample = source_sample(source);
	result = *sample ? source_read(source, *sample, fault)
			 : fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	source_close(source);
	if (result == SOURCE_READ)
		return 0;
	sample_free(*sample);
	*sample = NULL;
	return result < 0 ? result : result == SOURCE_UNREADABLE ? -ETIMEDOUT : -ESRCH;
}

static void predict(struct trim *trim, const struct sample *sample)
{
	struct prediction prediction;

	if (!predict_trim(sample, &prediction)) {
		if (sample->missing[0])
			frontend_message(trim->frontend,
					 "process %d (%s): what a trim would return is "
					 "not known: %s",
					 sample->pid, sample->comm, sample->missing);
		return;
	}
	set(trim, TRIM_PREDICTED, prediction.bytes);
	set(trim, TRIM_PREDICTED_FAULTS, prediction.faults);
}

/* Where the kernel makes huge pages of a heap with holes in it, they are filled again. */
static void predict_lasting(struct trim *trim, const struct smaps *smaps)
{
	struct verdict_huge huge;
	struct huge settings;

	if (huge_read(&settings))
		return;
	huge_refill_of(smaps, &settings, &huge);
	if (huge.fills && huge.fill_per_s > 0)
		set(trim, TRIM_LASTS,
		    (uint64_t)((double)trim->value[TRIM_PREDICTED] / huge.fill_per_s *
			       1e9));
}

static void predict_by_mappings(struct trim *trim, const struct sample *sample)
{
	struct verdict_non_malloc non_malloc;
	struct smaps smaps;
	uint64_t forked;

	if (!trim_has(trim, TRIM_PREDICTED) || smaps_read(trim->process.pid, &smaps))
		return;
	non_malloc_of(&smaps, &sample->fig, &non_malloc);
	forked = predict_forked(trim->value[TRIM_PREDICTED], non_malloc.forked_bytes,
				non_malloc.private_bytes);
	if (forked)
		set(trim, TRIM_FORKED, forked);
	predict_lasting(trim, &smaps);
}

/* From outside where the heap is one that can be read; 0, or -errno and FAULT. */
static int predict_from_heap(struct trim *trim, struct fault *fault)
{
	struct sample *sample;
	int error = read_once(trim, SOURCE_HEAP, &sample, fault);

	if (error)
		return error;
	predict(trim, sample);
	predict_by_mappings(trim, sample);
	sample_free(sample);
	return 0;
}

static int predict_from_sampler(struct trim *trim, struct fault *fault)
{
	struct sample *sample;
	const struct figures *fig;
	int error = read_once(trim, SOURCE_PRELOAD, &sample, fault);

	if (error)
		return error;
	fig = &sample->fig;
	if (figure_has(fig, FIG_SAMPLE_COST_NS))
		set(trim, TRIM_WALK, fig->v[FIG_SAMPLE_COST_NS].u);
	if (!trim_has(trim, TRIM_PREDICTED))
		predict(trim, sample);
	sample_free(sample);
	return 0;
}

/* One of both ways is enough for a prediction; only a trim by the sampler needs it. */
static int predict_all(struct trim *trim, struct fault *fault)
{
	struct fault of_sampler;
	int from_heap = predict_from_heap(trim, fault);
	int from_sampler = predict_from_sampler(trim, &of_sampler);

	/* Of no other malloc has a thread of the process a function to call. */
	if (trim->options.attach)
		return from_heap;
	if (trim->options.dry_run)
		return from_heap && !trim_has(trim, TRIM_PREDICTED) ? from_heap : 0;
	if (from_sampler)
		*fault = of_sampler;
	return from_sampler;
}

static int read_rss(struct trim *trim, enum trim_result result)
{
	struct usage usage;
	int error = usage_exact(&trim->process, &usage);

	if (!error)
		set(trim, result, usage.rss_bytes);
	return error;
}

/* Minor and major faults of the process so far; fields are counted from behind its name,
 * which may hold anything. */
static int read_faults(const struct trim *trim, uint64_t *faults)
{
	unsigned long long minor, major;
	char text[1024];
	const char *end;
	ssize_t length = process_text(trim->process.pid, "stat", text, sizeof(text));

	if (length < 0)
		return (int)length;
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor,
			   &major) != 2)
		return -EPROTO;
	*faults = minor + major;
	return 0;
}

/* ---- the work ---- */

static int trim_fault(const struct trim *trim, int error, struct fault *fault)
{
	const struct process *process = &trim->process;

	if (error == -ENOTSUP)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "the allocator of process %d (%s), %s, returns nothing "
				 "when another thread asks",
				 process->pid, process->comm, trim->ring.header.name);
	if (error == -ETIMEDOUT)
		return fault_set(fault, EXIT_FAILED, error,
				 "the sampler in process %d (%s) has not trimmed in a "
				 "minute",
				 process->pid, process->comm);
	if (error == -EPROTO)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "what process %d (%s) calls " RING_MEMFD
				 " is not a sampler's memory, or is damaged",
				 process->pid, process->comm);
	return fault_set(fault, error == -EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED, error,
			 "cannot ask the sampler in process %d (%s): %s", process->pid,
			 process->comm, strerror(-error));
}

/* Before anything is told of the trim: what is done upon that counts. */
static void begin_watch(struct trim *trim)
{
	trim->begin_ns = clock_monotonic_ns();
	trim->counts = !read_faults(trim, &trim->faults_before);
}

/* The sampler answers at once where its memory can be mapped. */
static int trim_by_sampler(struct trim *trim, struct fault *fault)
{
	int64_t took_ns = 0;
	int error = ring_attach(&trim->ring, &trim->process);

	trim->is_attached = true;
	if (!error)
		error = ring_trim(&trim->ring, PATIENCE_NS, &took_ns);
	if (error)
		return trim_fault(trim, error, fault);
	set(trim, TRIM_TOOK, (uint64_t)took_ns);
	return 0;
}

static void take_result(struct trim *trim, const struct inject_result *result)
{
	if (!result->tid)
		return;
	frontend_message(
		trim->frontend, "process %d (%s): thread %d (%s) %s the call: %s",
		trim->process.pid, trim->process.comm, (int)result->tid, result->comm,
		result->called ? "made" : "would make", result->place);
	set(trim, TRIM_THREADS, result->threads);
	set(trim, TRIM_LOOKS, result->tries);
	set(trim, TRIM_STOOD, (uint64_t)result->stood_ns);
	if (result->tries > 1)
		set(trim, TRIM_STOOD_LONGEST, (uint64_t)result->longest_ns);
	if (result->returned)
		set(trim, TRIM_TOOK, (uint64_t)result->took_ns);
}

/* Where no thread of a runtime can be made to call, it may have one do so by itself. */
static void say_other_way(const struct trim *trim)
{
	const struct process *process = &trim->process;
	const struct runtime *runtime;
	struct smaps smaps;
	char trims[128];

	if (smaps_read(process->pid, &smaps))
		return;
	runtime = runtime_of(&smaps, smaps.rss_bytes[SMAPS_ANON]);
	if (!runtime || !runtime->trims)
		return;
	runtime_say(runtime->trims, process->pid, trims, sizeof(trims));
	frontend_message(trim->frontend, "process %d (%s): %s has it call malloc_trim(0)",
			 process->pid, process->comm, trims);
}

static int trim_by_thread(struct trim *trim, struct fault *fault)
{
	static const int calls[] = {SYS_madvise, SYS_brk, SYS_futex, -1};
	const struct inject_request request = {
		.function = "malloc_trim",
		.calls = calls,
		.stack_bytes = TRIM_STACK_BYTES,
		.for_ns = trim->options.for_ns,
		.return_ns = PATIENCE_NS,
		.dry_run = trim->options.dry_run,
	};
	struct inject_result result;
	int error = inject(&trim->process, &request, &trim->frontend->waiting,
			   trim->frontend->stop, &result, fault);

	take_result(trim, &result);
	if (error == -EAGAIN)
		say_other_way(trim);
	return error;
}

int trim_now(struct trim *trim, struct fault *fault)
{
	int error = trim->options.attach ? trim_by_thread(trim, fault)
					 : trim_by_sampler(trim, fault);

	if (error || trim->options.dry_run)
		return error;
	if (read_rss(trim, TRIM_RSS_AFTER))
		return trim_fault(trim, -ESRCH, fault);
	/* A program at work may have grown by more than it gave back. */
	if (trim->value[TRIM_RSS_AFTER] <= trim->value[TRIM_RSS_BEFORE])
		set(trim, TRIM_GIVEN_BACK,
		    trim->value[TRIM_RSS_BEFORE] - trim->value[TRIM_RSS_AFTER]);
	begin_watch(trim);
	return 0;
}

/* A process that ends meanwhile has no faults to tell. */
void trim_watch(struct trim *trim, int64_t for_ns)
{
	uint64_t after;

	if (!trim->counts)
		return;
	clock_wait_until(trim->begin_ns + for_ns, &trim->frontend->waiting);
	if (process_state(&trim->process) != PROCESS_RUNS || read_faults(trim, &after))
		return;
	set(trim, TRIM_WATCHED, (uint64_t)(clock_monotonic_ns() - trim->begin_ns));
	set(trim, TRIM_FAULTS, after - trim->faults_before);
}

static int open_trim(struct trim *trim, int pid, struct fault *fault)
{
	int error;

	privilege_raise();
	error = process_open(&trim->process, pid, fault);
	if (error)
		return error;
	trim->is_open = true;
	error = predict_all(trim, fault);
	if (!error && read_rss(trim, TRIM_RSS_BEFORE))
		error = fault_set(fault, EXIT_FAILED, -ESRCH, "process %d is gone", pid);
	return error;
}

int trim_open(struct trim **trim, int pid, const struct trim_options *options,
	      const struct frontend *frontend, struct fault *fault)
{
	struct trim *new = calloc(1, sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->frontend = frontend;
	new->options = *options;
	new->ring.memory.fd = -1;
	error = open_trim(new, pid, fault);
	if (error)
		trim_close(new);
	else
		*trim = new;
	return error;
}

void trim_close(struct trim *trim)
{
	if (trim && trim->is_attached)
		ring_detach(&trim->ring);
	if (trim && trim->is_open)
		process_close(&trim->process);
	free(trim);
}

int trim_pid(const struct trim *trim)
{
	return trim->process.pid;
}

const char *trim_comm(const struct trim *trim)
{
	return trim->process.comm;
}
