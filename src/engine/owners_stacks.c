#include "engine/owners_stacks.h"

#include "base/clock.h"
#include "base/privilege.h"
#include "ipc/stack_table.h"
#include "source/source.h"
#include "target/maps.h"
#include "target/process.h"
#include "unwind/unwind.h"
#include "view/fold.h"
#include "view/pprof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The library whose own functions the innermost frames are. */
#define LIBRARY "libfragscope-stacks.so"

struct stacks_session {
	const struct stacks_request *request;
	struct process process;
	struct stack_table *table;
	struct unwinder *unwinder;
	struct fold *fold;
	struct stack_sample *sample;
	unsigned samples;
	unsigned *number; /* a sample: of its stack; UINT_MAX: it is gone */
	struct pin_shares *shares;
	struct stack_uses uses;
	int64_t now_ns, time_ns;
	struct fault no_blockers;
	struct stack_slot slot;
	struct event event;
};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- opening ---- */

static int table_fault(const struct process *process, int error, struct fault *fault)
{
	if (error == -ENOENT)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "process %d (%s) keeps no sample of stacks: start it by "
				 "'fragscope run --stacks COMMAND'; a child of such a "
				 "command begins with its first sample",
				 process->pid, process->comm);
	if (error == -ENOTSUP || error == -EPROTO)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "the sample of stacks in process %d (%s) is of another "
				 "version of fragscope, or damaged",
				 process->pid, process->comm);
	return fault_set(fault, error == -EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED, error,
			 "cannot read the sample of stacks in process %d (%s): %s",
			 process->pid, process->comm, strerror(-error));
}

/* A program's own malloc does not come by what notes the calls. */
static int check_state(const struct stacks_session *session, struct fault *fault)
{
	const struct stack_header *header = stack_table_header(session->table);

	if (header->state != STACK_STATE_BYPASSED)
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "process %d (%s) has a malloc of its own (%s), which the loader "
			 "finds before any preloaded one: its calls cannot be sampled",
			 session->process.pid, session->process.comm, header->name);
}

static int open_session(struct stacks_session *session, struct fault *fault)
{
	int error = process_open(&session->process, session->request->pid, fault);

	if (error)
		return error;
	error = stack_table_open(&session->table, &session->process);
	if (error)
		return table_fault(&session->process, error, fault);
	error = check_state(session, fault);
	if (!error)
		error = unwind_new(&session->unwinder, &session->process, fault);
	if (!error && fold_new(&session->fold, STACK_SLOTS))
		error = no_memory(fault);
	return error;
}

/* A source that was given up may still be at it with the shares: then they stay. */
static void close_session(struct stacks_session *session)
{
	stack_table_close(session->table);
	unwind_free(session->unwinder);
	process_close(&session->process);
	fold_free(session->fold);
	free(session->sample);
	free(session->number);
	if (session->shares)
		free(session->shares->share);
	free(session->shares);
	free(session->uses.use);
	free(session);
}

/* ---- the sample ---- */

/* What stands before malloc is not the program's. */
static void leave_out_own(struct event *event)
{
	unsigned own = 0;

	while (own < event->frame_count && event->frame[own].module &&
	       !strcmp(event->frame[own].module, LIBRARY))
		own++;
	event->frame_count -= own;
	memmove(event->frame, event->frame + own,
		event->frame_count * sizeof(*event->frame));
}

static unsigned follow(struct stacks_session *session)
{
	const struct stack_slot *slot = &session->slot;
	struct thread_state state = {
		.stack_addr = slot->reg[UNWIND_STACK_POINTER],
		.stack = slot->stack,
		.stack_bytes = slot->stack_bytes,
	};

	_Static_assert(sizeof(state.reg) == sizeof(slot->reg), "of the same registers");
	memcpy(state.reg, slot->reg, sizeof(state.reg));
	session->event.has = 0;
	session->event.frame_count = 0;
	if (slot->stack_bytes)
		unwind_event(session->unwinder, &state, &session->event);
	leave_out_own(&session->event);
	return fold_number(session->fold, &session->event);
}

