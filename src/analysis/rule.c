#include "analysis/rule.h"

#include "analysis/trend.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

static int check_term(const struct rule *rule, const struct term *term,
		      int64_t interval_ns, struct fault *fault)
{
	bool is_trend = term->kind >= TERM_RISING;
	int readings = is_trend ? TREND_MIN + 1 : 1;
	struct units_text window, interval;

	if (!term->window_ns || !interval_ns || term->window_ns / interval_ns >= readings)
		return 0;
	window = units_span_text((double)term->window_ns / NS_PER_S);
	interval = units_span_text((double)interval_ns / NS_PER_S);
	return fault_set(fault, EXIT_USAGE, -EINVAL,
			 "rule '%s': in a window of %s there are fewer than %d "
			 "readings when one is made every %s: read more often, or make "
			 "the window longer",
			 rule->name, window.s, readings, interval.s);
}

int rules_fit(const struct rules *rules, int64_t interval_ns, struct fault *fault)
{
	int error = 0;

	for (unsigned i = 0; !error && i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		for (unsigned t = 0; !error && t < rule->term_count; t++)
			error = check_term(rule, &rule->term[t], interval_ns, fault);
	}
	return error;
}

static bool is_about(const struct quantity *quantity, enum figure f)
{
	if (quantity->kind == QUANTITY_LIMIT)
		return false;
	return quantity->a == f ||
	       (quantity->kind != QUANTITY_FIGURE && quantity->b == f);
}

bool rules_need(const struct rules *rules, enum figure f)
{
	for (unsigned i = 0; i < rules->count; i++)
		for (unsigned t = 0; t < rules->rule[i].term_count; t++)
			if (is_about(&rules->rule[i].term[t].quantity, f))
				return true;
	return false;
}

bool rules_need_limit(const struct rules *rules)
{
	for (unsigned i = 0; i < rules->count; i++)
		for (unsigned t = 0; t < rules->rule[i].term_count; t++)
			if (rules->rule[i].term[t].quantity.kind == QUANTITY_LIMIT)
				return true;
	return false;
}

bool comparison_holds(enum comparison comparison, double value, double other)
{
	switch (comparison) {
	case COMPARE_LESS:
		return value < other;
	case COMPARE_AT_MOST:
		return value <= other;
	case COMPARE_MORE:
		return value > other;
	case COMPARE_AT_LEAST:
		return value >= other;
	case COMPARE_EQUAL:
		return value == other;
	case COMPARE_OTHER:
		break;
	}
	return value != other;
}

void quantity_name(struct text *text, const struct quantity *quantity)
{
	if (quantity->kind == QUANTITY_LIMIT) {
		text_string(text, "limit");
		return;
	}
	text_string(text, figure_info[quantity->a].name);
	if (quantity->kind == QUANTITY_FIGURE)
		return;
	text_string(text, quantity->kind == QUANTITY_RATIO ? " / " : " - ");
	text_string(text, figure_info[quantity->b].name);
}

bool quantity_same(const struct quantity *one, const struct quantity *other)
{
	if (one->kind != other->kind)
		return false;
	if (one->kind == QUANTITY_LIMIT)
		return true;
	return one->a == other->a && (one->kind == QUANTITY_FIGURE || one->b == other->b);
}

/* The text says all but what an ini file's other keys do. */
bool rule_same(const struct rule *one, const struct rule *other)
{
	return !strcmp(one->name, other->name) && !strcmp(one->text, other->text) &&
	       one->severity == other->severity && one->for_ns == other->for_ns;
}
