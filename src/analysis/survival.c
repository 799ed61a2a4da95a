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

/* A sum of counts over a sum of times, both of which come in steps: how much the steps
 * differ is how sure it is. */
struct stepped_sum {
	double count, time;
	double count_now, time_now; /* of this step */
	double count_squares, products, time_squares;
};

static void stepped_end(struct stepped_sum *all)
{
	all->count += all->count_now;
	all->time += all->time_now;
	all->count_squares += all->count_now * all->count_now;
	all->products += all->count_now * all->time_now;
	all->time_squares += all->time_now * all->time_now;
	all->count_now = all->time_now = 0;
}

/* The variance of the sum of counts, had the steps lasted as they did. */
static double stepped_variance(const struct stepped_sum *all, double steps)
{
	double rate = all->time > 0 ? all->count / all->time : 0;
	double sum = all->count_squares - 2 * rate * all->products +
		     rate * rate * all->time_squares;

	return steps > 1 && sum > 0 ? sum * steps / (steps - 1) : 0;
}

/* What is known of a stack's chunks that have reached an age. */
struct reached {
	uint64_t samples;
	double squares;		  /* of each sample's bytes, weighted */
	struct stepped_sum bytes; /* weighted, over the bursts' time; a step is a look */
	/* By later bursts, all chunks together, until the next age: of how many that were
	 * seen freed a look alone would not have shown that they went. A step is what
	 * lies between two looks. */
	struct stepped_sum again;
	uint64_t freed;
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
	uint64_t steps; /* looks */
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
}

void survival_again(struct survival *survival, uint64_t chunk)
{
	struct followed *one = find(survival, chunk);

	if (!one)
		return;
	one->is_dead = true;
	if (is_candidate(one) && !survival->watches_free)
		reached_of(survival, one)->again.count_now++;
}

static void reach(struct survival *survival, struct followed *one)
{
	double bytes = one->weight * (double)one->bytes;
	struct reached *reached;

	one->reached++;
	reached = reached_of(survival, one);
	reached->samples++;
	reached->squares += bytes * bytes;
	reached->bytes.count_now += bytes;
}

/* What came of AGE with this burst or look, when bursts of WATCHED_NS came of it. */
static void end_bytes(struct survival *survival, unsigned age, double watched_ns)
{
	survival->watched_ns[age] += watched_ns;
	for (unsigned i = 0; i < survival->stacks; i++) {
		struct stepped_sum *bytes = &survival->stack[i].reached[age].bytes;

		bytes->time_now = watched_ns;
		stepped_end(bytes);
	}
}

static void end_agains(struct survival *survival)
{
	survival->steps++;
	for (unsigned i = 0; i < survival->stacks; i++)
		for (unsigned age = AGE_FIRST; age < SURVIVAL_AGES; age++)
			stepped_end(&survival->stack[i].reached[age].again);
}

/* For how long the bursts watched that are of AGE now and were not before. */
static double count_bursts(struct survival *survival, unsigned age, int64_t now_ns)
{
	double watched_ns = 0;

	while (survival->counted[age] < survival->bursts) {
		const struct burst_span *burst =
			&survival->burst[survival->counted[age] % BURSTS];

		if (now_ns - burst->start_ns < survival_age_ns[age])
			break;
		watched_ns += (double)burst->watched_ns;
		survival->counted[age]++;
	}
	return watched_ns;
}

void survival_end_burst(struct survival *survival, int64_t start_ns, uint64_t watched_ns,
			double weight)
{
	survival->burst[survival->bursts++ % BURSTS] =
		(struct burst_span){start_ns, watched_ns};
	for (unsigned i = 0; i < survival->count; i++) {
		struct followed *one = &survival->followed[i];

		if (!one->reached) {
			one->born_ns = start_ns;
			one->weight = weight;
			reach(survival, one);
		} else if (is_candidate(one) && !one->is_dead) {
			reached_of(survival, one)->again.time_now += (double)watched_ns;
		}
	}
	end_bytes(survival, 0, count_bursts(survival, 0, start_ns));
}

/* What was handed out in it begins at age 0; what was freed has ended. */
void survival_drop_burst(struct survival *survival)
{
	for (unsigned i = 0; i < survival->count; i++) {
		struct followed *one = &survival->followed[i];

		one->is_dead |= !one->reached || one->is_freed;
		one->reached += !one->reached;
	}
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
	struct reached *reached = reached_of(survival, one);

	one->is_dead = true;
	reached->freed++;
	if (one->state == SEEN || (one->state == UNSEEN && !is_whole))
		reached->again.count_now++;
}

