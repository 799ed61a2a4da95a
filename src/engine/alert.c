/* alert.c: alerts by rules, of running processes and of recordings: what the stream of
 * their samples says goes to the watch of each. */
#include "engine/alert.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/units.h"
#include "engine/headroom_now.h"
#include "engine/rows.h"
#include "engine/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)
#define TEND_NS	 (NS_PER_S / 20)

/* The figures of events have no value before the second reading. */
enum { ABSENT_AFTER = 3 };

/* What is kept of a target. */
struct watched {
	struct watch *watch;
	unsigned readings;  /* whose heap could be read */
	bool is_unreadable; /* and it was told */
	bool is_unread;	    /* the last row says that its heap could not be read */
};

struct alert_session {
	const struct alert_request *request;
	struct stream *stream;
	struct rules *rules;
	struct alert_sink sink;
	bool events; /* sources count them */
	struct rows record;
	int status;
};

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- targets ---- */

static int begin_target(const struct alert_session *session, struct stream_target *target)
{
	struct watched *watched = alloc_touched(sizeof(*watched));

	if (!watched)
		return -ENOMEM;
	target->state = watched;
	return watch_new(&watched->watch, session->rules);
}

static void forget_target(struct stream_target *target)
{
	struct watched *watched = target->state;

	if (watched)
		watch_free(watched->watch);
	free(watched);
	target->state = NULL;
}

/* Of running processes all memory is taken before the first reading; of a recording as
 * they come: it may have had many, one after the other. */
static int begin_targets(struct alert_session *session, struct fault *fault)
{
	int error = 0;

	if (stream_is_recorded(session->stream))
		return 0;
	for (size_t i = 0; !error && i < stream_targets(session->stream); i++)
		error = begin_target(session, stream_target(session->stream, i));
	return error ? out_of_memory(fault) : 0;
}

static int open_stream(struct alert_session *session, struct fault *fault)
{
	const struct alert_request *request = session->request;
	const struct stream_options wanted = {
		.frontend = request->frontend,
		.recording = request->replay,
		.pids = request->pids,
		.names = request->names,
		.follow = request->follow,
		.twice = true,
		.interval_ns = request->interval_ns,
		.count = request->count,
		.source =
			{
				.source = request->source,
				.quick = request->quick,
				.events = session->events,
				.or_preload = request->or_preload,
				.go_on = true,
				.over_exec = true,
				.swap_in = request->swap_in,
				.budget_ns = request->budget_ns,
				.threads = 1,
				.hurry = frontend_stop_flag(request->frontend),
			},
	};

	return stream_open(&session->stream, &wanted, fault);
}

/* ---- readings ---- */

/* Rules about what these readings do not have are silent: that must not pass for
 * health. */
static void tell_absent(const struct alert_session *session,
			const struct stream_target *target)
{
	const struct figures *fig = &target->sample->fig;

	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (rules_need(session->rules, f) && !figure_has(fig, f))
			frontend_message(
				session->request->frontend,
				"process %d (%s): these readings have no %s: rules "
				"about it are silent",
				target->pid, target->sample->comm, figure_info[f].name);
}

/* The limits are read right after the figures they are compared with. */
static const struct headroom *headroom_at(const struct alert_session *session,
					  const struct stream_target *target,
					  struct headroom *headroom)
{
	if (stream_is_recorded(session->stream))
		return NULL;
	return headroom_now(target->pid, session->rules, &target->sample->fig, headroom);
}

/* What nobody can see raises no alert and ends none; that it is so is told, once. */
static void tell_readable(const struct alert_session *session,
			  struct stream_target *target, int news,
			  const struct fault *fault)
{
	struct watched *watched = target->state;

	if (news == STREAM_UNREADABLE && !watched->is_unreadable)
		frontend_message(session->request->frontend,
				 "%s: no rule is evaluated until it can be read",
				 fault->text);
	if (news == STREAM_SAMPLE && watched->is_unreadable)
		frontend_message(session->request->frontend,
				 "process %d (%s) is readable again", target->pid,
				 target->sample->comm);
	watched->is_unreadable = news == STREAM_UNREADABLE;
}

