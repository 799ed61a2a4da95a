#include "analysis/watch.h"

#include "base/alloc_touched.h"
#include "series/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    1e9
#define NS_PER_MS   INT64_C(1000000)
#define HOLD_NS	    INT64_C(30000000000)
#define HOLD_MAX_NS INT64_C(3600000000000)
#define FLAP_NS	    INT64_C(600000000000)
#define NEVER	    INT64_MIN
#define NO_END	    1e30 /* of what divides by nothing; finite, as tracks keep it */

enum {
	PARTS = 60, /* of a window, which tracks keep apart */
	MEDIAN = 3, /* of so many values drops and rises are told */
};

/* Kleene's logic: what is not known is neither, and decides nothing. */
enum truth {
	FALSE,
	UNKNOWN,
	TRUE,
};

/* One term's past, and what it says of the present. */
struct term_state {
	struct track *track; /* null of comparisons */
	double recent[MEDIAN];
	unsigned recents;
	bool known; /* NOW, the last sample's */
	double now;
	enum truth truth;
	int64_t part; /* of which TREND_TRUTH is; NEVER: of none */
	enum truth trend_truth;
	struct evidence evidence;
};

/* A rule is pending since PENDING_NS while its condition holds but not for long enough
 * yet; active since SINCE_NS; and its end is near since CLEAR_NS. NEVER: it is not. */
struct rule_state {
	int64_t pending_ns, since_ns, clear_ns;
	int64_t ended_ns; /* the last alert */
	int64_t gap_ns;	  /* since SINCE_NS: without readings */
	int64_t hold_ns;  /* how long the condition must not hold before an alert ends */
	struct term_state term[RULE_TERMS];
};

struct watch {
	const struct rules *rules;
	bool has_sample;
	int pid;
	char comm[SAMPLE_TEXT];
	struct origin origin;
	int64_t begin_ns; /* the first sample of this pid: nothing before it counts */
	int64_t last_ns;
	int64_t usual_ns; /* from one sample to the next; 0: not known */
	struct trend_scratch scratch;
	double time_s[TREND_POINTS], value[TREND_POINTS];
	struct track_point point[PARTS + 2];
	struct alert alert;
	struct rule_state state[];
};

_Static_assert(PARTS + 2 <= TREND_POINTS, "a window's parts are points of a trend");

/* ---- making ---- */

static int new_track(const struct term *term, struct track **track)
{
	struct track_shape shape = {.tier = {{.points = PARTS + 2}}};

	if (term->kind == TERM_COMPARE)
		return 0;
	shape.tier[0].resolution_ns = term->window_ns / PARTS;
	if (!shape.tier[0].resolution_ns)
		shape.tier[0].resolution_ns = 1;
	return track_new(track, &shape);
}

static int64_t usual_hold(const struct rule *rule)
{
	if (rule->until.count)
		return 0;
	return rule->for_ns > HOLD_NS ? rule->for_ns : HOLD_NS;
}

static int new_state(const struct rule *rule, struct rule_state *state)
{
	int error = 0;

	state->pending_ns = state->since_ns = state->clear_ns = state->ended_ns = NEVER;
	state->hold_ns = usual_hold(rule);
	for (unsigned t = 0; !error && t < rule->term_count; t++) {
		state->term[t].part = NEVER;
		error = new_track(&rule->term[t], &state->term[t].track);
	}
	return error;
}

int watch_new(struct watch **watch, const struct rules *rules)
{
	struct watch *made =
		alloc_touched(sizeof(*made) + rules->count * sizeof(made->state[0]));
	int error = made ? 0 : -ENOMEM;

	if (error)
		return error;
	made->rules = rules;
	for (unsigned i = 0; !error && i < rules->count; i++)
		error = new_state(&rules->rule[i], &made->state[i]);
	if (error)
		watch_free(made);
	else
		*watch = made;
	return error;
}

static void free_tracks(struct rule_state *state)
{
	for (unsigned t = 0; t < RULE_TERMS; t++) {
		if (state->term[t].track)
			track_free(state->term[t].track);
		state->term[t].track = NULL;
	}
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	for (unsigned i = 0; i < watch->rules->count; i++)
		free_tracks(&watch->state[i]);
	free(watch);
}

/* ---- values ---- */

/* A value, and where it can be. */
struct span_value {
	double low, value, high;
};

