#include "export/export.h"

#include "base/account.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/units.h"
#include "export/events.h"
#include "export/exposition.h"
#include "export/http.h"
#include "export/listen.h"
#include "export/reader.h"
#include "export/rulebook.h"
#include "export/textfile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define USUAL_ADDRESS "127.0.0.1:9877"

/* Between two looks for new processes while nobody asks, at least. */
#define LOOK_NS INT64_C(5000000000)

/* Between two looks at what the probes counted, at least. */
#define EVENTS_NS INT64_C(1000000000)

struct export_session {
	const struct export_options *options;
	const struct frontend *frontend;
	struct population *population;
	struct export_events *events; /* null: none are counted */
	struct rulebook *rulebook;    /* null: there are no rules */
	struct reader *reader;
	struct listener listener; /* FD -1: none */
	struct http *http;
	atomic_ulong scrapes;
	/* Of the text file. */
	struct textfile textfile;
	struct exposition *exposition; /* null: there is none */
	struct text text;
	int64_t write_ns; /* when it is due; INT64_MAX: never */
	bool cannot_write;
	int64_t events_ns; /* when they are due */
	/* What everything may take of a processor. */
	struct account account;
	int64_t paid_asked_ns, paid_own_ns;
};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- beginning ---- */

static struct exposition_options exposition_options(struct export_session *session)
{
	return (struct exposition_options){
		.population = session->population,
		.reader = session->reader,
		.events = session->events,
		.rules = session->options->rules,
		.top = session->options->top,
		.by_pid = session->options->by_pid,
		.share = session->options->share,
		.scrapes = &session->scrapes,
	};
}

static int open_listener(struct export_session *session, struct fault *fault)
{
	const struct export_options *options = session->options;
	int error;

	if (options->listen)
		return listen_at(&session->listener, options->listen, fault);
	error = listen_by_systemd(&session->listener, fault);
	if (error != -ENOENT)
		return error;
	return options->textfile ? 0
				 : listen_at(&session->listener, USUAL_ADDRESS, fault);
}

static int open_textfile(struct export_session *session, struct fault *fault)
{
	const struct exposition_options wanted = exposition_options(session);
	size_t bytes = exposition_bytes(&wanted);
	char *buf;
	int error;

	session->write_ns = INT64_MAX;
	if (!session->options->textfile)
		return 0;
	error = textfile_init(&session->textfile, session->options->textfile, fault);
	if (error)
		return error;
	if (exposition_new(&session->exposition, &wanted))
		return no_memory(fault);
	buf = alloc_touched(bytes);
	if (!buf)
		return no_memory(fault);
	text_init(&session->text, buf, bytes);
	session->write_ns = 0;
	return 0;
}

/* Of what may be spent, what is not for putting processes under probes. */
static double share_of_rest(const struct export_options *options)
{
	return options->share * (options->events ? 1 - EXPORT_PROBING_SHARE : 1);
}

static int open_parts(struct export_session *session, struct fault *fault)
{
	const struct export_options *options = session->options;
	struct reader_options reader = {
		.frontend = options->frontend,
		.interval_ns = options->interval_ns,
		.share = share_of_rest(options),
		.swap_in = options->swap_in,
	};
	int error = population_new(&session->population, &options->by);

	if (!error && options->rules)
		error = rulebook_new(&session->rulebook, options->rules,
				     session->population);
	reader.rulebook = session->rulebook;
	if (!error)
		error = reader_new(&session->reader, &reader, session->population);
	if (error)
		return no_memory(fault);
	if (options->events)
		error = export_events_new(&session->events, session->population,
					  options->share, options->frontend, fault);
	return error ? error : open_textfile(session, fault);
}

/* From here on, only what reading takes: of root that is another user, the one whose
 * directory the text file is in. */
static void settle(const struct export_session *session)
{
	bool writes = session->options->textfile;

	privilege_settle(writes ? session->textfile.user : PRIVILEGE_NOBODY,
			 writes ? session->textfile.group : PRIVILEGE_NOBODY,
			 session->options->events);
}

static int open_http(struct export_session *session, struct fault *fault)
{
	const struct exposition_options wanted = exposition_options(session);
	int error;

	if (session->listener.fd < 0)
		return 0;
	error = http_begin(&session->http, session->listener.fd, &wanted,
			   &session->scrapes, fault);
	if (error)
		return error;
	frontend_message(session->frontend, "metrics at %s", session->listener.where);
	if (!session->listener.is_local)
		frontend_message(session->frontend,
				 "other hosts can read them: there is no encryption and "
				 "no password, which is a proxy's work");
	return 0;
}

static int begin(struct export_session *session, struct fault *fault)
{
	int error = open_parts(session, fault);

	if (!error)
		error = open_listener(session, fault);
	if (error)
		return error;
	settle(session);
	population_lock(session->population);
	error = population_scan(session->population, 0, fault);
	if (!error && !population_count(session->population))
		frontend_message(session->frontend,
				 "no process is selected yet: waiting for one");
	population_unlock(session->population);
	return error ? error : open_http(session, fault);
}