/* Nor must this, which may pass. */
static void tell_unread(const struct alert_session *session, struct stream_target *target)
{
	const struct sample *sample = target->sample;
	struct watched *watched = target->state;
	bool is_unread = sample->source == SOURCE_HEAP && sample->missing[0] &&
			 !figure_has(&sample->fig, FIG_SYSTEM_BYTES);

	if (is_unread == watched->is_unread)
		return;
	watched->is_unread = is_unread;
	if (is_unread)
		frontend_message(
			session->request->frontend,
			"process %d (%s): its heap cannot be read now, and rules "
			"about it are silent: %s",
			target->pid, sample->comm, sample->missing);
	else
		frontend_message(session->request->frontend,
				 "process %d (%s): its heap can be read again",
				 target->pid, sample->comm);
}

static int record(struct alert_session *session, const struct sample *sample,
		  struct fault *fault)
{
	return session->record.view ? rows_sample(&session->record, sample, fault) : 0;
}

static void end_target(struct alert_session *session, struct stream_target *target,
		       int news, const struct fault *fault)
{
	bool is_recorded = stream_is_recorded(session->stream);
	struct watched *watched = target->state;
	enum alert_reason reason = news == STREAM_FAILED ? ALERT_READINGS_FAILED
				   : is_recorded	 ? ALERT_NO_READINGS
							 : ALERT_PROCESS_ENDED;

	watch_end(watched->watch, reason, alert_sink_take, &session->sink);
	if (*fault->text)
		frontend_message(session->request->frontend, "%s", fault->text);
	if (news == STREAM_FAILED && !target->name)
		session->status = fault->status;
	watched->readings = 0;
	watched->is_unreadable = watched->is_unread = false;
	if (is_recorded)
		forget_target(target);
}

static void judge(struct alert_session *session, struct stream_target *target)
{
	struct watched *watched = target->state;
	struct headroom headroom;

	watch_sample(watched->watch, target->sample,
		     headroom_at(session, target, &headroom), alert_sink_take,
		     &session->sink);
	if (!watched->is_unread && ++watched->readings == ABSENT_AFTER &&
	    !stream_is_recorded(session->stream))
		tell_absent(session, target);
}

/* 0, or -errno and FAULT: of the output. */
static int take_news(struct alert_session *session, struct stream_target *target,
		     int news, struct fault *fault)
{
	if (!target->state && begin_target(session, target))
		return out_of_memory(fault);
	if (news == STREAM_ENDED || news == STREAM_FAILED) {
		end_target(session, target, news, fault);
		return 0;
	}
	if (!stream_is_recorded(session->stream))
		tell_readable(session, target, news, fault);
	if (news == STREAM_SAMPLE && !stream_is_recorded(session->stream))
		tell_unread(session, target);
	if (news == STREAM_SAMPLE)
		judge(session, target);
	return record(session, target->sample, fault);
}

/* Until all targets were read once, or there is no more: STREAM_ROUND, STREAM_OVER or
 * -errno and FAULT. */
static int read_round(struct alert_session *session, struct fault *fault)
{
	int news = STREAM_SAMPLE, error = 0;

	while (!error && !alert_sink_done(&session->sink)) {
		struct stream_target *target;

		news = stream_next(session->stream, &target, fault);
		if (news < 0 || news == STREAM_ROUND || news == STREAM_OVER)
			return news;
		error = take_news(session, target, news, fault);
	}
	return error ? error : STREAM_OVER;
}

/* ---- other rules ---- */

static int check_events(const struct alert_session *session, const struct rules *rules,
			struct fault *fault)
{
	static const enum figure of_events[] = {FIG_GROWTH_EVENTS, FIG_GROWTH_BYTES,
						FIG_FAILED_ALLOCATIONS};

