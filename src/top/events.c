#include "top/events.h"

#include "analysis/explain.h"
#include "base/account.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "engine/tracer.h"
#include "probe/kill.h"
#include "top/feed.h"
#include "view/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	ROWS = 64,	   /* on their way from the thread to the taker */
	RATE_MOST = 20,	   /* full events a second of one process */
	EVENT_NS = 250000, /* what one takes, to follow its stack and to be told */
	STACK_BYTES = 16384,
};

#define POLL_NS	  INT64_C(100000000)
#define LATEST_NS INT64_C(5000000000) /* later than this nobody waits for an event */

enum watch_state {
	WATCH_NONE,
	WATCH_ASKED,
	WATCH_RUNS,
	WATCH_OVER,
};

/* One target. TRACER is the thread's; the rest is under the lock. */
struct event_watch {
	enum watch_state state;
	int pid;
	struct tracer *tracer;
	char why[FAULT_TEXT];
};

struct events {
	int fd;
	bool has_thread, quit;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct event_watch watch[FEED_TARGETS];
	struct event_row row[ROWS]; /* a ring */
	size_t first, count;
	struct feed *feed;
	/* Of the thread alone. */
	struct account account;
	struct kills *kills;
	bool kills_asked;
	int polled; /* the target whose events come now */
	struct event kill;
	char text[EVENT_TEXT_BYTES];
};

/* ---- the thread: making rows ---- */

/* The first line goes without its time, which the screen shows in its own way; the rest
 * is cut at the end of a line. */
static void fill_row(struct event_row *row, const char *text)
{
	const char *end = strchr(text, '\n');
	const char *begin = strchr(text, ' ');
	size_t length;

	if (!end)
		end = text + strlen(text);
	if (!begin || begin > end)
		begin = text;
	else
		begin++;
	snprintf(row->line, sizeof(row->line), "%.*s", (int)(end - begin), begin);
	end += *end == '\n';
	length = strlen(end);
	if (length >= sizeof(row->detail))
		length = sizeof(row->detail) - 1;
	memcpy(row->detail, end, length);
	while (length && row->detail[length - 1] != '\n')
		length--;
	row->detail[length] = '\0';
}

static enum mark_kind mark_of(enum event_kind kind)
{
	static const enum mark_kind marks[EVENT_KINDS] = {
		[EVENT_FAILURE] = MARK_FAILURE,
		[EVENT_KILL] = MARK_KILL,
		[EVENT_THRESHOLD] = MARK_THRESHOLD,
	};

	_Static_assert(MARK_GROWTH == 0, "all others are growths");
	return marks[kind];
}

static void push(struct events *events, const struct event *event, int target)
{
	struct event_row *row;
	struct text text;

	text_init(&text, events->text, sizeof(events->text));
	events_text(&text, event);
	pthread_mutex_lock(&events->lock);
	if (events->count == ROWS) {
		events->first = (events->first + 1) % ROWS;
		events->count--;
	}
	row = &events->row[(events->first + events->count++) % ROWS];
	row->time_ns = event->time_ns;
	row->mark = mark_of(event->kind);
	row->target = target;
	row->bytes = event->has & EVENT_HAS_BYTES ? event->bytes : 0;
	fill_row(row, events->text);
	pthread_mutex_unlock(&events->lock);
	eventfd_write(events->fd, 1);
}

static int on_event(struct event *event, void *context)
{
	struct events *events = context;

	push(events, event, events->polled);
	return 0;
}

static void on_kill(const struct kill_event *raw, void *context)
{
	struct events *events = context;

	explain_kill(raw, clock_realtime_ns() - clock_monotonic_ns(), &events->kill);
	for (int i = 0; i < FEED_TARGETS; i++)
		if (events->watch[i].tracer &&
		    tracer_concerns(events->watch[i].tracer, raw))
			push(events, &events->kill, i);
}

/* ---- the thread: watching ---- */

/* Full events a second that one process more may have: those that the share allows, and
 * one at least. */
static uint64_t rate(const struct events *events)
{
	double most = events->account.share * 1e9 / EVENT_NS;
	unsigned watched = 1;

	for (int i = 0; i < FEED_TARGETS; i++)
		watched += events->watch[i].tracer != NULL;
	most /= watched;
	if (most < 1)
		return 1;
	return most < RATE_MOST ? (uint64_t)most : RATE_MOST;
}

static void set_over(struct events *events, struct event_watch *watch, const char *why)
{
	pthread_mutex_lock(&events->lock);
	watch->state = WATCH_OVER;
	snprintf(watch->why, sizeof(watch->why), "%s", why);
	pthread_mutex_unlock(&events->lock);
	eventfd_write(events->fd, 1);
}

static void begin(struct events *events, struct event_watch *watch)
{
	const struct tracer_options wanted = {
		.events_per_second = rate(events),
		.stack_bytes = STACK_BYTES,
		.kinds = (1U << EVENT_KILL) - 1,
	};
	struct fault fault = {0};
	int64_t cpu_ns = clock_thread_ns();
	int error;

	/* Of the process whose place this one takes. */
	tracer_close(watch->tracer);
	error = tracer_open(&watch->tracer, watch->pid, &wanted, &fault);

	cpu_ns = clock_thread_ns() - cpu_ns;
	account_pay(&events->account, -cpu_ns);
	feed_excuse(events->feed, cpu_ns);
	if (error) {
		watch->tracer = NULL;
		set_over(events, watch, fault.text);
		return;
	}
	pthread_mutex_lock(&events->lock);
	watch->state = WATCH_RUNS;
	pthread_mutex_unlock(&events->lock);
	eventfd_write(events->fd, 1);
	/* Kernels that do not tell kills still tell the rest. */
	if (!events->kills_asked && kills_open(&events->kills, &fault))
		events->kills = NULL;
	events->kills_asked = true;
}

