#include "top/session.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "engine/days.h"
#include "target/process.h"
#include "top/seek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of what all this may cost: what the screen and the events do not use is for readings,
 * and what they do is paid for by them. */
#define DRAWING_SHARE 0.25
#define EVENTS_SHARE  0.25
#define READING_SHARE 0.75
#define SEARCH_SHARE  0.1

#define SEARCH_NS      INT64_C(1000000000)
#define WHOLE_EVERY_NS INT64_C(10000000000)

/* A process that was just started has no heap yet: it is asked again so often before
 * anyone is told why not. */
enum { PATIENCE = 10 };

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- opening and closing ---- */

/* What a reading each INTERVAL_NS may take of a processor. A heap that would be read less
 * often than each WHOLE_EVERY_NS, were it read whole, is estimated at each interval.
 * Several processes are read less often. */
static int64_t budget_of(const struct top_options *options, int64_t interval_ns)
{
	double share = (double)options->max_cost_percent / 100 * READING_SHARE;

	if (interval_ns < options->interval_ns)
		interval_ns = options->interval_ns;
	return (int64_t)((double)interval_ns * share);
}

static int open_live(struct top *top, struct fault *fault)
{
	const struct top_options *options = top->options;
	double share = (double)options->max_cost_percent / 100;
	const struct feed_options wanted = {
		.source = {.source = options->source,
			   .arenas = true,
			   .sizes = true,
			   .survey = true,
			   .or_preload = options->or_preload,
			   .go_on = true,
			   .over_exec = true,
			   .swap_in = options->swap_in,
			   .budget_ns = budget_of(options, options->interval_ns),
			   .whole_ns = budget_of(options, WHOLE_EVERY_NS),
			   .threads = 1},
		.interval_ns = options->interval_ns,
		.share = share,
	};
	int error = feed_new(&top->feed, &wanted, fault);

	account_open(&top->drawing, share * DRAWING_SHARE, clock_monotonic_ns());
	rules_add_defaults(&top->targets.rules, options->interval_ns);
	if (!error && !options->no_events)
		error = events_new(&top->events, top->feed, share * EVENTS_SHARE, fault);
	return error;
}

static int take_order(struct top *top, unsigned arenas)
{
	unsigned *order;

	if (arenas <= top->shown.order_capacity)
		return 0;
	order = alloc_touched(arenas * sizeof(*order));
	if (!order)
		return -ENOMEM;
	free(top->shown.order);
	top->shown.order = order;
	top->shown.order_capacity = arenas;
	return 0;
}

/* At INDEX, which is the next free one or that of a target that has ended. */
static int add(struct top *top, unsigned index, int pid, const char *comm,
	       unsigned arenas, struct fault *fault)
{
	if (take_order(top, arenas) ||
	    targets_add(&top->targets, index, pid, comm, arenas, !top->replay))
		return out_of_memory(fault);
	top->dirty = true;
	return 0;
}

static int open_replay(struct top *top, struct fault *fault)
{
	const struct top_options *options = top->options;
	int error = replayer_open(&top->replay, options->replay, &options->pids,
				  &options->names, (double)options->speed, fault);

	if (error)
		return error;
	rules_add_defaults(&top->targets.rules, replayer_interval_ns(top->replay));
	top->targets.expected = replayer_targets(top->replay);
	if (replayer_days(top->replay)) {
		top->targets.spans = DAYS_POINTS;
		top->time.longest_ns = INT64_MAX;
		top->played_ns = days_first_ns(replayer_days(top->replay));
		top->days_have_events = days_has_events(replayer_days(top->replay));
	}
	for (unsigned i = 0; !error && i < replayer_targets(top->replay); i++) {
		error = add(top, i, replayer_pid(top->replay, i),
			    replayer_comm(top->replay, i),
			    replayer_arenas(top->replay, i), fault);
	}
	return error;
}

bool session_close(struct top *top)
{
	bool idle = !top->feed || feed_idle(top->feed);

	holders_close(&top->holders);
	events_free(top->events);
	if (!idle)
		return false;
	feed_free(top->feed);
	picker_free(top->picker);
	replayer_close(top->replay);
	heap_map_free(top->days_map.map);
	targets_close(&top->targets);
	free(top->shown.order);
	return true;
}

int session_attach(struct top *top, int pid, struct fault *fault)
{
	int64_t cpu_ns = clock_thread_ns();
	char comm[SAMPLE_TEXT] = "";
	int index = feed_attach(top->feed, pid, fault), error;

	if (index < 0)
		return index;
	if ((unsigned)index < top->targets.count)
		inspection_open(&top->inspection);
	process_line(pid, "comm", comm, sizeof(comm));
	if (top->events)
		events_watch(top->events, index, pid);
	error = add(top, (unsigned)index, pid, comm, feed_arenas(top->feed, index),
		    fault);
	feed_excuse(top->feed, clock_thread_ns() - cpu_ns);
	return error ? error : index;
}

