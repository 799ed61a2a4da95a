#include "top/feed.h"

#include "base/account.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define INSPECTION_CREDIT_NS 30e9 /* see feed_inspect */

enum {
	/* A look is made, ready, taken, or the one before that. */
	INSPECTIONS = 4,
	SLACK_PARTS = 16, /* a wait of such a part of the interval is none */
};

/* READING is the thread's, TAKEN the taker's; READY goes from hand to hand under the
 * lock, by swaps: no sample is copied, and none is changed while it is looked at. */
struct feed_target {
	int pid;
	struct source *source; /* the thread's; null: no further readings come */
	char description[SOURCE_DESCRIPTION];
	struct sample *reading, *ready, *taken;
	struct bounds reading_bounds, ready_bounds, taken_bounds;
	bool fresh, over, busy, has_taken;
	bool hurried;		  /* the taker's: it knows of the end */
	int64_t began_ns, due_ns; /* CLOCK_MONOTONIC; 0: no reading has begun */
	int64_t interval_ns;
	struct account account;
	struct fault why;
};

/* MAKING is the thread's, TAKEN and BEFORE the taker's. */
struct inspections {
	struct inspection_request request; /* under the lock */
	bool wanted, fresh, has_taken, has_before;
	struct inspection_result *making, *ready, *taken, *before;
	struct inspection_result inspected[INSPECTIONS];
};

/* SETTLED_NS of what was used have been paid for by the targets; PAID_NS of what came
 * since then too, by those that were read. */
struct feed {
	struct inspections inspections;
	int64_t excused_ns, settled_ns, paid_ns;
	struct feed_options options;
	int fd;
	bool has_thread, quit;
	atomic_bool hurry; /* no reading may hold up the end */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* a target came, or the end */
	int count;
	struct feed_target target[FEED_TARGETS];
};

/* ---- the accounts ---- */

static int64_t used_ns(const struct feed *feed)
{
	return clock_process_ns() - feed->excused_ns;
}

/* Each target has an equal share, and pays for its readings and looks, and an equal part
 * of what all else has used: the screen, the events. */
static void settle(struct feed *feed)
{
	int64_t now_ns = clock_monotonic_ns(), now_used_ns = used_ns(feed);
	int64_t rest_ns = now_used_ns - feed->settled_ns - feed->paid_ns;
	int count = 0;

	for (int i = 0; i < feed->count; i++)
		count += !feed->target[i].over;
	for (int i = 0; i < feed->count; i++) {
		struct feed_target *target = &feed->target[i];

		if (target->over)
			continue;
		account_gain(&target->account, feed->options.share / count, now_ns);
		account_pay(&target->account, rest_ns / count);
	}
	feed->settled_ns = now_used_ns;
	feed->paid_ns = 0;
}

static void pay(struct feed *feed, struct feed_target *target, int64_t cpu_ns)
{
	account_pay(&target->account, cpu_ns);
	feed->paid_ns += cpu_ns;
}

/* What is shown shall not jump with each reading. */
static int64_t eased(int64_t before_ns, int64_t now_ns)
{
	if (now_ns > 2 * before_ns || now_ns < before_ns / 2)
		return now_ns;
	return before_ns + (now_ns - before_ns) / 4;
}

/* When TARGET, which was read at BEGAN_NS, is read next: instants that a long reading has
 * let pass are left out. */
static void plan(struct feed *feed, struct feed_target *target)
{
	int64_t interval_ns = feed->options.interval_ns;
	int64_t now_ns = clock_monotonic_ns(), allowed_ns;

	settle(feed);
	allowed_ns = now_ns + account_wait_ns(&target->account, 0);
	target->due_ns += interval_ns;
	if (target->due_ns < now_ns || target->due_ns > target->began_ns + interval_ns)
		target->due_ns = target->began_ns + interval_ns;
	if (target->due_ns < allowed_ns)
		target->due_ns = allowed_ns;
	target->interval_ns =
		eased(target->interval_ns, target->due_ns - target->began_ns);
}

/* The same of one that waits: what else is used puts it off, and what is excused brings
 * it forward. */