static void poll_one(struct events *events, int target)
{
	struct event_watch *watch = &events->watch[target];
	struct fault fault = {0};
	struct probe_counts total;

	events->polled = target;
	if (tracer_poll(watch->tracer, on_event, events, &fault) == TRACER_RUNS)
		return;
	tracer_finish(watch->tracer, on_event, events, &total);
	tracer_close(watch->tracer);
	watch->tracer = NULL;
	set_over(events, watch, fault.text);
}

static void poll_all(struct events *events)
{
	if (events->kills)
		kills_poll(events->kills, on_kill, events);
	for (int i = 0; i < FEED_TARGETS; i++) {
		enum watch_state state;

		pthread_mutex_lock(&events->lock);
		state = events->watch[i].state;
		pthread_mutex_unlock(&events->lock);
		if (state == WATCH_ASKED)
			begin(events, &events->watch[i]);
		else if (state == WATCH_RUNS)
			poll_one(events, i);
	}
}

/* How long what the last poll took says to wait for the next. */
static int64_t pace_ns(struct events *events, int64_t cpu_ns)
{
	int64_t wait_ns;

	account_gain(&events->account, events->account.share, clock_monotonic_ns());
	account_pay(&events->account, cpu_ns);
	wait_ns = account_wait_ns(&events->account, 0);
	if (wait_ns < POLL_NS)
		return POLL_NS;
	return wait_ns < LATEST_NS ? wait_ns : LATEST_NS;
}

/* Nothing is polled while nothing is watched. False: the end is asked for. */
static bool wait_for_work(struct events *events, int64_t wait_ns)
{
	int64_t due_ns = clock_monotonic_ns() + wait_ns;
	const struct timespec due = {.tv_sec = due_ns / 1000000000,
				     .tv_nsec = due_ns % 1000000000};
	bool any = false, goes_on;

	pthread_mutex_lock(&events->lock);
	for (int i = 0; i < FEED_TARGETS; i++)
		any |= events->watch[i].state == WATCH_ASKED ||
		       events->watch[i].state == WATCH_RUNS;
	if (!events->quit && any)
		pthread_cond_timedwait(&events->wake, &events->lock, &due);
	else if (!events->quit)
		pthread_cond_wait(&events->wake, &events->lock);
	goes_on = !events->quit;
	pthread_mutex_unlock(&events->lock);
	return goes_on;
}

static void *run(void *context)
{
	struct events *events = context;
	int64_t wait_ns = POLL_NS;

	privilege_raise();
	while (wait_for_work(events, wait_ns)) {
		int64_t cpu_ns = clock_thread_ns();

		poll_all(events);
		wait_ns = pace_ns(events, clock_thread_ns() - cpu_ns);
	}
	for (int i = 0; i < FEED_TARGETS; i++)
		tracer_close(events->watch[i].tracer);
	kills_close(events->kills);
	return NULL;
}

/* ---- opening and closing ---- */

int events_new(struct events **events, struct feed *feed, double share,
	       struct fault *fault)
{
	struct events *new = alloc_touched(sizeof(*new));
	pthread_condattr_t monotonic;
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->feed = feed;
	account_open(&new->account, share, clock_monotonic_ns());
	new->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&new->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&new->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	error = new->fd < 0 ? -errno : -pthread_create(&new->thread, NULL, run, new);
	new->has_thread = !error;
	if (error) {
		events_free(new);
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot start the thread that reads events: %s",
				 strerror(-error));
	}
	*events = new;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	if (events->has_thread) {
		pthread_mutex_lock(&events->lock);
		events->quit = true;
		pthread_cond_signal(&events->wake);
		pthread_mutex_unlock(&events->lock);
		pthread_join(events->thread, NULL);
	}
	if (events->fd >= 0)
		close(events->fd);
	free(events);
}

void events_watch(struct events *events, int target, int pid)
{
	pthread_mutex_lock(&events->lock);
	events->watch[target].pid = pid;
	events->watch[target].state = WATCH_ASKED;
	pthread_cond_signal(&events->wake);
	pthread_mutex_unlock(&events->lock);
}

/* ---- what the taker asks ---- */

bool events_take(struct events *events, struct event_row *row)
{
	bool has;

	pthread_mutex_lock(&events->lock);
	has = events->count;
	if (has) {
		*row = events->row[events->first];
		events->first = (events->first + 1) % ROWS;
		events->count--;
	}
	pthread_mutex_unlock(&events->lock);
	return has;
}

bool events_missing(struct events *events, int target, char *why)
{
	const struct event_watch *watch = &events->watch[target];
	bool missing;

	pthread_mutex_lock(&events->lock);
	missing = watch->state != WATCH_RUNS;
	if (watch->state == WATCH_OVER)
		snprintf(why, FAULT_TEXT, "%s", watch->why);
	else if (missing)
		snprintf(why, FAULT_TEXT, "the probes are being put in place");
	pthread_mutex_unlock(&events->lock);
	return missing;
}

int events_fd(const struct events *events)
{
	return events->fd;
}

void events_heard(struct events *events)
{
	eventfd_t ignored;

	/* Nothing to hear is no error. */
	if (eventfd_read(events->fd, &ignored))
		return;
}