static int read_sample(struct stacks_session *session, struct fault *fault)
{
	int error = stack_table_read(session->table, &session->sample, &session->samples);

	session->now_ns = clock_monotonic_ns();
	session->time_ns = clock_realtime_ns();
	if (error)
		return table_fault(&session->process, error, fault);
	session->number = calloc(session->samples + 1, sizeof(*session->number));
	if (!session->number)
		return no_memory(fault);
	for (unsigned i = 0; i < session->samples; i++) {
		error = stack_table_stack(session->table, &session->sample[i],
					  &session->slot);
		if (error && error != -EAGAIN)
			return table_fault(&session->process, error, fault);
		session->number[i] = error ? UINT32_MAX : follow(session);
	}
	return 0;
}

/* ---- what it pins ---- */

static int make_shares(struct stacks_session *session)
{
	struct pin_shares *shares = calloc(1, sizeof(*shares));

	session->shares = shares;
	if (!shares)
		return -ENOMEM;
	shares->share = calloc(session->samples + 1, sizeof(*shares->share));
	if (!shares->share)
		return -ENOMEM;
	shares->count = session->samples;
	for (unsigned i = 0; i < session->samples; i++)
		shares->share[i] = (struct pin_share){
			.block = session->sample[i].addr,
			.bytes = session->sample[i].bytes,
		};
	return 0;
}

static int read_shares(struct stacks_session *session, struct fault *fault)
{
	const struct source_options wanted = {
		.source = SOURCE_HEAP,
		.survey = true,
		.threads = 1,
	};
	struct source *source;
	int result, error = make_shares(session);

	if (error)
		return no_memory(fault);
	error = source_open(&source, session->request->pid, &wanted,
			    &session->no_blockers);
	if (error)
		return error;
	result = source_shares(source, session->shares, session->request->memory_bytes,
			       &session->no_blockers);
	source_close(source);
	if (result == SOURCE_UNREADABLE)
		session->shares = NULL;
	return result;
}

static int find_pins(struct stacks_session *session, struct fault *fault)
{
	const char *name = stack_table_header(session->table)->name;
	int error;

	session->uses.no_blockers = session->no_blockers.text;
	/* Its chunks alone are walked. */
	if (!maps_is_glibc(name)) {
		fault_set(&session->no_blockers, EXIT_NO_SOURCE, -ENOTSUP,
			  "only the heap of glibc's malloc is walked");
		return 0;
	}
	error = read_shares(session, fault);
	if (error == -ENOMEM)
		return error;
	if (error)
		return 0;
	session->uses.no_blockers = NULL;
	session->uses.pinned_bytes = session->shares->pinned_bytes;
	return 0;
}

/* ---- what it says ---- */

static void add(struct stacks_session *session, struct stack_use *use, unsigned i)
{
	const struct stack_sample *sample = &session->sample[i];
	double chance = estimate_chance(sample->bytes, session->uses.mean_bytes);
	int64_t age_ns = session->now_ns - sample->time_ns;

	use->samples++;
	estimate_add(&use->blocks, 1, chance);
	estimate_add(&use->bytes, (double)sample->bytes, chance);
	if (!session->uses.no_blockers)
		estimate_add(&use->pinned_bytes, session->shares->share[i].pinned_bytes,
			     chance);
	use->oldest_ns = age_ns > use->oldest_ns ? age_ns : use->oldest_ns;
}

static int by_pins(const void *left, const void *right)
{
	const struct stack_use *a = left, *b = right;
	double more = b->pinned_bytes.sum - a->pinned_bytes.sum;

	return more > 0 ? 1 : more < 0 ? -1 : strcmp(a->stack, b->stack);
}

static int by_bytes(const void *left, const void *right)
{
	const struct stack_use *a = left, *b = right;
	double more = b->bytes.sum - a->bytes.sum;

	return more > 0 ? 1 : more < 0 ? -1 : strcmp(a->stack, b->stack);
}