static void plan_anew(struct feed *feed, struct feed_target *target)
{
	int64_t due_ns = target->began_ns + feed->options.interval_ns;
	int64_t allowed_ns = clock_monotonic_ns() + account_wait_ns(&target->account, 0);

	target->due_ns = due_ns > allowed_ns ? due_ns : allowed_ns;
	target->interval_ns =
		eased(target->interval_ns, target->due_ns - target->began_ns);
}

/* Whether the account of TARGET, whose turn it is, allows a reading now. */
static bool is_allowed(struct feed *feed, struct feed_target *target)
{
	settle(feed);
	if (!target->began_ns || target->hurried ||
	    account_wait_ns(&target->account, 0) <=
		    feed->options.interval_ns / SLACK_PARTS)
		return true;
	plan_anew(feed, target);
	return false;
}

/* When the look that is wanted may be made: INT64_MAX where there is none. */
static int64_t inspection_due_ns(struct feed *feed, int64_t now_ns)
{
	const struct feed_target *target;
	const struct account *account;

	if (!feed->inspections.wanted)
		return INT64_MAX;
	target = &feed->target[feed->inspections.request.target];
	account = &target->account;
	/* It comes with the first reading. */
	if (!target->began_ns)
		return INT64_MAX;
	settle(feed);
	return now_ns + account_wait_ns(account, INSPECTION_CREDIT_NS * account->share);
}

/* ---- the thread ---- */

/* What reading TARGET has taken so far, in this thread and the source's own. */
static int64_t cpu_ns_of(const struct feed_target *target)
{
	return clock_thread_ns() + source_cpu_ns(target->source);
}

/* With the lock held: whose turn it is, or null; *DUE_NS is when the next one's comes. */
static struct feed_target *next_target(struct feed *feed, int64_t now_ns, int64_t *due_ns)
{
	struct feed_target *next = NULL;

	*due_ns = INT64_MAX;
	for (int i = 0; i < feed->count; i++) {
		struct feed_target *target = &feed->target[i];

		if (target->over || target->due_ns >= *due_ns)
			continue;
		*due_ns = target->due_ns;
		next = target;
	}
	return next && *due_ns <= now_ns ? next : NULL;
}

/* Whether a look at TARGET is wished for. */
static bool is_requested(const struct feed *feed, const struct feed_target *target)
{
	const struct inspection_request *request = &feed->inspections.request;

	return request->target >= 0 && target == &feed->target[request->target] &&
	       !target->over;
}

/* With the lock held, but for giving back what readings needed, most of what a target
 * takes: what was read of it stays. */
static void end_target(struct feed *feed, struct feed_target *target,
		       const struct fault *why)
{
	struct source *source = target->source;

	if (is_requested(feed, target))
		feed->inspections.wanted = false;
	target->over = true;
	target->why = *why;
	target->source = NULL;
	eventfd_write(feed->fd, 1);
	pthread_mutex_unlock(&feed->lock);
	source_close(source);
	pthread_mutex_lock(&feed->lock);
}

static void make_inspection(const struct feed_target *target,
			    struct inspection_result *inspected)
{
	const struct inspection_request *request = &inspected->request;

	inspected->has_map = inspected->has_blockers = inspected->has_smaps =
		inspected->has_huge = false;
	if (request->map) {
		inspected->map->arena = request->arena;
		inspected->map->from = request->from;
		inspected->map->to = request->to;
		inspected->map->cell_capacity = request->cells;
		inspected->has_map = source_map(target->source, inspected->map,
						&inspected->why_no_map) == SOURCE_READ;
	}
	if (request->blockers) {
		inspected->blockers.arena = BLOCKERS_ALL_ARENAS;
		inspected->has_blockers =
			source_blockers(target->source, &inspected->blockers,
					&inspected->why_no_blockers) == SOURCE_READ;
	}
	if (request->around) {
		inspected->has_smaps = !source_smaps(target->source, &inspected->smaps);
		inspected->has_huge = !huge_read(&inspected->huge);
	}
}

