#include "view/alerts.h"

#include "base/clock.h"
#include "base/units.h"
#include "view/json_text.h"

#include <math.h>
#include <string.h>

#define NS_PER_S 1e9

enum { COMM_CHARACTERS = 15 };

static const char *const reasons[] = {
	[ALERT_HOLDS] = "holds",
	[ALERT_HOLDS_NOT] = "holds no longer",
	[ALERT_UNTIL] = "until",
	[ALERT_PROCESS_ENDED] = "process ended",
	[ALERT_READINGS_FAILED] = "readings failed",
	[ALERT_WATCH_ENDED] = "watch ended",
	[ALERT_NO_READINGS] = "no more readings",
	[ALERT_RULES] = "the rules changed",
};

const char *alert_kind_name(enum alert_kind kind)
{
	return kind == ALERT_BEGIN ? "begin" : "end";
}

/* ---- for people ---- */

/* Differences and movements may be negative, which scaled units are not. */
static void value_text(struct text *text, enum figure_unit unit, double value)
{
	double size = fabs(value);

	if (value < 0)
		text_char(text, '-');
	if (unit == UNIT_BYTES)
		units_bytes(text, (uint64_t)size);
	else if (unit == UNIT_COUNT)
		units_count(text, (uint64_t)size);
	else if (unit == UNIT_NS)
		units_ns(text, (uint64_t)size);
	else
		units_ratio(text, size);
}

static void limit_or_value(struct text *text, const struct quantity *quantity,
			   double value)
{
	if (quantity->kind == QUANTITY_LIMIT)
		text_string(text, units_share_text(value).s);
	else
		value_text(text, quantity->unit, value);
}

/* "frag is 0.950, > 0.900". */
static void comparison_text(struct text *text, const struct evidence *evidence)
{
	static const char *const signs[] = {
		[COMPARE_LESS] = "<",	[COMPARE_AT_MOST] = "<=",
		[COMPARE_MORE] = ">",	[COMPARE_AT_LEAST] = ">=",
		[COMPARE_EQUAL] = "==", [COMPARE_OTHER] = "!=",
	};
	const struct term *term = evidence->term;

	text_string(text, " is ");
	limit_or_value(text, &term->quantity, evidence->now);
	text_string(text, " (");
	text_string(text, signs[term->comparison]);
	text_char(text, ' ');
	limit_or_value(text, &term->quantity, term->value);
	text_char(text, ')');
}

static void change_text(struct text *text, const struct evidence *evidence,
			const struct alert *alert)
{
	bool drops = evidence->term->kind == TERM_DROPS;
	double moved = fabs(evidence->now - evidence->was);
	int64_t within_ns = alert->time_ns - evidence->was_ns;

	text_string(text, drops ? " fell from " : " rose from ");
	limit_or_value(text, &evidence->term->quantity, evidence->was);
	text_string(text, " to ");
	limit_or_value(text, &evidence->term->quantity, evidence->now);
	if (evidence->was > 0) {
		text_string(text, " (");
		text_string(text, units_share_text(moved / evidence->was).s);
		text_char(text, ')');
	}
	text_string(text, " in ");
	units_ns(text, (uint64_t)within_ns);
}

/* By how much it moves over the window, and how likely chance does that. */
static void trend_text(struct text *text, const struct evidence *evidence)
{
	const struct term *term = evidence->term;
	double moved = evidence->trend.slope_per_s * (double)term->window_ns / NS_PER_S;

	if (term->kind == TERM_FLAT) {
		text_string(text, " stays about ");
		limit_or_value(text, &term->quantity, evidence->median);
		return;
	}
	text_string(text, moved < 0 ? " falls by " : " rises by ");
	limit_or_value(text, &term->quantity, fabs(moved));
	text_string(text, " in ");
	units_ns(text, (uint64_t)term->window_ns);
	if (evidence->trend.p < 0.0001) {
		text_string(text, " (p < 0.0001)");
		return;
	}
	text_string(text, " (p = ");
	text_fixed(text, evidence->trend.p, 4);
	text_char(text, ')');
}

static void evidence_text(struct text *text, const struct evidence *evidence,
			  const struct alert *alert)
{
	quantity_name(text, &evidence->term->quantity);
	if (evidence->limit) {
		text_char(text, ' ');
		text_string(text, evidence->limit);
	}
	if (evidence->term->kind == TERM_COMPARE)
		comparison_text(text, evidence);
	else if (evidence->term->kind == TERM_DROPS || evidence->term->kind == TERM_RISES)
		change_text(text, evidence, alert);
	else
		trend_text(text, evidence);
}

/* Where nobody looked, be it because the clock was set, is no part of how long it held.
 */
static void after(struct text *text, const struct alert *alert)
{
	int64_t seen_ns = alert->time_ns - alert->since_ns - alert->gap_ns;

	text_string(text, "after ");
	units_ns(text, (uint64_t)seen_ns);
	if (alert->gap_ns) {
		text_string(text, " and ");
		text_string(text, units_span_text((double)alert->gap_ns / NS_PER_S).s);
		text_string(text, " without readings");
	}
	text_string(text, ", ");
}

/* Whether one of the evidence before AT is about the same. */
static bool is_repeated(const struct alert *alert, unsigned at)
{
	const struct quantity *of = &alert->evidence[at].term->quantity;

	for (unsigned i = 0; i < at; i++)
		if (quantity_same(&alert->evidence[i].term->quantity, of))
			return true;
	return false;
}

