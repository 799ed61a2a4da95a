/* diff_json.c: a comparison as one object (RFC 8259). */
#include "base/output.h"
#include "view/diff_parts.h"
#include "view/json_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	JSON_BYTES = 1 << 20,
	STACK_TEXT = 4096, /* of one stack */
};

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
		json_member_time(text, "step", diff_step_ns(diff, c));
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
			diff_unit(row) == UNIT_RATIO || row->kind != DIFF_LEVEL ? 6 : 0);
	text_char(text, '}');
}

static void json_detail(struct text *text, const struct diff *diff,
			const struct diff_detail *row)
{
	const struct comparison *c = &row->comparison;
	enum figure figure;
	unsigned arena;

	json_element(text);
	if (diff_detail_is_arena(row->detail, &arena, &figure)) {
		json_member_u64(text, "arena", arena);
		json_member_string(text, "figure", figure_info[figure].name);
	} else {
		char title[64];
		struct text size;

		text_init(&size, title, sizeof(title));
		diff_detail_title(&size, row);
		json_member_string(text, "size", title);
	}
	if (row->has[0] && row->has[1]) {
		json_comparison(text, diff, c, true, 6);
	} else {
		json_member_string(text, "outcome",
				   row->has[0] ? "only_before" : "only_after");
		json_number(text, row->has[0] ? "before" : "after", c->before, 6);
	}
	text_char(text, '}');
}

static void json_details(struct text *text, const struct diff *diff, bool of_arenas)
{
	const char *name = of_arenas ? "arenas" : "free_sizes";
	enum figure figure;
	unsigned arena;

	json_key(text, name, strlen(name));
	text_char(text, '[');
	for (unsigned i = 0; i < diff->detail_count; i++)
		if (diff_detail_is_arena(diff->detail[i].detail, &arena, &figure) ==
		    of_arenas)
			json_detail(text, diff, &diff->detail[i]);
	text_char(text, ']');
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
	if (diff->side[0]->wants_arenas)
		json_details(text, diff, true);
	if (diff->side[0]->wants_sizes)
		json_details(text, diff, false);
	if (diff->stack_count)
		json_stacks(text, diff);
	text_string(text, "}\n");
}

int diff_json(const struct diff *diff, int fd)
{
	char *buf = malloc(JSON_BYTES);
	struct text text;
	int error;

	if (!buf)
		return -ENOMEM;
	text_init(&text, buf, JSON_BYTES);
	json_diff(&text, diff);
	error = text.overflow ? -EOVERFLOW : output_write(fd, text.buf, text.length);
	free(buf);
	return error;
}
