#include "top/feed.h"

#include "base/account.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/take.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_CREDIT_NS 30e9 /* see feed_want */

enum {
	/* A look is made, ready, taken, or the one before that. */
	LOOKS = 4,
	SLACK_PARTS = 16, /* a wait of such a part of the interval is none */
};

/* READING is the thread's, TAKEN the taker's; READY goes from hand to hand under the
 * lock, by swaps: no sample is copied, and none is changed while it is looked at. */
struct target {
	int pid;
	struct source *source;
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
struct looks {
	struct feed_wish wish; /* under the lock */
	bool wanted, fresh, has_taken, has_before;
	struct feed_look *making, *ready, *taken, *before;
	struct feed_look look[LOOKS];
};

/* SETTLED_NS of what was used have been paid for by the targets; PAID_NS of what came
 * since then too, by those that were read. */
struct feed {
	struct looks looks;
	int64_t excused_ns, settled_ns, paid_ns;
	struct feed_options options;
	int fd;
	bool has_thread, quit;
	atomic_bool hurry; /* no reading may hold up the end */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* a target came, or the end */
	int count;
	struct target target[FEED_TARGETS];
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
		struct target *target = &feed->target[i];

		if (target->over)
			continue;
		account_gain(&target->account, feed->options.share / count, now_ns);
		account_pay(&target->account, rest_ns / count);
	}
	feed->settled_ns = now_used_ns;
	feed->paid_ns = 0;
}

static void pay(struct feed *feed, struct target *target, int64_t cpu_ns)
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
static void plan(struct feed *feed, struct target *target)
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
static void plan_anew(struct feed *feed, struct target *target)
{
	int64_t due_ns = target->began_ns + feed->options.interval_ns;
	int64_t allowed_ns = clock_monotonic_ns() + account_wait_ns(&target->account, 0);

	target->due_ns = due_ns > allowed_ns ? due_ns : allowed_ns;
	target->interval_ns =
		eased(target->interval_ns, target->due_ns - target->began_ns);
}

/* Whether the account of TARGET, whose turn it is, allows a reading now. */
static bool is_allowed(struct feed *feed, struct target *target)
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
static int64_t look_due_ns(struct feed *feed, int64_t now_ns)
{
	const struct target *target;
	const struct account *account;

	if (!feed->looks.wanted)
		return INT64_MAX;
	target = &feed->target[feed->looks.wish.target];
	account = &target->account;
	/* It comes with the first reading. */
	if (!target->began_ns)
		return INT64_MAX;
	settle(feed);
	return target->over ? now_ns
			    : now_ns + account_wait_ns(account,
						       LOOK_CREDIT_NS * account->share);
}

/* ---- the thread ---- */

/* What reading TARGET has taken so far, in this thread and the source's own. */
static int64_t cpu_ns_of(const struct target *target)
{
	return clock_thread_ns() + source_cpu_ns(target->source);
}

/* With the lock held: whose turn it is, or null; *DUE_NS is when the next one's comes. */
static struct target *next_target(struct feed *feed, int64_t now_ns, int64_t *due_ns)
{
	struct target *next = NULL;

	*due_ns = INT64_MAX;
	for (int i = 0; i < feed->count; i++) {
		struct target *target = &feed->target[i];

		if (target->over || target->due_ns >= *due_ns)
			continue;
		*due_ns = target->due_ns;
		next = target;
	}
	return next && *due_ns <= now_ns ? next : NULL;
}

/* Whether a look at TARGET is wished for. */
static bool is_wished(const struct feed *feed, const struct target *target)
{
	const struct feed_wish *wish = &feed->looks.wish;

	return wish->target >= 0 && target == &feed->target[wish->target] &&
	       !target->over;
}

static void make_look(const struct target *target, struct feed_look *look)
{
	const struct feed_wish *wish = &look->wish;

	look->has_map = look->has_pins = look->has_smaps = look->has_huge = false;
	if (wish->map) {
		look->map->arena = wish->arena;
		look->map->from = wish->from;
		look->map->to = wish->to;
		look->map->cell_capacity = wish->cells;
		look->has_map = source_map(target->source, look->map,
					   &look->why_no_map) == SOURCE_READ;
	}
	if (wish->pins) {
		look->pins.arena = PINS_ALL_ARENAS;
		look->has_pins = source_pins(target->source, &look->pins,
					     &look->why_no_pins) == SOURCE_READ;
	}
	if (wish->around) {
		look->has_smaps = !source_smaps(target->source, &look->smaps);
		look->has_huge = !huge_read(&look->huge);
	}
}