static void end_look_at(struct survival *survival, struct followed *one, int64_t now_ns,
			bool is_whole)
{
	if (one->is_freed && !one->is_dead)
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

	for (unsigned i = 0; i < survival->count; i++) {
		end_look_at(survival, &followed[i], now_ns, is_whole);
		if (followed[i].is_dead && !is_followed_on(survival, i))
			forget(followed[i].chunk, context);
		if (!followed[i].is_dead)
			followed[kept++] = followed[i];
	}
	survival->count = survival->sorted = kept;
	for (unsigned age = AGE_FIRST; age < SURVIVAL_AGES; age++)
		end_bytes(survival, age, count_bursts(survival, age, now_ns));
	end_agains(survival);
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
	double between = stepped_variance(&reached->bytes, bursts);
	double variance = between > reached->squares ? between : reached->squares;

	return reached->bytes.count * reached->bytes.count / variance;
}

/* How often a chunk that has reached an age was handed out again unseen until then, on
 * average. */
struct hazard {
	double times, low, high;
};

/* The ages between which chunks are watched, with a rate each. */
enum { CLASSES = SURVIVAL_AGES - 1 };

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

static bool is_class_of(unsigned class, unsigned age)
{
	return class < age || class == AGE_FIRST;
}

/* How many chunks go together: those that one burst handed out may all be dropped at
 * one instant, which a burst meets or not. By how much steps differ, of all ages. */
static double clump(const struct stack *stack, double steps)
{
	double variance = 0, count = 0;

	for (unsigned class = AGE_FIRST; class < CLASSES; class ++) {
		variance += stepped_variance(&stack->reached[class].again, steps);
		count += stack->reached[class].again.count;
	}
	return variance > count && count > 0 ? variance / count : 1;
}

/* The rates of all classes that were watched if older chunks go no more often than
 * younger ones: neighbours of which the older has the higher rate have that of both
 * together (pool adjacent violators: the greatest likelihood under that condition). */
static void pool_rates(const struct stack *stack, double rate[CLASSES])
{
	double count[CLASSES], time[CLASSES];
	unsigned first[CLASSES + 1], blocks = 0;

	for (unsigned class = AGE_FIRST; class < CLASSES; class ++) {
		count[blocks] = stack->reached[class].again.count;
		time[blocks] = stack->reached[class].again.time;
		first[blocks++] = class;
		while (blocks > 1 && count[blocks - 1] * time[blocks - 2] >=
					     count[blocks - 2] * time[blocks - 1]) {
			count[blocks - 2] += count[blocks - 1];
			time[blocks - 2] += time[blocks - 1];
			blocks--;
		}
	}
	first[blocks] = CLASSES;
	for (unsigned i = 0; i < blocks; i++)
		for (unsigned class = first[i]; class < first[i + 1]; class ++)
			rate[class] = time[i] > 0 ? count[i] / time[i] : 0;
}

/* A sum of counts, each weighted by how much longer the age class lasts than it was
 * watched; the interval is that of Fay and Feuer (1997), which is no narrower than it
 * says for few counts. It takes each class by itself; the figure pools them. */
static struct hazard hazard_of(const struct survival *survival, const struct stack *stack,
			       unsigned age)
{
	double together = clump(stack, (double)survival->steps);
	double sum = 0, variance = 0, most = 0, rate[CLASSES];
	struct hazard hazard = {0, 0, INFINITY};
	bool is_watched = true;

	pool_rates(stack, rate);
	for (unsigned i = AGE_FIRST; i < CLASSES && is_class_of(i, age); i++) {
		const struct stepped_sum *again = &stack->reached[i].again;
		double lasts_ns = in_class_s(i, age) * NS_PER_S;
		double weight = again->time > 0 ? lasts_ns / again->time : 0;

		is_watched &= weight > 0;
		hazard.times += rate[i] * lasts_ns;
		sum += weight * again->count;
		variance += weight * weight * again->count * together;
		most = weight > most ? weight : most;
	}
	/* By half: see survival.h. */
	if (sum > 0)
		hazard.low = variance / sum * poisson_low(sum * sum / variance) / 2;
	if (!is_watched)
		return hazard;
	sum += most * together;
	variance += most * most * together * together;
	hazard.high = variance / sum * poisson_high(sum * sum / variance - 1);
	return hazard;
}

static double within(double low, double value, double high)
{
	return value < low ? low : value > high ? high : value;
}

static void count_freed(const struct stack *stack, struct survival_rate *rate)
{
	for (unsigned i = AGE_FIRST; i < SURVIVAL_AGES; i++) {
		rate->freed += stack->reached[i].freed;
		rate->again += (uint64_t)stack->reached[i].again.count;
	}
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
	count_freed(stack, rate);
	if (age)
		hazard = hazard_of(survival, stack, age);
	bytes_per_s =
		dilation * reached->bytes.count * NS_PER_S / survival->watched_ns[age];
	samples = effective_samples(reached, (double)survival->counted[age]);
	rate->low = bytes_per_s * poisson_low(samples) / samples * exp(-hazard.high);
	rate->high = bytes_per_s * poisson_high(samples) / samples * exp(-hazard.low);
	rate->bytes_per_s =
		within(rate->low, bytes_per_s * exp(-hazard.times), rate->high);
}
