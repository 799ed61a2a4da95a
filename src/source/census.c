#include "source/census.h"

#include "base/alloc_touched.h"
#include "base/sort.h"
#include "base/units.h"
#include "glibc/attach.h"
#include "source/driver.h"
#include "target/usage.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	USERS = 64,
	SLOT_BITS = 12, /* of a sort key: a slot of ROW */
};

_Static_assert(CENSUS_MAX <= 1 << SLOT_BITS, "a slot fits into its bits");

/* Names that were looked up: that may take asking a server. */
struct user {
	uid_t uid;
	char name[sizeof(((struct census_row *)NULL)->user)];
};

/* ROW is in no order; SEEN: the scan that goes on has met it. BY_PID are keys of PID and
 * slot from before the scan, sorted; BY_SIZE are the slots from the largest on. */
struct census {
	size_t max; /* of COUNT */
	size_t count;
	size_t known;
	size_t met; /* processes with memory of their own, in the last scan */
	size_t users;
	struct user user[USERS];
	uint64_t by_pid[CENSUS_MAX];
	uint64_t by_size[CENSUS_MAX];
	bool seen[CENSUS_MAX];
	struct census_row row[CENSUS_MAX];
};

int census_new(struct census **census)
{
	*census = alloc_touched(sizeof(**census));
	if (!*census)
		return -ENOMEM;
	(*census)->max = CENSUS_MAX;
	return 0;
}

void census_limit(struct census *census, size_t max)
{
	census->max = max < CENSUS_MAX ? max : CENSUS_MAX;
}

void census_free(struct census *census)
{
	free(census);
}

/* ---- users ---- */

static void look_up(struct user *user, uid_t uid)
{
	const struct passwd *found = getpwuid(uid);

	user->uid = uid;
	if (found)
		snprintf(user->name, sizeof(user->name), "%s", found->pw_name);
	else
		snprintf(user->name, sizeof(user->name), "%u", uid);
}

/* With more users than there is room for, the last one makes room. */
static const char *user_name(struct census *census, uid_t uid)
{
	size_t i = 0;

	while (i < census->users && census->user[i].uid != uid)
		i++;
	if (i == census->users) {
		i = i < USERS ? i : USERS - 1;
		look_up(&census->user[i], uid);
		census->users = i + 1;
	}
	return census->user[i].name;
}

/* ---- the scan ---- */

static void sort_by_pid(struct census *census)
{
	for (size_t i = 0; i < census->count; i++) {
		census->by_pid[i] = (uint64_t)census->row[i].pid << SLOT_BITS | i;
		census->seen[i] = false;
	}
	census->known = census->count;
	sort_addresses(census->by_pid, census->count);
}

/* The row of PROCESS from the scan before; null when it is a new one. */
static struct census_row *row_before(struct census *census, const struct process *process)
{
	uint64_t key = (uint64_t)process->pid << SLOT_BITS;
	size_t i = sort_lower_bound(census->by_pid, census->known, key);
	struct census_row *row;

	if (i == census->known ||
	    census->by_pid[i] >> SLOT_BITS != (uint64_t)process->pid)
		return NULL;
	row = &census->row[census->by_pid[i] & (CENSUS_MAX - 1)];
	return row->pid == process->pid && row->start_ticks == process->start_ticks
		       ? row
		       : NULL;
}

static uint64_t rss_of(const struct census_row *row)
{
	return row->fig.v[FIG_RSS_BYTES].u;
}

/* The smallest of the rows, to be given up for one that is larger than it; else null. */
static struct census_row *row_to_give_up(struct census *census, uint64_t rss_bytes)
{
	struct census_row *smallest = &census->row[0];

	if (!census->count)
		return NULL;
	for (size_t i = 1; i < census->count; i++)
		if (rss_of(&census->row[i]) < rss_of(smallest))
			smallest = &census->row[i];
	return rss_of(smallest) < rss_bytes ? smallest : NULL;
}

static struct census_row *new_row(struct census *census, uint64_t rss_bytes)
{
	if (census->count < census->max)
		return &census->row[census->count++];
	return row_to_give_up(census, rss_bytes);
}

/* What does not change with time; PROCESS is open unless WHY says why not. */
static void introduce(struct census *census, struct census_row *row,
		      const struct process *process, const char *why)
{
	char guess[ATTACH_NAME] = "";
	uid_t uid;

	*row = (struct census_row){
		.pid = process->pid,
		.start_ticks = process->start_ticks,
	};
	snprintf(row->comm, sizeof(row->comm), "%s", process->comm);
	snprintf(row->why_not, sizeof(row->why_not), "%s", why);
	if (!process_user(process->pid, &uid))
		snprintf(row->user, sizeof(row->user), "%s", user_name(census, uid));
	if (!*why && !attach_guess(process, guess))
		snprintf(row->allocator, sizeof(row->allocator), "%s", guess);
}