static double four_decimals(double ratio)
{
	return round(ratio * 1e4) / 1e4;
}

/* As a recording has it: ratios with four decimals. */
static bool figure_value(const struct sample *sample, enum figure f,
			 struct span_value *span)
{
	if (!sample_may_judge(sample, f))
		return false;
	figure_range(&sample->fig, f, &span->low, &span->high);
	span->value = figure_number(&sample->fig, f);
	if (figure_info[f].unit == UNIT_RATIO)
		*span = (struct span_value){four_decimals(span->low),
					    four_decimals(span->value),
					    four_decimals(span->high)};
	return isfinite(span->value);
}

/* A / B, whose values are no negative ones. Where B may be 0 there is no upper end. */
static bool divide(struct span_value *a, const struct span_value *b)
{
	if (b->value == 0)
		return false;
	*a = (struct span_value){a->low / b->high, a->value / b->value,
				 b->low > 0 ? a->high / b->low : NO_END};
	return true;
}

static bool quantity_value(const struct quantity *quantity, const struct sample *sample,
			   const struct headroom *headroom, struct span_value *span)
{
	struct span_value b;

	if (quantity->kind == QUANTITY_LIMIT) {
		double left = headroom && headroom->nearest >= 0
				      ? headroom->row[headroom->nearest].left_share
				      : 0;

		*span = (struct span_value){left, left, left};
		return headroom && headroom->nearest >= 0;
	}
	if (!figure_value(sample, quantity->a, span))
		return false;
	if (quantity->kind == QUANTITY_FIGURE)
		return true;
	if (!figure_value(sample, quantity->b, &b))
		return false;
	if (quantity->kind == QUANTITY_RATIO)
		return divide(span, &b);
	*span = (struct span_value){span->low - b.high, span->value - b.value,
				    span->high - b.low};
	return true;
}

/* Whether the last values are as many as a median needs: then it is *VALUE. A single
 * reading that is off must not look like a drop. */
static bool median_of_three(struct term_state *state, double *value)
{
	const double *v = state->recent;

	state->recent[state->recents++ % MEDIAN] = *value;
	if (state->recents < MEDIAN)
		return false;
	if (state->recents == 2 * MEDIAN)
		state->recents = MEDIAN;
	*value = fmax(fmin(v[0], v[1]), fmin(fmax(v[0], v[1]), v[2]));
	return true;
}

/* ---- terms ---- */

static enum truth truth_of(bool holds)
{
	return holds ? TRUE : FALSE;
}

static bool is_trend(const struct term *term)
{
	return term->kind >= TERM_RISING;
}

/* The points of TERM's window, which ends now and begins with this process: a point that
 * has values of the one before is left out. */
static size_t window_points(struct watch *watch, const struct term *term,
			    const struct term_state *state)
{
	int64_t from_ns = watch->last_ns - term->window_ns;
	size_t count, old = 0;

	if (from_ns < watch->begin_ns)
		from_ns = watch->begin_ns;
	count = track_points(state->track, from_ns, watch->last_ns, watch->point,
			     sizeof(watch->point) / sizeof(watch->point[0]));
	while (old < count && watch->point[old].from_ns < watch->begin_ns)
		old++;
	if (old)
		memmove(watch->point, watch->point + old,
			(count - old) * sizeof(watch->point[0]));
	return count - old;
}

/* Against the highest (of drops) or lowest (of rises) value of the window. A share of
 * nothing is not defined: a rise from 0 is told by its size only. */
static enum truth changed(struct watch *watch, const struct term *term,
			  struct term_state *state, double now)
{
	size_t points = window_points(watch, term, state);
	bool drops = term->kind == TERM_DROPS;
	double extreme = now, moved;
	int64_t at_ns = watch->last_ns;

	for (size_t i = 0; i < points; i++) {
		const struct track_point *point = &watch->point[i];
		double value = drops ? point->max : point->min;

		if (drops ? value <= extreme : value >= extreme)
			continue;
		extreme = value;
		at_ns = point->from_ns;
	}
	state->evidence.now = now;
	state->evidence.was = extreme;
	state->evidence.was_ns = at_ns;
	moved = drops ? extreme - now : now - extreme;
	if (term->is_share)
		return truth_of(extreme > 0 && moved >= term->value * extreme);
	return truth_of(moved > 0 && moved >= term->value);
}