static void end(struct export_session *session)
{
	http_end(session->http);
	listen_end(&session->listener);
	reader_free(session->reader);
	export_events_free(session->events);
	rulebook_free(session->rulebook);
	exposition_free(session->exposition);
	free(session->text.buf);
	population_free(session->population);
}

/* ---- the text file ---- */

/* A full disk must not end an exporter: it goes on, and says when it can write again. */
static void write_textfile(struct export_session *session)
{
	struct fault fault;
	int error = 0;

	exposition_gather(session->exposition);
	text_clear(&session->text);
	exposition_write(session->exposition, METRICS_PROMETHEUS, &session->text);
	if (!session->text.overflow)
		error = textfile_write(&session->textfile, session->text.buf,
				       session->text.length, &fault);
	if (error && !session->cannot_write)
		frontend_message(
			session->frontend,
			"%s; it stays as it was, and is tried again every %s", fault.text,
			units_ns_text((uint64_t)session->options->interval_ns).s);
	if (!error && session->cannot_write)
		frontend_message(session->frontend, "'%s' is written again",
				 session->options->textfile);
	session->cannot_write = error;
}

/* ---- the loop ---- */

/* Processor time of what it does by itself: readings, and looks at /proc and at what the
 * probes counted, which keep to their parts. */
static int64_t own_ns(const struct export_session *session)
{
	int64_t ns = reader_totals(session->reader)->cpu_ns +
		     population_scans_cpu_ns(session->population);

	return session->events ? ns + export_events_counting_ns(session->events) : ns;
}

/* Of all else but probing, which pays for itself: what others ask for, such as answers to
 * scrapes. */
static int64_t asked_ns(const struct export_session *session)
{
	int64_t ns = clock_process_ns() + clock_children_ns() - own_ns(session);

	return session->events ? ns - export_events_probing_ns(session->events) : ns;
}

/* What is not for readings cannot wait: the readings after it do. */
static void pay(struct export_session *session)
{
	int64_t own = own_ns(session), asked = asked_ns(session);

	account_owe(&session->account, asked - session->paid_asked_ns);
	account_gain(&session->account, share_of_rest(session->options),
		     clock_monotonic_ns());
	account_pay(&session->account, own - session->paid_own_ns);
	session->paid_asked_ns = asked;
	session->paid_own_ns = own;
}

static void look(struct export_session *session)
{
	if (session->events && clock_monotonic_ns() >= session->events_ns) {
		export_events_step(session->events);
		session->events_ns = clock_monotonic_ns() + EVENTS_NS;
	}
	population_lock(session->population);
	population_scan(session->population,
			population_fresh_ns(session->population, LOOK_NS,
					    session->options->share),
			NULL);
	population_unlock(session->population);
}

/* Does what is due. Returns when the next is. */
static int64_t work(struct export_session *session)
{
	int64_t now_ns, due_ns, wait_ns;

	look(session);
	if (clock_monotonic_ns() >= session->write_ns) {
		write_textfile(session);
		session->write_ns = clock_monotonic_ns() + session->options->interval_ns;
	}
	pay(session);
	wait_ns = account_wait_ns(&session->account, 0);
	due_ns = reader_due_ns(session->reader);
	now_ns = clock_monotonic_ns();
	if (!wait_ns && due_ns <= now_ns) {
		reader_step(session->reader);
		return 0;
	}
	if (due_ns < now_ns + wait_ns)
		due_ns = now_ns + wait_ns;
	if (due_ns > now_ns + LOOK_NS)
		due_ns = now_ns + LOOK_NS;
	if (session->events && due_ns > session->events_ns)
		due_ns = session->events_ns;
	return due_ns < session->write_ns ? due_ns : session->write_ns;
}

/* The stop signals are let in during readings, so that the second one ends the program
 * even then. */
static void loop(struct export_session *session)
{
	const struct frontend *frontend = session->frontend;
	sigset_t blocked;

	account_open(&session->account, share_of_rest(session->options),
		     clock_monotonic_ns());
	session->paid_own_ns = own_ns(session);
	session->paid_asked_ns = asked_ns(session);
	while (!frontend_stops(frontend)) {
		int64_t due_ns;

		pthread_sigmask(SIG_SETMASK, &frontend->reading, &blocked);
		due_ns = work(session);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		if (!frontend_stops(frontend))
			clock_wait_until(due_ns, &frontend->waiting);
	}
}

int export_run(const struct export_options *options, struct fault *fault)
{
	struct export_session *session = alloc_touched(sizeof(*session));
	int error;

	if (!session)
		return no_memory(fault);
	session->options = options;
	session->frontend = options->frontend;
	session->listener.fd = -1;
	error = begin(session, fault);
	if (!error)
		loop(session);
	end(session);
	free(session);
	return error;
}
