#include "engine/trace.h"

#include "analysis/explain.h"
#include "base/clock.h"
#include "base/output.h"
#include "base/privilege.h"
#include "base/units.h"
#include "engine/tracer.h"
#include "probe/kill.h"
#include "probe/preflight.h"
#include "view/events.h"
#include "view/fold.h"
#include "view/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_NS INT64_C(100000000)

enum { STACKS = 4096 }; /* that --fold keeps apart */

struct trace_session {
	const struct trace_request *request;
	const struct frontend *frontend;
	struct tracer **tracer; /* null once it ended */
	struct probe_counts *total;
	size_t count;
	size_t alive;
	struct kills *kills;
	struct fold *fold;
	struct event kill; /* too large for a stack */
	int fd;
	int status;
	char buf[EVENT_TEXT_BYTES];
};

/* ---- opening ---- */

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static uint32_t kinds_printed(const struct trace_request *request)
{
	if (!request->failures && !request->oom)
		return (1U << EVENT_KILL) - 1;
	return request->failures ? 1U << EVENT_FAILURE : 0;
}

static int open_tracers(struct trace_session *session, struct fault *fault)
{
	const struct trace_request *request = session->request;
	const struct tracer_options wanted = {
		.events_per_second = request->rate,
		.stack_bytes = request->stack_bytes,
		.kinds = kinds_printed(request),
		.reading_ns = request->reading_ns,
		.bursts = request->bursts,
		.latency = request->latency,
		.frontend = session->frontend,
	};
	size_t count = request->pids.count;
	int error = 0;

	session->tracer = calloc(count + 1, sizeof(struct tracer *));
	session->total = calloc(count + 1, sizeof(*session->total));
	if (!session->tracer || !session->total)
		return out_of_memory(fault);
	for (size_t i = 0; !error && i < count; i++) {
		error = tracer_open(&session->tracer[i], request->pids.pid[i], &wanted,
				    fault);
		if (!error)
			session->count++;
	}
	session->alive = session->count;
	return error;
}

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write events to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int open_file(const char *file, int *fd, struct fault *fault)
{
	*fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return *fd < 0 ? write_fault(file, -errno, fault) : 0;
}

static bool watches_kills(const struct trace_request *request)
{
	return request->oom || (!request->failures && !request->fold);
}

/* Growth and failures are seen on kernels that do not report kills: unless it was kills
 * that were asked for, that is a message, and no error. */
static int open_kills(struct trace_session *session, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int error = kills_open(&session->kills, fault);

	privilege_restore(before);
	if (error != -ENOTSUP || session->request->oom)
		return error;
	frontend_message(session->frontend, "%s; all other events are printed",
			 fault->text);
	return 0;
}

static int open_session(struct trace_session *session, struct fault *fault)
{
	const struct trace_request *request = session->request;
	int error = open_tracers(session, fault);

	if (!error && watches_kills(request))
		error = open_kills(session, fault);
	if (!error && request->fold && fold_new(&session->fold, STACKS))
		error = out_of_memory(fault);
	if (!error && request->output)
		error = open_file(request->output, &session->fd, fault);
	return error;
}

/* ---- printing ---- */

static int put(struct trace_session *session, const struct text *text)
{
	return text->overflow ? -EOVERFLOW
			      : output_write(session->fd, text->buf, text->length);
}

static int note(struct trace_session *session, const char *line)
{
	struct text text;

	if (session->request->json || session->request->no_header)
		return 0;
	text_init(&text, session->buf, sizeof(session->buf));
	text_string(&text, "# ");
	text_printable(&text, line, SIZE_MAX);
	text_char(&text, '\n');
	return put(session, &text);
}

static int print_header(struct trace_session *session, struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; !error && i < session->count; i++) {
		const char *price = tracer_price(session->tracer[i]);

		error = note(session, tracer_describe(session->tracer[i]));
		if (price)
			frontend_message(session->frontend, "%s", price);
		if (tracer_waits(session->tracer[i]))
			frontend_message(session->frontend, "%s",
					 tracer_waits(session->tracer[i]));
	}
	if (!error && session->request->oom)
		error = note(session, "kills for memory, of any process on this host");
	return error ? write_fault(session->request->output, error, fault) : 0;
}

