#include "export/events.h"

#include "base/account.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "probe/kill.h"
#include "source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step puts so many under probes: that takes some hundredths of a second each. */
enum { AT_A_TIME = 2, COUNTED_MAX = 256 };

/* A process under probes. SOURCE null: free. */
struct probed {
	int pid;
	uint64_t start_ticks;
	struct source *source;
	struct sample *sample;
};

/* A group. Free where NAME is empty. */
struct counted {
	enum group_kind kind;
	char name[GROUP_TEXT];
	struct event_counts counts;
};

struct export_events {
	const struct frontend *frontend;
	struct population *population;
	struct kills *kills;
	bool is_told; /* that a process could not be put under probes */
	double share;
	struct account probing;
	int64_t probing_ns, counting_ns;
	int64_t count_at_ns; /* when what was counted is read next */
	uint64_t tried;
	bool has_begun; /* those of the start are under probes */
	size_t probed_count;
	struct probed probed[EXPORT_PROBED_MAX];
	struct counted counted[COUNTED_MAX];
};

int export_events_new(struct export_events **events, struct population *population,
		      double share, const struct frontend *frontend, struct fault *fault)
{
	struct export_events *new = alloc_touched(sizeof(*new));
	struct privilege before;
	int error;

	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	new->frontend = frontend;
	new->population = population;
	new->share = share;
	account_open(&new->probing, share * EXPORT_PROBING_SHARE, clock_monotonic_ns());
	before = privilege_raise();
	error = kills_open(&new->kills, fault);
	privilege_restore(before);
	if (error)
		free(new);
	else
		*events = new;
	return error;
}

static void end_probed(struct probed *probed)
{
	source_close(probed->source);
	sample_free(probed->sample);
	*probed = (struct probed){0};
}

void export_events_free(struct export_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < EXPORT_PROBED_MAX; i++)
		if (events->probed[i].source)
			end_probed(&events->probed[i]);
	kills_close(events->kills);
	free(events);
}

/* ---- groups; population is locked ---- */

static struct counted *find(const struct export_events *events, enum group_kind kind,
			    const char *name)
{
	for (size_t i = 0; i < COUNTED_MAX; i++)
		if (events->counted[i].kind == kind &&
		    !strcmp(events->counted[i].name, name))
			return (struct counted *)&events->counted[i];
	return NULL;
}

static bool has_members(struct population *population, const struct counted *counted)
{
	for (size_t i = 0; i < population_count(population); i++) {
		const struct export_member *member = population_at(population, i);

		if (member->group.kind == counted->kind &&
		    !strcmp(export_member_group(member), counted->name))
			return true;
	}
	return false;
}

/* A place that is free, or was a group's that has ended. */
static struct counted *make_room(struct export_events *events)
{
	for (size_t i = 0; i < COUNTED_MAX; i++)
		if (!events->counted[i].name[0])
			return &events->counted[i];
	for (size_t i = 0; i < COUNTED_MAX; i++)
		if (!has_members(events->population, &events->counted[i]))
			return &events->counted[i];
	return NULL;
}

/* The counts of MEMBER's group; null: there is no room. */
static struct event_counts *counts_of(struct export_events *events,
				      const struct export_member *member)
{
	const char *name = export_member_group(member);
	struct counted *counted = find(events, member->group.kind, name);

	if (!counted && *name) {
		counted = make_room(events);
		if (!counted)
			return NULL;
		*counted = (struct counted){.kind = member->group.kind};
		snprintf(counted->name, sizeof(counted->name), "%s", name);
	}
	return counted ? &counted->counts : NULL;
}

const struct event_counts *export_events_of(const struct export_events *events,
					    enum group_kind kind, const char *name)
{
	const struct counted *counted = *name ? find(events, kind, name) : NULL;

	return counted ? &counted->counts : NULL;
}

size_t export_events_probed(const struct export_events *events)
{
	return events->probed_count;
}

/* ---- what was counted ---- */

static uint64_t value(const struct sample *sample, enum figure f)
{
	return figure_has(&sample->fig, f) ? sample->fig.v[f].u : 0;
}

static void add(struct export_events *events, const struct probed *probed)
{
	const struct export_member *member;
	struct event_counts *counts;

	population_lock(events->population);
	member = population_find(events->population, probed->pid, probed->start_ticks);
	counts = member ? counts_of(events, member) : NULL;
	if (counts) {
		counts->growths += value(probed->sample, FIG_GROWTH_EVENTS);
		counts->growth_bytes += value(probed->sample, FIG_GROWTH_BYTES);
		counts->failures += value(probed->sample, FIG_FAILED_ALLOCATIONS);
	}
	population_unlock(events->population);
}

/* A thread loads the probes, and a child reads the files. */
static int64_t used_ns(void)
{
	return clock_process_ns() + clock_children_ns();
}

