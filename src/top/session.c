#include "top/session.h"

#include "base/clock.h"
#include "base/take.h"
#include "target/process.h"

#include <errno.h>
#include <stdlib.h>

/* Of what all this may cost: what the screen and the events do not use is for readings,
 * and what they do is paid for by them. */
#define DRAWING_SHARE 0.25
#define EVENTS_SHARE  0.25

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- opening and closing ---- */

int session_open_live(struct top *top, struct fault *fault)
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
			   .threads = 1},
		.interval_ns = options->interval_ns,
		.share = share,
	};
	int error = feed_new(&top->feed, &wanted, fault);

	account_open(&top->drawing, share * DRAWING_SHARE, clock_monotonic_ns());
	rules_add_defaults(&top->targets.rules, options->interval_ns);
	top->targets.expected = options->targets;
	if (!error && !options->no_events)
		error = events_new(&top->events, top->feed, share * EVENTS_SHARE, fault);
	return error;
}

static int take_order(struct top *top, unsigned arenas)
{
	unsigned *order;

	if (arenas <= top->shown.order_capacity)
		return 0;
	order = take(arenas * sizeof(*order));
	if (!order)
		return -ENOMEM;
	free(top->shown.order);
	top->shown.order = order;
	top->shown.order_capacity = arenas;
	return 0;
}

static int add(struct top *top, int pid, const char *comm, unsigned arenas,
	       struct fault *fault)
{
	if (take_order(top, arenas) ||
	    targets_add(&top->targets, pid, comm, arenas, !top->replay))
		return out_of_memory(fault);
	top->dirty = true;
	return 0;
}

int session_open_replay(struct top *top, struct fault *fault)
{
	const struct top_options *options = top->options;
	int error = replayer_open(&top->replay, options->replay, &options->replay_pids,
				  &options->replay_names, (double)options->speed, fault);

	if (error)
		return error;
	rules_add_defaults(&top->targets.rules, replayer_interval_ns(top->replay));
	top->targets.expected = replayer_targets(top->replay);
	for (unsigned i = 0; !error && i < replayer_targets(top->replay); i++)
		error = add(top, replayer_pid(top->replay, i),
			    replayer_comm(top->replay, i),
			    replayer_arenas(top->replay, i), fault);
	return error;
}

bool session_close(struct top *top)
{
	bool idle = !top->feed || feed_idle(top->feed);

	events_free(top->events);
	if (!idle)
		return false;
	feed_free(top->feed);
	picker_free(top->picker);
	replayer_close(top->replay);
	targets_close(&top->targets);
	free(top->shown.order);
	return true;
}

int session_attach(struct top *top, int pid, struct fault *fault)
{
	int64_t cpu_ns = clock_thread_ns();
	char comm[SAMPLE_TEXT];
	int index = feed_attach(top->feed, pid, fault), error;

	if (index < 0)
		return index;
	process_line(pid, "comm", comm, sizeof(comm));
	if (top->events)
		events_watch(top->events, index, pid);
	error = add(top, pid, comm, feed_arenas(top->feed, index), fault);
	feed_excuse(top->feed, clock_thread_ns() - cpu_ns);
	return error;
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

	target_keep(target, sample, NULL);
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

	while ((sample = replayer_take(top->replay, &index)))
		keep_replayed(top, index, sample);
	if (top->replay_told || !replayer_over(top->replay, &is_cut, &why))
		return;
	top->replay_told = true;
	top_say(top, is_cut, "%s", why);
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
	if (feed_looks(top->feed, &inspection->look, &inspection->before))
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

/* ---- what is looked at ---- */

/* What each pane shows besides readings. */
static const struct {
	bool map, pins, around;
} wants[PANE_COUNT] = {
	[PANE_MAP] = {.map = true, .pins = true},
	[PANE_ADVICE] = {.pins = true, .around = true},
};

/* For the pane that is shown; nothing while the past is. */
static struct feed_wish wish_of(struct top *top)
{
	const struct top_target *target = top_target(top);
	enum pane pane = top->selection.pane;
	struct feed_wish wish = {.target = -1};

	if (!target || target->over || top->time.paused_ns || top->picking.on ||
	    !(wants[pane].map || wants[pane].pins || wants[pane].around))
		return wish;
	wish = inspection_wish(&top->inspection, (int)top->targets.shown,
			       top->selection.arena,
			       wants[pane].map ? top_map_cells(top) : 0);
	wish.pins = wants[pane].pins;
	wish.around = wants[pane].around;
	return wish;
}

void session_wish(struct top *top)
{
	struct feed_wish wish;

	if (!top->feed)
		return;
	wish = wish_of(top);
	if (feed_same_wish(&wish, &top->inspection.wish))
		return;
	top->inspection.wish = wish;
	feed_want(top->feed, &wish);
}
