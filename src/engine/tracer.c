#include "engine/tracer.h"

#include "analysis/explain.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/units.h"
#include "probe/burst.h"
#include "probe/probe.h"
#include "source/source.h"
#include "target/cgroup.h"
#include "target/limits.h"
#include "target/process.h"
#include "unwind/unwind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAST_POLLS = 10, PAUSE_NS = 1000000, DESCRIPTION = 512, WAITING = 256 };

#define WAIT_NS INT64_C(500000000) /* between two looks whether there is a heap */

struct tracer {
	struct tracer_options options;
	struct process process;
	struct probe *probe;
	struct unwinder *unwinder;
	struct burst *burst;   /* null: none were asked for */
	struct source *source; /* of the full readings; null: none are taken */
	struct sample *sample;
	bool waits; /* for malloc to be called, to open SOURCE */
	char waiting[WAITING];
	bool has_reading;
	bool is_unreadable; /* and that was printed */
	struct event_reading reading;
	int64_t reading_due_ns; /* CLOCK_MONOTONIC */
	uint64_t cgroup;	/* 0: not known */
	char description[DESCRIPTION];
	struct event event;
	uint64_t handed; /* events, to all polls */
	tracer_fn *fn;	 /* of the poll that runs */
	void *context;
	int error;
};

/* ---- readings ---- */

static void keep_reading(struct tracer *tracer)
{
	static const enum figure needed[] = {FIG_RSS_BYTES, FIG_FREE_BYTES,
					     FIG_FREE_CHUNKS, FIG_LARGEST_FREE_BYTES};
	const struct sample *sample = tracer->sample;

	for (unsigned i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!figure_has(&sample->fig, needed[i]))
			return;
	tracer->reading = (struct event_reading){
		.time_ns = sample->time_ns,
		.rss_bytes = sample->fig.v[FIG_RSS_BYTES].u,
		.free_bytes = sample->fig.v[FIG_FREE_BYTES].u,
		.free_chunks = sample->fig.v[FIG_FREE_CHUNKS].u,
		.largest_free_bytes = sample->fig.v[FIG_LARGEST_FREE_BYTES].u,
	};
	tracer->has_reading = true;
}

/* Opens the readings of a heap that is there. What they need of memory is taken late
 * where it was not. 0, also when it is not, or -errno and FAULT. */
