#include "source/source.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/subprocess.h"
#include "glibc/pieces.h"
#include "source/driver.h"
#include "source/kernel.h"
#include "target/surroundings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel call of a healthy target takes microseconds; where it has to wait for the
 * target's lock or a disk, more. */
#define PATIENCE_NS INT64_C(3000000000)

/* Where files are read: a disk that others write to may take seconds for one. */
#define FILES_PATIENCE_NS INT64_C(10000000000)

/* Between two attempts to read the program that a process has executed. */
#define ATTACH_GAP_NS INT64_C(500000000)

enum { WHY = 100 };

static const struct driver *const drivers[] = {
	[SOURCE_HEAP] = &heap_driver,
	[SOURCE_PROC] = &proc_driver,
	[SOURCE_PRELOAD] = &preload_driver,
};

static int open_probe(struct source *source, struct fault *fault)
{
	const struct probe_options counts_only = {.events_per_second = 1};

	return probe_open(&source->probe, &source->process, &counts_only, fault);
}

/* Another thread may ask just now where a read goes on. */
static void change_driver(struct source *source, enum sample_source to)
{
	pthread_mutex_lock(&source->lock);
	source->driver->close(source);
	source->state = NULL;
	source->driver = drivers[to];
	pthread_mutex_unlock(&source->lock);
}

static void add_reason(struct source *source, enum exit_status status)
{
	size_t used = strlen(source->description);

	snprintf(source->description + used, sizeof(source->description) - used, "; %s",
		 status == EXIT_NOT_PERMITTED ? "its heap may not be read from outside"
					      : "it has no heap that can be read from "
						"outside");
}

/* The heap cannot be read from outside, as FAULT says: if there is a sampler in it, that
 * is the source, and the description says why. Otherwise FAULT stays. */
static int open_instead(struct source *source, int error, const struct fault *fault)
{
	if (fault->status != EXIT_NOT_PERMITTED && fault->status != EXIT_NO_SOURCE)
		return error;
	change_driver(source, SOURCE_PRELOAD);
	source->options.source = SOURCE_PRELOAD;
	if (source->driver->open(source, NULL))
		return error;
	add_reason(source, fault->status);
	return 0;
}

static int open_driver(struct source *source, struct fault *fault)
{
	int error;

	pthread_mutex_lock(&source->lock);
	source->driver = drivers[source->options.source];
	pthread_mutex_unlock(&source->lock);
	error = source->driver->open(source, fault);
	if (error && source->options.or_preload && source->options.source == SOURCE_HEAP)
		error = open_instead(source, error, fault);
	return error;
}

/* ---- the thread that asks ---- */

/* What the thread is asked and what it finds. It shares nothing with a caller: what was
 * given up may still be written to. */
struct source_call {
	int pid;
	uint64_t chunk;
	struct sample *sample;
	struct heap_map *map; /* null without the option survey */
	struct blockers blockers;
	struct smaps smaps;
	struct surroundings surroundings;
	struct owners owners;
	struct owners_options owners_options;
	struct pin_shares *shares;
	uint64_t memory_bytes;
	owners_progress_fn *progress;
	void *listener; /* PROGRESS's */
	struct heap_piece_visitor visitor;
	bool is_whole;
	char identity[CHUNK_IDENTITY];
	atomic_bool given_up;
	struct fault fault;
	int result;
};

static void open_all(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	struct fault *fault = &asked->fault;

	/* For this thread and its helpers, as long as they live: no other file is opened
	 * by them than what belongs to the process. */
	privilege_raise();
	asked->result = process_open(&source->process, asked->pid, fault);
	if (!asked->result)
		asked->result = open_driver(source, fault);
	if (!asked->result && source->options.events)
		asked->result = open_probe(source, fault);
	if (asked->result)
		return;
	asked->sample = source_sample(source);
	if (source->options.survey)
		asked->map = heap_map_new(source->options.map_cells,
					  source->options.map_chunks);
	if (!asked->sample || (source->options.survey && !asked->map))
		asked->result = fault_set(fault, EXIT_FAILED, -ENOMEM,
					  "there is no memory left to start");
}

