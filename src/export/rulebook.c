#include "export/rulebook.h"

#include "analysis/watch.h"
#include "base/alloc_touched.h"
#include "engine/headroom_now.h"

#include <errno.h>
#include <stdlib.h>

/* One process's rules. PID 0: nobody's. */
struct judged {
	int pid;
	uint64_t start_ticks;
	uint32_t alerts;
	struct watch *watch;
};

struct rulebook {
	const struct rules *rules;
	struct population *population;
	struct judged judged[RULEBOOK_MAX];
};

_Static_assert(RULES_MAX <= 32, "a rule has a bit");

void rulebook_free(struct rulebook *rulebook)
{
	for (size_t i = 0; rulebook && i < RULEBOOK_MAX; i++)
		watch_free(rulebook->judged[i].watch);
	free(rulebook);
}

int rulebook_new(struct rulebook **rulebook, const struct rules *rules,
		 struct population *population)
{
	struct rulebook *new = alloc_touched(sizeof(*new));
	int error = new ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < RULEBOOK_MAX; i++)
		error = watch_new(&new->judged[i].watch, rules);
	if (error) {
		rulebook_free(new);
		return error;
	}
	new->rules = rules;
	new->population = population;
	*rulebook = new;
	return 0;
}

/* The places of processes that have ended are free. */
static void forget_ended(struct rulebook *rulebook)
{
	population_lock(rulebook->population);
	for (size_t i = 0; i < RULEBOOK_MAX; i++) {
		struct judged *judged = &rulebook->judged[i];

		if (judged->pid && !population_find(rulebook->population, judged->pid,
						    judged->start_ticks))
			judged->pid = 0;
	}
	population_unlock(rulebook->population);
}

static struct judged *find(struct rulebook *rulebook, int pid, uint64_t start_ticks)
{
	for (size_t i = 0; i < RULEBOOK_MAX; i++)
		if (rulebook->judged[i].pid == pid &&
		    (!pid || rulebook->judged[i].start_ticks == start_ticks))
			return &rulebook->judged[i];
	return NULL;
}

static void note(const struct alert *alert, void *context)
{
	struct judged *judged = context;
	uint32_t bit = UINT32_C(1) << alert->rule_index;

	if (alert->kind == ALERT_BEGIN)
		judged->alerts |= bit;
	else
		judged->alerts &= ~bit;
}

/* What the watch held of another process ends with that. */
static struct judged *begin(struct rulebook *rulebook, const struct export_member *member)
{
	struct judged *judged = find(rulebook, 0, 0);

	if (!judged)
		return NULL;
	watch_end(judged->watch, ALERT_PROCESS_ENDED, note, judged);
	*judged = (struct judged){
		.pid = member->pid,
		.start_ticks = member->start_ticks,
		.watch = judged->watch,
	};
	return judged;
}

bool rulebook_judge(struct rulebook *rulebook, const struct export_member *member,
		    const struct sample *sample, uint32_t *alerts)
{
	struct judged *judged = find(rulebook, member->pid, member->start_ticks);
	struct headroom headroom;

	if (!judged)
		forget_ended(rulebook);
	if (!judged)
		judged = begin(rulebook, member);
	if (!judged)
		return false;
	watch_sample(judged->watch, sample,
		     headroom_now(member->pid, rulebook->rules, &sample->fig, &headroom),
		     note, judged);
	*alerts = judged->alerts;
	return true;
}