/* With the lock held, but for the look itself. */
static void inspect(struct feed *feed)
{
	struct inspections *inspections = &feed->inspections;
	struct inspection_result *made = inspections->making;
	struct feed_target *target = &feed->target[inspections->request.target];
	int64_t cpu_ns;

	inspections->wanted = false;
	made->request = inspections->request;
	target->busy = true;
	pthread_mutex_unlock(&feed->lock);
	cpu_ns = cpu_ns_of(target);
	make_inspection(target, made);
	cpu_ns = cpu_ns_of(target) - cpu_ns;
	pthread_mutex_lock(&feed->lock);
	pay(feed, target, cpu_ns);
	target->busy = false;
	inspections->making = inspections->ready;
	inspections->ready = made;
	inspections->fresh = true;
	eventfd_write(feed->fd, 1);
}

/* With the lock held, but for the reading itself. */
static void read_target(struct feed *feed, struct feed_target *target)
{
	struct fault fault = {0};
	int64_t cpu_ns;
	int result;

	target->began_ns = clock_monotonic_ns();
	target->busy = true;
	pthread_mutex_unlock(&feed->lock);
	cpu_ns = cpu_ns_of(target);
	result = source_read(target->source, target->reading, &fault);
	/* What could not be read is absent from them. */
	if (result == SOURCE_READ)
		bounds_read(target->pid, &target->reading_bounds);
	cpu_ns = cpu_ns_of(target) - cpu_ns;
	pthread_mutex_lock(&feed->lock);
	pay(feed, target, cpu_ns);
	target->busy = false;
	if (result == SOURCE_READ && is_requested(feed, target))
		inspect(feed);
	plan(feed, target);
	if (result == SOURCE_READ || result == SOURCE_UNREADABLE) {
		struct sample *read = target->reading;

		target->reading = target->ready;
		target->ready = read;
		target->ready_bounds = target->reading_bounds;
		target->fresh = true;
	} else if (result != SOURCE_NOTHING_NEW) {
		end_target(feed, target, &fault);
		return;
	}
	eventfd_write(feed->fd, 1);
}

static void wait_until(struct feed *feed, int64_t due_ns)
{
	const struct timespec due = {.tv_sec = due_ns / 1000000000,
				     .tv_nsec = due_ns % 1000000000};

	if (due_ns == INT64_MAX)
		pthread_cond_wait(&feed->wake, &feed->lock);
	else
		pthread_cond_timedwait(&feed->wake, &feed->lock, &due);
}

static void *run(void *context)
{
	struct feed *feed = context;

	privilege_raise();
	pthread_mutex_lock(&feed->lock);
	while (!feed->quit) {
		int64_t now_ns = clock_monotonic_ns(), due_ns;
		int64_t inspection_ns = inspection_due_ns(feed, now_ns);
		struct feed_target *target = next_target(feed, now_ns, &due_ns);

		if (inspection_ns <= now_ns)
			inspect(feed);
		else if (target && is_allowed(feed, target))
			read_target(feed, target);
		else if (!target)
			wait_until(feed, due_ns < inspection_ns ? due_ns : inspection_ns);
	}
	pthread_mutex_unlock(&feed->lock);
	return NULL;
}

/* ---- opening and closing ---- */

static int take_locks(struct feed *feed)
{
	pthread_condattr_t monotonic;
	int error = pthread_mutex_init(&feed->lock, NULL);

	if (error)
		return -error;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	error = pthread_cond_init(&feed->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return -error;
}

static int take_inspections(struct inspections *inspections)
{
	struct inspection_result **const places[INSPECTIONS] = {
		&inspections->making, &inspections->ready, &inspections->taken,
		&inspections->before};

	inspections->request.target = -1;
	for (unsigned i = 0; i < INSPECTIONS; i++) {
		*places[i] = &inspections->inspected[i];
		inspections->inspected[i].map = heap_map_new(FEED_CELLS, FEED_CHUNKS);
		if (!inspections->inspected[i].map)
			return -ENOMEM;
	}
	return 0;
}

int feed_new(struct feed **feed, const struct feed_options *options, struct fault *fault)
{
	struct feed *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->options = *options;
	new->settled_ns = clock_process_ns();
	new->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = new->fd < 0 ? -errno : take_locks(new);
	if (!error)
		error = take_inspections(&new->inspections);
	if (!error) {
		error = -pthread_create(&new->thread, NULL, run, new);
		new->has_thread = !error;
	}
	if (error) {
		feed_free(new);
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot start the thread that reads: %s",
				 strerror(-error));
	}
	*feed = new;
	return 0;
}

