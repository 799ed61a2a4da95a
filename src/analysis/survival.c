#include "analysis/survival.h"

#include "analysis/estimate.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NS_PER_S 1e9

enum {
	BURSTS = 1024, /* that are younger than the greatest age */
	MISSES = 3,    /* looks that may not tell a chunk's state */
};

const int64_t survival_age_ns[SURVIVAL_AGES] = {
	0, INT64_C(1000000000), INT64_C(10000000000), INT64_C(60000000000),
	INT64_C(300000000000)};

enum state { UNSEEN, SEEN, GONE };

enum { AGE_FIRST = 1 }; /* 0 is all that was allocated */

struct followed {
	uint64_t chunk;
	uint64_t bytes;
	double weight;
	int64_t born_ns; /* when its burst began; the weight is known from then on */
	uint32_t stack;
	uint8_t reached; /* ages so far */
	uint8_t state;	 /* of this look */
	uint8_t misses;
	bool is_freed; /* only how the next look finds it is of interest */
	bool is_dead;
};

/* What is known of a stack's chunks that have reached an age. */
struct reached {
	uint64_t samples;
	double bytes;	     /* weighted */
	double squares;	     /* of each sample's */
	double now;	     /* of BYTES, what came with this look */
	double look_squares; /* of each look's */
	/* By later bursts, all chunks together, until the next age; in which so many were
	 * seen freed, and of so many a look alone would not have shown that they went. */
	double watched_ns;
	uint64_t freed, again;
};

struct stack {
	struct reached reached[SURVIVAL_AGES];
};

struct burst_span {
	int64_t start_ns;
	uint64_t watched_ns;
};

struct survival {
	struct followed *followed; /* in order of address up to SORTED */
	unsigned count, sorted, room;
	unsigned cursor; /* of a stretch */
	bool seek;
	bool watches_free;
	struct stack *stack;
	unsigned stacks;
	struct burst_span burst[BURSTS];
	uint64_t bursts;
	uint64_t counted[SURVIVAL_AGES]; /* bursts that are of the age */
	double watched_ns[SURVIVAL_AGES];
};

int survival_new(struct survival **survival, unsigned stacks, unsigned chunks,
		 bool watches_free)
{
	struct survival *new = alloc_touched(sizeof(*new));

	*survival = NULL;
	if (!new)
		return -ENOMEM;
	new->stacks = stacks;
	new->room = chunks;
	new->watches_free = watches_free;
	new->stack = alloc_touched(stacks * sizeof(*new->stack));
	new->followed = alloc_touched(chunks * sizeof(*new->followed));
	if (!new->stack || !new->followed) {
		survival_free(new);
		return -ENOMEM;
	}
	*survival = new;
	return 0;
}

void survival_free(struct survival *survival)
{
	if (!survival)
		return;
	free(survival->stack);
	free(survival->followed);
	free(survival);
}

unsigned survival_room(const struct survival *survival)
{
	return survival->room - survival->count;
}

/* ---- bursts ---- */

bool survival_add(struct survival *survival, uint64_t chunk, uint64_t bytes,
		  unsigned stack)
{
	if (!survival_room(survival) || stack >= survival->stacks)
		return false;
	survival->followed[survival->count++] = (struct followed){
		.chunk = chunk,
		.bytes = bytes,
		.stack = stack,
	};
	return true;
}

static struct reached *reached_of(struct survival *survival, const struct followed *one)
{
	return &survival->stack[one->stack].reached[one->reached - 1];
}

