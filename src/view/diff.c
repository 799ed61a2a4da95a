#include "view/diff.h"

#include "base/clock.h"
#include "base/output.h"
#include "base/text.h"
#include "base/units.h"
#include "view/callers.h"
#include "view/json_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	DIFF_BYTES = 512 << 10,
	STACK_TEXT = 4096, /* of one stack, in JSON */
	STACKS_SHOWN = 12, /* as text */
	TITLE = 28,
	NUMBER = 10,
	VALUE = 40,
};

static enum figure_unit unit_of(const struct diff_row *row)
{
	return figure_info[row->figure].unit;
}

/* ---- text ---- */

/* VALUE in UNIT, with a sign where it is a CHANGE. */
static void number(struct text *text, enum figure_unit unit, double value, bool change,
		   size_t width)
{
	size_t from = text->length;
	double size = fabs(value);

	if (value < 0)
		text_char(text, '-');
	else if (change && value > 0)
		text_char(text, '+');
	if (unit == UNIT_RATIO)
		units_ratio(text, size);
	else if (unit == UNIT_BYTES)
		units_bytes(text, (uint64_t)(size + 0.5));
	else
		units_count(text, (uint64_t)(size + 0.5));
	text_align_right(text, from, width);
}

static const char *const kind_words[] = {
	[DIFF_LEVEL] = "",
	[DIFF_GROWTH] = " growth/h",
	[DIFF_SUM] = " per hour",
};

static void text_step(struct text *text, const struct diff *diff,
		      const struct comparison *c)
{
	text_string(text, c->side ? "after goes" : "before goes");
	text_string(text, " from one level to another at ");
	clock_local(text, diff->side[c->side]->first_ns + (int64_t)(c->step_s * 1e9));
	text_string(text, ": compare spans");
}

/* Whether DIFF compares the growth of FIGURE. */
static bool has_growth(const struct diff *diff, enum figure figure)
{
	for (unsigned i = 0; i < diff->row_count; i++)
		if (diff->row[i].figure == figure && diff->row[i].kind == DIFF_GROWTH)
			return true;
	return false;
}

/* What the interval of a figure says, for which WORSE is not good. */
static const char *outcome_word(const struct comparison *c, enum figure_worse worse)
{
	bool up = c->low > 0;

	if (c->outcome == COMPARE_THIN)
		return "too few independent readings to say";
	if (c->outcome == COMPARE_SAME)
		return "no more than chance";
	if (worse == WORSE_NEITHER)
		return up ? "higher" : "lower";
	if ((worse == WORSE_UP) == up)
		return up ? "higher: worse" : "lower: worse";
	return up ? "higher: better" : "lower: better";
}

static void text_outcome(struct text *text, const struct diff *diff,
			 const struct diff_row *row)
{
	const struct comparison *c = &row->comparison;

	if (c->outcome == COMPARE_STEP) {
		text_step(text, diff, c);
	} else if (c->outcome == COMPARE_DRIFT) {
		text_string(text, c->side ? "after drifts" : "before drifts");
		text_string(text, row->kind == DIFF_LEVEL && has_growth(diff, row->figure)
					  ? ": its growth is what to compare"
					  : ": it has no level to compare");
	} else {
		text_string(text, outcome_word(c, figure_info[row->figure].worse));
	}
}

/* The columns before the outcome; without HAS_VALUES they are empty. */
static void text_numbers(struct text *text, enum figure_unit unit,
			 const struct comparison *c, bool has_values)
{
	size_t from;

	if (has_values) {
		number(text, unit, c->before, false, NUMBER);
		number(text, unit, c->after, false, NUMBER);
		number(text, unit, c->after - c->before, true, NUMBER);
	} else {
		text_repeat(text, ' ', 3 * NUMBER);
	}
	from = text->length;
	text_string(text, "  ");
	if (comparison_is_judged(c)) {
		number(text, unit, c->low, true, 0);
		text_string(text, " to ");
		number(text, unit, c->high, true, 0);
	}
	text_align_left(text, from, 2 * NUMBER);
	text_string(text, "  ");
}

static void text_row(struct text *text, const struct diff *diff,
		     const struct diff_row *row)
{
	const struct comparison *c = &row->comparison;
	size_t from = text->length;

	text_string(text, figure_info[row->figure].name);
	text_string(text, kind_words[row->kind]);
	text_align_left(text, from, TITLE);
	text_numbers(text, unit_of(row), c,
		     row->kind != DIFF_GROWTH || comparison_is_judged(c));
	text_outcome(text, diff, row);
	text_char(text, '\n');
}

/* ---- stacks ---- */

