#include "top/picker.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/sort.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Between two looks at /proc. */
#define SCAN_NS INT64_C(3000000000)

/* What is larger is probed by its heads only: a whole reading would take too long. */
#define WHOLE_BYTES ((uint64_t)128 << 20)

/* CENSUS is the thread's; COPY is what others see of it, under the lock. SEEN and
 * CANDIDATE are those of the one who lists. */
struct picker {
	int fd;
	bool has_thread, quit, on, scanned;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct census *census;
	size_t count;
	int wanted[PICKER_PAGE]; /* PIDs to probe */
	unsigned wanted_count;
	struct census_row *copy, *seen;
	size_t seen_count;
	struct screen_candidate *candidate;
	unsigned *order; /* of SEEN, as they are listed */
	unsigned listed;
};

/* ---- the thread ---- */

/* The census as others see it: all of it, or row I alone. */
static void publish(struct picker *picker, size_t from, size_t to)
{
	pthread_mutex_lock(&picker->lock);
	for (size_t i = from; i < to; i++)
		picker->copy[i] = *census_at(picker->census, i);
	picker->count = census_count(picker->census);
	picker->scanned = true;
	pthread_mutex_unlock(&picker->lock);
	eventfd_write(picker->fd, 1);
}

static bool is_wanted(struct picker *picker, int pid)
{
	bool wanted = false;

	pthread_mutex_lock(&picker->lock);
	for (unsigned i = 0; i < picker->wanted_count; i++)
		wanted |= picker->wanted[i] == pid;
	pthread_mutex_unlock(&picker->lock);
	return wanted;
}

/* The first row that is seen and was not probed. False: there is none. */
static bool probe_next(struct picker *picker)
{
	size_t count = census_count(picker->census);

	for (size_t i = 0; i < count; i++) {
		const struct census_row *row = census_at(picker->census, i);

		if (row->probed || *row->why_not || !is_wanted(picker, row->pid))
			continue;
		census_probe(picker->census, i, WHOLE_BYTES);
		publish(picker, i, i + 1);
		return true;
	}
	return false;
}

/* Until DUE_NS, or something is asked for; for as long as nobody looks. False: the end.
 */
static bool rest(struct picker *picker, int64_t due_ns)
{
	const struct timespec due = {.tv_sec = due_ns / 1000000000,
				     .tv_nsec = due_ns % 1000000000};
	bool goes_on;

	pthread_mutex_lock(&picker->lock);
	if (!picker->quit && picker->on)
		pthread_cond_timedwait(&picker->wake, &picker->lock, &due);
	while (!picker->quit && !picker->on)
		pthread_cond_wait(&picker->wake, &picker->lock);
	goes_on = !picker->quit;
	pthread_mutex_unlock(&picker->lock);
	return goes_on;
}

static bool may_go_on(struct picker *picker)
{
	bool on;

	pthread_mutex_lock(&picker->lock);
	on = picker->on && !picker->quit;
	pthread_mutex_unlock(&picker->lock);
	return on;
}

static void *run(void *context)
{
	struct picker *picker = context;
	int64_t due_ns = 0;

	privilege_raise();
	do {
		if (clock_monotonic_ns() >= due_ns) {
			/* Without /proc there is nothing to choose from: an empty list.
			 */
			census_scan(picker->census, NULL);
			publish(picker, 0, census_count(picker->census));
			due_ns = clock_monotonic_ns() + SCAN_NS;
		}
		while (may_go_on(picker) && probe_next(picker))
			;
	} while (rest(picker, due_ns));
	return NULL;
}

/* ---- opening and closing ---- */

static int take_rows(struct picker *picker)
{
	picker->copy = alloc_touched(CENSUS_MAX * sizeof(*picker->copy));
	picker->seen = alloc_touched(CENSUS_MAX * sizeof(*picker->seen));
	picker->candidate = alloc_touched(CENSUS_MAX * sizeof(*picker->candidate));
	picker->order = alloc_touched(CENSUS_MAX * sizeof(*picker->order));
	if (!picker->copy || !picker->seen || !picker->candidate || !picker->order)
		return -ENOMEM;
	return census_new(&picker->census);
}

