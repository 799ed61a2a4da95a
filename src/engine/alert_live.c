/* alert_live.c: alerts of running processes: the targets, the loop, and what signals
 * ask for. */
#include "base/clock.h"
#include "base/privilege.h"
#include "engine/alert.h"
#include "engine/targets.h"
#include "source/source.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S	 INT64_C(1000000000)
#define SEARCH_NS	 NS_PER_S
#define TEND_NS		 (NS_PER_S / 20)

enum {
	/* A process that was just started has no heap yet: it is asked again so often
	 * before anyone is told why not. */
	PATIENCE = 10,
	/* The figures of events have no value before the second reading. */
	ABSENT_AFTER = 3,
};

/* One place for a process. */
struct target {
	const char *name; /* what it was found by; null: a PID */
	int pid;
	struct source *source; /* null: there is no process */
	struct sample *sample;
	struct watch *watch;
	unsigned readings;
	bool is_unreadable; /* and it was told */
	bool is_unread;	    /* the last row says that its heap could not be read */
};

struct session {
	const struct alert_request *request;
	struct rules *rules;
	struct teller teller;
	struct target *target;
	size_t count;
	bool events; /* sources count them */
	int record_fd;
	struct view *record; /* null without --record */
	int64_t search_ns;   /* when to look for processes again */
	int refused_pid;     /* could not be opened, and so often */
	unsigned refusals;
	int status;
	uint64_t readings;
};

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- targets ---- */

static int open_target(struct session *session, struct target *target, int pid,
		       struct fault *fault)
{
	const struct alert_request *request = session->request;
	const struct source_options wanted = {
		.source = request->source,
		.quick = request->quick,
		.events = session->events,
		.or_preload = request->or_preload,
		.go_on = true,
		.swap_in = request->swap_in,
		.threads = 1,
		.hurry = frontend_stop_flag(request->frontend),
	};
	int error = source_open(&target->source, pid, &wanted, fault);

	if (error) {
		target->source = NULL;
		return error;
	}
	target->sample = source_sample(target->source);
	if (!target->sample) {
		source_close(target->source);
		target->source = NULL;
		return out_of_memory(fault);
	}
	target->pid = pid;
	target->readings = 0;
	target->is_unreadable = false;
	target->is_unread = false;
	return 0;
}

static void close_target(struct target *target)
{
	if (target->source)
		source_close(target->source);
	sample_free(target->sample);
	target->source = NULL;
	target->sample = NULL;
}