static bool wants_pins(const struct stacks_session *session)
{
	return !session->request->live && !session->uses.no_blockers;
}

/* Blocks of so many bytes together are all left out as often as a Poisson distribution
 * of their mean number of marks has none. Each is of a byte at least, and what they pin
 * is at most all that is pinned. */
static void bound_unseen(struct stack_uses *uses)
{
	double bytes = poisson_high(0) * (double)uses->mean_bytes;

	uses->total.blocks.unseen_high = bytes;
	uses->total.bytes.unseen_high = bytes;
	uses->total.pinned_bytes.unseen_high = (double)uses->pinned_bytes;
}

static int gather(struct stacks_session *session, struct fault *fault)
{
	unsigned numbers = fold_numbers(session->fold);
	struct stack_use *use = calloc(numbers, sizeof(*use));
	struct stack_uses *uses = &session->uses;

	uses->use = use;
	if (!use)
		return no_memory(fault);
	for (unsigned i = 0; i < session->samples; i++) {
		if (session->number[i] >= numbers || !session->sample[i].bytes)
			continue;
		add(session, &use[session->number[i]], i);
		add(session, &uses->total, i);
	}
	bound_unseen(uses);
	uses->total.pinned_bytes.most = (double)uses->pinned_bytes;
	for (unsigned i = 0; i < numbers; i++) {
		if (!use[i].samples)
			continue;
		use[i].pinned_bytes.most = (double)uses->pinned_bytes;
		use[uses->count] = use[i];
		use[uses->count++].stack = fold_stack(session->fold, i);
	}
	qsort(use, uses->count, sizeof(*use), wants_pins(session) ? by_pins : by_bytes);
	return 0;
}

static void describe(struct stacks_session *session)
{
	const struct stack_header *header = stack_table_header(session->table);
	struct stack_uses *uses = &session->uses;

	uses->pid = session->process.pid;
	uses->comm = session->process.comm;
	uses->allocator = header->name;
	uses->mean_bytes = header->mean_bytes;
	uses->taken = header->serial + header->dropped;
	uses->dropped = header->dropped;
	uses->forked = header->forked;
	uses->since_ns = session->now_ns > header->start_ns
				 ? session->now_ns - header->start_ns
				 : 0;
}

static int write_pprof(const struct stacks_session *session, struct fault *fault)
{
	const char *file = session->request->pprof;
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int error = fd < 0 ? -errno : pprof_write(&session->uses, session->time_ns, fd);

	if (fd >= 0 && close(fd) && !error)
		error = -errno;
	return error ? fault_set(fault, EXIT_FAILED, error, "cannot write to %s: %s",
				 file, strerror(-error))
		     : 0;
}

static int write_out(const struct stacks_session *session, struct fault *fault)
{
	const struct stacks_request *request = session->request;
	int error;

	if (request->pprof)
		return write_pprof(session, fault);
	error = stacks_write(&session->uses, request->top, wants_pins(session),
			     request->format, STDOUT_FILENO);
	return error ? fault_set(fault, EXIT_FAILED, error,
				 "cannot write to standard output: %s", strerror(-error))
		     : 0;
}

int owners_by_stack(const struct stacks_request *request, struct fault *fault)
{
	struct stacks_session *session = calloc(1, sizeof(*session));
	struct privilege before;
	int error;

	if (!session)
		return no_memory(fault);
	session->request = request;
	session->process = (struct process){
		.pidfd = -1, .maps_fd = -1, .pagemap_fd = -1, .rollup_fd = -1};
	before = privilege_raise();
	error = open_session(session, fault);
	if (!error)
		error = read_sample(session, fault);
	privilege_restore(before);
	if (!error)
		describe(session);
	if (!error)
		error = find_pins(session, fault);
	if (!error)
		error = gather(session, fault);
	if (!error)
		error = write_out(session, fault);
	close_session(session);
	return error;
}