static double middle(const struct watch *watch, size_t points)
{
	double low = watch->value[0], high = watch->value[0];

	for (size_t i = 1; i < points; i++) {
		low = fmin(low, watch->value[i]);
		high = fmax(high, watch->value[i]);
	}
	/* Bisection: as many values on either side. */
	for (unsigned round = 0; round < 60 && low < high; round++) {
		double half = low + (high - low) / 2;
		size_t below = 0;

		for (size_t i = 0; i < points; i++)
			below += watch->value[i] <= half;
		if (2 * below >= points)
			high = half;
		else
			low = half;
	}
	return high;
}

/* Whether the points reach over most of the window; else nothing is said of it. */
static bool covers(const struct term *term, const struct track_point *point,
		   size_t points)
{
	if (points < TREND_MIN)
		return false;
	return point[points - 1].to_ns - point[0].from_ns >= term->window_ns / 4 * 3;
}

static enum truth trending(struct watch *watch, const struct term *term,
			   struct term_state *state, double now)
{
	size_t points = window_points(watch, term, state);
	struct evidence *evidence = &state->evidence;
	double moved, wanted = term->value;
	bool moves;

	if (!covers(term, watch->point, points))
		return UNKNOWN;
	for (size_t i = 0; i < points; i++) {
		const struct track_point *point = &watch->point[i];
		int64_t middle_ns = point->from_ns + (point->to_ns - point->from_ns) / 2;

		watch->time_s[i] =
			(double)(middle_ns - watch->point[0].from_ns) / NS_PER_S;
		watch->value[i] = point->mean;
	}
	trend_of(watch->time_s, watch->value, points, term->significance, &watch->scratch,
		 &evidence->trend);
	evidence->now = now;
	evidence->median = middle(watch, points);
	if (evidence->trend.direction == TREND_UNKNOWN)
		return UNKNOWN;
	moved = fabs(evidence->trend.slope_per_s) * (double)term->window_ns / NS_PER_S;
	wanted *= term->is_share ? fabs(evidence->median) : 1;
	moves = evidence->trend.direction != TREND_FLAT && moved > 0 && moved >= wanted;
	if (term->kind == TERM_FLAT)
		return truth_of(!moves);
	return truth_of(moves && (evidence->trend.direction == TREND_RISING) ==
					 (term->kind == TERM_RISING));
}

/* Of an estimate that may lie on either side nothing is said but what was said before. */
static enum truth compared(const struct term *term, const struct span_value *span,
			   enum truth before)
{
	bool low = comparison_holds(term->comparison, span->low, term->value);
	bool high = comparison_holds(term->comparison, span->high, term->value);

	if (low == high)
		return truth_of(low && comparison_holds(term->comparison, span->value,
							term->value));
	return before == TRUE ? TRUE : FALSE;
}

/* A drop is one below all that was by what both may be off; so is a rise above it. */
static void see_change(struct watch *watch, const struct term *term,
		       struct term_state *state, const struct span_value *span)
{
	double below = span->value - span->low, above = span->high - span->value;
	double value = span->value;
	bool drops = term->kind == TERM_DROPS;

	if (!median_of_three(state, &value))
		return;
	track_add(state->track, watch->last_ns, drops ? value - below : value + above);
	state->truth = changed(watch, term, state, drops ? value + above : value - below);
}

/* Takes the sample into one term. Trends are left unknown: they cost most, and few are
 * needed (see_trends). */
static void see_term(struct watch *watch, const struct term *term,
		     struct term_state *state, const struct sample *sample,
		     const struct headroom *headroom)
{
	enum truth before = state->truth;
	struct span_value span = {0};

	state->evidence.term = term;
	state->truth = UNKNOWN;
	state->known = quantity_value(&term->quantity, sample, headroom, &span);
	state->now = span.value;
	if (!state->known) {
		state->part = NEVER;
		if (state->track)
			track_gap(state->track, watch->last_ns);
		return;
	}
	if (term->quantity.kind == QUANTITY_LIMIT)
		state->evidence.limit = headroom_info[headroom->nearest].limit;
	if (term->kind == TERM_COMPARE) {
		state->evidence.now = span.value;
		state->truth = compared(term, &span, before);
	} else if (is_trend(term)) {
		track_add(state->track, watch->last_ns, span.value);
	} else {
		see_change(watch, term, state, &span);
	}
}

/* What the next trend of RULE says that was not looked at for this sample; false: there
 * is none. It is computed once a part of its window. */