/* The first in order of address that is not below CHUNK. */
static unsigned lower_bound(const struct survival *survival, uint64_t chunk)
{
	unsigned from = 0, to = survival->sorted;

	while (from < to) {
		unsigned middle = from + (to - from) / 2;

		if (survival->followed[middle].chunk < chunk)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* The one at CHUNK that has not ended, or null. */
static struct followed *find(const struct survival *survival, uint64_t chunk)
{
	struct followed *followed = survival->followed;

	for (unsigned i = survival->count; i-- > survival->sorted;)
		if (followed[i].chunk == chunk && !followed[i].is_dead &&
		    !followed[i].is_freed)
			return &followed[i];
	for (unsigned i = lower_bound(survival, chunk);
	     i < survival->sorted && followed[i].chunk == chunk; i++)
		if (!followed[i].is_dead && !followed[i].is_freed)
			return &followed[i];
	return NULL;
}

/* What no look has seen yet is no candidate: it counts for nothing that it went. */
static bool is_candidate(const struct followed *one)
{
	return one->reached > AGE_FIRST;
}

void survival_freed(struct survival *survival, uint64_t chunk)
{
	struct followed *one = find(survival, chunk);

	if (!one)
		return;
	one->is_freed = is_candidate(one);
	one->is_dead = !one->is_freed;
	if (one->is_freed)
		reached_of(survival, one)->freed++;
}

void survival_again(struct survival *survival, uint64_t chunk)
{
	struct followed *one = find(survival, chunk);

	if (!one)
		return;
	one->is_dead = true;
	if (is_candidate(one) && !survival->watches_free)
		reached_of(survival, one)->again++;
}

static void reach(struct survival *survival, struct followed *one)
{
	double bytes = one->weight * (double)one->bytes;
	struct reached *reached;

	one->reached++;
	reached = reached_of(survival, one);
	reached->samples++;
	reached->bytes += bytes;
	reached->squares += bytes * bytes;
	reached->now += bytes;
}

/* What came with this burst or look, of all ages. */
static void end_step(struct survival *survival)
{
	for (unsigned i = 0; i < survival->stacks; i++)
		for (unsigned age = 0; age < SURVIVAL_AGES; age++) {
			struct reached *reached = &survival->stack[i].reached[age];

			reached->look_squares += reached->now * reached->now;
			reached->now = 0;
		}
}

static void count_bursts(struct survival *survival, unsigned age, int64_t now_ns)
{
	while (survival->counted[age] < survival->bursts) {
		const struct burst_span *burst =
			&survival->burst[survival->counted[age] % BURSTS];

		if (now_ns - burst->start_ns < survival_age_ns[age])
			return;
		survival->watched_ns[age] += (double)burst->watched_ns;
		survival->counted[age]++;
	}
}

void survival_end_burst(struct survival *survival, int64_t start_ns, uint64_t watched_ns,
			double weight)
{
	survival->burst[survival->bursts++ % BURSTS] =
		(struct burst_span){start_ns, watched_ns};
	count_bursts(survival, 0, start_ns);
	for (unsigned i = 0; i < survival->count; i++) {
		struct followed *one = &survival->followed[i];

		if (!one->reached) {
			one->born_ns = start_ns;
			one->weight = weight;
			reach(survival, one);
		} else if (is_candidate(one) && !one->is_dead) {
			reached_of(survival, one)->watched_ns += (double)watched_ns;
		}
	}
	end_step(survival);
}

/* ---- looks ---- */

static int by_chunk(const void *left, const void *right)
{
	const struct followed *a = left, *b = right;

	if (a->chunk != b->chunk)
		return a->chunk < b->chunk ? -1 : 1;
	return a->born_ns < b->born_ns ? -1 : a->born_ns > b->born_ns;
}

/* Of two at one address the former was freed, whether a burst saw it or not. */
void survival_begin_look(struct survival *survival)
{
	struct followed *followed = survival->followed;

	qsort(followed, survival->count, sizeof(*followed), by_chunk);
	for (unsigned i = 0; i < survival->count; i++) {
		followed[i].state = UNSEEN;
		if (i && followed[i - 1].chunk == followed[i].chunk &&
		    !followed[i - 1].is_freed)
			followed[i - 1].is_dead = true;
	}
	survival->sorted = survival->count;
	survival->seek = true;
}

void survival_begin_stretch(struct survival *survival)
{
	survival->seek = true;
}

void survival_see(struct survival *survival, uint64_t start, uint64_t end, bool in_use)
{
	struct followed *followed = survival->followed;

	if (survival->seek)
		survival->cursor = lower_bound(survival, start);
	survival->seek = false;
	for (; survival->cursor < survival->sorted; survival->cursor++) {
		struct followed *one = &followed[survival->cursor];

		if (one->chunk >= end)
			return;
		if (one->chunk < start)
			continue;
		one->state = in_use && one->chunk == start && one->bytes == end - start
				     ? SEEN
				     : GONE;
	}
}

/* Would it have passed for one that stays? Where nobody looked it is taken to. */
static void end_freed(struct survival *survival, struct followed *one, bool is_whole)
{
	one->is_dead = true;
	if (one->state == SEEN || (one->state == UNSEEN && !is_whole))
		reached_of(survival, one)->again++;
}

static void end_look_at(struct survival *survival, struct followed *one, int64_t now_ns,
			bool is_whole)
{
	if (one->is_freed)
		end_freed(survival, one, is_whole);
	if (one->state == GONE || (one->state == UNSEEN && is_whole))
		one->is_dead = true;
	if (one->state == UNSEEN && ++one->misses == MISSES)
		one->is_dead = true;
	if (one->is_dead || one->state == UNSEEN)
		return;
	one->misses = 0;
	while (one->reached < SURVIVAL_AGES &&
	       now_ns - one->born_ns >= survival_age_ns[one->reached])
		reach(survival, one);
	/* It has told all that it can. */
	if (one->reached == SURVIVAL_AGES)
		one->is_dead = true;
}

/* Whether a later chunk at the address of one that is dead is followed. */
static bool is_followed_on(const struct survival *survival, unsigned i)
{
	return i + 1 < survival->count &&
	       survival->followed[i + 1].chunk == survival->followed[i].chunk;
}

void survival_end_look(struct survival *survival, int64_t now_ns, bool is_whole,
		       void (*forget)(uint64_t chunk, void *context), void *context)
{
	struct followed *followed = survival->followed;
	unsigned kept = 0;

	for (unsigned age = 1; age < SURVIVAL_AGES; age++)
		count_bursts(survival, age, now_ns);
	for (unsigned i = 0; i < survival->count; i++) {
		end_look_at(survival, &followed[i], now_ns, is_whole);
		if (followed[i].is_dead && !is_followed_on(survival, i))
			forget(followed[i].chunk, context);
		if (!followed[i].is_dead)
			followed[kept++] = followed[i];
	}
	survival->count = survival->sorted = kept;
	end_step(survival);
}

/* ---- what that says ---- */

bool survival_reached(const struct survival *survival, unsigned age)
{
	return survival->counted[age] > 0;
}

/* By how many independent samples of equal weight the sum of BYTES is as sure: by what
 * the samples weigh, or by how much the bursts differ, whichever is worse. */
static double effective_samples(const struct reached *reached, double bursts)
{
	double variance = reached->squares;
	double square = reached->bytes * reached->bytes;

	if (bursts > 1) {
		double between =
			(reached->look_squares - square / bursts) * bursts / (bursts - 1);

		variance = between > variance ? between : variance;
	}
	return square / variance;
}

/* How often a chunk that has reached an age was handed out again unseen until then, on
 * average. */
struct hazard {
	double times, low, high;
};

/* For how long chunks that reach AGE are watched at the rate of CLASS. Those below the
 * first age are not watched, for they are not candidates: theirs is the first one's. */
static double in_class_s(unsigned class, unsigned age)
{
	int64_t from_ns = class == AGE_FIRST ? 0 : survival_age_ns[class];
	int64_t to_ns = class == AGE_FIRST && age == AGE_FIRST
				? survival_age_ns[AGE_FIRST]
				: survival_age_ns[class + 1];

	return (double)(to_ns - from_ns) / NS_PER_S;
}

/* A sum of counts, each weighted by how much longer the age class lasts than it was
 * watched; the interval is that of Fay and Feuer (1997), which is no narrower than it
 * says for few counts. */
static struct hazard hazard_of(const struct stack *stack, unsigned age)
{
	double sum = 0, variance = 0, most = 0;
	struct hazard hazard;

	for (unsigned i = AGE_FIRST; i + 1 < SURVIVAL_AGES && (i < age || i == AGE_FIRST);
	     i++) {
		const struct reached *reached = &stack->reached[i];
		double weight = in_class_s(i, age) * NS_PER_S / reached->watched_ns;

		if (reached->watched_ns <= 0)
			return (struct hazard){0, 0, INFINITY};
		sum += weight * (double)reached->again;
		variance += weight * weight * (double)reached->again;
		most = weight > most ? weight : most;
	}
	hazard.times = sum;
	/* By half: see survival.h. */
	hazard.low = sum > 0 ? variance / sum * poisson_low(sum * sum / variance) / 2 : 0;
	sum += most;
	variance += most * most;
	hazard.high = variance / sum * poisson_high(sum * sum / variance - 1);
	return hazard;
}

void survival_rate(const struct survival *survival, unsigned number, unsigned age,
		   double dilation, struct survival_rate *rate)
{
	const struct stack *stack = &survival->stack[number];
	const struct reached *reached = &stack->reached[age];
	struct hazard hazard = {0};
	double samples, bytes_per_s;

	*rate = (struct survival_rate){.samples = reached->samples};
	if (!reached->samples || survival->watched_ns[age] <= 0)
		return;
	for (unsigned i = AGE_FIRST; i < SURVIVAL_AGES; i++) {
		rate->freed += stack->reached[i].freed;
		rate->again += stack->reached[i].again;
	}
	if (age)
		hazard = hazard_of(stack, age);
	bytes_per_s = dilation * reached->bytes * NS_PER_S / survival->watched_ns[age];
	samples = effective_samples(reached, (double)survival->counted[age]);
	rate->bytes_per_s = bytes_per_s * exp(-hazard.times);
	rate->low = bytes_per_s * poisson_low(samples) / samples * exp(-hazard.high);
	rate->high = bytes_per_s * poisson_high(samples) / samples * exp(-hazard.low);
}