static void take_off(struct export_events *events, struct probed *probed)
{
	int64_t cpu_ns = used_ns();

	end_probed(probed);
	population_lock(events->population);
	events->probed_count--;
	population_unlock(events->population);
	cpu_ns = used_ns() - cpu_ns;
	events->probing_ns += cpu_ns;
	account_pay(&events->probing, cpu_ns);
}

/* False: the process has ended. */
static bool read_probed(struct export_events *events, struct probed *probed)
{
	struct fault fault;
	int64_t scans_ns = population_scans_cpu_ns(events->population);
	int64_t cpu_ns = used_ns();
	int result = source_read(probed->source, probed->sample, &fault);

	if (result == SOURCE_READ)
		add(events, probed);
	/* A scrape may have looked at /proc meanwhile, which pays for itself. */
	events->counting_ns += used_ns() - cpu_ns -
			       (population_scans_cpu_ns(events->population) - scans_ns);
	return result == SOURCE_READ || result == SOURCE_UNREADABLE;
}

/* A look at the processes may have come between the kill and this. */
static void add_kill(const struct kill_event *event, void *context)
{
	struct export_events *events = context;
	const struct export_member *victim;
	struct event_counts *counts;

	population_lock(events->population);
	victim = population_last_of(events->population, (int)event->pid);
	counts = victim ? counts_of(events, victim) : NULL;
	if (counts)
		counts->kills++;
	population_unlock(events->population);
}

/* ---- who is under probes ---- */

static struct probed *free_place(struct export_events *events)
{
	for (size_t i = 0; i < EXPORT_PROBED_MAX; i++)
		if (!events->probed[i].source)
			return &events->probed[i];
	return NULL;
}

/* The largest process that was not tried yet; *NEXT is a copy. */
static bool next_untried(struct export_events *events, struct export_member *next)
{
	struct export_member *largest = NULL;

	population_lock(events->population);
	for (size_t i = 0; i < population_count(events->population); i++) {
		struct export_member *member = population_at(events->population, i);

		if (!member->was_probed &&
		    (!largest || member->rss_bytes > largest->rss_bytes))
			largest = member;
	}
	if (largest) {
		largest->was_probed = true;
		*next = *largest;
	}
	population_unlock(events->population);
	return largest;
}

/* One that cannot be put under probes is not tried again: it has no glibc, say. */
static void begin_probed(struct export_events *events, struct probed *place,
			 const struct export_member *member)
{
	const struct source_options options = {
		.source = SOURCE_PROC,
		.quick = true,
		.events = true,
		.hurry = frontend_stop_flag(events->frontend),
	};
	struct fault fault;
	int error = source_open(&place->source, member->pid, &options, &fault);

	if (error) {
		place->source = NULL;
		if (!events->is_told)
			frontend_message(events->frontend,
					 "%s: its events are not counted (others that "
					 "cannot be put under probes are not named)",
					 fault.text);
		events->is_told = true;
		return;
	}
	place->sample = source_sample(place->source);
	if (!place->sample) {
		end_probed(place);
		return;
	}
	place->pid = member->pid;
	place->start_ticks = member->start_ticks;
	population_lock(events->population);
	events->probed_count++;
	counts_of(events, member);
	population_unlock(events->population);
}

/* Of programs that come and go by the second, some are not counted: to put each under
 * probes would cost several times what may be spent. */
static void probe_more(struct export_events *events)
{
	account_gain(&events->probing, events->probing.share, clock_monotonic_ns());
	for (int i = 0; i < AT_A_TIME; i++) {
		struct probed *place = free_place(events);
		int64_t cpu_ns = used_ns();
		struct export_member next;

		if (!place || account_wait_ns(&events->probing, 0))
			return;
		if (!next_untried(events, &next)) {
			events->has_begun = true;
			return;
		}
		begin_probed(events, place, &next);
		cpu_ns = used_ns() - cpu_ns;
		events->probing_ns += cpu_ns;
		if (events->has_begun || events->tried++ >= EXPORT_PROBED_MAX)
			account_pay(&events->probing, cpu_ns);
	}
}

int64_t export_events_probing_ns(const struct export_events *events)
{
	return events->probing_ns;
}

int64_t export_events_counting_ns(const struct export_events *events)
{
	return events->counting_ns;
}

static void count(struct export_events *events)
{
	int64_t before_ns = events->counting_ns, now_ns = clock_monotonic_ns();

	if (now_ns < events->count_at_ns)
		return;
	for (size_t i = 0; i < EXPORT_PROBED_MAX; i++) {
		struct probed *probed = &events->probed[i];

		if (probed->source && !read_probed(events, probed))
			take_off(events, probed);
	}
	events->count_at_ns =
		now_ns + (int64_t)((double)(events->counting_ns - before_ns) /
				   (events->share * EXPORT_COUNTING_SHARE));
}

void export_events_step(struct export_events *events)
{
	kills_poll(events->kills, add_kill, events);
	count(events);
	probe_more(events);
}