static int add_place(struct session *session, const char *name, int pid)
{
	struct target *more =
		realloc(session->target, (session->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	session->target = more;
	more[session->count++] = (struct target){.name = name, .pid = pid};
	return 0;
}

/* The processes of NAME; where there are none, one place that waits. */
static int add_named(struct session *session, const char *name, struct fault *fault)
{
	struct pid_list pids = {NULL, 0};
	int error = targets_named(name, &pids, fault);

	if (error == -ESRCH && session->request->follow) {
		frontend_message(session->request->frontend,
				 "no process is named '%s' yet: waiting for one", name);
		error = add_place(session, name, 0);
	}
	for (size_t i = 0; !error && i < pids.count; i++)
		error = add_place(session, name, pids.pid[i]);
	free(pids.pid);
	return error == -ENOMEM ? out_of_memory(fault) : error;
}

static int add_places(struct session *session, struct fault *fault)
{
	const struct alert_request *request = session->request;
	int error = 0;

	for (size_t i = 0; !error && i < request->pids.count; i++)
		error = add_place(session, NULL, request->pids.pid[i]);
	if (error)
		return out_of_memory(fault);
	for (size_t i = 0; !error && i < request->names.count; i++)
		error = add_named(session, request->names.name[i], fault);
	return error;
}

static size_t alive(const struct session *session)
{
	size_t count = 0;

	for (size_t i = 0; i < session->count; i++)
		count += session->target[i].source != NULL;
	return count;
}

/* A process found by name may end before it is opened; that is an error only when no
 * other is left. */
static int open_targets(struct session *session, struct fault *fault)
{
	int error = add_places(session, fault);

	for (size_t i = 0; !error && i < session->count; i++) {
		struct target *target = &session->target[i];

		if (watch_new(&target->watch, session->rules))
			return out_of_memory(fault);
		if (target->pid)
			error = open_target(session, target, target->pid, fault);
		if (error == -ESRCH && target->name &&
		    (session->request->follow || i + 1 < session->count ||
		     alive(session)))
			error = 0;
	}
	return error;
}

/* ---- processes that come back ---- */

static bool is_watched(const struct session *session, int pid)
{
	for (size_t i = 0; i < session->count; i++)
		if (session->target[i].source && session->target[i].pid == pid)
			return true;
	return false;
}

/* A process that cannot be read at first may have no heap yet: why not is told when it
 * stays so. */
static void refuse(struct session *session, int pid, const struct fault *fault)
{
	session->refusals = pid == session->refused_pid ? session->refusals + 1 : 1;
	session->refused_pid = pid;
	if (session->refusals == PATIENCE)
		frontend_message(session->request->frontend, "%s", fault->text);
}

static void search_for(struct session *session, struct target *target)
{
	struct pid_list pids = {NULL, 0};
	struct fault fault;

	if (targets_named(target->name, &pids, &fault))
		pids.count = 0;
	for (size_t i = 0; i < pids.count && !target->source; i++) {
		int pid = pids.pid[i], before = target->pid;

		if (is_watched(session, pid))
			continue;
		if (open_target(session, target, pid, &fault)) {
			refuse(session, pid, &fault);
			continue;
		}
		if (before)
			frontend_message(session->request->frontend,
					 "process %d (%s) takes the place of %d", pid,
					 target->name, before);
		else
			frontend_message(session->request->frontend,
					 "process %d (%s) is watched", pid, target->name);
	}
	free(pids.pid);
}

static void search(struct session *session)
{
	int64_t now_ns = clock_monotonic_ns();

	if (!session->request->follow || now_ns < session->search_ns)
		return;
	session->search_ns = now_ns + SEARCH_NS;
	for (size_t i = 0; i < session->count; i++)
		if (session->target[i].name && !session->target[i].source)
			search_for(session, &session->target[i]);
}

/* ---- readings ---- */

/* Rules about what these readings do not have are silent: that must not pass for
 * health. */
static void tell_absent(const struct session *session, const struct target *target)
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

static int record(struct session *session, const struct sample *sample,
		  struct fault *fault)
{
	int error = session->record ? view_sample(session->record, sample) : 0;

	if (!error)
		return 0;
	return fault_set(fault, EXIT_FAILED, error, "cannot write samples to %s: %s",
			 session->request->record, strerror(-error));
}

static void end_target(struct session *session, struct target *target, bool has_ended,
		       const struct fault *fault)
{
	watch_end(target->watch, has_ended ? ALERT_PROCESS_ENDED : ALERT_READINGS_FAILED,
		  teller_alert, &session->teller);
	frontend_message(session->request->frontend, "%s", fault->text);
	close_target(target);
	session->search_ns = 0;
}

/* The limits are read right after the figures they are compared with. */
static const struct room *room_at(const struct session *session,
				  const struct target *target, struct room *room)
{
	struct privilege before;
	struct bounds bounds;

	if (!rules_need_limit(session->rules))
		return NULL;
	/* What could not be read is absent from BOUNDS and so from ROOM. */
	before = privilege_raise();
	bounds_read(target->pid, &bounds);
	privilege_restore(before);
	room_of(&bounds, &target->sample->fig, room);
	return room;
}

/* What nobody can see raises no alert and ends none; that it is so is told, once. */
static void tell_readable(const struct session *session, struct target *target,
			  int result, const struct fault *fault)
{
	if (result == SOURCE_UNREADABLE && !target->is_unreadable)
		frontend_message(session->request->frontend,
				 "%s: no rule is looked at until it does", fault->text);
	if (result == SOURCE_READ && target->is_unreadable)
		frontend_message(session->request->frontend,
				 "process %d (%s) is readable again", target->pid,
				 target->sample->comm);
	target->is_unreadable = result == SOURCE_UNREADABLE;
}

/* Nor must this, which may pass. */
static void tell_unread(const struct session *session, struct target *target)
{
	const struct sample *sample = target->sample;
	bool is_unread = sample->source == SOURCE_HEAP && sample->missing[0] &&
			 !figure_has(&sample->fig, FIG_SYSTEM_BYTES);

	if (is_unread == target->is_unread)
		return;
	target->is_unread = is_unread;
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

static int read_target(struct session *session, struct target *target,
		       struct fault *fault)
{
	int result = source_read(target->source, target->sample, fault);
	struct room room;

	if (result == SOURCE_NOTHING_NEW)
		return 0;
	tell_readable(session, target, result, fault);
	if (result == SOURCE_UNREADABLE)
		return record(session, target->sample, fault);
	if (result != SOURCE_READ) {
		end_target(session, target, result == SOURCE_ENDED, fault);
		if (result != SOURCE_ENDED && !target->name)
			session->status = fault->status;
		return 0;
	}
	tell_unread(session, target);
	watch_sample(target->watch, target->sample, room_at(session, target, &room),
		     teller_alert, &session->teller);
	if (!target->is_unread && ++target->readings == ABSENT_AFTER)
		tell_absent(session, target);
	return record(session, target->sample, fault);
}

static int read_all(struct session *session, struct fault *fault)
{
	int error = 0;

	search(session);
	for (size_t i = 0; !error && i < session->count; i++)
		if (session->target[i].source &&
		    !frontend_stops(session->request->frontend) &&
		    !teller_done(&session->teller))
			error = read_target(session, &session->target[i], fault);
	session->readings++;
	return error;
}

/* ---- other rules ---- */

static int check_events(const struct session *session, const struct rules *rules,
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
static int replace_watches(struct session *session, const struct rules *rules,
			   struct fault *fault)
{
	struct watch **other = calloc(session->count, sizeof(struct watch *));
	int error = other ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < session->count; i++)
		error = watch_new(&other[i], rules);
	for (size_t i = 0; i < session->count && other; i++) {
		struct target *target = &session->target[i];

		if (error) {
			watch_free(other[i]);
			continue;
		}
		watch_adopt(other[i], target->watch, teller_alert, &session->teller);
		watch_free(target->watch);
		target->watch = other[i];
	}
	free(other);
	return error ? out_of_memory(fault) : 0;
}

/* 0 when SESSION goes by RULES from now on; else it is as it was. */
static int use_rules(struct session *session, struct rules *rules, struct fault *fault)
{
	int error = alert_rules(session->request, session->request->interval_ns, rules,
				fault);

	if (!error)
		error = check_events(session, rules, fault);
	return error ? error : replace_watches(session, rules, fault);
}

/* Reads the rules again. The old ones stay unless all of the new are right. */
static void reload(struct session *session)
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

/* The next instant of the grid that began at DUE_NS; those that a long reading has let
 * pass are left out, not made up for. */
static int64_t next_due(int64_t due_ns, int64_t interval_ns)
{
	int64_t late_ns = clock_monotonic_ns() - due_ns;

	if (!interval_ns)
		return due_ns;
	return due_ns + (late_ns / interval_ns + 1) * interval_ns;
}

/* Waits until DUE_NS and does meanwhile what cannot wait so long. */
static void wait_until(struct session *session, int64_t due_ns)
{
	struct hook *hook = session->teller.hook;
	int64_t now_ns;

	do {
		int64_t until_ns = due_ns;

		if (hook) {
			now_ns = clock_monotonic_ns();
			hook_tend(hook, now_ns);
			if (hook_busy(hook) && now_ns + TEND_NS < due_ns)
				until_ns = now_ns + TEND_NS;
		}
		clock_wait_until(until_ns, &session->request->frontend->waiting);
		if (session->request->reload && atomic_load(session->request->reload))
			reload(session);
	} while (!frontend_stops(session->request->frontend) &&
		 clock_monotonic_ns() < due_ns);
}

static bool is_over(const struct session *session)
{
	const struct alert_request *request = session->request;

	return frontend_stops(session->request->frontend) ||
	       teller_done(&session->teller) || (!alive(session) && !request->follow) ||
	       (request->count && session->readings == request->count);
}

/* The stop signals are let in during readings, so that the second one ends the program
 * even then. */
static int loop(struct session *session, struct fault *fault)
{
	int64_t due_ns = clock_monotonic_ns();
	const sigset_t *reading = &session->request->frontend->reading;
	sigset_t blocked;
	int error;

	for (;;) {
		pthread_sigmask(SIG_SETMASK, reading, &blocked);
		error = read_all(session, fault);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		if (error || is_over(session))
			return error;
		due_ns = next_due(due_ns, session->request->interval_ns);
		wait_until(session, due_ns);
		if (frontend_stops(session->request->frontend))
			return 0;
	}
}

/* ---- the session ---- */

static int open_record(struct session *session, struct fault *fault)
{
	const struct view_options wanted = {.format = VIEW_JSON};
	const char *file = session->request->record;

	if (!file)
		return 0;
	session->record_fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (session->record_fd < 0)
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot write samples to %s: %s", file, strerror(errno));
	return view_open(&session->record, session->record_fd, &wanted)
		       ? out_of_memory(fault)
		       : 0;
}

static int open_rules(struct session *session, struct fault *fault)
{
	const struct alert_request *request = session->request;
	int error;

	session->rules = calloc(1, sizeof(*session->rules));
	if (!session->rules)
		return out_of_memory(fault);
	error = alert_rules(request, request->interval_ns, session->rules, fault);
	session->events = request->events ||
			  rules_need(session->rules, FIG_GROWTH_EVENTS) ||
			  rules_need(session->rules, FIG_GROWTH_BYTES) ||
			  rules_need(session->rules, FIG_FAILED_ALLOCATIONS);
	return error;
}

static void end_watches(struct session *session)
{
	for (size_t i = 0; i < session->count; i++)
		if (session->target[i].watch)
			watch_end(session->target[i].watch, ALERT_WATCH_ENDED,
				  teller_alert, &session->teller);
}

static int close_session(struct session *session, struct fault *fault)
{
	int error = teller_close(&session->teller, fault);

	for (size_t i = 0; i < session->count; i++) {
		close_target(&session->target[i]);
		watch_free(session->target[i].watch);
	}
	free(session->target);
	free(session->rules);
	if (session->record)
		view_close(session->record);
	if (session->record_fd >= 0 && close(session->record_fd) && !error)
		error = fault_set(fault, EXIT_FAILED, -errno,
				  "cannot write samples to %s: %s",
				  session->request->record, strerror(errno));
	return error;
}

static int run_session(struct session *session, struct fault *fault)
{
	struct fault at_close;
	int error = open_rules(session, fault);

	if (!error)
		error = open_targets(session, fault);
	if (!error)
		error = open_record(session, fault);
	if (!error)
		error = loop(session, fault);
	end_watches(session);
	if (close_session(session, &at_close) && !error) {
		*fault = at_close;
		error = -EIO;
	}
	return error;
}

int alert_live(const struct alert_request *request, int *status, struct fault *fault)
{
	struct session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return out_of_memory(fault);
	session->request = request;
	session->record_fd = -1;
	error = teller_open(&session->teller, request, fault);
	if (!error)
		error = run_session(session, fault);
	*status = session->teller.fired && request->once ? EXIT_ALERT : session->status;
	free(session);
	return error;
}