static void close_all(void *context)
{
	struct source *source = context;

	if (source->driver)
		source->driver->close(source);
	probe_close(source->probe);
	process_close(&source->process);
	sample_free(source->asked->sample);
	heap_map_free(source->asked->map);
	pthread_mutex_destroy(&source->lock);
	free(source->asked);
	free(source);
}

/* Why nothing of the target can be told: where the read stands that has not returned. */
static void say_where(struct source *source, char *why, size_t size)
{
	uint64_t from, to;
	bool reads;

	pthread_mutex_lock(&source->lock);
	reads = source->driver && source->driver->reads && source->state &&
		source->driver->reads(source, &from, &to);
	pthread_mutex_unlock(&source->lock);
	if (reads)
		snprintf(why, size,
			 "a read within %" PRIx64 "-%" PRIx64
			 " has not returned (userfaultfd or FUSE)",
			 from, to);
	else
		snprintf(why, size, "a call of the kernel about it has not returned");
}

static int unreadable(struct source *source, struct fault *fault)
{
	char why[WHY];

	say_where(source, why, sizeof(why));
	fault_set(fault, EXIT_FAILED, -ETIMEDOUT, "process %d (%s) is unreadable: %s",
		  source->asked->pid, source->process.comm, why);
	return SOURCE_UNREADABLE;
}

/* Has the thread do FN. What that found, or SOURCE_UNREADABLE; FAULT may be null. */
static int ask(struct source *source, void (*fn)(void *source), struct fault *fault)
{
	if (!source->worker)
		return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
				 "a recording has its samples and nothing else");
	if (!worker_is_busy(source->worker))
		atomic_store(&source->asked->given_up, false);
	if (worker_run(source->worker, fn, source)) {
		atomic_store(&source->asked->given_up, true);
		return fault ? unreadable(source, fault) : SOURCE_UNREADABLE;
	}
	if (source->asked->result && fault)
		*fault = source->asked->fault;
	return source->asked->result;
}

/* The same for one that has files of the target read. */
static int ask_for_files(struct source *source, void (*fn)(void *source),
			 struct fault *fault)
{
	int64_t pause_ns = source->options.pause_ns;
	int result;

	if (source->worker)
		worker_set_patience(source->worker, FILES_PATIENCE_NS + pause_ns);
	result = ask(source, fn, fault);
	if (source->worker)
		worker_set_patience(source->worker, PATIENCE_NS + pause_ns);
	return result;
}

/* ---- opening ---- */

static int no_memory(struct source *source, struct fault *fault)
{
	if (source)
		free(source->asked);
	free(source);
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "there is no memory left to start");
}

static int cannot_open(struct source *source, int result, struct fault *fault)
{
	char comm[PROCESS_COMM] = "";

	/* Not by the thread's words: it is at it. */
	if (result != SOURCE_UNREADABLE) {
		*fault = source->asked->fault;
	} else {
		process_line(source->asked->pid, "comm", comm, sizeof(comm));
		result = fault_set(
			fault, EXIT_FAILED, -ETIMEDOUT,
			"cannot attach to process %d (%s): a call of the "
			"kernel about it has not returned (userfaultfd or FUSE)",
			source->asked->pid, comm);
	}
	source_close(source);
	return result;
}

/* A file keeps nobody waiting who does not want to: there is no thread. */
static int open_recording(struct source **source, int pid,
			  const struct source_options *options, struct fault *fault)
{
	struct source *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return no_memory(NULL, fault);
	new->options = *options;
	new->driver = &recording_driver;
	new->process.pid = pid;
	new->process.pidfd = -1;
	error = new->driver->open(new, fault);
	if (error)
		source_close(new);
	else
		*source = new;
	return error;
}

int source_open(struct source **source, int pid, const struct source_options *options,
		struct fault *fault)
{
	struct source *new;
	int result;

	if (options->recording)
		return open_recording(source, pid, options, fault);
	new = alloc_touched(sizeof(*new));

