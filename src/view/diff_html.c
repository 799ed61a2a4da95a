/* diff_html.c: a comparison as one self-contained page. */
#include "base/clock.h"
#include "view/callers.h"
#include "view/diff_parts.h"
#include "view/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
	LINE = 256,
	STACK_LINE = 2048,
	WIDE = 320,
	HIGH = 110,
	TOP = 8,
	LEFT = 46,
	FOOT = 16,
	COLUMNS = 160, /* of a drawing: so many points of a course at most */
};

/* ---- the head ---- */

static void side(struct report_out *out, const char *name, const struct diff_side *of)
{
	char line[LINE + DIFF_TEXT];
	struct text text;

	text_init(&text, line, sizeof(line));
	text_string(&text, name);
	text_string(&text, ": ");
	text_string(&text, of->label);
	text_string(&text, ", ");
	text_string(&text, COUNTED(of->count, "reading"));
	text_string(&text, " over ");
	text_string(&text, SPAN(diff_span_s(of)));
	text_string(&text, " from ");
	clock_local_date(&text, of->first_ns);
	page_element(out, "p", "note", line);
}

static void facts(struct report_out *out, const struct diff *diff)
{
	static const char *const names[] = {"setting", "before", "after"};

	page_element(out, "h2", NULL, "What else was different");
	if (!diff->fact_count) {
		bool known = diff->side[0]->surroundings.count &&
			     diff->side[1]->surroundings.count;

		page_element(out, "p", NULL,
			     known ? "Nothing that was recorded of the surroundings."
				   : "This is not known: not both have their "
				     "surroundings in the recording.");
		return;
	}
	page_element(out, "p", NULL, "What follows may come from this.");
	page_headings(out, names, 3);
	for (unsigned i = 0; i < diff->fact_count; i++) {
		const struct diff_fact *fact = &diff->fact[i];

		report_print(out, "<tr>");
		page_cell(out, fact->name);
		page_cell(out, *fact->before ? fact->before : "(not set)");
		page_cell(out, *fact->after ? fact->after : "(not set)");
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
}

/* ---- the tables ---- */

static void value_cell(struct report_out *out, enum figure_unit unit, double value,
		       bool change)
{
	char words[64];
	struct text text;

	text_init(&text, words, sizeof(words));
	diff_number(&text, unit, value, change, 0);
	page_cell(out, words);
}

/* Before, after, change and its interval; without HAS_VALUES they are empty. */
static void value_cells(struct report_out *out, enum figure_unit unit,
			const struct comparison *c, bool has_values)
{
	char words[64];
	struct text text;

	if (has_values) {
		value_cell(out, unit, c->before, false);
		value_cell(out, unit, c->after, false);
		value_cell(out, unit, c->after - c->before, true);
	} else {
		report_print(out, "<td></td><td></td><td></td>");
	}
	text_init(&text, words, sizeof(words));
	if (comparison_is_judged(c)) {
		diff_number(&text, unit, c->low, true, 0);
		text_string(&text, " to ");
		diff_number(&text, unit, c->high, true, 0);
	}
	page_cell(out, words);
}

static void figures(struct report_out *out, const struct diff *diff)
{
	static const char *const names[] = {
		"figure",	  "before", "after", "change", "95% of the change",
		"what that means"};
	char words[LINE];
	struct text text;

	page_element(out, "h2", NULL, "What changed");
	page_headings(out, names, 6);
	for (unsigned i = 0; i < diff->row_count; i++) {
		const struct diff_row *row = &diff->row[i];
		bool judged = comparison_is_judged(&row->comparison);

		report_print(out, "<tr>");
		text_init(&text, words, sizeof(words));
		diff_title(&text, row);
		page_cell(out, words);
		value_cells(out, diff_unit(row), &row->comparison,
			    row->kind != DIFF_GROWTH || judged);
		text_clear(&text);
		diff_outcome(&text, diff, row);
		page_element(out, "td", "words", words);
		report_print(out, "</tr>\n");
	}
	page_end_table(out);
}

static void detail_row(struct report_out *out, const struct diff *diff,
		       const struct diff_detail *row)
{
	const struct comparison *c = &row->comparison;
	char words[LINE];
	struct text text;

	text_init(&text, words, sizeof(words));
	diff_detail_title(&text, row);
	report_print(out, "<tr>");
	page_cell(out, words);
	if (row->has[0] && row->has[1]) {
		value_cells(out, diff_detail_unit(row), c, true);
	} else {
		report_print(out, row->has[0] ? "" : "<td></td>");
		value_cell(out, diff_detail_unit(row), c->before, false);
		report_print(out, "<td></td><td></td>%s", row->has[0] ? "<td></td>" : "");
	}
	text_clear(&text);
	diff_detail_outcome(&text, diff, row);
	page_element(out, "td", "words", words);
	report_print(out, "</tr>\n");
}

static void details(struct report_out *out, const struct diff *diff, bool of_arenas)
{
	static const char *const names[] = {
		"", "before", "after", "change", "95% of the change", "what that means"};
	char words[LINE];
	struct text text;
	enum figure figure;
	unsigned arena;

	if (!(of_arenas ? diff->side[0]->wants_arenas : diff->side[0]->wants_sizes))
		return;
	page_element(out, "h2", NULL, of_arenas ? "By arena" : "Free, by size of chunks");
	text_init(&text, words, sizeof(words));
	if (diff_details_missing(&text, diff, of_arenas))
		page_element(out, "p", NULL, words);
	page_headings(out, names, 6);
	for (unsigned i = 0; i < diff->detail_count; i++)
		if (diff_detail_is_arena(diff->detail[i].detail, &arena, &figure) ==
		    of_arenas)
			detail_row(out, diff, &diff->detail[i]);
	page_end_table(out);
}

static void stack_row(struct report_out *out, const struct diff_stack *row)
{
	char line[STACK_LINE];
	struct text text;

	text_init(&text, line, sizeof(line));
	callers_text(&text, row->stack, 0);
	report_print(out, "<tr><td><code class=\"stack\">");
	page_escape(out, line);
	report_print(out, "</code>%s</td>", row->is_failure ? " (failures)" : "");
	value_cells(out, row->is_failure ? UNIT_COUNT : UNIT_BYTES, &row->comparison,
		    true);
	page_element(out, "td", "words", diff_stack_word(row));
	report_print(out, "</tr>\n");
}

static void stacks(struct report_out *out, const struct diff *diff)
{
	static const char *const names[] = {"stack, innermost first", "before an hour",
					    "after an hour",	      "change",
					    "95% of the change",      "what that means"};

	if (!diff->stack_count)
		return;
	page_element(out, "h2", NULL, "Which stacks grew");
	page_headings(out, names, 6);
	for (unsigned i = 0; i < diff->stack_count; i++)
		stack_row(out, &diff->stack[i]);
	page_end_table(out);
	page_element(out, "p", NULL, fold_caveat);
}

/* ---- both courses ---- */

static double highest(const struct diff *diff, unsigned place)
{
	double high = 0;

	for (unsigned s = 0; s < 2; s++)
		for (size_t i = 0; i < diff->side[s]->count; i++)
			high = fmax(high, diff->side[s]->value[place][i]);
	return high;
}

/* The line of one side; where nothing was known for some time it is broken. */
static void course(struct report_out *out, const struct diff_side *of, unsigned place,
		   double span_s, double high, const char *class)
{
	double column_s = span_s / COLUMNS, last_s = -INFINITY, sum = 0;
	unsigned in_column = 0;

	report_print(out, "<path class=\"%s\" d=\"", class);
	for (size_t i = 0; i < of->count; i++) {
		double value = of->value[place][i], time_s = of->time_s[i];
		bool ends =
			i + 1 == of->count || (unsigned)(of->time_s[i + 1] / column_s) !=
						      (unsigned)(time_s / column_s);
		double step_s = i ? compare_step_s(of->time_s, of->count, i) : 0;

		if (!isnan(value)) {
			sum += value;
			in_column++;
		}
		if (!ends || !in_column)
			continue;
		report_print(out, "%c%.1f %.1f ",
			     time_s - last_s > 2 * fmax(step_s, column_s) ? 'M' : 'L',
			     LEFT + time_s / span_s * (WIDE - LEFT - 8),
			     TOP + (1 - sum / in_column / high) * (HIGH - TOP - FOOT));
		last_s = time_s;
		sum = 0;
		in_column = 0;
	}
	report_print(out, "\"/>\n");
}

static void label(struct report_out *out, double x, double y, const char *anchor,
		  const char *words)
{
	report_print(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x,
		     y, anchor, words);
}

static void graph(struct report_out *out, const struct diff *diff,
		  const struct diff_row *row)
{
	const struct figure_info *info = &figure_info[row->figure];
	double base = HIGH - FOOT, high = highest(diff, row->place);
	double span_s = fmax(diff_span_s(diff->side[0]), diff_span_s(diff->side[1]));
	char words[32];
	struct text text;

	if (!(high > 0) || !(span_s > 0))
		return;
	text_init(&text, words, sizeof(words));
	diff_number(&text, info->unit, high, false, 0);
	report_print(out,
		     "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" "
		     "aria-label=\"%s, before and after\">\n"
		     "<path class=\"axis\" d=\"M%d %d V%.0f H%d\"/>\n",
		     WIDE, HIGH, info->name, LEFT, TOP, base, WIDE - 8);
	label(out, LEFT - 4, TOP + 8, "end", words);
	label(out, LEFT - 4, base, "end", "0");
	label(out, LEFT, HIGH - 3, "start", "0 s");
	label(out, WIDE - 8, HIGH - 3, "end", SPAN(span_s));
	course(out, diff->side[0], row->place, span_s, high, "before");
	course(out, diff->side[1], row->place, span_s, high, "after");
	report_print(out, "</svg><figcaption>%s</figcaption></figure>\n", info->name);
}

static void graphs(struct report_out *out, const struct diff *diff)
{
	page_element(out, "h2", NULL, "Both courses, from the start of each");
	report_print(
		out,
		"<ul class=\"keys\">"
		"<li><svg viewBox=\"0 0 10 10\" class=\"key\"><path class=\"before\" "
		"d=\"M0 5 H10\"/></svg> before</li>"
		"<li><svg viewBox=\"0 0 10 10\" class=\"key\"><path class=\"after\" "
		"d=\"M0 5 H10\"/></svg> after</li></ul>\n<div class=\"graphs\">\n");
	for (unsigned i = 0; i < diff->row_count; i++)
		if (diff->row[i].kind == DIFF_LEVEL)
			graph(out, diff, &diff->row[i]);
	report_print(out, "</div>\n");
}

int diff_html(const struct diff *diff, int fd)
{
	struct report_out *out = report_begin(fd);

	if (!out)
		return report_finish(out);
	page_begin(out, "fragscope: before and after");
	side(out, "before", diff->side[0]);
	side(out, "after", diff->side[1]);
	facts(out, diff);
	figures(out, diff);
	graphs(out, diff);
	details(out, diff, true);
	details(out, diff, false);
	stacks(out, diff);
	return page_finish(out);
}