static bool see_trend(struct watch *watch, const struct rule *rule,
		      struct rule_state *rule_state, unsigned *next)
{
	for (; *next < rule->term_count; ++*next) {
		const struct term *term = &rule->term[*next];
		struct term_state *state = &rule_state->term[*next];
		int64_t part = watch->last_ns / (term->window_ns / PARTS + 1);

		if (!is_trend(term) || !state->known)
			continue;
		if (part != state->part)
			state->trend_truth = trending(watch, term, state, state->now);
		state->part = part;
		state->truth = state->trend_truth;
		++*next;
		return true;
	}
	return false;
}

/* ---- conditions ---- */

static enum truth lesser(enum truth a, enum truth b)
{
	return a < b ? a : b;
}

static enum truth greater(enum truth a, enum truth b)
{
	return a > b ? a : b;
}

/* The parser makes conditions that are whole: the stack neither runs over nor dry. */
static enum truth decide(const struct condition *condition,
			 const struct rule_state *state)
{
	enum truth stack[RULE_STEPS + 1] = {UNKNOWN};
	unsigned depth = 0;

	for (unsigned i = 0; i < condition->count; i++) {
		const struct step *step = &condition->step[i];

		switch (step->kind) {
		case STEP_TERM:
			stack[depth++] = state->term[step->term].truth;
			break;
		case STEP_NOT:
			stack[depth - 1] = TRUE - stack[depth - 1];
			break;
		case STEP_AND:
			depth--;
			stack[depth - 1] = lesser(stack[depth - 1], stack[depth]);
			break;
		case STEP_OR:
			depth--;
			stack[depth - 1] = greater(stack[depth - 1], stack[depth]);
			break;
		}
	}
	return stack[0];
}

/* ---- alerts ---- */

/* The terms of CONDITION that hold. Where none does (not), all that are known. */
static unsigned gather(const struct condition *condition, const struct rule_state *state,
		       struct evidence *out)
{
	unsigned count = 0;

	for (enum truth wanted = TRUE; !count; wanted = FALSE) {
		for (unsigned i = 0; i < condition->count; i++) {
			const struct step *step = &condition->step[i];

			if (step->kind == STEP_TERM &&
			    state->term[step->term].truth == wanted)
				out[count++] = state->term[step->term].evidence;
		}
		if (wanted == FALSE)
			break;
	}
	return count;
}

/* All terms of CONDITION that have a value. A trend that did not have to be looked at has
 * nothing but that. */
static unsigned gather_last(const struct condition *condition,
			    const struct rule_state *state, struct evidence *out)
{
	unsigned count = 0;

	for (unsigned i = 0; i < condition->count; i++) {
		const struct step *step = &condition->step[i];
		const struct term_state *term = &state->term[step->term];

		if (step->kind != STEP_TERM || !term->known)
			continue;
		out[count] = term->evidence;
		out[count].now = term->now;
		out[count++].is_last = term->truth == UNKNOWN;
	}
	return count;
}

static void tell(struct watch *watch, unsigned index, enum alert_kind kind,
		 enum alert_reason reason, const struct sample *sample, watch_fn *fn,
		 void *context)
{
	const struct rule *rule = &watch->rules->rule[index];
	const struct rule_state *state = &watch->state[index];
	struct alert *alert = &watch->alert;

	*alert = (struct alert){
		.kind = kind,
		.reason = reason,
		.rule = rule,
		.rule_index = index,
		.time_ns = watch->last_ns,
		.since_ns = state->since_ns,
		.gap_ns = state->gap_ns,
		.pid = watch->pid,
		.comm = watch->comm,
		.origin = &watch->origin,
		.sample = sample,
	};
	if (reason == ALERT_HOLDS || reason == ALERT_UNTIL)
		alert->evidence_count =
			gather(reason == ALERT_UNTIL ? &rule->until : &rule->when, state,
			       alert->evidence);
	else
		alert->evidence_count = gather_last(&rule->when, state, alert->evidence);
	fn(alert, context);
}

/* An alert that comes back soon after its end is damped: its next end needs the condition
 * to be gone for twice as long. */