static int start(struct picker *picker)
{
	pthread_condattr_t monotonic;
	int error;

	picker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (picker->fd < 0)
		return -errno;
	pthread_mutex_init(&picker->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&picker->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	picker->on = true;
	error = -pthread_create(&picker->thread, NULL, run, picker);
	picker->has_thread = !error;
	return error;
}

int picker_new(struct picker **picker, struct fault *fault)
{
	struct picker *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->fd = -1;
	error = take_rows(new);
	if (!error)
		error = start(new);
	if (error) {
		picker_free(new);
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot look for processes: %s", strerror(-error));
	}
	*picker = new;
	return 0;
}

void picker_free(struct picker *picker)
{
	if (!picker)
		return;
	if (picker->has_thread) {
		pthread_mutex_lock(&picker->lock);
		picker->quit = true;
		pthread_cond_signal(&picker->wake);
		pthread_mutex_unlock(&picker->lock);
		pthread_join(picker->thread, NULL);
	}
	if (picker->fd >= 0)
		close(picker->fd);
	census_free(picker->census);
	free(picker->copy);
	free(picker->seen);
	free(picker->candidate);
	free(picker->order);
	free(picker);
}

void picker_search(struct picker *picker, bool on)
{
	pthread_mutex_lock(&picker->lock);
	picker->on = on;
	pthread_cond_signal(&picker->wake);
	pthread_mutex_unlock(&picker->lock);
}

/* ---- what the lister asks ---- */

static bool passes(const struct census_row *row, const char *filter)
{
	char pid[24];
	struct text text;

	if (!*filter)
		return true;
	text_init(&text, pid, sizeof(pid));
	text_i64(&text, row->pid);
	return !strncmp(pid, filter, strlen(filter)) || strcasestr(row->comm, filter) ||
	       strcasestr(row->allocator, filter) || !strcmp(row->user, filter);
}

/* Whether all that is seen was probed. */
static bool is_done(const struct picker *picker)
{
	for (size_t i = 0; i < picker->seen_count; i++) {
		const struct census_row *row = &picker->seen[i];

		for (unsigned j = 0; j < picker->wanted_count; j++)
			if (picker->wanted[j] == row->pid && !row->probed &&
			    !*row->why_not)
				return false;
	}
	return true;
}

/* Below 0: A comes before B in the column's own order; 0: they are the same there. */
static int compare(const struct census_row *a, const struct census_row *b,
		   enum candidate_column column)
{
	uint64_t of_a = 0, of_b = 0;

	if (column == CANDIDATE_COMM)
		return strcasecmp(a->comm, b->comm);
	if (column == CANDIDATE_ALLOCATOR)
		return strcmp(a->allocator, b->allocator);
	if (column == CANDIDATE_RSS) {
		of_a = figure_has(&a->fig, FIG_RSS_BYTES) ? a->fig.v[FIG_RSS_BYTES].u : 0;
		of_b = figure_has(&b->fig, FIG_RSS_BYTES) ? b->fig.v[FIG_RSS_BYTES].u : 0;
	}
	return of_a < of_b ? -1 : of_a > of_b;
}

struct candidate_order {
	const struct census_row *seen;
	const struct screen_picker *list;
};

static bool is_before(unsigned one, unsigned other, const void *context)
{
	const struct candidate_order *of = context;
	const struct census_row *a = &of->seen[one], *b = &of->seen[other];
	int order = compare(a, b, of->list->sort);

	/* Whose allocator is not known comes last, whichever way. */
	if (of->list->sort == CANDIDATE_ALLOCATOR && !*a->allocator != !*b->allocator)
		return *a->allocator;
	if (!order)
		return of->list->ascending ? a->pid < b->pid : a->pid > b->pid;
	return of->list->ascending ? order < 0 : order > 0;
}

/* What others have published, filtered and in the order of LIST. */
static void fill_order(struct picker *picker, const char *filter,
		       const struct screen_picker *list)
{
	unsigned count = 0;

	for (size_t i = 0; i < picker->seen_count; i++)
		if (passes(&picker->seen[i], filter))
			picker->order[count++] = (unsigned)i;
	sort_order(picker->order, count, is_before,
		   &(struct candidate_order){picker->seen, list});
	picker->listed = count;
}

void picker_list(struct picker *picker, const char *filter, struct screen_picker *list)
{
	bool scanned;

	pthread_mutex_lock(&picker->lock);
	picker->seen_count = picker->count;
	memcpy(picker->seen, picker->copy, picker->count * sizeof(*picker->seen));
	scanned = picker->scanned;
	pthread_mutex_unlock(&picker->lock);
	fill_order(picker, filter, list);
	for (unsigned i = 0; i < picker->listed; i++) {
		const struct census_row *row = &picker->seen[picker->order[i]];

		picker->candidate[i] = (struct screen_candidate){
			.pid = row->pid,
			.comm = row->comm,
			.allocator = row->allocator,
			.fig = row->fig,
			.why_not = *row->why_not ? row->why_not : NULL,
		};
	}
	list->candidate = picker->candidate;
	list->count = picker->listed;
	list->found = (unsigned)picker->seen_count;
	list->searching = !scanned || !is_done(picker);
}

void picker_show(struct picker *picker, unsigned first, unsigned count)
{
	bool is_new = false;
	unsigned n = 0;

	pthread_mutex_lock(&picker->lock);
	for (; n < count && n < PICKER_PAGE && first + n < picker->listed; n++) {
		int pid = picker->candidate[first + n].pid;

		is_new |= n >= picker->wanted_count || picker->wanted[n] != pid;
		picker->wanted[n] = pid;
	}
	picker->wanted_count = n;
	if (is_new)
		pthread_cond_signal(&picker->wake);
	pthread_mutex_unlock(&picker->lock);
}

int picker_fd(const struct picker *picker)
{
	return picker->fd;
}

void picker_heard(struct picker *picker)
{
	eventfd_t ignored;

	/* Nothing to hear is no error. */
	if (eventfd_read(picker->fd, &ignored))
		return;
}