static void text_headings(struct text *text, const char *title)
{
	static const char *const heading[] = {"before", "after", "change"};
	size_t from = text->length;

	text_char(text, '\n');
	from = text->length;
	text_string(text, title);
	text_align_left(text, from, TITLE);
	for (unsigned i = 0; i < 3; i++) {
		from = text->length;
		text_string(text, heading[i]);
		text_align_right(text, from, NUMBER);
	}
	text_string(text, "  95% of the change\n");
}

static const char *stack_word(const struct diff_stack *row)
{
	const struct comparison *c = &row->comparison;

	if (!comparison_is_judged(c))
		return "too few to say";
	if (c->outcome == COMPARE_SAME)
		return "no more than chance";
	if (!row->count[0])
		return "new";
	if (!row->count[1])
		return "gone";
	return c->low > 0 ? "more" : "less";
}

static void text_stack(struct text *text, const struct diff_stack *row, unsigned shared)
{
	char line[STACK_TEXT];
	struct text stack;
	size_t from = text->length;

	text_string(text, "  ");
	units_count(text, row->count[0]);
	text_string(text, " and ");
	units_count(text, row->count[1]);
	text_string(text, " times");
	text_align_left(text, from, TITLE);
	text_numbers(text, row->is_failure ? UNIT_COUNT : UNIT_BYTES, &row->comparison,
		     true);
	text_string(text, stack_word(row));
	text_string(text, "\n    ");
	text_init(&stack, line, sizeof(line));
	callers_text(&stack, row->stack, shared);
	text_printable(text, line, SIZE_MAX);
	text_char(text, '\n');
}

/* Those of one kind, which follow one another in DIFF from row FROM on; behind them. */
static unsigned text_kind(struct text *text, const struct diff *diff, unsigned from)
{
	bool is_failure = diff->stack[from].is_failure;
	struct fold_row fold[STACKS_SHOWN];
	unsigned shown = 0, end = from;

	for (; end < diff->stack_count && diff->stack[end].is_failure == is_failure;
	     end++)
		if (shown < STACKS_SHOWN)
			fold[shown++].stack = diff->stack[end].stack;
	text_headings(text, is_failure ? "Failures an hour, by stack"
				       : "Growth an hour, by stack");
	for (unsigned i = 0; i < shown; i++)
		text_stack(text, &diff->stack[from + i], callers_shared(fold, shown));
	if (end - from > shown) {
		text_string(text, "  and ");
		text_u64(text, end - from - shown);
		text_string(text, " more stacks: --json\n");
	}
	return end;
}

static void text_stacks(struct text *text, const struct diff *diff)
{
	const double *share = diff->stack_share;
	bool one = diff->side[0]->has_growths, other = diff->side[1]->has_growths;

	if (one != other) {
		text_string(text, "\nGrowth by stack is only known of what is ");
		text_string(text, one ? "before" : "after");
		text_string(text, ": record both with --events.\n");
	}
	for (unsigned i = 0; i < diff->stack_count;)
		i = text_kind(text, diff, i);
	if (!diff->stack_count || (share[0] > 0.995 && share[1] > 0.995))
		return;
	text_string(text, "  Of the growth ");
	text_string(text, units_share_text(share[0]).s);
	text_string(text, " before and ");
	text_string(text, units_share_text(share[1]).s);
	text_string(text, " after has its stack in the recording.\n");
}

static void text_side(struct text *text, const char *name, const struct diff_side *side)
{
	size_t from = text->length;

	text_string(text, name);
	text_align_left(text, from, 8);
	text_printable(text, side->label, SIZE_MAX);
	text_string(text, ": ");
	text_u64(text, side->count);
	text_string(text, side->count == 1 ? " reading over " : " readings over ");
	text_string(text,
		    units_span_text((double)(side->last_ns - side->first_ns) / 1e9).s);
	text_string(text, " from ");
	clock_local_date(text, side->first_ns);
	text_char(text, '\n');
}

static void text_value(struct text *text, const char *value)
{
	if (*value)
		text_printable(text, value, VALUE);
	else
		text_string(text, "(not set)");
}

static void text_facts(struct text *text, const struct diff *diff)
{
	if (!diff->fact_count)
		return;
	text_string(text,
		    "\nThe surroundings differ. What follows may come from this:\n");
	for (unsigned i = 0; i < diff->fact_count; i++) {
		size_t from = text->length;

		text_string(text, "  ");
		text_printable(text, diff->fact[i].name, VALUE);
		text_align_left(text, from, TITLE);
		text_value(text, diff->fact[i].before);
		text_string(text, " -> ");
		text_value(text, diff->fact[i].after);
		text_char(text, '\n');
	}
}

static void text_diff(struct text *text, const struct diff *diff)
{
	text_side(text, "before", diff->side[0]);
	text_side(text, "after", diff->side[1]);
	text_facts(text, diff);
	text_headings(text, "");
	for (unsigned i = 0; i < diff->row_count; i++)
		text_row(text, diff, &diff->row[i]);
	text_stacks(text, diff);
}