static void begin_alert(struct watch *watch, unsigned index, const struct sample *sample,
			watch_fn *fn, void *context)
{
	struct rule_state *state = &watch->state[index];
	int64_t usual_ns = usual_hold(&watch->rules->rule[index]);
	int64_t calm_ns = state->hold_ns * 4 > FLAP_NS ? state->hold_ns * 4 : FLAP_NS;

	if (state->ended_ns != NEVER && watch->last_ns - state->ended_ns < calm_ns) {
		state->hold_ns = state->hold_ns ? state->hold_ns * 2 : HOLD_NS;
		if (state->hold_ns > HOLD_MAX_NS && state->hold_ns > usual_ns)
			state->hold_ns = usual_ns > HOLD_MAX_NS ? usual_ns : HOLD_MAX_NS;
	} else {
		state->hold_ns = usual_ns;
	}
	state->since_ns = watch->last_ns;
	state->gap_ns = 0;
	state->clear_ns = state->pending_ns = NEVER;
	tell(watch, index, ALERT_BEGIN, ALERT_HOLDS, sample, fn, context);
}

static void end_alert(struct watch *watch, unsigned index, enum alert_reason reason,
		      const struct sample *sample, watch_fn *fn, void *context)
{
	struct rule_state *state = &watch->state[index];

	tell(watch, index, ALERT_END, reason, sample, fn, context);
	state->ended_ns = watch->last_ns;
	state->since_ns = state->clear_ns = state->pending_ns = NEVER;
}

/* Whether what holds since *SINCE_NS has held for FOR_NS. */
static bool has_held(int64_t *since_ns, int64_t now_ns, int64_t for_ns)
{
	if (*since_ns == NEVER)
		*since_ns = now_ns;
	return now_ns - *since_ns >= for_ns;
}

/* What RULE's conditions are. No more trends are looked at than decide them: what is true
 * or false with a term unknown is so whatever that is. */
static void weigh(struct watch *watch, unsigned index, enum truth *when,
		  enum truth *until)
{
	const struct rule *rule = &watch->rules->rule[index];
	struct rule_state *state = &watch->state[index];
	bool by_until = state->since_ns != NEVER && rule->until.count;
	unsigned next = 0;

	do {
		*when = decide(&rule->when, state);
		*until = decide(&rule->until, state);
	} while ((by_until ? *until : *when) == UNKNOWN &&
		 see_trend(watch, rule, state, &next));
	/* What would end an alert at once does not begin one. */
	while (rule->until.count && !by_until && *when == TRUE && *until == UNKNOWN &&
	       see_trend(watch, rule, state, &next))
		*until = decide(&rule->until, state);
}

static void see_rule(struct watch *watch, unsigned index, const struct sample *sample,
		     watch_fn *fn, void *context)
{
	const struct rule *rule = &watch->rules->rule[index];
	struct rule_state *state = &watch->state[index];
	enum truth truth, until;
	bool over;

	weigh(watch, index, &truth, &until);
	over = rule->until.count ? until == TRUE : truth == FALSE;
	if (state->since_ns == NEVER) {
		if (truth != TRUE || (rule->until.count && over))
			state->pending_ns = NEVER;
		else if (has_held(&state->pending_ns, watch->last_ns, rule->for_ns))
			begin_alert(watch, index, sample, fn, context);
	} else if (!over) {
		state->clear_ns = NEVER;
	} else if (has_held(&state->clear_ns, watch->last_ns, state->hold_ns)) {
		end_alert(watch, index, rule->until.count ? ALERT_UNTIL : ALERT_HOLDS_NOT,
			  sample, fn, context);
	}
}

/* ---- time ---- */

static void shift(int64_t *time_ns, int64_t back_ns)
{
	if (*time_ns != NEVER)
		*time_ns -= back_ns;
}

/* The clock was set back: all that is remembered goes with it, so that distances stay.
 * The tracks see to themselves. */
static void set_back(struct watch *watch, int64_t back_ns)
{
	watch->begin_ns -= back_ns;
	for (unsigned i = 0; i < watch->rules->count; i++) {
		struct rule_state *state = &watch->state[i];

		shift(&state->pending_ns, back_ns);
		shift(&state->since_ns, back_ns);
		shift(&state->clear_ns, back_ns);
		shift(&state->ended_ns, back_ns);
		for (unsigned t = 0; t < RULE_TERMS; t++)
			state->term[t].part = NEVER;
	}
}

/* Nobody knows what held between two samples that are far apart: what is to hold for some
 * time begins anew. */
