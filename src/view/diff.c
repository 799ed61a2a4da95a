#include "view/diff.h"

#include "base/clock.h"
#include "base/output.h"
#include "base/text.h"
#include "base/units.h"
#include "view/json_text.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
	DIFF_BYTES = 64 << 10,
	TITLE = 28,
	NUMBER = 10,
	VALUE = 40,
};

static bool is_ratio(const struct diff_row *row)
{
	return figure_info[row->figure].unit == UNIT_RATIO;
}

/* ---- text ---- */

/* VALUE of ROW's figure, with a sign where it is a CHANGE. */
static void number(struct text *text, const struct diff_row *row, double value,
		   bool change, size_t width)
{
	size_t from = text->length;
	double size = fabs(value);

	if (value < 0)
		text_char(text, '-');
	else if (change && value > 0)
		text_char(text, '+');
	if (is_ratio(row))
		units_ratio(text, size);
	else if (figure_info[row->figure].unit == UNIT_BYTES)
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

/* What the interval says, in a word. */
static const char *outcome_word(const struct diff_row *row)
{
	const struct comparison *c = &row->comparison;
	enum figure_worse worse = figure_info[row->figure].worse;
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

static void text_row(struct text *text, const struct diff_row *row)
{
	const struct comparison *c = &row->comparison;
	size_t from = text->length;

	text_string(text, figure_info[row->figure].name);
	text_string(text, kind_words[row->kind]);
	text_align_left(text, from, TITLE);
	if (c->outcome == COMPARE_THIN && row->kind == DIFF_GROWTH) {
		text_repeat(text, ' ', 3 * NUMBER);
	} else {
		number(text, row, c->before, false, NUMBER);
		number(text, row, c->after, false, NUMBER);
		number(text, row, c->after - c->before, true, NUMBER);
	}
	from = text->length;
	text_string(text, "  ");
	if (c->outcome != COMPARE_THIN) {
		number(text, row, c->low, true, 0);
		text_string(text, " to ");
		number(text, row, c->high, true, 0);
	}
	text_align_left(text, from, 2 * NUMBER);
	text_string(text, "  ");
	text_string(text, outcome_word(row));
	text_char(text, '\n');
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
	static const char *const heading[] = {"before", "after", "change"};

	text_side(text, "before", diff->side[0]);
	text_side(text, "after", diff->side[1]);
	text_facts(text, diff);
	text_char(text, '\n');
	text_repeat(text, ' ', TITLE);
	for (unsigned i = 0; i < 3; i++) {
		size_t from = text->length;

		text_string(text, heading[i]);
		text_align_right(text, from, NUMBER);
	}
	text_string(text, "  95% of the change\n");
	for (unsigned i = 0; i < diff->row_count; i++)
		text_row(text, &diff->row[i]);
}

/* ---- JSON ---- */

static void json_number(struct text *text, const char *name, const struct diff_row *row,
			double value)
{
	json_key(text, name, strlen(name));
	text_fixed(text, value, is_ratio(row) || row->kind != DIFF_LEVEL ? 6 : 0);
}

static void json_row(struct text *text, const struct diff_row *row)
{
	static const char *const outcome[] = {
		[COMPARE_SAME] = "same",
		[COMPARE_CHANGED] = "changed",
		[COMPARE_THIN] = "thin",
	};
	static const char *const kind[] = {
		[DIFF_LEVEL] = "median",
		[DIFF_GROWTH] = "growth_per_hour",
		[DIFF_SUM] = "per_hour",
	};
	const struct comparison *c = &row->comparison;

	json_element(text);
	json_member_string(text, "figure", figure_info[row->figure].name);
	json_member_string(text, "of", kind[row->kind]);
	json_member_string(text, "outcome", outcome[c->outcome]);
	if (c->outcome != COMPARE_THIN || row->kind != DIFF_GROWTH) {
		json_number(text, "before", row, c->before);
		json_number(text, "after", row, c->after);
	}
	if (c->outcome != COMPARE_THIN) {
		json_number(text, "change_low", row, c->low);
		json_number(text, "change_high", row, c->high);
	}
	text_char(text, '}');
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
		json_row(text, &diff->row[i]);
	text_string(text, "]}\n");
}

int diff_write(const struct diff *diff, bool json, int fd)
{
	char buf[DIFF_BYTES];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	if (json)
		json_diff(&text, diff);
	else
		text_diff(&text, diff);
	return text.overflow ? -ENOSPC : output_write(fd, text.buf, text.length);
}