static int print_event(struct event *event, void *context)
{
	struct trace_session *session = context;
	struct text text;

	if (session->fold) {
		fold_add(session->fold, event);
		return 0;
	}
	text_init(&text, session->buf, sizeof(session->buf));
	if (session->request->json)
		events_json(&text, event);
	else
		events_text(&text, event);
	return put(session, &text);
}

/* What a poll of the kills needs to know. */
struct kill_poll {
	struct trace_session *session;
	int error;
};

static void on_kill(const struct kill_event *raw, void *context)
{
	struct kill_poll *poll = context;
	struct trace_session *session = poll->session;
	struct event *event = &session->kill;
	bool concerns = session->request->oom;

	explain_kill(raw, clock_realtime_ns() - clock_monotonic_ns(), event);
	for (size_t i = 0; i < session->count; i++) {
		if (!session->tracer[i])
			continue;
		concerns |= tracer_concerns(session->tracer[i], raw);
		tracer_add_reading(session->tracer[i], event);
	}
	if (!concerns || poll->error)
		return;
	poll->error = print_event(event, session);
}

static int poll_kills(struct trace_session *session)
{
	struct kill_poll poll = {.session = session};
	int error = kills_poll(session->kills, on_kill, &poll);

	return error ? error : poll.error;
}

/* ---- the run ---- */

static int print_bursts(struct trace_session *session, const struct tracer *tracer)
{
	struct bursts bursts;
	struct text text;
	int error = tracer_bursts(tracer, &bursts);

	if (error)
		return error == -ENODATA ? 0 : error;
	text_init(&text, session->buf, sizeof(session->buf));
	if (session->request->json)
		histogram_json(&text, &bursts);
	else
		histogram_text(&text, &bursts);
	return put(session, &text);
}

/* What was seen stays, for the end. 0 or -errno of the output. */
static int end_tracer(struct trace_session *session, size_t i)
{
	struct tracer *tracer = session->tracer[i];
	int error = tracer_finish(tracer, print_event, session, &session->total[i]);

	error = error ? error : print_bursts(session, tracer);
	tracer_close(session->tracer[i]);
	session->tracer[i] = NULL;
	session->alive--;
	return error;
}

/* One poll of tracer I. A process that ends is left out from then on; only an output that
 * cannot be written ends the run. */
static int poll_one(struct trace_session *session, size_t i, struct fault *fault)
{
	int result, error = 0;

	fault->text[0] = '\0';
	result = tracer_poll(session->tracer[i], print_event, session, fault);
	if (result == TRACER_RUNS)
		return 0;
	if (result < 0 && !fault->text[0])
		return write_fault(session->request->output, result, fault);
	frontend_message(session->frontend, "%s", fault->text);
	if (fault->status != EXIT_DONE)
		session->status = fault->status;
	/* A kill of the process itself still needs what its last reading said. */
	if (session->kills)
		error = poll_kills(session);
	result = end_tracer(session, i);
	error = error ? error : result;
	return error ? write_fault(session->request->output, error, fault) : 0;
}

static int poll_all(struct trace_session *session, struct fault *fault)
{
	int error = 0;

	if (session->kills) {
		error = poll_kills(session);
		if (error)
			return write_fault(session->request->output, error, fault);
	}
	for (size_t i = 0; !error && i < session->count; i++)
		if (session->tracer[i])
			error = poll_one(session, i, fault);
	return error;
}

static bool is_over(const struct trace_session *session, int64_t end_ns)
{
	if (frontend_stops(session->frontend) ||
	    (end_ns && clock_monotonic_ns() >= end_ns))
		return true;
	return !session->alive && !(session->request->oom && !session->count);
}

static int loop(struct trace_session *session, struct fault *fault)
{
	int64_t due_ns = clock_monotonic_ns(), end_ns = 0;
	int error;

	/* What a stop signal asks for is seen within POLL_NS. */
	pthread_sigmask(SIG_SETMASK, &session->frontend->reading, NULL);
	if (session->request->for_ns)
		end_ns = due_ns + session->request->for_ns;
	for (;;) {
		/* Asked before the poll: what came until then is printed. */
		bool over = is_over(session, end_ns);

		error = poll_all(session, fault);
		if (error || over || is_over(session, 0))
			return error;
		due_ns = clock_monotonic_ns() + POLL_NS;
		clock_wait_until(end_ns && end_ns < due_ns ? end_ns : due_ns,
				 &session->frontend->waiting);
	}
}

