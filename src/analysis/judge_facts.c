/* judge_facts.c: what the checks have in common: figures that may be absent, facts for
 * machines, what is worth a verdict. */
#include "analysis/judge.h"

#include <stdio.h>

enum { TCACHE_MOST = 1056 }; /* of one chunk, unless tcache_max is set */

struct units_text judge_size(uint64_t bytes)
{
	struct units_text out = units_bytes_text(bytes);
	struct text text;

	if (bytes && bytes < 1024) {
		text_init(&text, out.s, sizeof(out.s));
		text_u64(&text, bytes);
		text_string(&text, " bytes");
	}
	return out;
}

bool judge_figure(const struct figures *fig, enum figure f, uint64_t *value)
{
	if (!figure_has(fig, f))
		return false;
	*value = fig->v[f].u;
	return true;
}

bool judge_get(const struct verdict_input *input, enum figure f, uint64_t *value)
{
	return sample_may_judge(input->sample, f) &&
	       judge_figure(&input->sample->fig, f, value);
}

void judge_fact(struct verdict *verdict, const char *name, enum figure_unit unit,
		uint64_t value)
{
	if (verdict->fact_count == VERDICT_FACTS)
		return;
	verdict->fact[verdict->fact_count++] =
		(struct verdict_fact){.name = name, .unit = unit, .value.u = value};
}

void judge_fact_share(struct verdict *verdict, const char *name, double value)
{
	if (verdict->fact_count == VERDICT_FACTS)
		return;
	verdict->fact[verdict->fact_count++] =
		(struct verdict_fact){.name = name, .unit = UNIT_RATIO, .value.d = value};
}

void judge_fact_figure(const struct verdict_input *input, struct verdict *verdict,
		       enum figure f)
{
	uint64_t value;

	if (judge_get(input, f, &value))
		judge_fact(verdict, figure_info[f].name, figure_info[f].unit, value);
}

double judge_share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

const struct judge_scale judge_of_rss = {0.2, 64 * JUDGE_M};
const struct judge_scale judge_of_heap = {0.25, 256 * JUDGE_M};

bool judge_weighs(const struct verdict_input *input, uint64_t bytes, uint64_t whole,
		  const struct judge_scale *scale)
{
	uint64_t memory = input->headroom ? input->headroom->memory_bytes : 0;
	double share = judge_share(bytes, whole);

	if (bytes < JUDGE_LEAST_BYTES)
		return false;
	return share >= scale->share ||
	       (bytes >= scale->many_bytes && share >= scale->share / 2) ||
	       (memory && bytes >= memory / 32);
}

double judge_risen(const struct verdict_trend *trend)
{
	if (!trend->is_known || !trend->is_rising || trend->last <= trend->first)
		return 0;
	return trend->last - trend->first;
}

bool judge_has_grown(const struct verdict_trend *trend, const struct verdict_trend *rss)
{
	double grown = judge_risen(trend);

	return grown >= (double)JUDGE_M &&
	       (grown >= trend->first / 100 || grown >= (double)JUDGE_LEAST_BYTES) &&
	       judge_risen(rss) >= grown / 2;
}

/* The rates of what is malloc's and of what is not, where a rise of the resident memory
 * is of both, a tenth of it at least each. */
static bool has_two_parts(const struct verdict_input *input, double *of_malloc,
			  double *of_others)
{
	double rate = input->rss.per_s;

	if (judge_risen(&input->rss) <= 0 || judge_risen(&input->other) <= 0)
		return false;
	*of_others = input->other.per_s;
	*of_malloc = rate - *of_others;
	return *of_others >= rate / 10 && *of_malloc >= rate / 10;
}

void judge_say_contributors(const struct verdict_input *input, char *text, size_t size)
{
	double of_malloc, of_others;

	*text = '\0';
	if (has_two_parts(input, &of_malloc, &of_others))
		snprintf(text, size,
			 "; the resident memory rises %s a second, %s of it malloc's, "
			 "%s not",
			 BYTES((uint64_t)input->rss.per_s), BYTES((uint64_t)of_malloc),
			 BYTES((uint64_t)of_others));
}

bool verdict_cached(const struct figures *fig, uint64_t *bytes)
{
	uint64_t swapped, live, chunks;

	return judge_figure(fig, FIG_LIVE_RESIDENT_BYTES, &live) &&
	       judge_figure(fig, FIG_TCACHE_CHUNKS, &chunks) &&
	       judge_figure(fig, FIG_TCACHE_BYTES, bytes) && *bytes <= live &&
	       *bytes <= chunks * TCACHE_MOST &&
	       judge_figure(fig, FIG_SWAP_BYTES, &swapped) && !swapped;
}
