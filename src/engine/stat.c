#include "engine/stat.h"

#include "base/alloc_touched.h"
#include "base/units.h"
#include "engine/rows.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* How long targets were stopped, for --pause. */
struct stopped {
	uint64_t readings, longest_ns, total_ns;
};

struct stat_session {
	const struct stat_options *options;
	const struct frontend *frontend;
	struct stream *stream;
	struct rows rows;
	struct stopped stopped;
	int status;
};

/* ---- messages ---- */

/* Whether ONE and OTHER differ in their digits at most: the sizes in them change with
 * every row. */
static bool same_words(const char *one, const char *other)
{
	static const char digits[] = "0123456789";

	for (;; one++, other++) {
		one += strspn(one, digits);
		other += strspn(other, digits);
		if (*one != *other || !*one)
			return *one == *other;
	}
}

/* CSV and JSON say in each row what is missing; people are told when it changes. */
static void tell_missing(const struct stat_session *session, struct stream_target *target)
{
	const struct sample *sample = target->sample;
	char *told;

	if (session->options->view.format != VIEW_TEXT || !*sample->missing)
		return;
	if (!target->state)
		target->state = alloc_touched(SAMPLE_TEXT);
	told = target->state;
	if (!told || same_words(told, sample->missing))
		return;
	memcpy(told, sample->missing, SAMPLE_TEXT);
	frontend_message(session->frontend, "process %d (%s): the rows are partial: %s",
			 sample->pid, sample->comm, sample->missing);
}

static void count_stop(struct stopped *stopped, const struct figures *fig)
{
	uint64_t ns;

	if (!figure_has(fig, FIG_PAUSE_NS))
		return;
	ns = fig->v[FIG_PAUSE_NS].u;
	stopped->readings++;
	stopped->total_ns += ns;
	if (ns > stopped->longest_ns)
		stopped->longest_ns = ns;
}

static void tell_stopped(const struct stat_session *session)
{
	const struct stopped *stopped = &session->stopped;

	if (!stopped->readings || stream_is_recorded(session->stream))
		return;
	frontend_message(
		session->frontend, "stopped for %s: %s at the longest, %s in all",
		units_counted_text(stopped->readings, "reading").s,
		units_ns_text(stopped->longest_ns).s, units_ns_text(stopped->total_ns).s);
}

/* ---- the rows ---- */

static int open_rows(struct stat_session *session, struct fault *fault)
{
	const struct stream *stream = session->stream;
	struct view_options wanted = session->options->view;
	size_t notes = stream_is_recorded(stream) ? 1 : stream_targets(stream);
	int error;

	/* Nothing is allocated while processes are read. */
	for (size_t i = 0; i < stream_targets(stream); i++)
		stream_target(stream, i)->state = alloc_touched(SAMPLE_TEXT);
	wanted.several = stream_is_several(stream);
	error = rows_open(&session->rows, &wanted, fault);
	if (!error && session->rows.was_cut)
		frontend_message(session->frontend,
				 "%s ended within a row, which was removed",
				 session->rows.file);
	for (size_t i = 0; !error && i < notes; i++) {
		const struct stream_target *target =
			stream_is_recorded(stream) ? NULL : stream_target(stream, i);

		/* It is waited for. */
		if (target && !target->source)
			continue;
		error = rows_note(&session->rows, stream_describe(stream, target), fault);
	}
	return error;
}

static int write_row(struct stat_session *session, struct stream_target *target,
		     struct fault *fault)
{
	count_stop(&session->stopped, &target->sample->fig);
	tell_missing(session, target);
	return rows_sample(&session->rows, target->sample, fault);
}

static void end_target(struct stat_session *session, enum stream_news news,
		       const struct fault *fault)
{
	if (*fault->text)
		frontend_message(session->frontend, "%s", fault->text);
	if (news == STREAM_FAILED)
		session->status = fault->status;
}

/* A rotation may come at any time of a long wait: the rows up to it are in the old file.
 */
static int wait_for_round(struct stat_session *session, struct fault *fault)
{
	atomic_bool *reopen = session->options->reopen;
	int error = 0;

	stream_wait(session->stream);
	while (reopen && !error && atomic_exchange(reopen, false)) {
		error = rows_reopen(&session->rows, fault);
		if (!error)
			stream_wait(session->stream);
	}
	return error;
}

/* A target that ends or fails is left out from then on; only an output that cannot be
 * written, or a recording that is wrong, ends the run. */
static int loop(struct stat_session *session, struct fault *fault)
{
	struct stream_target *target;
	int news, error = 0;

	do {
		news = stream_next(session->stream, &target, fault);
		if (news == STREAM_SAMPLE || news == STREAM_UNREADABLE)
			error = write_row(session, target, fault);
		else if (news == STREAM_ENDED || news == STREAM_FAILED)
			end_target(session, news, fault);
		else if (news == STREAM_ROUND)
			error = wait_for_round(session, fault);
	} while (!error && news >= 0 && news != STREAM_OVER);
	return error ? error : news < 0 ? news : 0;
}

static int close_session(struct stat_session *session, struct fault *fault)
{
	for (size_t i = 0; session->stream && i < stream_targets(session->stream); i++)
		free(stream_target(session->stream, i)->state);
	stream_close(session->stream);
	return rows_close(&session->rows, fault);
}

/* The stop signals are blocked while the sources start their threads, which then never
 * take one in the waiting thread's place. */
int stat_run(const struct stat_options *options, int *status, struct fault *fault)
{
	struct stat_session session = {
		.options = options,
		.frontend = options->stream.frontend,
		.rows = {.file = options->output,
			 .what = "rows",
			 .append = options->append},
	};
	struct fault at_close;
	int error = stream_open(&session.stream, &options->stream, fault);

	if (!error)
		error = open_rows(&session, fault);
	if (!error) {
		sigset_t before;

		pthread_sigmask(SIG_SETMASK, &session.frontend->reading, &before);
		error = loop(&session, fault);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (session.stream)
		tell_stopped(&session);
	*status = session.status;
	if (close_session(&session, &at_close) && !error) {
		*fault = at_close;
		error = -EIO;
	}
	return error;
}