/* "; frag is 0.850; free_bytes is 12.3M": each quantity once. */
static void last_values(struct text *text, const struct alert *alert)
{
	for (unsigned i = 0; i < alert->evidence_count; i++) {
		const struct evidence *evidence = &alert->evidence[i];

		if (is_repeated(alert, i))
			continue;
		text_string(text, "; ");
		quantity_name(text, &evidence->term->quantity);
		text_string(text, evidence->limit ? " " : "");
		text_string(text, evidence->limit ? evidence->limit : "");
		text_string(text, " is ");
		limit_or_value(text, &evidence->term->quantity, evidence->now);
	}
}

void alert_sentence(struct text *text, const struct alert *alert)
{
	if (alert->kind == ALERT_END) {
		after(text, alert);
		text_string(text, reasons[alert->reason]);
	}
	if (alert->kind == ALERT_END && alert->reason != ALERT_UNTIL) {
		last_values(text, alert);
		return;
	}
	for (unsigned i = 0; i < alert->evidence_count; i++) {
		if (i || alert->kind == ALERT_END)
			text_string(text, i ? "; " : ": ");
		evidence_text(text, &alert->evidence[i], alert);
	}
}

void alert_text(struct text *text, const struct alert *alert)
{
	clock_local_date(text, alert->time_ns);
	if (alert->origin && *alert->origin->host) {
		text_char(text, ' ');
		text_printable(text, alert->origin->host, SIZE_MAX);
	}
	text_string(text, alert->kind == ALERT_BEGIN ? " BEGIN " : " END   ");
	text_string(text, severity_name(alert->rule->severity));
	text_char(text, ' ');
	text_printable(text, alert->comm, COMM_CHARACTERS);
	text_char(text, '[');
	text_i64(text, alert->pid);
	text_string(text, "] ");
	text_string(text, alert->rule->name);
	text_string(text, ": ");
	alert_sentence(text, alert);
	if (alert->origin && alert->origin->started_ns) {
		text_string(text, "; process started ");
		clock_local_date(text, alert->origin->started_ns);
	}
	text_char(text, '\n');
}

/* ---- for machines ---- */

/* VALUE to nine decimals, whole numbers to none, and what is large to as many as a double
 * holds. What cannot be written is left out: "inf" would be no JSON. */
static void member_double(struct text *text, const char *name, double value)
{
	const double most = 1e19, exact = 9007199254740992.0;
	unsigned decimals = value == floor(value) ? 0 : 9;

	if (!isfinite(value) || fabs(value) > most)
		return;
	for (double scaled = fabs(value) * 1e9; decimals && scaled > exact; scaled /= 10)
		decimals--;
	json_key(text, name, strlen(name));
	text_fixed(text, value, decimals);
}

static void json_evidence(struct text *text, const struct evidence *evidence)
{
	static const char *const kinds[] = {
		[TERM_COMPARE] = "compare", [TERM_DROPS] = "drops",
		[TERM_RISES] = "rises",	    [TERM_RISING] = "rising",
		[TERM_FALLING] = "falling", [TERM_FLAT] = "flat",
	};
	const struct term *term = evidence->term;
	char name[128];
	struct text quantity;

	text_init(&quantity, name, sizeof(name));
	quantity_name(&quantity, &term->quantity);
	json_element(text);
	json_member_string(text, "term", kinds[term->kind]);
	json_member_string(text, "of", name);
	if (evidence->limit)
		json_member_string(text, "limit", evidence->limit);
	member_double(text, "now", evidence->now);
	if (!evidence->is_last &&
	    (term->kind == TERM_DROPS || term->kind == TERM_RISES)) {
		member_double(text, "was", evidence->was);
		json_member_time(text, "was_time", evidence->was_ns);
	}
	if (!evidence->is_last && term->kind >= TERM_RISING) {
		member_double(text, "median", evidence->median);
		member_double(text, "per_second", evidence->trend.slope_per_s);
		member_double(text, "low_per_second", evidence->trend.low_per_s);
		member_double(text, "high_per_second", evidence->trend.high_per_s);
		member_double(text, "p", evidence->trend.p);
	}
	if (term->window_ns)
		json_member_i64(text, "window_ns", term->window_ns);
	text_char(text, '}');
}

static void json_sentence(struct text *text, const struct alert *alert)
{
	char buf[2048];
	struct text sentence;

	text_init(&sentence, buf, sizeof(buf));
	alert_sentence(&sentence, alert);
	json_member_string(text, "message", buf);
}

void alert_json(struct text *text, const struct alert *alert)
{
	text_string(text, "{\"time\":\"");
	clock_rfc3339(text, alert->time_ns);
	text_char(text, '"');
	json_member_string(text, "event", alert_kind_name(alert->kind));
	json_member_string(text, "rule", alert->rule->name);
	json_member_string(text, "severity", severity_name(alert->rule->severity));
	json_member_i64(text, "pid", alert->pid);
	json_member_string(text, "comm", alert->comm);
	if (alert->origin)
		json_origin(text, alert->origin);
	json_member_time(text, "since", alert->since_ns);
	if (alert->gap_ns)
		json_member_i64(text, "gap_ns", alert->gap_ns);
	json_member_string(text, "reason", reasons[alert->reason]);
	json_member_string(text, "says", alert->rule->text);
	json_sentence(text, alert);
	text_string(text, ",\"evidence\":[");
	for (unsigned i = 0; i < alert->evidence_count; i++)
		json_evidence(text, &alert->evidence[i]);
	text_string(text, "]}\n");
}