	if (new)
		new->asked = alloc_touched(sizeof(*new->asked));
	if (!new || !new->asked)
		return no_memory(new, fault);
	new->options = *options;
	pthread_mutex_init(&new->lock, NULL);
	new->asked->pid = pid;
	if (worker_new(&new->worker, PATIENCE_NS, &new->beats, options->hurry))
		return no_memory(new, fault);
	result = ask_for_files(new, open_all, NULL);
	if (result)
		return cannot_open(new, result, fault);
	*source = new;
	return 0;
}

void source_close(struct source *source)
{
	if (source && source->worker) {
		worker_end(source->worker, close_all, source);
	} else if (source) {
		source->driver->close(source);
		free(source);
	}
}

/* ---- readings ---- */

void source_set_budget(struct source *source, int64_t budget_ns)
{
	source->options.budget_ns = budget_ns;
}

static uint64_t since(const uint64_t *now, const uint64_t *before, unsigned from,
		      unsigned to)
{
	uint64_t sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += now[i] - before[i];
	return sum;
}

/* What the probes counted since the row before. Probes that detached themselves leave the
 * figures absent and the row partial. */
static int read_events(struct source *source, struct sample *sample, struct fault *fault)
{
	struct probe_counts now, *before = &source->seen;
	int error;

	if (probe_stopped(source->probe) == PROBE_FLOOD) {
		if (sample->status != STATUS_PARTIAL)
			snprintf(sample->missing, sizeof(sample->missing),
				 "events: above 5000 a second, where the probes detach");
		sample->status = STATUS_PARTIAL;
		return 0;
	}
	error = probe_total(source->probe, &now);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read the probes' counts: %s", strerror(-error));
	figure_set(&sample->fig, FIG_GROWTH_EVENTS,
		   since(now.events, before->events, 0, PROBE_FAILURE));
	figure_set(&sample->fig, FIG_GROWTH_BYTES,
		   since(now.bytes, before->bytes, 0, PROBE_FAILURE));
	figure_set(&sample->fig, FIG_FAILED_ALLOCATIONS,
		   since(now.events, before->events, PROBE_FAILURE, PROBE_FAILURE + 1));
	*before = now;
	return 0;
}

/* Whether memory that is just being taken away can be behind ERROR: from outside its
 * pages look as if they had never been there before the process itself has ended. */
static bool is_of_end(int error)
{
	return error == -ESRCH || error == -EFAULT;
}

/* What has become of the process, after a reading that came to ERROR. The process is
 * looked at last: what was read before it was of this process. An end is waited for once
 * only: pages may as well not be there for long. */
static enum process_state state_after(struct source *source, int error)
{
	enum process_state state = process_state(&source->process);

	if (state == PROCESS_RUNS && is_of_end(error) && !source->is_unread &&
	    process_exits(&source->process))
		state = PROCESS_EXITED;
	return state;
}

/* ---- a process that executes another program ---- */

/* Whether the next program is read in place of the one that was. */
static bool goes_over(const struct source *source, enum process_state state)
{
	return state == PROCESS_EXECED && source->options.over_exec &&
	       source->options.source == SOURCE_HEAP;
}

/* What ERROR of a reading comes to. */
static int settle(struct source *source, int error, struct fault *fault)
{
	enum process_state state = state_after(source, error);

	if (goes_over(source, state))
		return fault_set(fault, EXIT_FAILED, -ESTALE,
				 "process %d (%s) executed another program",
				 source->process.pid, source->process.comm);
	/* What a sampler left behind is true of the process that it was in. */
	if (state != PROCESS_RUNS && (error || !source->options.follow)) {
		process_describe_end(&source->process, state, fault);
		return SOURCE_ENDED;
	}
	return error;
}

/* Whether ERROR says that the heap could not be read this time. */
static bool may_pass(const struct source *source, int error)
{
	return source->options.go_on && source->options.source == SOURCE_HEAP &&
	       (error == -ENODATA || error == -EFAULT || error == -EUCLEAN ||
		error == -ENOSPC || error == -ENOMEM);
}

