#include "engine/trace_survivors.h"

#include "analysis/survival.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "glibc/pieces.h"
#include "probe/survivors.h"
#include "source/source.h"
#include "target/process.h"
#include "unwind/unwind.h"
#include "view/fold.h"
#include "view/survivors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STACKS = 4096,
	FOLLOWED = 65536,
	UNREAD = 10, /* looks in a row that may fail */
};

/* Of the time of a program that calls malloc a million times a second. */
#define SHARE 0.01

struct survivors_session {
	const struct survivors_request *request;
	struct process process;
	struct source *source;
	struct unwinder *unwinder;
	struct survivors *survivors;
	struct survival *survival;
	struct fold *fold;
	struct survivors_writer *writer;
	struct survivors_run run;
	int fd;
	unsigned unread, seed;
	struct event event;
};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- opening ---- */

static int open_target(struct survivors_session *session, struct fault *fault)
{
	const struct source_options reading = {
		.source = SOURCE_HEAP,
		.survey = true,
		.threads = 1,
		.hurry = frontend_stop_flag(session->request->frontend),
	};
	const struct survivors_options options = {
		.share = SHARE,
		.period_ns = session->request->period_ns,
		/* The page that the stack pointer is in is copied whole. */
		.stack_bytes = (uint32_t)session->request->stack_bytes + PROBE_PAGE,
		.followed = FOLLOWED,
	};
	int pid = session->request->pid;
	int error = process_open(&session->process, pid, fault);

	if (error)
		return error;
	/* First: where a file of the process does not open, nobody else may try to. */
	error = source_open(&session->source, pid, &reading, fault);
	if (!error)
		error = unwind_new(&session->unwinder, &session->process, fault);
	if (!error)
		error = survivors_open(&session->survivors, &session->process, &options,
				       fault);
	return error;
}

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int open_file(const char *file, int *fd, struct fault *fault)
{
	*fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return *fd < 0 ? write_fault(file, -errno, fault) : 0;
}

static void describe(struct survivors_session *session)
{
	struct survivors_run *run = &session->run;

	run->pid = session->request->pid;
	run->comm = session->process.comm;
	run->watches_free = survivors_watches_free(session->survivors);
	run->dilation = 1;
	run->no_header = session->request->no_header;
	run->survival = session->survival;
	run->fold = session->fold;
}

static int open_session(struct survivors_session *session, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int error = open_target(session, fault);

	privilege_restore(before);
	if (error)
		return error;
	if (fold_new(&session->fold, STACKS))
		return no_memory(fault);
	session->writer = survivors_writer_new(fold_numbers(session->fold));
	if (!session->writer ||
	    survival_new(&session->survival, fold_numbers(session->fold), FOLLOWED,
			 survivors_watches_free(session->survivors)))
		return no_memory(fault);
	describe(session);
	return session->request->output
		       ? open_file(session->request->output, &session->fd, fault)
		       : 0;
}

/* A source that was given up may still be at it with what it was handed: then that stays
 * until the program ends. */
static void close_session(struct survivors_session *session)
{
	source_close(session->source);
	survivors_close(session->survivors);
	unwind_free(session->unwinder);
	process_close(&session->process);
	fold_free(session->fold);
	survivors_writer_free(session->writer);
}

/* ---- bursts ---- */

/* A page between two others may never have been touched, or be in swap. */
static void on_chosen(const struct survivor_event *raw, const uint8_t *stack,
		      void *context)
{
	struct survivors_session *session = context;
	struct thread_state state = {.stack_addr = raw->stack_addr, .stack = stack};

	for (uint64_t pages = raw->stack_pages; pages; pages >>= 1)
		state.stack_bytes += PROBE_PAGE;
	state.missing_pages = ~raw->stack_pages;
	memcpy(state.reg, raw->reg, sizeof(state.reg));
	session->event.has = 0;
	if (state.stack_bytes)
		unwind_event(session->unwinder, &state, &session->event);
	if (!survival_add(session->survival, raw->chunk, raw->bytes,
			  fold_number(session->fold, &session->event)))
		survivors_forget(session->survivors, raw->chunk);
}

static void on_ended(uint64_t chunk, bool is_free, void *context)
{
	const struct survivors_session *session = context;

	if (is_free)
		survival_freed(session->survival, chunk);
	else
		survival_again(session->survival, chunk);
}

static int burst(struct survivors_session *session, struct fault *fault)
{
	const struct survivors_listener listener = {on_chosen, on_ended, session};
	unsigned room = survival_room(session->survival) / 2;
	struct survivors_watch watch;
	int error = survivors_burst(session->survivors,
				    room < SURVIVORS_SAMPLES ? room : SURVIVORS_SAMPLES,
				    &listener, &watch, fault);

	if (error)
		return error;
	if (watch.stood_still) {
		survival_drop_burst(session->survival);
		return 0;
	}
	session->run.bursts++;
	session->run.calls += watch.calls;
	session->run.sent += watch.sent;
	session->run.lost += watch.lost;
	session->run.watched_ns += watch.watched_ns;
	/* A burst that sampled none of the calls that it saw says nothing. */
	if (watch.sent || !watch.calls)
		survival_end_burst(session->survival, watch.start_ns, watch.watched_ns,
				   watch.sent ? (double)watch.calls / (double)watch.sent
					      : 0);
	return 0;
}

/* ---- looks ---- */