/* ---- JSON ---- */

static void json_number(struct text *text, const char *name, double value,
			unsigned decimals)
{
	json_key(text, name, strlen(name));
	text_fixed(text, value, decimals);
}

/* What the row was found to be; HAS_VALUES as with text_numbers. */
static void json_comparison(struct text *text, const struct diff *diff,
			    const struct comparison *c, bool has_values,
			    unsigned decimals)
{
	static const char *const outcome[] = {
		[COMPARE_SAME] = "same", [COMPARE_CHANGED] = "changed",
		[COMPARE_THIN] = "thin", [COMPARE_DRIFT] = "drift",
		[COMPARE_STEP] = "step",
	};

	json_member_string(text, "outcome", outcome[c->outcome]);
	if (c->outcome == COMPARE_DRIFT || c->outcome == COMPARE_STEP)
		json_member_string(text, "in", c->side ? "after" : "before");
	if (c->outcome == COMPARE_STEP)
		json_member_time(text, "step",
				 diff->side[c->side]->first_ns +
					 (int64_t)(c->step_s * 1e9));
	if (has_values) {
		json_number(text, "before", c->before, decimals);
		json_number(text, "after", c->after, decimals);
	}
	if (comparison_is_judged(c)) {
		json_number(text, "change_low", c->low, decimals);
		json_number(text, "change_high", c->high, decimals);
	}
}

static void json_row(struct text *text, const struct diff *diff,
		     const struct diff_row *row)
{
	static const char *const kind[] = {
		[DIFF_LEVEL] = "median",
		[DIFF_GROWTH] = "growth_per_hour",
		[DIFF_SUM] = "per_hour",
	};
	const struct comparison *c = &row->comparison;

	json_element(text);
	json_member_string(text, "figure", figure_info[row->figure].name);
	json_member_string(text, "of", kind[row->kind]);
	json_comparison(text, diff, c,
			row->kind != DIFF_GROWTH || comparison_is_judged(c),
			unit_of(row) == UNIT_RATIO || row->kind != DIFF_LEVEL ? 6 : 0);
	text_char(text, '}');
}

static void json_stacks(struct text *text, const struct diff *diff)
{
	json_key(text, "stacks", strlen("stacks"));
	text_char(text, '[');
	for (unsigned i = 0; i < diff->stack_count; i++) {
		const struct diff_stack *row = &diff->stack[i];

		json_element(text);
		json_member_string(text, "of",
				   row->is_failure ? "failures_per_hour"
						   : "growth_bytes_per_hour");
		json_comparison(text, diff, &row->comparison, true, 6);
		json_member_u64(text, "count_before", row->count[0]);
		json_member_u64(text, "count_after", row->count[1]);
		json_key(text, "stack", strlen("stack"));
		json_string_cut(text, row->stack, STACK_TEXT);
		text_char(text, '}');
	}
	text_char(text, ']');
	json_member_u64(text, "stacks_left_out", diff->stacks_left);
	json_number(text, "stack_share_before", diff->stack_share[0], 6);
	json_number(text, "stack_share_after", diff->stack_share[1], 6);
}

static void json_side(struct text *text, const char *name, const struct diff_side *side)
{
	json_member_object(text, name);
	json_member_string(text, "what", side->label);
	json_member_u64(text, "readings", side->count);
	json_member_time(text, "from", side->first_ns);
	json_member_time(text, "to", side->last_ns);
	text_char(text, '}');
}

static void json_diff(struct text *text, const struct diff *diff)
{
	text_char(text, '{');
	json_side(text, "before", diff->side[0]);
	json_side(text, "after", diff->side[1]);
	json_key(text, "surroundings", strlen("surroundings"));
	text_char(text, '[');
	for (unsigned i = 0; i < diff->fact_count; i++) {
		json_element(text);
		json_member_string(text, "name", diff->fact[i].name);
		json_member_string(text, "before", diff->fact[i].before);
		json_member_string(text, "after", diff->fact[i].after);
		text_char(text, '}');
	}
	text_char(text, ']');
	json_key(text, "figures", strlen("figures"));
	text_char(text, '[');
	for (unsigned i = 0; i < diff->row_count; i++)
		json_row(text, diff, &diff->row[i]);
	text_char(text, ']');
	if (diff->stack_count)
		json_stacks(text, diff);
	text_string(text, "}\n");
}

int diff_write(const struct diff *diff, bool json, int fd)
{
	char *buf = malloc(DIFF_BYTES);
	struct text text;
	int error;

	if (!buf)
		return -ENOMEM;
	text_init(&text, buf, DIFF_BYTES);
	if (json)
		json_diff(&text, diff);
	else
		text_diff(&text, diff);
	error = text.overflow ? -ENOSPC : output_write(fd, text.buf, text.length);
	free(buf);
	return error;
}