/* The row of a heap that could not be read: WHY, and what the kernel tells. */
static int read_kernel(struct source *source, struct sample *sample,
		       const struct fault *why, struct fault *fault)
{
	int error;

	figures_clear(&sample->fig);
	for (unsigned i = 0; i < sample->arena_count; i++)
		figures_clear(&sample->arena[i].fig);
	sample->arena_count = 0;
	error = source_usage(source, sample, fault);
	if (!error)
		error = source_mappings(source, sample, fault);
	sample->status = STATUS_PARTIAL;
	snprintf(sample->missing, sizeof(sample->missing), "%.*s",
		 (int)sizeof(sample->missing) - 1, why->text);
	return error;
}

static int read_figures(struct source *source, struct sample *sample, struct fault *fault)
{
	int error = source->driver->read(source, sample, fault);
	struct fault why;

	if (!may_pass(source, error)) {
		source->is_unread = false;
		return error;
	}
	if (state_after(source, error) != PROCESS_RUNS)
		return error;
	source->is_unread = true;
	why = *fault;
	return read_kernel(source, sample, &why, fault);
}

/* Lets go of the program that was. What runs now has hardly begun: its heap is looked for
 * at the next reading. */
static int let_go(struct source *source, struct fault *fault)
{
	char before[PROCESS_COMM];

	memcpy(before, source->process.comm, sizeof(before));
	if (process_take_up(&source->process, &source->why_apart)) {
		if (process_has_exited(&source->process)) {
			process_describe_end(&source->process, PROCESS_EXITED, fault);
			return SOURCE_ENDED;
		}
		return fault_set(fault, source->why_apart.status, -EPERM,
				 "process %d (%s) executed another program: %s",
				 source->process.pid, before, source->why_apart.text);
	}
	change_driver(source, SOURCE_PROC);
	probe_close(source->probe);
	source->probe = NULL;
	source->seen = (struct probe_counts){0};
	source->is_apart = true;
	source->is_unread = false;
	source->allocator[0] = '\0';
	source->attach_due_ns = 0;
	fault_set(&source->why_apart, EXIT_DONE, 0,
		  "the process (%s) executed another program, %s", before,
		  source->process.comm);
	return 0;
}

/* Attaches to what the process has executed. */
static int attach_again(struct source *source)
{
	struct fault *why = &source->why_apart;
	int error;

	/* It has named itself since. */
	process_read_name(&source->process);
	error = open_driver(source, why);
	if (!error && source->options.events)
		error = open_probe(source, why);
	if (error) {
		change_driver(source, SOURCE_PROC);
		source->options.source = SOURCE_HEAP;
		source->attach_due_ns = clock_monotonic_ns() + ATTACH_GAP_NS;
		return error;
	}
	source->is_apart = false;
	return 0;
}

/* The row of a process whose program is not read yet: why, and what the kernel tells. */
static int read_apart(struct source *source, struct sample *sample, struct fault *fault)
{
	if (clock_monotonic_ns() >= source->attach_due_ns && !attach_again(source))
		return read_figures(source, sample, fault);
	return read_kernel(source, sample, &source->why_apart, fault);
}

static void name_process(const struct source *source, struct sample *sample)
{
	snprintf(sample->comm, sizeof(sample->comm), "%s", source->process.comm);
}

static void name_sample(const struct source *source, struct sample *sample)
{
	sample_clear(sample);
	sample->time_ns = clock_realtime_ns();
	sample->pid = source->process.pid;
	sample->source = source->options.source;
	name_process(source, sample);
	memcpy(sample->allocator, source->allocator, sizeof(sample->allocator));
	sample->origin.started_ns = source->process.started_ns;
	(void)gethostname(sample->origin.host, sizeof(sample->origin.host) - 1);
}

/* The row that says so. */
static int go_over(struct source *source, struct sample *sample, struct fault *fault)
{
	int result = let_go(source, fault);

	if (result)
		return result;
	name_sample(source, sample);
	result = settle(source, read_kernel(source, sample, &source->why_apart, fault),
			fault);
	/* And another one meanwhile: the next row tells. */
	return result == -ESTALE ? 0 : result;
}