static void meet(struct census *census, const struct process *process, const char *why)
{
	struct census_row *row = row_before(census, process);
	struct usage usage;

	/* Gone by now, or without memory. */
	if (usage_quick(process, &usage) || !usage.rss_bytes)
		return;
	census->met++;
	/* By its name, so is a process that runs another program by now. */
	if (!row || strcmp(row->comm, process->comm) != 0) {
		row = row ? row : new_row(census, usage.rss_bytes);
		if (!row)
			return;
		introduce(census, row, process, why);
	}
	figure_set(&row->fig, FIG_RSS_BYTES, usage.rss_bytes);
	census->seen[row - census->row] = true;
}

/* What may not be looked at has a row all the same. */
static void look_at(struct census *census, int pid)
{
	struct process process;
	struct fault fault = {0};
	int error = process_open(&process, pid, &fault);

	if (!error || error == -EACCES || error == -EPERM)
		meet(census, &process, error ? fault.text : "");
	if (!error)
		process_close(&process);
}

/* Rows that were not met are of processes that have ended: the last ones take their
 * places. */
static void forget_ended(struct census *census)
{
	for (size_t i = 0; i < census->count;) {
		if (census->seen[i]) {
			i++;
			continue;
		}
		census->count--;
		census->row[i] = census->row[census->count];
		census->seen[i] = census->seen[census->count];
	}
}

/* Pages and slot in one key; the largest come last. */
static void sort_by_size(struct census *census)
{
	for (size_t i = 0; i < census->count; i++)
		census->by_size[i] = rss_of(&census->row[i]) >> 10 << SLOT_BITS | i;
	sort_addresses(census->by_size, census->count);
}

static int scan_once(struct census *census, struct fault *fault)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	uint64_t pid;

	if (!proc)
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot look for processes in /proc: %s: is it mounted?",
				 strerror(errno));
	census->met = 0;
	sort_by_pid(census);
	while ((entry = readdir(proc)))
		if (!units_parse_count(entry->d_name, &pid) && pid && pid <= INT_MAX &&
		    (int)pid != getpid())
			look_at(census, (int)pid);
	closedir(proc);
	forget_ended(census);
	return 0;
}

int census_scan(struct census *census, struct fault *fault)
{
	int error;

	if (census->count > census->max)
		census->count = 0;
	error = scan_once(census, fault);
	/* Rows of processes that had ended were in the way of others. */
	if (!error && census->count < census->max && census->met > census->count)
		error = scan_once(census, fault);
	sort_by_size(census);
	return error;
}

size_t census_count(const struct census *census)
{
	return census->count;
}

size_t census_left_out(const struct census *census)
{
	return census->met - census->count;
}

static size_t slot_of(const struct census *census, size_t i)
{
	return census->by_size[census->count - 1 - i] & (CENSUS_MAX - 1);
}

const struct census_row *census_at(const struct census *census, size_t i)
{
	return i < census->count ? &census->row[slot_of(census, i)] : NULL;
}

/* ---- one process ---- */

static int read_row(struct census_row *row, struct source *source, struct fault *fault)
{
	struct sample *sample;
	int result;

	/* Its number may have been given to another one since the scan. */
	if (source->process.start_ticks != row->start_ticks)
		return fault_set(fault, EXIT_DONE, SOURCE_ENDED,
				 "process %d (%s) has ended", row->pid, row->comm);
	sample = source_sample(source);
	if (!sample)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	result = source_read(source, sample, fault);
	if (result == SOURCE_READ) {
		if (!figure_has(&sample->fig, FIG_RSS_BYTES))
			figure_set(&sample->fig, FIG_RSS_BYTES, rss_of(row));
		row->fig = sample->fig;
		memcpy(row->allocator, sample->allocator, sizeof(row->allocator));
	}
	sample_free(sample);
	return result;
}

void census_probe(struct census *census, size_t i, uint64_t whole_bytes)
{
	struct census_row *row = &census->row[slot_of(census, i)];
	const struct source_options options = {
		.source = SOURCE_HEAP,
		.quick = rss_of(row) > whole_bytes,
		.or_preload = true,
		.threads = 1,
	};
	struct fault fault = {0};
	struct source *source;
	int result = source_open(&source, row->pid, &options, &fault);

	if (!result) {
		result = read_row(row, source, &fault);
		source_close(source);
	}
	row->probed = true;
	snprintf(row->why_not, sizeof(row->why_not), "%s", result ? fault.text : "");
}