static void free_target(struct feed_target *target)
{
	source_close(target->source);
	sample_free(target->reading);
	sample_free(target->ready);
	sample_free(target->taken);
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	atomic_store(&feed->hurry, true);
	if (feed->has_thread) {
		pthread_mutex_lock(&feed->lock);
		feed->quit = true;
		pthread_cond_signal(&feed->wake);
		pthread_mutex_unlock(&feed->lock);
		pthread_join(feed->thread, NULL);
	}
	for (int i = 0; i < feed->count; i++)
		free_target(&feed->target[i]);
	for (unsigned i = 0; i < INSPECTIONS; i++)
		heap_map_free(feed->inspections.inspected[i].map);
	if (feed->fd >= 0)
		close(feed->fd);
	free(feed);
}

bool feed_idle(struct feed *feed)
{
	bool busy = false;

	pthread_mutex_lock(&feed->lock);
	for (int i = 0; i < feed->count; i++)
		busy |= feed->target[i].busy;
	pthread_mutex_unlock(&feed->lock);
	return !busy;
}

static int open_target(struct feed_target *target, int pid, const struct feed *feed,
		       struct fault *fault)
{
	struct source_options wanted = feed->options.source;
	int error;

	wanted.map_cells = FEED_CELLS;
	wanted.map_chunks = FEED_CHUNKS;
	wanted.hurry = &feed->hurry;
	error = source_open(&target->source, pid, &wanted, fault);
	if (error)
		return error;
	target->reading = source_sample(target->source);
	target->ready = source_sample(target->source);
	target->taken = source_sample(target->source);
	snprintf(target->description, sizeof(target->description), "%s",
		 source_describe(target->source));
	if (target->reading && target->ready && target->taken)
		return 0;
	free_target(target);
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* With the lock held: the next free place, or that of a target that has ended; -1: there
 * is none. */
static int free_place(const struct feed *feed)
{
	if (feed->count < FEED_TARGETS)
		return feed->count;
	for (int i = 0; i < feed->count; i++)
		if (feed->target[i].over && !feed->target[i].busy)
			return i;
	return -1;
}

/* With the lock held: what was looked at in the target at INDEX is another's. */
static void forget_looks(struct feed *feed, int index)
{
	struct inspections *inspections = &feed->inspections;

	if (inspections->request.target == index) {
		inspections->request.target = -1;
		inspections->wanted = false;
	}
	inspections->fresh = inspections->has_taken = inspections->has_before = false;
}

/* With the lock held: TARGET at INDEX, whose old one, if there is one, is returned. */
static struct feed_target put_target(struct feed *feed, int index,
				     const struct feed_target *target)
{
	struct feed_target old = {0};

	if (index == feed->count) {
		feed->count++;
	} else {
		old = feed->target[index];
		forget_looks(feed, index);
	}
	feed->target[index] = *target;
	account_open(&feed->target[index].account, feed->options.share / feed->count,
		     clock_monotonic_ns());
	pthread_cond_signal(&feed->wake);
	return old;
}

int feed_attach(struct feed *feed, int pid, struct fault *fault)
{
	struct feed_target old, target = {.pid = pid,
					  .due_ns = clock_monotonic_ns(),
					  .interval_ns = feed->options.interval_ns};
	int index, error;

	pthread_mutex_lock(&feed->lock);
	index = free_place(feed);
	pthread_mutex_unlock(&feed->lock);
	if (index < 0)
		return fault_set(fault, EXIT_FAILED, -ENOSPC,
				 "%d processes are watched, and no more can be",
				 FEED_TARGETS);
	error = open_target(&target, pid, feed, fault);
	if (error)
		return error;
	pthread_mutex_lock(&feed->lock);
	feed->excused_ns += source_cpu_ns(target.source);
	old = put_target(feed, index, &target);
	pthread_mutex_unlock(&feed->lock);
	free_target(&old);
	return index;
}

/* ---- what the taker asks ---- */

void feed_take(struct feed *feed, int index, struct feed_news *news)
{
	struct feed_target *target = &feed->target[index];

	pthread_mutex_lock(&feed->lock);
	*news = (struct feed_news){
		.fresh = target->fresh,
		.over = target->over,
		.reading = target->busy,
		.interval_ns = target->interval_ns,
	};
	if (target->over)
		news->why = target->why;
	if (target->fresh) {
		struct sample *ready = target->ready;

		target->ready = target->taken;
		target->taken = ready;
		target->taken_bounds = target->ready_bounds;
		target->fresh = false;
		target->has_taken = true;
	}
	pthread_mutex_unlock(&feed->lock);
}

int64_t feed_used_ns(struct feed *feed, int64_t *excused_ns)
{
	int64_t ns;

	pthread_mutex_lock(&feed->lock);
	ns = used_ns(feed);
	*excused_ns = feed->excused_ns;
	pthread_mutex_unlock(&feed->lock);
	return ns;
}

void feed_excuse(struct feed *feed, int64_t cpu_ns)
{
	pthread_mutex_lock(&feed->lock);
	feed->excused_ns += cpu_ns;
	settle(feed);
	for (int i = 0; i < feed->count; i++) {
		struct feed_target *target = &feed->target[i];

		if (target->began_ns && !target->over && !target->hurried)
			plan_anew(feed, target);
	}
	pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

void feed_inspect(struct feed *feed, const struct inspection_request *request)
{
	pthread_mutex_lock(&feed->lock);
	feed->inspections.request = *request;
	feed->inspections.wanted =
		request->target >= 0 && !feed->target[request->target].over;
	if (feed->inspections.wanted)
		pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

bool inspection_same(const struct inspection_request *a,
		     const struct inspection_request *b)
{
	return a->target == b->target && a->map == b->map && a->blockers == b->blockers &&
	       a->around == b->around && a->arena == b->arena && a->from == b->from &&
	       a->to == b->to && a->cells == b->cells;
}

bool feed_inspections(struct feed *feed, const struct inspection_result **inspected,
		      const struct inspection_result **before)
{
	struct inspections *inspections = &feed->inspections;
	bool fresh;

	pthread_mutex_lock(&feed->lock);
	fresh = inspections->fresh;
	if (fresh) {
		struct inspection_result *ready = inspections->ready;

		inspections->ready = inspections->before;
		inspections->before = inspections->taken;
		inspections->taken = ready;
		inspections->fresh = false;
		inspections->has_before = inspections->has_taken &&
					  inspection_same(&inspections->before->request,
							  &inspections->taken->request);
		inspections->has_taken = true;
	}
	pthread_mutex_unlock(&feed->lock);
	*inspected = inspections->has_taken ? inspections->taken : NULL;
	*before = inspections->has_before ? inspections->before : NULL;
	return fresh;
}

const struct sample *feed_sample(const struct feed *feed, int target)
{
	return feed->target[target].has_taken ? feed->target[target].taken : NULL;
}

const struct bounds *feed_bounds(const struct feed *feed, int target)
{
	return &feed->target[target].taken_bounds;
}

const char *feed_describe(const struct feed *feed, int target)
{
	return feed->target[target].description;
}

unsigned feed_arenas(const struct feed *feed, int target)
{
	return feed->target[target].taken->arena_capacity;
}

int feed_fd(const struct feed *feed)
{
	return feed->fd;
}

int feed_exit_fd(struct feed *feed, int index)
{
	const struct feed_target *target = &feed->target[index];
	int fd;

	pthread_mutex_lock(&feed->lock);
	fd = target->over || target->hurried ? -1 : source_exit_fd(target->source);
	pthread_mutex_unlock(&feed->lock);
	return fd;
}

void feed_wake(struct feed *feed, int index)
{
	struct feed_target *target = &feed->target[index];

	pthread_mutex_lock(&feed->lock);
	target->hurried = true;
	target->due_ns = clock_monotonic_ns();
	pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

void feed_heard(struct feed *feed)
{
	eventfd_t ignored;

	/* Nothing to hear is no error. */
	if (eventfd_read(feed->fd, &ignored))
		return;
}