static int on_begin(void *context, const struct heap_segment *segment)
{
	const struct survivors_session *session = context;

	(void)segment;
	survival_begin_stretch(session->survival);
	return 0;
}

static int on_piece(void *context, const struct piece *piece, bool cached)
{
	const struct survivors_session *session = context;

	if (piece->kind != PIECE_DOUBT)
		survival_see(session->survival, piece->start, piece->end,
			     piece->kind == PIECE_USED && !cached);
	return 0;
}

static int on_end(void *context)
{
	(void)context;
	return 0;
}

static void on_forget(uint64_t chunk, void *context)
{
	const struct survivors_session *session = context;

	survivors_forget(session->survivors, chunk);
}

/* A heap that cannot be read this time is read the next time. */
static int look(struct survivors_session *session, struct fault *fault)
{
	const struct heap_piece_visitor visitor = {
		.begin = on_begin,
		.piece = on_piece,
		.end = on_end,
		.context = session,
	};
	int64_t now_ns = clock_monotonic_ns();
	bool is_whole;
	int result;

	survival_begin_look(session->survival);
	result = source_pieces(session->source, &visitor, &is_whole, fault);
	if (result == SOURCE_READ) {
		survival_end_look(session->survival, now_ns, is_whole, on_forget,
				  session);
		session->run.looks++;
		session->unread = 0;
		return 0;
	}
	if (result == SOURCE_ENDED)
		return -ESRCH;
	if (result == SOURCE_UNREADABLE)
		return -ETIMEDOUT;
	return ++session->unread < UNREAD ? 0 : result;
}

/* ---- the run ---- */

/* When the next burst is due: at PERIOD_NS on average, from half of it up, but not before
 * the last is paid off. At random either way: whatever the program does at regular times,
 * bursts must not always meet it, or never. */
static int64_t next_due_ns(struct survivors_session *session, int64_t now_ns)
{
	int64_t period_ns = survivors_period_ns(session->survivors);
	int64_t least_ns = now_ns + period_ns / 2;
	int64_t paid_ns = survivors_due_ns(session->survivors);

	least_ns = paid_ns > least_ns ? paid_ns : least_ns;
	return least_ns +
	       (int64_t)((double)period_ns * rand_r(&session->seed) / RAND_MAX);
}

/* A burst, a pause until the next is due, but no longer than until END_NS, and a look
 * just before it. */
static int turn(struct survivors_session *session, int64_t end_ns, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int64_t now_ns = clock_monotonic_ns(), due_ns;
	int error = burst(session, fault);

	privilege_restore(before);
	due_ns = next_due_ns(session, now_ns);
	due_ns = due_ns > end_ns ? end_ns : due_ns;
	while (!error && !frontend_stops(session->request->frontend) &&
	       clock_monotonic_ns() < due_ns)
		clock_wait_until(due_ns, &session->request->frontend->waiting);
	if (error)
		return error;
	before = privilege_raise();
	error = look(session, fault);
	session->run.dilation = survivors_dilation(session->survivors);
	privilege_restore(before);
	return error;
}

static int loop(struct survivors_session *session, struct fault *fault)
{
	int64_t for_ns = session->request->for_ns, end_ns = INT64_MAX;
	int64_t begin_ns = clock_monotonic_ns();
	int error = 0;

	if (for_ns)
		end_ns = begin_ns + for_ns;
	session->seed = (unsigned)clock_realtime_ns();
	while (!error && !frontend_stops(session->request->frontend) &&
	       clock_monotonic_ns() < end_ns)
		error = turn(session, end_ns, fault);
	session->run.took_ns = clock_monotonic_ns() - begin_ns;
	/* Of a process that has ended, what was seen until then is printed. */
	if (error == -ESRCH && fault->status == EXIT_DONE) {
		frontend_message(session->request->frontend, "%s", fault->text);
		error = 0;
	}
	return error;
}

/* ---- what it says ---- */

static int print_result(struct survivors_session *session, struct fault *fault)
{
	const struct survivors_request *request = session->request;
	enum survivors_format format = request->json   ? SURVIVORS_JSON
				       : request->fold ? SURVIVORS_FOLDED
						       : SURVIVORS_TEXT;
	int error, fd;

	if (!survivors_oldest(&session->run))
		frontend_message(session->request->frontend,
				 "process %d: no reading of the heap came a second or "
				 "more after a burst: what stays is not known",
				 request->pid);
	error = survivors_write(session->writer, &session->run, format, session->fd);
	if (error)
		return write_fault(request->output, error, fault);
	if (!request->folded)
		return 0;
	error = open_file(request->folded, &fd, fault);
	if (error)
		return error;
	error = survivors_write(session->writer, &session->run, SURVIVORS_FOLDED, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(request->folded, error, fault) : 0;
}

int trace_survivors(const struct survivors_request *request, struct fault *fault)
{
	struct survivors_session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return no_memory(fault);
	session->request = request;
	session->fd = STDOUT_FILENO;
	error = open_session(session, fault);
	if (!error) {
		frontend_message(session->request->frontend, "%s",
				 survivors_describe(session->survivors));
		error = loop(session, fault);
	}
	if (!error)
		error = print_result(session, fault);
	if (request->output && session->fd != STDOUT_FILENO && close(session->fd) &&
	    !error)
		error = write_fault(request->output, -errno, fault);
	close_session(session);
	if (error == -ETIMEDOUT)
		return error;
	survival_free(session->survival);
	free(session);
	return error;
}