static int open_source(struct tracer *tracer, struct fault *fault)
{
	const struct source_options options = {
		.source = SOURCE_HEAP,
		.go_on = true,
		.threads = 1,
		.hurry = frontend_stop_flag(tracer->options.frontend),
	};
	int error = source_open(&tracer->source, tracer->process.pid, &options, fault);

	tracer->waits = (error == -ENODATA || error == -EFAULT) &&
			fault->status == EXIT_NO_SOURCE;
	if (tracer->waits)
		return 0;
	if (error)
		return error;
	tracer->sample = source_sample(tracer->source);
	return tracer->sample ? 0
			      : fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* Reads the heap when it is time to. 0, TRACER_ENDED or -errno with FAULT. */
static int read_heap(struct tracer *tracer, struct fault *fault)
{
	int64_t now = clock_monotonic_ns();
	int result = 0;

	if (now < tracer->reading_due_ns)
		return TRACER_RUNS;
	if (tracer->waits) {
		tracer->reading_due_ns = now + WAIT_NS;
		result = open_source(tracer, fault);
	}
	/* The end of a process is reported by the next poll. */
	if (result && result != -ESRCH)
		return result;
	if (!tracer->source)
		return TRACER_RUNS;
	result = source_read(tracer->source, tracer->sample, fault);
	if (result == SOURCE_ENDED)
		return TRACER_ENDED;
	if (result < 0)
		return result;
	if (result == SOURCE_UNREADABLE && !tracer->is_unreadable)
		frontend_message(tracer->options.frontend, "%s", fault->text);
	tracer->is_unreadable = result == SOURCE_UNREADABLE;
	if (result == SOURCE_READ)
		keep_reading(tracer);
	tracer->reading_due_ns = now + tracer->options.reading_ns;
	return TRACER_RUNS;
}

static int read_first(struct tracer *tracer, struct fault *fault)
{
	int error;

	if (!tracer->options.reading_ns)
		return 0;
	if (tracer->waits)
		snprintf(tracer->waiting, sizeof(tracer->waiting),
			 "process %d (%s) has allocated nothing through malloc yet: "
			 "waiting for its heap",
			 tracer->process.pid, tracer->process.comm);
	error = read_heap(tracer, fault);
	return error == TRACER_ENDED ? -ESRCH : error;
}

void tracer_add_reading(const struct tracer *tracer, struct event *event)
{
	/* An event may have waited for its poll while the heap was read. */
	if (event->pid != tracer->process.pid || !tracer->has_reading ||
	    tracer->reading.time_ns > event->time_ns)
		return;
	event->reading = tracer->reading;
	event->has |= EVENT_HAS_READING;
}

/* ---- opening ---- */

static void describe(struct tracer *tracer)
{
	const struct tracer_options *options = &tracer->options;
	struct text text;

	text_init(&text, tracer->description, sizeof(tracer->description));
	text_string(&text, "process ");
	text_u64(&text, (uint64_t)tracer->process.pid);
	text_string(&text, " (");
	text_string(&text, tracer->process.comm);
	text_string(&text, "), probes on mmap_lock, at most ");
	text_u64(&text, options->events_per_second);
	text_string(&text, " full events a second with ");
	units_bytes(&text, options->stack_bytes);
	text_string(&text, " of stack");
	if (!probe_knows_callers(tracer->probe))
		text_string(&text, "; the program's own mmap calls cannot be "
				   "distinguished from malloc's");
}

static int open_probe(struct tracer *tracer, struct fault *fault)
{
	const struct probe_options options = {
		.events_per_second = tracer->options.events_per_second,
		/* The page that the stack pointer is in is copied whole. */
		.stack_bytes = (uint32_t)tracer->options.stack_bytes + PROBE_PAGE,
		.kinds = tracer->options.kinds,
	};
	int error = probe_open(&tracer->probe, &tracer->process, &options, fault);

	if (!error && options.kinds)
		error = unwind_new(&tracer->unwinder, &tracer->process, fault);
	return error;
}

static int open_bursts(struct tracer *tracer, struct fault *fault)
{
	const struct burst_options options = {
		.latency = tracer->options.latency,
		.period_ns = BURST_PERIOD_NS,
		.length_ns = BURST_LENGTH_NS,
	};

	if (!tracer->options.bursts)
		return 0;
	return burst_open(&tracer->burst, &tracer->process, &options, fault);
}

static int open_new(struct tracer **tracer, int pid, const struct tracer_options *options,
		    struct fault *fault)
{
	struct tracer *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->options = *options;
	error = process_open(&new->process, pid, fault);
	if (error) {
		free(new);
		return error;
	}
	/* Not every process is in a cgroup that can be found. */
	if (cgroup_memory_id(&new->process, &new->cgroup))
		new->cgroup = 0;
	/* First: where a file of the process does not open, nobody else may try to. */
	error = options->reading_ns ? open_source(new, fault) : 0;
	/* Before the probes: its price is measured for some time. */
	if (!error)
		error = open_bursts(new, fault);
	if (!error)
		error = open_probe(new, fault);
	if (!error)
		error = read_first(new, fault);
	if (error) {
		tracer_close(new);
		return error;
	}
	describe(new);
	*tracer = new;
	return 0;
}

int tracer_open(struct tracer **tracer, int pid, const struct tracer_options *options,
		struct fault *fault)
{
	struct privilege before = privilege_raise();
	int error = open_new(tracer, pid, options, fault);

	privilege_restore(before);
	return error;
}

void tracer_close(struct tracer *tracer)
{
	if (!tracer)
		return;
	burst_close(tracer->burst);
	probe_close(tracer->probe);
	unwind_free(tracer->unwinder);
	source_close(tracer->source);
	sample_free(tracer->sample);
	process_close(&tracer->process);
	free(tracer);
}

/* ---- events ---- */

/* A page between two others may never have been touched, or be in swap. */
static void unwind(struct tracer *tracer, const struct probe_event *raw,
		   const uint8_t *stack)
{
	struct thread_state state = {.stack_addr = raw->stack_addr, .stack = stack};

	for (uint64_t pages = raw->stack_pages; pages; pages >>= 1)
		state.stack_bytes += PROBE_PAGE;
	state.missing_pages = ~raw->stack_pages;
	memcpy(state.reg, raw->reg, sizeof(state.reg));
	if (state.stack_bytes)
		unwind_event(tracer->unwinder, &state, &tracer->event);
}

static void on_event(const struct probe_event *raw, const uint8_t *stack, void *context)
{
	struct tracer *tracer = context;
	struct event *event = &tracer->event;
	struct limits limits = {0};

	tracer->handed++;
	if (tracer->error)
		return;
	if (raw->kind == PROBE_FAILURE)
		limits_read(&limits);
	explain_event(raw, &limits, clock_realtime_ns() - clock_monotonic_ns(), event);
	event->pid = tracer->process.pid;
	tracer_add_reading(tracer, event);
	unwind(tracer, raw, stack);
	/* What a request was derived from is malloc's way to ask, and this is not it. */
	if (event->not_malloc)
		event->has &= ~(unsigned)EVENT_HAS_REQUEST;
	tracer->error = tracer->fn(event, tracer->context);
}

/* Why nothing more comes, if that is so. */
static int find_end(struct tracer *tracer, struct fault *fault)
{
	const struct process *process = &tracer->process;
	enum probe_stop stop = probe_stopped(tracer->probe);
	enum process_state state = process_state(process);

	if (stop == PROBE_EXECED && state == PROCESS_RUNS)
		state = PROCESS_EXECED;
	if (state != PROCESS_RUNS) {
		process_describe_end(process, state, fault);
		return TRACER_ENDED;
	}
	if (stop == PROBE_RUNS)
		return TRACER_RUNS;
	fault_set(fault, EXIT_FAILED, -EOVERFLOW,
		  "process %d (%s): more than 5000 events in a second: the probes would "
		  "cost it too much and were detached; the events until then are printed",
		  process->pid, process->comm);
	return TRACER_ENDED;
}

static int poll_now(struct tracer *tracer, tracer_fn *fn, void *context,
		    struct fault *fault)
{
	/* Asked first: what came before the end is still handed over. */
	int end = find_end(tracer, fault);
	int error;

	tracer->fn = fn;
	tracer->context = context;
	tracer->error = 0;
	error = probe_poll(tracer->probe, on_event, tracer);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read the probes' events: %s", strerror(-error));
	if (tracer->error)
		return tracer->error;
	if (end != TRACER_RUNS)
		return end;
	if (tracer->burst)
		error = burst_tick(tracer->burst, clock_monotonic_ns(), fault);
	/* The end of the process is reported by the next poll. */
	if (error && error != -ESRCH)
		return error;
	return read_heap(tracer, fault);
}

int tracer_poll(struct tracer *tracer, tracer_fn *fn, void *context, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int result = poll_now(tracer, fn, context, fault);

	privilege_restore(before);
	return result;
}

static int finish_now(struct tracer *tracer, tracer_fn *fn, void *context,
		      struct probe_counts *total)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int error;

	probe_detach(tracer->probe);
	tracer->fn = fn;
	tracer->context = context;
	tracer->error = 0;
	/* A probe may still be at work on another CPU. */
	for (unsigned tries = 0;; tries++) {
		error = probe_poll(tracer->probe, on_event, tracer);
		if (!error)
			error = probe_total(tracer->probe, total);
		if (error || tracer->handed >= total->sent || tries == LAST_POLLS)
			return error ? error : tracer->error;
		nanosleep(&pause, NULL);
	}
}

int tracer_finish(struct tracer *tracer, tracer_fn *fn, void *context,
		  struct probe_counts *total)
{
	struct privilege before = privilege_raise();
	int error = finish_now(tracer, fn, context, total);

	privilege_restore(before);
	return error;
}

int tracer_bursts(const struct tracer *tracer, struct bursts *bursts)
{
	return tracer->burst ? burst_total(tracer->burst, bursts) : -ENODATA;
}

const char *tracer_price(const struct tracer *tracer)
{
	return tracer->burst ? burst_describe(tracer->burst) : NULL;
}

const char *tracer_waits(const struct tracer *tracer)
{
	return tracer->waits ? tracer->waiting : NULL;
}

bool tracer_concerns(const struct tracer *tracer, const struct kill_event *kill)
{
	return (int)kill->pid == tracer->process.pid ||
	       (tracer->cgroup && kill->cgroup == tracer->cgroup);
}

const char *tracer_describe(const struct tracer *tracer)
{
	return tracer->description;
}
