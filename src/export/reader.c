#include "export/reader.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A reading of fewer cells says too little; one of more disturbs the others. */
#define BUDGET_LEAST_NS INT64_C(5000000)
#define BUDGET_MOST_NS	INT64_C(250000000)

/* A process that cannot be read is left alone for longer each time, up to about this. */
#define REFUSED_MOST_NS INT64_C(600000000000)

/* Threads of ours that wait for a process for ever: so many in all, and of one group or
 * user, so that no one can take them all from the others. */
enum { HELD_MOST = 16, HELD_OF_ONE = 2 };

/* A process that holds its reader: SOURCE, when it could be opened, is asked nothing more
 * until it lets go. */
struct held {
	int pid; /* 0: free */
	uint64_t start_ticks;
	uid_t uid;
	struct grouping group;
	struct source *source;
};

struct reader {
	struct reader_options options;
	struct population *population;
	struct held held[HELD_MOST];
	struct reader_totals totals;
};

/* Whom the reading that goes on is of: a copy, as the population changes meanwhile. */
struct errand {
	struct export_member member;
	int64_t budget_ns;
};

int reader_new(struct reader **reader, const struct reader_options *options,
	       struct population *population)
{
	*reader = alloc_touched(sizeof(**reader));
	if (!*reader)
		return -ENOMEM;
	(*reader)->options = *options;
	(*reader)->population = population;
	return 0;
}

void reader_free(struct reader *reader)
{
	for (size_t i = 0; reader && i < HELD_MOST; i++)
		source_close(reader->held[i].source);
	free(reader);
}

const struct reader_totals *reader_totals(const struct reader *reader)
{
	return &reader->totals;
}

/* ---- those that hold us ---- */

/* Names of processes are their own to choose; of a group it takes rights. */
static bool is_of_same(const struct held *held, const struct export_member *member)
{
	if (member->group.kind == GROUP_NAME || held->group.kind == GROUP_NAME)
		return held->uid == member->uid;
	return !strcmp(held->group.name, member->group.name);
}

static bool may_be_read(const struct reader *reader, const struct export_member *member)
{
	unsigned all = 0, of_same = 0;

	for (size_t i = 0; i < HELD_MOST; i++) {
		const struct held *held = &reader->held[i];

		if (!held->pid)
			continue;
		if (held->pid == member->pid && held->start_ticks == member->start_ticks)
			return false;
		all++;
		of_same += is_of_same(held, member);
	}
	return all < HELD_MOST && of_same < HELD_OF_ONE;
}

static void hold(struct reader *reader, const struct export_member *member,
		 struct source *source)
{
	struct held *held = reader->held;

	while (held->pid)
		held++;
	population_lock(reader->population);
	*held = (struct held){
		.pid = member->pid,
		.start_ticks = member->start_ticks,
		.uid = member->uid,
		.group = member->group,
		.source = source,
	};
	reader->totals.held++;
	population_unlock(reader->population);
}

/* Whether HELD's thread has come back. One that held us while it was opened tells by its
 * end alone. */
static bool has_let_go(const struct held *held, struct sample *sample)
{
	struct fault fault;

	return held->source &&
	       source_read(held->source, sample, &fault) != SOURCE_UNREADABLE;
}

/* Whether the process PID that began at START_TICKS is there: its number may have been
 * given to another since the scan. */
static bool is_there(int pid, uint64_t start_ticks)
{
	struct process_brief brief;

	return !process_look(pid, &brief) && brief.start_ticks == start_ticks;
}

/* One that leaves the population still holds our thread, and may come back. */
static void look_at_held(struct reader *reader, struct held *held)
{
	struct sample *sample = held->source ? source_sample(held->source) : NULL;
	struct source *source = NULL;
	struct export_member *member;
	bool let_go = sample && has_let_go(held, sample);
	bool has_ended = !is_there(held->pid, held->start_ticks);

	sample_free(sample);
	population_lock(reader->population);
	member = population_find(reader->population, held->pid, held->start_ticks);
	if (member && let_go)
		member->due_ns = 0;
	else if (member)
		member->state = MEMBER_HELD;
	if (has_ended || let_go) {
		source = held->source;
		*held = (struct held){0};
		reader->totals.held--;
	}
	population_unlock(reader->population);
	source_close(source);
}

static void look_at_all_held(struct reader *reader)
{
	for (size_t i = 0; i < HELD_MOST; i++)
		if (reader->held[i].pid)
			look_at_held(reader, &reader->held[i]);
}

/* ---- whose turn it is ---- */

/* Whether A comes before B: what was never read first, the largest of it; then what is
 * due longest. */
static bool comes_before(const struct export_member *a, const struct export_member *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return a->rss_bytes > b->rss_bytes;
}

/* Population is locked. */
static struct export_member *next_member(struct reader *reader, size_t *readable)
{
	struct export_member *next = NULL;

	*readable = 0;
	for (size_t i = 0; i < population_count(reader->population); i++) {
		struct export_member *member = population_at(reader->population, i);

		if (!may_be_read(reader, member))
			continue;
		*readable += member->state != MEMBER_REFUSED;
		if (!next || comes_before(member, next))
			next = member;
	}
	return next;
}

int64_t reader_due_ns(struct reader *reader)
{
	const struct export_member *next;
	size_t readable;
	int64_t due_ns;

	look_at_all_held(reader);
	population_lock(reader->population);
	next = next_member(reader, &readable);
	due_ns = next ? next->due_ns : INT64_MAX;
	population_unlock(reader->population);
	return due_ns;
}