/* ---- the end ---- */

static uint64_t sum(const uint64_t *values, unsigned from, unsigned to)
{
	uint64_t all = 0;

	for (unsigned i = from; i < to; i++)
		all += values[i];
	return all;
}

static void print_total(const struct trace_session *session, size_t i)
{
	const struct probe_counts *total = &session->total[i];
	char grown[16];
	struct text text;

	text_init(&text, grown, sizeof(grown));
	units_bytes(&text, sum(total->bytes, 0, PROBE_FAILURE));
	frontend_message(
		session->frontend,
		"process %d: growths seen: %llu of %s, failures: %llu, moved thresholds: "
		"%llu; printed %llu, counted only: %llu over the rate, %llu lost",
		session->request->pids.pid[i],
		(unsigned long long)sum(total->events, 0, PROBE_FAILURE), grown,
		(unsigned long long)total->events[PROBE_FAILURE],
		(unsigned long long)total->events[PROBE_THRESHOLD],
		(unsigned long long)total->sent, (unsigned long long)total->limited,
		(unsigned long long)total->lost);
	if (total->missed)
		frontend_message(
			session->frontend,
			"process %d: %s could not be followed: too many threads at once",
			session->request->pids.pid[i],
			units_counted_text(total->missed, "system call").s);
	if (total->skipped)
		frontend_message(
			session->frontend,
			"process %d: the kernel left out %s, of this process or others: "
			"growths may be missing",
			session->request->pids.pid[i],
			units_counted_text(total->skipped, "probe call").s);
}

/* What no stack is known of, so that the table's sums are those of the counts. */
static void fold_unseen(struct trace_session *session)
{
	uint64_t events = 0, bytes = 0, failures = 0;

	for (size_t i = 0; i < session->count; i++) {
		events += sum(session->total[i].events, 0, PROBE_FAILURE);
		bytes += sum(session->total[i].bytes, 0, PROBE_FAILURE);
		failures += session->total[i].events[PROBE_FAILURE];
	}
	fold_add_unseen(session->fold, events, bytes, failures);
}

static int print_fold(struct trace_session *session, struct fault *fault)
{
	const struct trace_request *request = session->request;
	int error, fd;

	fold_unseen(session);
	error = fold_table(session->fold, session->fd);
	if (!error)
		error = note(session, fold_caveat);
	if (error)
		return write_fault(request->output, error, fault);
	if (!request->folded)
		return 0;
	error = open_file(request->folded, &fd, fault);
	if (error)
		return error;
	error = fold_folded(session->fold, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(request->folded, error, fault) : 0;
}

static int finish(struct trace_session *session, struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; i < session->count; i++) {
		int end = session->tracer[i] ? end_tracer(session, i) : 0;

		if (end)
			error = write_fault(session->request->output, end, fault);
	}
	if (!error && session->fold)
		error = print_fold(session, fault);
	for (size_t i = 0; i < session->count; i++)
		print_total(session, i);
	if (session->kills && kills_lost(session->kills))
		frontend_message(
			session->frontend, "%s not printed: the ring was full",
			units_counted_text(kills_lost(session->kills), "kill").s);
	return error;
}

static int close_session(struct trace_session *session, struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; session->tracer && i < session->count; i++)
		tracer_close(session->tracer[i]);
	kills_close(session->kills);
	fold_free(session->fold);
	if (session->request->output && session->fd >= 0 && close(session->fd))
		error = write_fault(session->request->output, -errno, fault);
	free(session->tracer);
	free(session->total);
	return error;
}

static int run_session(struct trace_session *session, struct fault *fault)
{
	struct fault at_close;
	int error = open_session(session, fault);

	if (!error)
		error = print_header(session, fault);
	if (!error) {
		int end;

		error = loop(session, fault);
		end = finish(session, error ? &at_close : fault);
		error = error ? error : end;
	}
	if (close_session(session, &at_close) && !error) {
		*fault = at_close;
		error = -EIO;
	}
	return error;
}

int trace_run(const struct trace_request *request, int *status, struct fault *fault)
{
	struct trace_session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return out_of_memory(fault);
	session->request = request;
	session->frontend = request->frontend;
	session->fd = request->output ? -1 : STDOUT_FILENO;
	preflight_verbose(request->verbose);
	error = run_session(session, fault);
	*status = session->status;
	free(session);
	return error;
}