/* With the lock held, but for the look itself. */
static void look(struct feed *feed)
{
	struct looks *looks = &feed->looks;
	struct feed_look *made = looks->making;
	struct target *target = &feed->target[looks->wish.target];
	int64_t cpu_ns;

	looks->wanted = false;
	made->wish = looks->wish;
	target->busy = true;
	pthread_mutex_unlock(&feed->lock);
	cpu_ns = cpu_ns_of(target);
	make_look(target, made);
	cpu_ns = cpu_ns_of(target) - cpu_ns;
	pthread_mutex_lock(&feed->lock);
	pay(feed, target, cpu_ns);
	target->busy = false;
	looks->making = looks->ready;
	looks->ready = made;
	looks->fresh = true;
	eventfd_write(feed->fd, 1);
}

/* With the lock held, but for the reading itself. */
static void read_target(struct feed *feed, struct target *target)
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
	if (result == SOURCE_READ && is_wished(feed, target))
		look(feed);
	plan(feed, target);
	if (result == SOURCE_READ || result == SOURCE_UNREADABLE) {
		struct sample *read = target->reading;

		target->reading = target->ready;
		target->ready = read;
		target->ready_bounds = target->reading_bounds;
		target->fresh = true;
	} else if (result != SOURCE_NOTHING_NEW) {
		target->over = true;
		target->why = fault;
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
		int64_t look_ns = look_due_ns(feed, now_ns);
		struct target *target = next_target(feed, now_ns, &due_ns);

		if (look_ns <= now_ns)
			look(feed);
		else if (target && is_allowed(feed, target))
			read_target(feed, target);
		else if (!target)
			wait_until(feed, due_ns < look_ns ? due_ns : look_ns);
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

static int take_looks(struct looks *looks)
{
	struct feed_look **const places[LOOKS] = {&looks->making, &looks->ready,
						  &looks->taken, &looks->before};

	looks->wish.target = -1;
	for (unsigned i = 0; i < LOOKS; i++) {
		*places[i] = &looks->look[i];
		looks->look[i].map = heap_map_new(FEED_CELLS, FEED_CHUNKS);
		if (!looks->look[i].map)
			return -ENOMEM;
	}
	return 0;
}

int feed_new(struct feed **feed, const struct feed_options *options, struct fault *fault)
{
	struct feed *new = take(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->options = *options;
	new->settled_ns = clock_process_ns();
	new->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = new->fd < 0 ? -errno : take_locks(new);
	if (!error)
		error = take_looks(&new->looks);
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

static void free_target(struct target *target)
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
	for (unsigned i = 0; i < LOOKS; i++)
		heap_map_free(feed->looks.look[i].map);
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

static int open_target(struct target *target, int pid, const struct feed *feed,
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
	struct looks *looks = &feed->looks;

	if (looks->wish.target == index) {
		looks->wish.target = -1;
		looks->wanted = false;
	}
	looks->fresh = looks->has_taken = looks->has_before = false;
}

/* With the lock held: TARGET at INDEX, whose old one, if there is one, is returned. */
static struct target put_target(struct feed *feed, int index, const struct target *target)
{
	struct target old = {0};

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
	struct target old, target = {.pid = pid,
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
	struct target *target = &feed->target[index];

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
		struct target *target = &feed->target[i];

		if (target->began_ns && !target->over && !target->hurried)
			plan_anew(feed, target);
	}
	pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

void feed_want(struct feed *feed, const struct feed_wish *wish)
{
	pthread_mutex_lock(&feed->lock);
	feed->looks.wish = *wish;
	feed->looks.wanted = wish->target >= 0 && !feed->target[wish->target].over;
	if (feed->looks.wanted)
		pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
}

bool feed_same_wish(const struct feed_wish *a, const struct feed_wish *b)
{
	return a->target == b->target && a->map == b->map && a->pins == b->pins &&
	       a->around == b->around && a->arena == b->arena && a->from == b->from &&
	       a->to == b->to && a->cells == b->cells;
}

bool feed_looks(struct feed *feed, const struct feed_look **look,
		const struct feed_look **before)
{
	struct looks *looks = &feed->looks;
	bool fresh;

	pthread_mutex_lock(&feed->lock);
	fresh = looks->fresh;
	if (fresh) {
		struct feed_look *ready = looks->ready;

		looks->ready = looks->before;
		looks->before = looks->taken;
		looks->taken = ready;
		looks->fresh = false;
		looks->has_before =
			looks->has_taken &&
			feed_same_wish(&looks->before->wish, &looks->taken->wish);
		looks->has_taken = true;
	}
	pthread_mutex_unlock(&feed->lock);
	*look = looks->has_taken ? looks->taken : NULL;
	*before = looks->has_before ? looks->before : NULL;
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
	return source_describe(feed->target[target].source);
}

unsigned feed_arenas(const struct feed *feed, int target)
{
	return feed->target[target].taken->arena_capacity;
}

int feed_fd(const struct feed *feed)
{
	return feed->fd;
}

int feed_exit_fd(const struct feed *feed, int index)
{
	const struct target *target = &feed->target[index];

	return target->over || target->hurried ? -1 : source_exit_fd(target->source);
}

void feed_hurry(struct feed *feed, int index)
{
	struct target *target = &feed->target[index];

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