int session_pick(struct top *top, struct fault *fault)
{
	int error = top->picker ? 0 : picker_new(&top->picker, fault);

	if (error)
		return error;
	picker_search(top->picker, true);
	picking_start(&top->picking);
	return 0;
}

void session_pick_no_more(struct top *top)
{
	picker_search(top->picker, false);
	top->picking.on = false;
}

/* ---- processes by name ---- */

static bool is_watched(const struct top *top, int pid)
{
	for (unsigned i = 0; i < top->targets.count; i++)
		if (top->targets.target[i].pid == pid && !top->targets.target[i].over)
			return true;
	return false;
}

/* A process that cannot be read at first may have no heap yet: why not is told when it
 * stays so. */
static void refuse(struct top *top, int pid, const struct fault *fault)
{
	struct top_follower *follower = &top->follower;

	follower->refusals = pid == follower->refused_pid ? follower->refusals + 1 : 1;
	follower->refused_pid = pid;
	if (follower->refusals == PATIENCE)
		top_message(top, true, "%s", fault->text);
}

static void follow_name(struct top *top, const char *name)
{
	struct pid_list pids = {NULL, 0};
	struct fault fault;

	if (targets_named(name, &pids, &fault))
		pids.count = 0;
	for (size_t i = 0; i < pids.count; i++) {
		if (is_watched(top, pids.pid[i]))
			continue;
		if (session_attach(top, pids.pid[i], &fault) < 0)
			refuse(top, pids.pid[i], &fault);
		else
			top_message(top, false, "process %d (%s) is watched", pids.pid[i],
				    name);
	}
	free(pids.pid);
}

void session_follow(struct top *top)
{
	const struct top_options *options = top->options;
	double share = SEARCH_SHARE * (double)options->max_cost_percent / 100;
	int64_t cpu_ns = clock_thread_ns(), wait_ns;

	if (!options->follow || clock_monotonic_ns() < top->follower.due_ns)
		return;
	for (size_t i = 0; i < options->names.count; i++)
		follow_name(top, options->names.name[i]);
	wait_ns = (int64_t)((double)(clock_thread_ns() - cpu_ns) / share);
	top->follower.due_ns =
		clock_monotonic_ns() + (wait_ns > SEARCH_NS ? wait_ns : SEARCH_NS);
}

static int too_many(size_t count, struct fault *fault)
{
	return fault_set(fault, EXIT_USAGE, -E2BIG,
			 "%zu processes, and at most %d can be watched at once", count,
			 TARGETS_MAX);
}

/* With names that nobody has yet, the start is the first search. */
static int find_named(const struct top_options *options, struct pid_list *named,
		      struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; !error && i < options->names.count; i++) {
		error = targets_named(options->names.name[i], named, fault);
		if (error == -ESRCH && options->follow)
			error = 0;
	}
	return error;
}

/* A process that was found by name may end before it is opened; that is an error only
 * when no other is left. */
static int attach_named(struct top *top, const struct pid_list *named,
			struct fault *fault)
{
	for (size_t i = 0; i < named->count; i++) {
		int error = 0;

		if (!is_watched(top, named->pid[i]))
			error = session_attach(top, named->pid[i], fault);
		if (error == -ESRCH &&
		    (i + 1 < named->count || top->targets.count || top->options->follow))
			continue;
		if (error < 0)
			return error;
	}
	return 0;
}

static int attach_all(struct top *top, const struct pid_list *named, struct fault *fault)
{
	const struct pid_list *pids = &top->options->pids;
	int error = 0;

	for (size_t i = 0; error >= 0 && i < pids->count; i++)
		error = session_attach(top, pids->pid[i], fault);
	return error < 0 ? error : attach_named(top, named, fault);
}

/* How many processes there will be is known before the feed is opened, which shares what
 * it may take among them. */
static int open_targets(struct top *top, struct fault *fault)
{
	const struct top_options *options = top->options;
	struct pid_list named = {NULL, 0};
	int error = find_named(options, &named, fault);
	size_t count = options->pids.count + named.count;

	top->targets.expected = count;
	if (!error && count > TARGETS_MAX)
		error = too_many(count, fault);
	if (!error)
		error = open_live(top, fault);
	if (!error)
		error = attach_all(top, &named, fault);
	free(named.pid);
	return error;
}

int session_open(struct top *top, struct fault *fault)
{
	const struct top_options *options = top->options;
	int error;

	if (options->replay)
		return open_replay(top, fault);
	if (options->pids.count || options->names.count)
		return open_targets(top, fault);
	error = open_live(top, fault);
	return error ? error : session_pick(top, fault);
}

/* ---- what comes ---- */