	for (size_t i = 0; i < sizeof(of_events) / sizeof(of_events[0]); i++)
		if (!session->events && rules_need(rules, of_events[i]))
			return fault_set(fault, EXIT_USAGE, -EINVAL,
					 "%s needs --events from the start",
					 figure_info[of_events[i]].name);
	return 0;
}

/* All watches by RULES, or none. */
static int replace_watches(struct alert_session *session, const struct rules *rules,
			   struct fault *fault)
{
	size_t count = stream_targets(session->stream);
	struct watch **other = calloc(count, sizeof(struct watch *));
	int error = other ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < count; i++)
		error = watch_new(&other[i], rules);
	for (size_t i = 0; i < count && other; i++) {
		struct watched *watched = stream_target(session->stream, i)->state;

		if (error) {
			watch_free(other[i]);
			continue;
		}
		watch_adopt(other[i], watched->watch, alert_sink_take, &session->sink);
		watch_free(watched->watch);
		watched->watch = other[i];
	}
	free(other);
	return error ? out_of_memory(fault) : 0;
}

/* 0 when SESSION goes by RULES from now on; else it is as it was. */
static int use_rules(struct alert_session *session, struct rules *rules,
		     struct fault *fault)
{
	int error = alert_rules(session->request, session->request->interval_ns, rules,
				fault);

	if (!error)
		error = check_events(session, rules, fault);
	return error ? error : replace_watches(session, rules, fault);
}

/* Reads the rules again. The old ones stay unless all of the new are right. */
static void reload(struct alert_session *session)
{
	struct rules *rules = calloc(1, sizeof(*rules));
	struct fault fault;

	atomic_store(session->request->reload, false);
	if (!rules) {
		frontend_message(session->request->frontend,
				 "the rules stay as they were: out of memory");
		return;
	}
	if (use_rules(session, rules, &fault)) {
		frontend_message(session->request->frontend,
				 "the rules stay as they were: %s", fault.text);
		free(rules);
		return;
	}
	free(session->rules);
	session->rules = rules;
	frontend_message(session->request->frontend, "the rules were read again: %u",
			 rules->count);
}

/* ---- the loop ---- */

/* Waits until DUE_NS and does meanwhile what cannot wait so long. */
static void wait_until(struct alert_session *session, int64_t due_ns)
{
	const struct frontend *frontend = session->request->frontend;
	struct hook *hook = session->sink.hook;
	int64_t now_ns;

	do {
		int64_t until_ns = due_ns;

		if (hook) {
			now_ns = clock_monotonic_ns();
			hook_poll(hook, now_ns);
			if (hook_busy(hook) && now_ns + TEND_NS < due_ns)
				until_ns = now_ns + TEND_NS;
		}
		clock_wait_until(until_ns, &frontend->waiting);
		if (session->request->reload && atomic_load(session->request->reload))
			reload(session);
	} while (!frontend_stops(frontend) && clock_monotonic_ns() < due_ns);
}

/* The stop signals are let in during readings, so that the second one ends the program
 * even then. */
static int loop(struct alert_session *session, struct fault *fault)
{
	const struct frontend *frontend = session->request->frontend;
	sigset_t blocked;
	int news;

	for (;;) {
		pthread_sigmask(SIG_SETMASK, &frontend->reading, &blocked);
		news = read_round(session, fault);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		if (news != STREAM_ROUND || frontend_stops(frontend))
			return news < 0 ? news : 0;
		wait_until(session, stream_due_ns(session->stream));
		if (frontend_stops(frontend))
			return 0;
	}
}

/* ---- the session ---- */

static int open_record(struct alert_session *session, struct fault *fault)
{
	const struct view_options wanted = {.format = VIEW_JSON};

	session->record.file = session->request->record;
	session->record.what = "samples";
	return session->record.file ? rows_open(&session->record, &wanted, fault) : 0;
}

