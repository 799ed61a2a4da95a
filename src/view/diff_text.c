/* diff_text.c: a comparison for people. */
#include "base/clock.h"
#include "base/output.h"
#include "base/units.h"
#include "view/callers.h"
#include "view/diff_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	TEXT_BYTES = 256 << 10,
	STACK_LINE = 2048,
	STACKS_SHOWN = 12, /* of a kind */
	TITLE = 28,
	NUMBER = 10,
	VALUE = 40,
};

/* The columns before the outcome; without HAS_VALUES they are empty. */
static void text_numbers(struct text *text, enum figure_unit unit,
			 const struct comparison *c, bool has_values)
{
	size_t from;

	if (has_values) {
		diff_number(text, unit, c->before, false, NUMBER);
		diff_number(text, unit, c->after, false, NUMBER);
		diff_number(text, unit, c->after - c->before, true, NUMBER);
	} else {
		text_repeat(text, ' ', 3 * NUMBER);
	}
	from = text->length;
	text_string(text, "  ");
	if (comparison_is_judged(c)) {
		diff_number(text, unit, c->low, true, 0);
		text_string(text, " to ");
		diff_number(text, unit, c->high, true, 0);
	}
	text_align_left(text, from, 2 * NUMBER);
	text_string(text, "  ");
}

static void text_row(struct text *text, const struct diff *diff,
		     const struct diff_row *row)
{
	const struct comparison *c = &row->comparison;
	size_t from = text->length;

	diff_title(text, row);
	text_align_left(text, from, TITLE);
	text_numbers(text, diff_unit(row), c,
		     row->kind != DIFF_GROWTH || comparison_is_judged(c));
	diff_outcome(text, diff, row);
	text_char(text, '\n');
}

static void text_headings(struct text *text, const char *title)
{
	static const char *const heading[] = {"before", "after", "change"};
	size_t from;

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

/* ---- arenas and free sizes ---- */

static void text_detail(struct text *text, const struct diff *diff,
			const struct diff_detail *row)
{
	enum figure_unit unit = diff_detail_unit(row);
	const struct comparison *c = &row->comparison;
	size_t from = text->length;

	diff_detail_title(text, row);
	text_align_left(text, from, TITLE);
	if (row->has[0] && row->has[1]) {
		text_numbers(text, unit, c, true);
	} else {
		from = text->length;
		diff_number(text, unit, c->before, false,
			    row->has[0] ? NUMBER : 2 * NUMBER);
		text_align_left(text, from, 5 * NUMBER + 2);
		text_string(text, "  ");
	}
	diff_detail_outcome(text, diff, row);
	text_char(text, '\n');
}

static void text_details(struct text *text, const struct diff *diff, bool of_arenas)
{
	char line[128];
	struct text missing;
	enum figure figure;
	unsigned arena;
	bool begun = false;

	for (unsigned i = 0; i < diff->detail_count; i++) {
		const struct diff_detail *row = &diff->detail[i];

		if (diff_detail_is_arena(row->detail, &arena, &figure) != of_arenas)
			continue;
		if (!begun)
			text_headings(text,
				      of_arenas ? "By arena" : "Free, by size of chunks");
		begun = true;
		text_detail(text, diff, row);
	}
	text_init(&missing, line, sizeof(line));
	if (!diff_details_missing(&missing, diff, of_arenas))
		return;
	text_char(text, '\n');
	text_string(text, line);
	text_char(text, '\n');
}

/* ---- stacks ---- */

static void text_stack(struct text *text, const struct diff_stack *row, unsigned shared)
{
	char line[STACK_LINE];
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
	text_string(text, diff_stack_word(row));
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
	text_string(text, units_span_text(diff_span_s(side)).s);
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
	text_details(text, diff, true);
	text_details(text, diff, false);
	text_stacks(text, diff);
}

int diff_text(const struct diff *diff, int fd)
{
	char *buf = malloc(TEXT_BYTES);
	struct text text;
	int error;

	if (!buf)
		return -ENOMEM;
	text_init(&text, buf, TEXT_BYTES);
	text_diff(&text, diff);
	error = text.overflow ? -EOVERFLOW : output_write(fd, text.buf, text.length);
	free(buf);
	return error;
}