static void read_sample(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	int64_t begin = clock_monotonic_ns();
	int error;

	name_sample(source, asked->sample);
	error = source->is_apart ? read_apart(source, asked->sample, &asked->fault)
				 : read_figures(source, asked->sample, &asked->fault);
	if (!error && source->probe)
		error = read_events(source, asked->sample, &asked->fault);
	asked->result = settle(source, error, &asked->fault);
	if (asked->result == -ESTALE)
		asked->result = go_over(source, asked->sample, &asked->fault);
	if (asked->result)
		return;
	/* Programs name themselves, many not before main(). */
	process_read_name(&source->process);
	name_process(source, asked->sample);
	figure_set(&asked->sample->fig, FIG_READ_NS, clock_monotonic_ns() - begin);
}

static bool is_hurried(const struct source *source)
{
	return source->options.hurry && atomic_load(source->options.hurry);
}

/* A target that holds our call for ever may have ended since: the memory that it leaves
 * behind stays until the call returns. */
static int tell_unreadable(struct source *source, struct sample *sample,
			   struct fault *fault)
{
	char why[WHY];

	if (process_has_exited(&source->process)) {
		process_describe_end(&source->process, PROCESS_EXITED, fault);
		return SOURCE_ENDED;
	}
	if (source->options.follow || is_hurried(source))
		return SOURCE_NOTHING_NEW;
	name_sample(source, sample);
	sample->status = STATUS_PARTIAL;
	say_where(source, why, sizeof(why));
	snprintf(sample->missing, sizeof(sample->missing), "unreadable: %s", why);
	return SOURCE_UNREADABLE;
}

int source_read(struct source *source, struct sample *sample, struct fault *fault)
{
	int result;

	if (!source->worker)
		return source->driver->read(source, sample, fault);
	result = ask(source, read_sample, fault);
	if (result == SOURCE_UNREADABLE)
		return tell_unreadable(source, sample, fault);
	if (result == SOURCE_READ) {
		struct sample read = *source->asked->sample;

		*source->asked->sample = *sample;
		*sample = read;
	}
	return result;
}

/* ---- surroundings ---- */

static void surroundings_in_child(void *context, void *result)
{
	struct source *source = context;

	surroundings_read(source->process.pid, result);
}

/* Its files are the target's: a child opens them. What it did not come to is absent. */
static void read_surroundings(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;

	if (subprocess_run(surroundings_in_child, source, &asked->surroundings,
			   sizeof(asked->surroundings), &source->beats))
		asked->surroundings.count = 0;
	asked->result = SOURCE_READ;
}

int source_surroundings(struct source *source, struct surroundings *surroundings,
			struct fault *fault)
{
	int result = ask(source, read_surroundings, fault);

	surroundings->count = 0;
	if (result == SOURCE_READ)
		*surroundings = source->asked->surroundings;
	return result;
}

/* ---- closer looks ---- */

static void identify_child(void *context, void *result)
{
	struct source *source = context;

	identify_chunk(source, source->asked->chunk, result);
}

/* The files that it looks names up in are the target's to choose: a child opens them. */
static int identify_in_child(struct source *source, uint64_t chunk,
			     char identity[CHUNK_IDENTITY])
{
	source->asked->chunk = chunk;
	return subprocess_run(identify_child, source, identity, CHUNK_IDENTITY,
			      &source->beats);
}

/* Whether SOURCE can look at single chunks; HAS_DRIVER: its driver can. */
static bool can_survey(const struct source *source, bool has_driver, struct fault *fault)
{
	if (!has_driver)
		fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			  "source %s does not know the addresses in a heap: only source "
			  "heap does",
			  sample_source_name(source->options.source));
	else if (!source->options.survey || source->options.quick)
		fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			  "this source was not opened for single chunks");
	else
		return true;
	return false;
}

typedef int map_fn(struct source *source, struct heap_map *map, struct fault *fault);

static void read_map_by(struct source *source, map_fn *map)
{
	struct source_call *asked = source->asked;
	int64_t begin = clock_monotonic_ns();
	int error;

	heap_map_clear(asked->map);
	asked->map->time_ns = clock_realtime_ns();
	error = map(source, asked->map, &asked->fault);
	asked->result = settle(source, error, &asked->fault);
	asked->map->read_ns = clock_monotonic_ns() - begin;
}

static void read_map(void *context)
{
	struct source *source = context;

	read_map_by(source, source->driver->map);
}