static int open_rules(struct alert_session *session, int64_t interval_ns,
		      struct fault *fault)
{
	const struct alert_request *request = session->request;
	int error;

	session->rules = calloc(1, sizeof(*session->rules));
	if (!session->rules)
		return out_of_memory(fault);
	error = alert_rules(request, interval_ns, session->rules, fault);
	session->events = request->events ||
			  rules_need(session->rules, FIG_GROWTH_EVENTS) ||
			  rules_need(session->rules, FIG_GROWTH_BYTES) ||
			  rules_need(session->rules, FIG_FAILED_ALLOCATIONS);
	if (!error && request->replay && rules_need_limit(session->rules))
		frontend_message(request->frontend,
				 "a recording does not have the limits of its processes: "
				 "terms about 'limit' are unknown");
	return error;
}

/* What sources shall count depends on the rules; the rules that nobody gave depend on the
 * interval, which a recording has itself. */
static int open_session(struct alert_session *session, struct fault *fault)
{
	const struct alert_request *request = session->request;
	int error = 0;

	if (!request->replay)
		error = open_rules(session, request->interval_ns, fault);
	if (!error)
		error = open_stream(session, fault);
	if (!error && request->replay)
		error = open_rules(session, stream_interval_ns(session->stream), fault);
	if (!error)
		error = begin_targets(session, fault);
	return error ? error : open_record(session, fault);
}

static void end_watches(struct alert_session *session)
{
	for (size_t i = 0; session->stream && i < stream_targets(session->stream); i++) {
		const struct watched *watched = stream_target(session->stream, i)->state;

		if (watched && watched->watch)
			watch_end(watched->watch, ALERT_WATCH_ENDED, alert_sink_take,
				  &session->sink);
	}
}

static int close_session(struct alert_session *session, struct fault *fault)
{
	int error = alert_sink_close(&session->sink, fault);
	struct fault of_record;

	for (size_t i = 0; session->stream && i < stream_targets(session->stream); i++)
		forget_target(stream_target(session->stream, i));
	stream_close(session->stream);
	free(session->rules);
	if (rows_close(&session->record, &of_record) && !error) {
		*fault = of_record;
		error = -EIO;
	}
	return error;
}

static struct units_text held_text(int64_t ns)
{
	return units_span_text((double)ns / 1e9);
}

/* Of a recording: whether the rules are any good is what it is asked for. */
static void tell_tally(const struct alert_session *session)
{
	const struct frontend *frontend = session->request->frontend;

	for (unsigned i = 0; i < session->rules->count; i++) {
		const struct alert_tally *tally = &session->sink.tally[i];
		const char *name = session->rules->rule[i].name;

		if (tally->count)
			frontend_message(frontend,
					 "rule %s: %s, %s in all, the longest %s", name,
					 units_counted_text(tally->count, "alert").s,
					 held_text(tally->held_ns).s,
					 held_text(tally->longest_ns).s);
		else
			frontend_message(frontend, "rule %s: no alert", name);
	}
}

static int run_session(struct alert_session *session, struct fault *fault)
{
	struct fault at_close;
	bool has_begun;
	int error = open_session(session, fault);

	has_begun = !error;
	if (!error)
		error = loop(session, fault);
	end_watches(session);
	if (has_begun && session->request->replay && !session->request->once)
		tell_tally(session);
	if (close_session(session, &at_close) && !error) {
		*fault = at_close;
		error = -EIO;
	}
	return error;
}

int alert_run(const struct alert_request *request, int *status, struct fault *fault)
{
	struct alert_session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return out_of_memory(fault);
	session->request = request;
	error = alert_sink_open(&session->sink, request, fault);
	if (!error)
		error = run_session(session, fault);
	*status = session->sink.fired && request->once ? EXIT_ALERT : session->status;
	free(session);
	return error;
}
