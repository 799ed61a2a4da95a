/* diff_words.c: numbers and words that all forms of a comparison share. */
#include "base/clock.h"
#include "base/units.h"
#include "view/diff_parts.h"

#include <math.h>

enum figure_unit diff_unit(const struct diff_row *row)
{
	return figure_info[row->figure].unit;
}

void diff_number(struct text *text, enum figure_unit unit, double value, bool change,
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
		units_bytes(text, units_whole(size));
	else
		units_count(text, units_whole(size));
	text_align_right(text, from, width);
}

void diff_title(struct text *text, const struct diff_row *row)
{
	static const char *const kind_words[] = {
		[DIFF_LEVEL] = "",
		[DIFF_GROWTH] = " growth/h",
		[DIFF_SUM] = " per hour",
	};

	text_string(text, figure_info[row->figure].name);
	text_string(text, kind_words[row->kind]);
}

/* Rows may name any times. */
int64_t diff_step_ns(const struct diff *diff, const struct comparison *c)
{
	double passed_ns = c->step_s * 1e9;
	int64_t step_ns;

	if (!(passed_ns < 0x1p63) || __builtin_add_overflow(diff->side[c->side]->first_ns,
							    (int64_t)passed_ns, &step_ns))
		return INT64_MAX;
	return step_ns;
}

static void text_step(struct text *text, const struct diff *diff,
		      const struct comparison *c)
{
	text_string(text, c->side ? "after goes" : "before goes");
	text_string(text, " from one level to another at ");
	clock_local(text, diff_step_ns(diff, c));
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

/* The outcome of a figure for which WORSE is not good. */
static void outcome(struct text *text, const struct diff *diff,
		    const struct comparison *c, bool grows, enum figure_worse worse)
{
	if (c->outcome == COMPARE_STEP) {
		text_step(text, diff, c);
	} else if (c->outcome == COMPARE_DRIFT) {
		text_string(text, c->side ? "after drifts" : "before drifts");
		text_string(text, grows ? ": its growth is what to compare"
					: ": it has no level to compare");
	} else {
		text_string(text, outcome_word(c, worse));
	}
}

void diff_outcome(struct text *text, const struct diff *diff, const struct diff_row *row)
{
	outcome(text, diff, &row->comparison,
		row->kind == DIFF_LEVEL && has_growth(diff, row->figure),
		figure_info[row->figure].worse);
}

/* ---- arenas and free sizes ---- */

void diff_detail_title(struct text *text, const struct diff_detail *row)
{
	unsigned arena, size;
	enum figure figure;

	if (diff_detail_is_arena(row->detail, &arena, &figure)) {
		text_string(text, "arena ");
		text_u64(text, arena);
		text_char(text, ' ');
		text_string(text, figure_info[figure].name);
		return;
	}
	size = row->detail - DIFF_ARENAS * DIFF_ARENA_FIGURES;
	if (size < FREE_SIZES - 1) {
		text_string(text, "below ");
		units_bytes(text, UINT64_C(64) << size);
	} else if (size == FREE_SIZES - 1) {
		text_string(text, "from ");
		units_bytes(text, UINT64_C(64) << (size - 1));
		text_string(text, " on");
	} else {
		text_string(text, size == FREE_SIZES ? "not sorted yet" : "tops");
	}
}

enum figure_unit diff_detail_unit(const struct diff_detail *row)
{
	enum figure figure;
	unsigned arena;

	diff_detail_is_arena(row->detail, &arena, &figure);
	return figure_info[figure].unit;
}

void diff_detail_outcome(struct text *text, const struct diff *diff,
			 const struct diff_detail *row)
{
	enum figure figure;
	unsigned arena;
	bool is_arena = diff_detail_is_arena(row->detail, &arena, &figure);

	if (!row->has[0])
		text_string(text, "only after");
	else if (!row->has[1])
		text_string(text, "only before");
	else
		outcome(text, diff, &row->comparison, false,
			is_arena ? figure_info[figure].worse : WORSE_NEITHER);
}

bool diff_details_missing(struct text *text, const struct diff *diff, bool of_arenas)
{
	const struct diff_side *const *side = diff->side;
	bool wanted = of_arenas ? side[0]->wants_arenas : side[0]->wants_sizes;
	bool has[2];

	for (unsigned i = 0; i < 2; i++)
		has[i] = of_arenas ? side[i]->arenas > 0 : side[i]->sizes_looks > 0;
	if (!wanted || (has[0] && has[1]))
		return false;
	text_string(text, has[0]   ? "What is after has no "
			  : has[1] ? "What is before has no "
				   : "Neither has ");
	text_string(text, of_arenas
				  ? "single arenas: recordings have them by the second, "
				    "of glibc's heap."
				  : "free chunks by size: record with --maps.");
	return true;
}

const char *diff_stack_word(const struct diff_stack *row)
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