/* Each process's part of what may be spent until all are due again. */
static int64_t budget_ns(const struct reader *reader, size_t readable)
{
	double all_ns = reader->options.share * (double)reader->options.interval_ns;
	int64_t part_ns = (int64_t)(all_ns / (double)(readable ? readable : 1));

	if (part_ns < BUDGET_LEAST_NS)
		return BUDGET_LEAST_NS;
	return part_ns > BUDGET_MOST_NS ? BUDGET_MOST_NS : part_ns;
}

/* ---- a reading ---- */

static enum member_state state_of(const struct sample *sample)
{
	static const enum member_state of[] = {
		[STATUS_COMPLETE] = MEMBER_COMPLETE,
		[STATUS_TORN] = MEMBER_TORN,
		[STATUS_PARTIAL] = MEMBER_PARTIAL,
		[STATUS_ESTIMATED] = MEMBER_ESTIMATED,
	};

	return of[sample->status];
}

static int64_t pause_ns(const struct reader *reader, const struct export_member *member)
{
	int64_t ns = reader->options.interval_ns;

	for (unsigned i = 1; i < member->refusals && ns < REFUSED_MOST_NS; i++)
		ns *= 2;
	return ns;
}

static void take_sample(struct export_member *member, const struct errand *errand,
			const struct sample *sample)
{
	member->alerts = errand->member.alerts;
	member->has_figures = true;
	member->fig = sample->fig;
	member->read_ns = clock_monotonic_ns();
	member->refusals = 0;
}

static void take_result(struct export_member *member, const struct errand *errand,
			enum member_state state, const struct sample *sample)
{
	member->state = state;
	if (sample)
		take_sample(member, errand, sample);
	else
		member->refusals++;
	if (state == MEMBER_REFUSED) {
		member->has_figures = false;
		member->alerts = 0;
	}
}

/* Of the process that the sample is of. False: what cannot be judged, for want of room,
 * has the alerts that it had. */
static bool judge(struct reader *reader, struct errand *errand,
		  const struct sample *sample)
{
	return !reader->options.rulebook ||
	       rulebook_judge(reader->options.rulebook, &errand->member, sample,
			      &errand->member.alerts);
}

/* What came of the reading of ERRAND, into the population as it is now. SAMPLE: null
 * unless it is one. */
static void settle(struct reader *reader, struct errand *errand, enum member_state state,
		   const struct sample *sample, int64_t cpu_ns)
{
	struct export_member *member;
	bool is_same = is_there(errand->member.pid, errand->member.start_ticks);
	bool is_judged = !sample || !is_same || judge(reader, errand, sample);

	population_lock(reader->population);
	reader->totals.unjudged += !is_judged;
	reader->totals.readings[state] += is_same;
	reader->totals.cpu_ns += cpu_ns;
	member = population_find(reader->population, errand->member.pid,
				 errand->member.start_ticks);
	if (member && is_same)
		take_result(member, errand, state, sample);
	/* One that has ended is not tried again and again until a look forgets it. */
	if (member)
		member->due_ns = clock_monotonic_ns() + pause_ns(reader, member);
	population_unlock(reader->population);
}

/* A child reads the program's files. */
static int64_t used_ns(void)
{
	return clock_thread_ns() + clock_children_ns();
}

static void read_open(struct reader *reader, struct errand *errand, struct source *source,
		      int64_t begin_ns)
{
	struct sample *sample = source_sample(source);
	struct fault fault;
	int result = sample ? source_read(source, sample, &fault) : -ENOMEM;
	int64_t cpu_ns = source_cpu_ns(source) + used_ns() - begin_ns;

	if (result == SOURCE_UNREADABLE) {
		hold(reader, &errand->member, source);
		settle(reader, errand, MEMBER_HELD, NULL, cpu_ns);
		sample_free(sample);
		return;
	}
	if (result == SOURCE_READ)
		settle(reader, errand, state_of(sample), sample, cpu_ns);
	else
		settle(reader, errand, MEMBER_REFUSED, NULL, cpu_ns);
	sample_free(sample);
	source_close(source);
}

static void read_member(struct reader *reader, struct errand *errand)
{
	const struct source_options options = {
		.source = SOURCE_HEAP,
		.or_preload = true,
		.go_on = true,
		.swap_in = reader->options.swap_in,
		.threads = 1,
		.budget_ns = errand->budget_ns,
		.hurry = frontend_stop_flag(reader->options.frontend),
	};
	int64_t begin_ns = used_ns();
	struct source *source;
	struct fault fault;
	int error = source_open(&source, errand->member.pid, &options, &fault);

	if (!error) {
		read_open(reader, errand, source, begin_ns);
		return;
	}
	if (error == -ETIMEDOUT)
		hold(reader, &errand->member, NULL);
	settle(reader, errand, error == -ETIMEDOUT ? MEMBER_HELD : MEMBER_REFUSED, NULL,
	       used_ns() - begin_ns);
}

void reader_step(struct reader *reader)
{
	struct errand errand;
	struct export_member *next;
	size_t readable;

	population_lock(reader->population);
	next = next_member(reader, &readable);
	if (next && next->due_ns <= clock_monotonic_ns()) {
		errand.member = *next;
		errand.budget_ns = budget_ns(reader, readable);
	} else {
		next = NULL;
	}
	population_unlock(reader->population);
	if (next)
		read_member(reader, &errand);
}
