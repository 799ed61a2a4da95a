#include "export/groups.h"

#include "base/alloc_touched.h"
#include "base/sort.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE = 2 * POPULATION_MAX, SLOT_BITS = 12, NONE = -1 };

/* A group of the scan, before it is known whether it is shown. */
struct found_group {
	const struct export_member *first;
	uint64_t rss_bytes;
	bool was_shown;
	size_t place; /* in SUMS */
};

/* TABLE is a hash table of slots of FOUND, by key; OF the slot of each member. */
struct groups {
	size_t top;
	bool by_pid;
	size_t found_count, shown, count;
	int16_t table[TABLE];
	uint16_t of[POPULATION_MAX];
	uint64_t by_size[POPULATION_MAX];
	struct found_group found[POPULATION_MAX];
	struct group_sums sums[]; /* TOP and one */
};

_Static_assert(POPULATION_MAX <= 1 << SLOT_BITS && POPULATION_MAX <= INT16_MAX,
	       "a slot fits into its bits");

int groups_new(struct groups **groups, size_t top, bool by_pid)
{
	*groups =
		alloc_touched(sizeof(**groups) + (top + 1) * sizeof((*groups)->sums[0]));
	if (!*groups)
		return -ENOMEM;
	(*groups)->top = top;
	(*groups)->by_pid = by_pid;
	return 0;
}

void groups_free(struct groups *groups)
{
	free(groups);
}

/* ---- which groups there are ---- */

static uint32_t hash(const struct groups *groups, const struct export_member *member)
{
	uint32_t sum = 2166136261U + (groups->by_pid ? (uint32_t)member->pid : 0);

	for (const char *at = export_member_group(member); *at; at++)
		sum = (sum ^ (unsigned char)*at) * 16777619U;
	return sum;
}

static bool is_same(const struct groups *groups, const struct export_member *a,
		    const struct export_member *b)
{
	return a->group.kind == b->group.kind &&
	       !strcmp(export_member_group(a), export_member_group(b)) &&
	       (!groups->by_pid || a->pid == b->pid);
}

static struct found_group *find(struct groups *groups, const struct export_member *member)
{
	size_t at = hash(groups, member) % TABLE;
	struct found_group *found;

	for (; groups->table[at] != NONE; at = (at + 1) % TABLE)
		if (is_same(groups, groups->found[groups->table[at]].first, member))
			return &groups->found[groups->table[at]];
	groups->table[at] = (int16_t)groups->found_count;
	found = &groups->found[groups->found_count++];
	*found = (struct found_group){.first = member};
	return found;
}

static void find_all(struct groups *groups, struct population *population)
{
	groups->found_count = 0;
	for (size_t i = 0; i < TABLE; i++)
		groups->table[i] = NONE;
	for (size_t i = 0; i < population_count(population); i++) {
		const struct export_member *member = population_at(population, i);
		struct found_group *found = find(groups, member);

		groups->of[i] = (uint16_t)(found - groups->found);
		found->rss_bytes += member->rss_bytes;
		found->was_shown |= member->is_shown;
	}
}

/* ---- which are shown ---- */

/* The slots from the largest on get places of their own, the others the last one. */
static void choose(struct groups *groups)
{
	size_t count = groups->found_count;

	for (size_t i = 0; i < count; i++) {
		const struct found_group *found = &groups->found[i];
		uint64_t weight =
			found->rss_bytes + (found->was_shown ? found->rss_bytes / 10 : 0);

		groups->by_size[i] = weight >> 10 << SLOT_BITS | i;
	}
	sort_addresses(groups->by_size, count);
	groups->shown = count <= groups->top ? count : groups->top;
	groups->count = groups->shown + (count > groups->shown);
	for (size_t i = 0; i < count; i++) {
		size_t slot = groups->by_size[count - 1 - i] & (POPULATION_MAX - 1);

		groups->found[slot].place = i < groups->shown ? i : groups->shown;
	}
}

static void begin_sums(struct groups *groups)
{
	memset(groups->sums, 0, groups->count * sizeof(groups->sums[0]));
	for (size_t i = 0; i < groups->found_count; i++) {
		const struct found_group *found = &groups->found[i];
		struct group_sums *sums = &groups->sums[found->place];

		if (found->place == groups->shown) {
			sums->group.kind = GROUP_OTHER;
			snprintf(sums->group.name, sizeof(sums->group.name), "other");
			continue;
		}
		sums->group = found->first->group;
		snprintf(sums->group.name, sizeof(sums->group.name), "%s",
			 export_member_group(found->first));
		memcpy(sums->comm, found->first->comm, sizeof(sums->comm));
		sums->pid = groups->by_pid ? found->first->pid : 0;
	}
}

/* ---- sums ---- */

static bool is_summed(enum figure f)
{
	return figure_info[f].metric && figure_info[f].unit != UNIT_RATIO &&
	       f != FIG_RSS_BYTES && f != FIG_SWAP_BYTES;
}

static void add_figures(struct group_sums *sums, const struct export_member *member)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!is_summed(f) || !figure_has(&member->fig, f))
			continue;
		figure_set(&sums->fig, f, sums->fig.v[f].u + member->fig.v[f].u);
		sums->with[f]++;
	}
	if (!sums->read++ || member->read_ns < sums->oldest_ns)
		sums->oldest_ns = member->read_ns;
}

static void add_member(struct group_sums *sums, const struct export_member *member)
{
	sums->processes++;
	sums->in_state[member->state]++;
	figure_set(&sums->fig, FIG_RSS_BYTES,
		   sums->fig.v[FIG_RSS_BYTES].u + member->rss_bytes);
	figure_set(&sums->fig, FIG_SWAP_BYTES,
		   sums->fig.v[FIG_SWAP_BYTES].u + member->swap_bytes);
	for (unsigned i = 0; i < RULES_MAX; i++)
		sums->alerts[i] += member->alerts >> i & 1;
	if (member->has_figures)
		add_figures(sums, member);
}

/* Sums of different processes make no ratio. */
static void derive(struct group_sums *sums)
{
	struct figures whole = sums->fig;

	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (sums->with[f] != sums->read)
			figure_drop(&whole, f);
	figures_derive(&whole);
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].derive && figure_has(&whole, f))
			figure_set_ratio(&sums->fig, f, whole.v[f].d);
}

void groups_gather(struct groups *groups, struct population *population)
{
	find_all(groups, population);
	choose(groups);
	begin_sums(groups);
	for (size_t i = 0; i < population_count(population); i++) {
		struct export_member *member = population_at(population, i);
		size_t place = groups->found[groups->of[i]].place;

		member->is_shown = place < groups->shown;
		add_member(&groups->sums[place], member);
	}
	for (size_t i = 0; i < groups->count; i++)
		derive(&groups->sums[i]);
}

void groups_take_events(struct groups *groups, const struct export_events *events)
{
	for (size_t i = 0; i < groups->shown; i++) {
		struct group_sums *sums = &groups->sums[i];
		const struct event_counts *counts =
			export_events_of(events, sums->group.kind, sums->group.name);

		sums->has_events = counts;
		if (counts)
			sums->events = *counts;
	}
}

size_t groups_count(const struct groups *groups)
{
	return groups->count;
}

size_t groups_in_rest(const struct groups *groups)
{
	return groups->found_count - groups->shown;
}

const struct group_sums *groups_at(const struct groups *groups, size_t i)
{
	return &groups->sums[i];
}
