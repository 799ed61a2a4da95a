#include "export/population.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/sort.h"
#include "base/units.h"
#include "view/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOT_BITS = 12, STATUS_BYTES = 4096, ENDED = 64 };

_Static_assert(POPULATION_MAX <= 1 << SLOT_BITS, "a slot fits into its bits");

/* BY_PID are keys of PID and slot from before the scan, sorted; SEEN: the scan that goes
 * on has met it. ENDED is a ring: whom a kill was of that is heard of only now. */
struct population {
	struct selection_by by;
	bool is_all; /* no list names any */
	pthread_mutex_t lock;
	DIR *proc; /* null: not opened yet */
	size_t count, known, left_out;
	uint64_t scans;
	int64_t scanned_ns, scan_cpu_ns;
	_Atomic int64_t scans_cpu_ns; /* read without the lock, too */
	uint64_t by_pid[POPULATION_MAX];
	bool seen[POPULATION_MAX];
	struct export_member member[POPULATION_MAX];
	struct export_member ended[ENDED];
	size_t ended_count;
};

int population_new(struct population **population, const struct selection_by *by)
{
	struct population *new = alloc_touched(sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->by = *by;
	new->is_all = !by->pids.count && !by->names.count && !by->units.count &&
		      !by->containers.count && !by->pods.count;
	pthread_mutex_init(&new->lock, NULL);
	*population = new;
	return 0;
}

void population_free(struct population *population)
{
	if (!population)
		return;
	if (population->proc)
		closedir(population->proc);
	pthread_mutex_destroy(&population->lock);
	free(population);
}

void population_lock(struct population *population)
{
	pthread_mutex_lock(&population->lock);
}

void population_unlock(struct population *population)
{
	pthread_mutex_unlock(&population->lock);
}

const char *export_member_group(const struct export_member *member)
{
	return member->group.kind == GROUP_NAME ? member->comm : member->group.name;
}

/* ---- who belongs to it ---- */

static bool has_pid(const struct pid_list *pids, int pid)
{
	for (size_t i = 0; i < pids->count; i++)
		if (pids->pid[i] == pid)
			return true;
	return false;
}

/* Whether TEXT is one of LIST, or begins with one of it. */
static bool has_text(const struct name_list *list, const char *text, bool by_prefix)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t length = strlen(list->name[i]);

		if (!strncmp(list->name[i], text, length) && (by_prefix || !text[length]))
			return true;
	}
	return false;
}

/* "nginx" stands for "nginx.service", as systemctl takes it. */
static bool has_unit(const struct name_list *units, const char *name)
{
	static const char tail[] = ".service";

	for (size_t i = 0; i < units->count; i++) {
		size_t length = strlen(units->name[i]);

		if (!strncmp(units->name[i], name, length) &&
		    (!name[length] || !strcmp(name + length, tail)))
			return true;
	}
	return false;
}

static bool is_in_group(const struct selection_by *by, const struct grouping *group)
{
	return (group->kind == GROUP_UNIT && has_unit(&by->units, group->name)) ||
	       (group->kind == GROUP_CONTAINER &&
		has_text(&by->containers, group->name, true)) ||
	       (group->pod[0] && has_text(&by->pods, group->pod, false));
}

static bool is_named(const struct selection_by *by, int pid)
{
	for (size_t i = 0; i < by->names.count; i++)
		if (targets_matches(pid, by->names.name[i]))
			return true;
	return false;
}

static bool belongs(const struct population *population, int pid,
		    const struct grouping *group)
{
	return population->is_all || has_pid(&population->by.pids, pid) ||
	       is_in_group(&population->by, group) || is_named(&population->by, pid);
}

/* ---- the scan ---- */

static void sort_by_pid(struct population *population)
{
	for (size_t i = 0; i < population->count; i++)
		population->by_pid[i] =
			(uint64_t)population->member[i].pid << SLOT_BITS | i;
	population->known = population->count;
	sort_addresses(population->by_pid, population->count);
}

struct export_member *population_find(struct population *population, int pid,
				      uint64_t start_ticks)
{
	size_t i = sort_lower_bound(population->by_pid, population->known,
				    (uint64_t)pid << SLOT_BITS);
	struct export_member *member;

	if (i == population->known || population->by_pid[i] >> SLOT_BITS != (uint64_t)pid)
		return NULL;
	member = &population->member[population->by_pid[i] & (POPULATION_MAX - 1)];
	return member->pid == pid && member->start_ticks == start_ticks ? member : NULL;
}

/* The user, and what is in swap. */
static void take_status(struct export_member *member)
{
	char text[STATUS_BYTES];
	uint64_t value;

	if (process_text(member->pid, "status", text, sizeof(text)) < 0)
		return;
	if (!file_field(text, "Uid", &value))
		member->uid = (uid_t)value;
	if (!file_field(text, "VmSwap", &value))
		member->swap_bytes = value << 10;
}