static void take_reading(struct top *top, unsigned index)
{
	struct top_target *target = &top->targets.target[index];
	struct feed_news news;

	feed_take(top->feed, (int)index, &news);
	target->reading = news.reading;
	target->interval_ns = news.interval_ns;
	if (news.fresh) {
		const struct sample *sample = feed_sample(top->feed, (int)index);

		/* The process may have got more arenas than it had room for at first.
		 * Without memory for them their pane stays empty. */
		(void)take_order(top, sample->arena_capacity);
		target_keep(target, sample, feed_bounds(top->feed, (int)index));
		top->dirty = true;
	}
	if (news.over) {
		target_end(target, news.why.text);
		top->dirty = true;
	}
}

static void take_events(struct top *top)
{
	events_heard(top->events);
	while (events_take(top->events, &top->event_taken)) {
		target_keep_event(&top->targets.target[top->event_taken.target],
				  &top->event_taken);
		top->dirty = true;
	}
}

static void keep_replayed(struct top *top, unsigned index, const struct sample *sample)
{
	struct top_target *target = &top->targets.target[index];

	if (top->days_have_events)
		(void)history_add(target->history, sample);
	else
		target_keep(target, sample, NULL);
	top->played++;
	if (replayer_is_last(top->replay, index))
		target_end_alerts(target);
	top->dirty = true;
}

static void take_replayed(struct top *top)
{
	const struct sample *sample;
	const char *why;
	unsigned index;
	bool is_cut;

	while ((sample = replayer_take(top->replay, &index))) {
		keep_replayed(top, index, sample);
		if (seek_can(top) && top->played >= DAYS_POINTS / 2)
			seek_played(top);
	}
	if (seek_can(top))
		seek_played(top);
	if (top->replay_told || !replayer_over(top->replay, &is_cut, &why))
		return;
	top->replay_told = true;
	top_message(top, is_cut, "%s", why);
}

void session_take(struct top *top)
{
	struct inspection *inspection = &top->inspection;

	if (top->replay) {
		take_replayed(top);
		return;
	}
	if (top->picker && top->picking.on) {
		picker_heard(top->picker);
		top->dirty = true;
	}
	feed_heard(top->feed);
	for (unsigned i = 0; i < top->targets.count; i++)
		if (!top->targets.target[i].over)
			take_reading(top, i);
	if (feed_inspections(top->feed, &inspection->inspected, &inspection->before))
		top->dirty = true;
	if (top->events)
		take_events(top);
}

bool session_step(struct top *top)
{
	const struct sample *sample;
	unsigned index;

	if (!top->replay)
		return false;
	do {
		sample = replayer_step(top->replay, &index);
		if (!sample)
			return false;
		keep_replayed(top, index, sample);
	} while (index != top->targets.shown);
	if (seek_can(top))
		seek_played(top);
	return true;
}

void session_hold(struct top *top, bool hold)
{
	if (top->replay)
		replayer_hold(top->replay, hold);
}

int64_t session_wait_ns(const struct top *top)
{
	return top->replay ? replayer_wait_ns(top->replay) : -1;
}

void session_take_holders(struct top *top)
{
	struct top_said *said = &top->said;
	char title[sizeof(said->title)], popup[sizeof(said->popup)];
	struct text text;

	/* Until it is done, what a box says stays. */
	text_init(&text, popup, sizeof(popup));
	if (!holders_take(&top->holders, title, sizeof(title), &text))
		return;
	memcpy(said->title, title, sizeof(title));
	memcpy(said->popup, popup, sizeof(popup));
	said->message[0] = '\0';
	top->dirty = top->pressed = true;
}

/* ---- what is looked at ---- */

/* What each pane shows besides readings. */
static const struct {
	bool map, blockers, around;
} wants[PANE_COUNT] = {
	[PANE_MAP] = {.map = true, .blockers = true},
	[PANE_ADVICE] = {.blockers = true, .around = true},
};

/* For the pane that is shown; nothing while the past is. */
static struct inspection_request request_of(struct top *top)
{
	const struct top_target *target = top_target(top);
	enum pane pane = top->selection.pane;
	struct inspection_request request = {.target = -1};

	if (!target || target->over || top->time.paused_ns || top->picking.on ||
	    !(wants[pane].map || wants[pane].blockers || wants[pane].around))
		return request;
	request = inspection_ask(&top->inspection, (int)top->targets.shown,
				 top->selection.arena,
				 wants[pane].map ? top_map_cells(top) : 0);
	request.blockers = wants[pane].blockers;
	request.around = wants[pane].around;
	return request;
}

void session_inspect(struct top *top)
{
	struct inspection_request request;

	if (seek_can(top))
		seek_look(top);
	if (!top->feed)
		return;
	request = request_of(top);
	if (inspection_same(&request, &top->inspection.request))
		return;
	top->inspection.request = request;
	feed_inspect(top->feed, &request);
}