static void read_map_more(void *context)
{
	struct source *source = context;

	read_map_by(source, source->driver->map_more);
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* A map that is asked for more than there is room for gets as much as there is. */
static int ask_map(struct source *source, void (*read)(void *source),
		   struct heap_map *map, struct fault *fault)
{
	struct heap_map *made = source->asked->map;
	int result;

	if (!can_survey(source, source->driver->map, fault))
		return -ENOTSUP;
	/* What was given up may be at it still. */
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	made->arena = map->arena;
	made->from = map->from;
	made->to = map->to;
	made->cell_capacity = least(map->cell_capacity, source->options.map_cells);
	made->chunk_capacity = least(map->chunk_capacity, source->options.map_chunks);
	result = ask(source, read, fault);
	if (result == SOURCE_READ)
		heap_map_copy(map, made);
	return result;
}

int source_map(struct source *source, struct heap_map *map, struct fault *fault)
{
	return ask_map(source, read_map, map, fault);
}

int source_map_more(struct source *source, struct heap_map *map, struct fault *fault)
{
	return ask_map(source, read_map_more, map, fault);
}

static void read_blockers(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	struct blockers *blockers = &asked->blockers;
	int64_t begin = clock_monotonic_ns();
	int error;

	*blockers = (struct blockers){.arena = blockers->arena,
				      .time_ns = clock_realtime_ns()};
	error = source->driver->blockers(source, blockers, &asked->fault);
	asked->result = settle(source, error, &asked->fault);
	blockers->read_ns = clock_monotonic_ns() - begin;
}

static void look_closer(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	struct blockers *blockers = &asked->blockers;
	int64_t begin = clock_monotonic_ns();
	int error;

	heap_map_clear(asked->map);
	asked->map->time_ns = clock_realtime_ns();
	*blockers = (struct blockers){.arena = BLOCKERS_ALL_ARENAS,
				      .time_ns = asked->map->time_ns};
	error = source->driver->closer(source, blockers, asked->map, &asked->fault);
	asked->result = settle(source, error, &asked->fault);
	asked->map->read_ns = blockers->read_ns = clock_monotonic_ns() - begin;
}

int source_look_closer(struct source *source, struct blockers *blockers,
		       struct heap_map *map, struct fault *fault)
{
	struct heap_map *made = source->asked->map;
	int result;

	if (!can_survey(source, source->driver->closer, fault))
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	made->arena = map->arena;
	made->from = made->to = 0;
	made->cell_capacity = least(map->cell_capacity, source->options.map_cells);
	made->chunk_capacity = 0;
	result = ask(source, look_closer, fault);
	if (result != SOURCE_READ)
		return result;
	*blockers = source->asked->blockers;
	heap_map_copy(map, made);
	return result;
}

int source_blockers(struct source *source, struct blockers *blockers, struct fault *fault)
{
	int result;

	if (!can_survey(source, source->driver->blockers, fault))
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	source->asked->blockers.arena = blockers->arena;
	result = ask(source, read_blockers, fault);
	if (result == SOURCE_READ)
		*blockers = source->asked->blockers;
	return result;
}

static void make_identity(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;

	asked->result = identify_in_child(source, asked->chunk, asked->identity);
}

int source_identify(struct source *source, uint64_t chunk, char identity[CHUNK_IDENTITY])
{
	int result;

	identity[0] = '\0';
	if (!source->driver->peek || !source->options.survey)
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return SOURCE_UNREADABLE;
	source->asked->chunk = chunk;
	result = ask_for_files(source, make_identity, NULL);
	if (!result)
		memcpy(identity, source->asked->identity, CHUNK_IDENTITY);
	return result;
}

static void read_smaps(void *context)
{
	struct source *source = context;

	source->asked->result = smaps_read(source->process.pid, &source->asked->smaps);
}

int source_smaps(struct source *source, struct smaps *smaps)
{
	int result = source->worker ? ask(source, read_smaps, NULL) : -ENOTSUP;

	if (!result)
		*smaps = source->asked->smaps;
	return result;
}

int64_t source_cpu_ns(const struct source *source)
{
	return source->worker ? worker_cpu_ns(source->worker) : 0;
}

/* A search computes for longer than it reads: this is headway, too. Who gave it up does
 * not want to hear of it. */
static void pass_progress(double done, void *context)
{
	struct source *source = context;
	const struct source_call *asked = source->asked;

	atomic_fetch_add(&source->beats, 1);

	if (asked->progress && !atomic_load(&asked->given_up))
		asked->progress(done, asked->listener);
}

static void find_owners(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	struct owners *owners = &asked->owners;
	int64_t begin = clock_monotonic_ns();
	uint64_t chunk[OWNERS_MAX];
	int error;

	*owners = (struct owners){.time_ns = clock_realtime_ns()};
	error = source->driver->owners(source, owners, chunk, &asked->owners_options,
				       pass_progress, source, &asked->fault);
	asked->result = settle(source, error, &asked->fault);
	for (unsigned i = 0; i < owners->count && !asked->result; i++)
		if (identify_in_child(source, chunk[i], owners->owner[i].identity))
			owners->owner[i].identity[0] = '\0';
	owners->read_ns = clock_monotonic_ns() - begin;
}

int source_owners(struct source *source, struct owners *owners,
		  const struct owners_options *options, owners_progress_fn *progress,
		  void *context, struct fault *fault)
{
	struct source_call *asked = source->asked;
	int result;

	if (!can_survey(source, source->driver->owners, fault))
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	asked->owners_options = *options;
	asked->progress = progress;
	asked->listener = context;
	result = ask_for_files(source, find_owners, fault);
	if (result == SOURCE_READ)
		*owners = asked->owners;
	return result;
}

static void find_shares(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	int error = source->driver->shares(source, asked->shares, asked->memory_bytes,
					   &asked->fault);

	asked->result = settle(source, error, &asked->fault);
}

int source_shares(struct source *source, struct pin_shares *shares, uint64_t memory_bytes,
		  struct fault *fault)
{
	struct source_call *asked = source->asked;

	if (!can_survey(source, source->driver->shares, fault))
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	asked->shares = shares;
	asked->memory_bytes = memory_bytes;
	return ask(source, find_shares, fault);
}

/* Who gave the look up may be gone. */
static int pass_begin(void *context, const struct heap_segment *segment)
{
	struct source_call *asked = context;

	return atomic_load(&asked->given_up)
		       ? -ECANCELED
		       : asked->visitor.begin(asked->visitor.context, segment);
}

static int pass_piece(void *context, const struct piece *piece, bool cached)
{
	struct source_call *asked = context;

	return atomic_load(&asked->given_up)
		       ? -ECANCELED
		       : asked->visitor.piece(asked->visitor.context, piece, cached);
}

static int pass_end(void *context)
{
	struct source_call *asked = context;

	return atomic_load(&asked->given_up) ? -ECANCELED
					     : asked->visitor.end(asked->visitor.context);
}

static void see_pieces(void *context)
{
	struct source *source = context;
	struct source_call *asked = source->asked;
	const struct heap_piece_visitor visitor = {
		.begin = pass_begin,
		.piece = pass_piece,
		.end = pass_end,
		.context = asked,
	};
	int error =
		source->driver->pieces(source, &visitor, &asked->is_whole, &asked->fault);

	asked->result = settle(source, error, &asked->fault);
}

int source_pieces(struct source *source, const struct heap_piece_visitor *visitor,
		  bool *is_whole, struct fault *fault)
{
	struct source_call *asked = source->asked;
	int result;

	if (!can_survey(source, source->driver->pieces, fault))
		return -ENOTSUP;
	if (worker_is_busy(source->worker))
		return unreadable(source, fault);
	asked->visitor = *visitor;
	result = ask(source, see_pieces, fault);
	*is_whole = asked->is_whole;
	return result;
}

struct sample *source_sample(const struct source *source)
{
	return sample_new(source->driver->arenas(source),
			  source->options.bins || source->options.sizes ||
				  source->options.recording);
}

int source_exit_fd(const struct source *source)
{
	return source->process.pidfd;
}

const char *source_describe(const struct source *source)
{
	return source->driver->describe ? source->driver->describe(source)
					: source->description;
}

const char *source_comm(const struct source *source)
{
	return source->process.comm;
}