static struct export_member *new_member(struct population *population, int pid,
					const struct process_brief *brief)
{
	struct export_member *member;

	if (population->count == POPULATION_MAX) {
		population->left_out++;
		return NULL;
	}
	member = &population->member[population->count++];
	memset(member, 0, sizeof(*member));
	member->pid = pid;
	member->start_ticks = brief->start_ticks;
	return member;
}

/* NAME as labels show it: no two series may have the same labels, so names that look the
 * same there are one. */
static void as_shown(char *name, size_t size)
{
	char shown[GROUP_TEXT] = "";

	metrics_shown(name, shown, size);
	memcpy(name, shown, size);
}

_Static_assert((int)PROCESS_COMM <= (int)GROUP_TEXT, "SHOWN has room for both");

/* A process may be moved to another group, and take another name. */
static void meet(struct population *population, int pid)
{
	char comm[PROCESS_COMM];
	struct process_brief brief;
	struct export_member *member;
	struct grouping group;

	if (process_look(pid, &brief) || !brief.rss_bytes ||
	    brief.rss_bytes < population->by.min_rss_bytes)
		return;
	grouping_read(pid, &group);
	if (!belongs(population, pid, &group) ||
	    process_line(pid, "comm", comm, sizeof(comm)) < 0)
		return;
	as_shown(comm, sizeof(comm));
	as_shown(group.name, sizeof(group.name));
	member = population_find(population, pid, brief.start_ticks);
	if (!member)
		member = new_member(population, pid, &brief);
	if (!member)
		return;
	/* Another program begins anew, with other reasons not to be read. */
	if (strcmp(member->comm, comm) != 0)
		member->refusals = 0;
	snprintf(member->comm, sizeof(member->comm), "%s", comm);
	member->group = group;
	member->rss_bytes = brief.rss_bytes;
	take_status(member);
	population->seen[member - population->member] = true;
}

/* The last ones take the places of those that have ended. */
static void forget_ended(struct population *population)
{
	for (size_t i = 0; i < population->count;) {
		if (population->seen[i]) {
			i++;
			continue;
		}
		population->ended[population->ended_count++ % ENDED] =
			population->member[i];
		population->count--;
		population->member[i] = population->member[population->count];
		population->seen[i] = population->seen[population->count];
	}
}

static void look(struct population *population)
{
	const struct dirent *entry;
	uint64_t pid;

	population->left_out = 0;
	rewinddir(population->proc);
	memset(population->seen, 0, sizeof(population->seen));
	while ((entry = readdir(population->proc)))
		if (!units_parse_count(entry->d_name, &pid) && pid && pid <= INT_MAX &&
		    (int)pid != getpid())
			meet(population, (int)pid);
	forget_ended(population);
	sort_by_pid(population);
}

int population_scan(struct population *population, int64_t fresh_ns, struct fault *fault)
{
	int64_t cpu_ns = clock_thread_ns();

	if (population->scans && clock_monotonic_ns() - population->scanned_ns < fresh_ns)
		return 0;
	if (!population->proc)
		population->proc = opendir("/proc");
	if (!population->proc)
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot look for processes in /proc: %s: is it mounted?",
				 strerror(errno));
	look(population);
	population->scans++;
	population->scanned_ns = clock_monotonic_ns();
	population->scan_cpu_ns = clock_thread_ns() - cpu_ns;
	population->scans_cpu_ns += population->scan_cpu_ns;
	return 0;
}

int64_t population_fresh_ns(const struct population *population, int64_t least_ns,
			    double share)
{
	int64_t ns =
		(int64_t)((double)population->scan_cpu_ns / (share * POPULATION_SHARE));

	return ns > least_ns ? ns : least_ns;
}

uint64_t population_scans(const struct population *population)
{
	return population->scans;
}

int64_t population_scan_cpu_ns(const struct population *population)
{
	return population->scan_cpu_ns;
}

int64_t population_scans_cpu_ns(const struct population *population)
{
	return population->scans_cpu_ns;
}

size_t population_left_out(const struct population *population)
{
	return population->left_out;
}

size_t population_count(const struct population *population)
{
	return population->count;
}

struct export_member *population_at(struct population *population, size_t i)
{
	return &population->member[i];
}

const struct export_member *population_last_of(const struct population *population,
					       int pid)
{
	for (size_t i = 0; i < population->count; i++)
		if (population->member[i].pid == pid)
			return &population->member[i];
	for (size_t i = population->ended_count, left = ENDED; i && left; i--, left--)
		if (population->ended[(i - 1) % ENDED].pid == pid)
			return &population->ended[(i - 1) % ENDED];
	return NULL;
}