static void break_off(struct watch *watch, int64_t apart_ns)
{
	for (unsigned i = 0; i < watch->rules->count; i++) {
		watch->state[i].pending_ns = watch->state[i].clear_ns = NEVER;
		watch->state[i].gap_ns += apart_ns;
	}
}

static void see_time(struct watch *watch, int64_t time_ns)
{
	int64_t apart_ns = time_ns - watch->last_ns;

	if (apart_ns < 0)
		set_back(watch, -apart_ns);
	else if (!watch->usual_ns)
		watch->usual_ns = apart_ns;
	else if (apart_ns > 3 * watch->usual_ns + (int64_t)NS_PER_S)
		break_off(watch, apart_ns);
	else
		watch->usual_ns += (apart_ns - watch->usual_ns) / 8;
	watch->last_ns = time_ns;
}

static void start_anew(struct watch *watch, const struct sample *sample, int64_t time_ns)
{
	watch->has_sample = true;
	watch->pid = sample->pid;
	watch->begin_ns = watch->last_ns = time_ns;
	watch->usual_ns = 0;
	for (unsigned i = 0; i < watch->rules->count; i++)
		for (unsigned t = 0; t < RULE_TERMS; t++) {
			watch->state[i].term[t].recents = 0;
			watch->state[i].term[t].part = NEVER;
			watch->state[i].term[t].truth = UNKNOWN;
		}
}

void watch_sample(struct watch *watch, const struct sample *sample,
		  const struct headroom *headroom, watch_fn *fn, void *context)
{
	/* As a recording has it: milliseconds. */
	int64_t time_ns = sample->time_ns - sample->time_ns % NS_PER_MS;

	if (watch->has_sample && watch->pid != sample->pid)
		watch_end(watch, ALERT_NO_READINGS, fn, context);
	if (watch->has_sample)
		see_time(watch, time_ns);
	else
		start_anew(watch, sample, time_ns);
	memcpy(watch->comm, sample->comm, sizeof(watch->comm));
	watch->origin = sample->origin;
	for (unsigned i = 0; i < watch->rules->count; i++) {
		const struct rule *rule = &watch->rules->rule[i];

		for (unsigned t = 0; t < rule->term_count; t++)
			see_term(watch, &rule->term[t], &watch->state[i].term[t], sample,
				 headroom);
		see_rule(watch, i, sample, fn, context);
	}
}

void watch_end(struct watch *watch, enum alert_reason reason, watch_fn *fn, void *context)
{
	for (unsigned i = 0; i < watch->rules->count; i++) {
		if (watch->state[i].since_ns != NEVER)
			end_alert(watch, i, reason, NULL, fn, context);
		watch->state[i].pending_ns = NEVER;
	}
	watch->has_sample = false;
}

static int find_rule(const struct rules *rules, const struct rule *wanted)
{
	for (unsigned i = 0; i < rules->count; i++)
		if (rule_same(&rules->rule[i], wanted))
			return (int)i;
	return -1;
}

/* Evidence points into the rules, which are other ones now. */
static void take_over(struct watch *watch, unsigned to, struct rule_state *from)
{
	const struct rule *rule = &watch->rules->rule[to];

	free_tracks(&watch->state[to]);
	watch->state[to] = *from;
	for (unsigned t = 0; t < RULE_TERMS; t++) {
		from->term[t].track = NULL;
		watch->state[to].term[t].evidence.term = &rule->term[t];
	}
}

void watch_adopt(struct watch *watch, struct watch *old, watch_fn *fn, void *context)
{
	for (unsigned i = 0; i < old->rules->count; i++) {
		int to = find_rule(watch->rules, &old->rules->rule[i]);

		if (to >= 0)
			take_over(watch, (unsigned)to, &old->state[i]);
		else if (old->state[i].since_ns != NEVER)
			end_alert(old, i, ALERT_RULES, NULL, fn, context);
	}
	watch->has_sample = old->has_sample;
	watch->pid = old->pid;
	memcpy(watch->comm, old->comm, sizeof(watch->comm));
	watch->origin = old->origin;
	watch->begin_ns = old->begin_ns;
	watch->last_ns = old->last_ns;
	watch->usual_ns = old->usual_ns;
}

unsigned watch_active(const struct watch *watch)
{
	unsigned count = 0;

	for (unsigned i = 0; i < watch->rules->count; i++)
		count += watch->state[i].since_ns != NEVER;
	return count;
}
