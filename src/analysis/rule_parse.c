/* rule_parse.c: the language of rules: a descent over words, which knows at each of them
 * the line and the column. */
#include "analysis/rule.h"
#include "base/near.h"
#include "base/units.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 48, NESTING = 8, SHOWN = 64 /* of a rule in messages */ };

/* Of trends, where the rule does not say. */
#define USUAL_SIGNIFICANCE 0.01
#define USUAL_MOVE	   0.1

/* One word at a time: [TOKEN, TOKEN + LENGTH) is the present one, "" at the end. LINE is
 * 0 where the text is no file's. */
struct parser {
	const char *file;
	unsigned line;
	const char *start, *end;
	const char *token;
	size_t length;
	unsigned depth;
	struct rule *rule;
	int64_t window_ns; /* of the trend before: a flat without a window has it */
	struct fault *fault;
};

/* ---- errors ---- */

/* Where the present word is: "rules.ini:3:14", or "rule '...', column 14". */
static void place_text(struct text *text, const struct parser *parser)
{
	const char *line_start = parser->start;
	size_t length = (size_t)(parser->end - parser->start);
	unsigned line = parser->line;

	for (const char *at = parser->start; at < parser->token && parser->line; at++) {
		if (*at != '\n')
			continue;
		line_start = at + 1;
		line++;
	}
	if (parser->line) {
		text_string(text, parser->file);
		text_char(text, ':');
		text_u64(text, line);
		text_char(text, ':');
	} else {
		text_string(text, "rule '");
		text_bytes(text, parser->start, length > SHOWN ? SHOWN : length);
		text_string(text, length > SHOWN ? "...', column " : "', column ");
	}
	text_u64(text, (uint64_t)(parser->token - line_start) + 1);
}

__attribute__((format(printf, 2, 3))) static int wrong(const struct parser *parser,
						       const char *format, ...)
{
	char what[FAULT_TEXT / 2], place[FAULT_TEXT / 2];
	struct text text;
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	text_init(&text, place, sizeof(place));
	place_text(&text, parser);
	return fault_set(parser->fault, EXIT_USAGE, -EINVAL, "%s: %s", place, what);
}

/* What was met in place of WANTED. */
static int expected(const struct parser *parser, const char *wanted)
{
	if (!parser->length)
		return wrong(parser, "%s is missing here", wanted);
	return wrong(parser, "'%.*s' where %s was expected", (int)parser->length,
		     parser->token, wanted);
}

/* ---- words ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* How long the word at AT is: letters and digits (with '%' at the end), "<=" and its
 * like, or one character. */
static size_t word_length(const char *at, const char *end)
{
	size_t length = 0;

	while (at + length < end && is_word(at[length]))
		length++;
	if (length)
		return length + (at + length < end && at[length] == '%');
	if (at == end)
		return 0;
	return 1 + (strchr("<>=!", *at) && at + 1 < end && at[1] == '=');
}

static void advance(struct parser *parser)
{
	const char *at = parser->token + parser->length;

	while (at < parser->end && is_space(*at))
		at++;
	parser->token = at;
	parser->length = word_length(at, parser->end);
}

static void begin(struct parser *parser, const char *start, const char *end)
{
	parser->start = start;
	parser->end = end;
	parser->token = start;
	parser->length = 0;
	advance(parser);
}

static bool at_word(const struct parser *parser, const char *word)
{
	return parser->length == strlen(word) &&
	       !memcmp(parser->token, word, parser->length);
}

/* Goes past WORD if it is the present one. */
static bool take_word(struct parser *parser, const char *word)
{
	bool found = at_word(parser, word);

	if (found)
		advance(parser);
	return found;
}

/* The present word, for functions that want strings; false: too long to be anything. */
static bool copy_word(const struct parser *parser, char word[WORD])
{
	if (parser->length >= WORD)
		return false;
	memcpy(word, parser->token, parser->length);
	word[parser->length] = '\0';
	return true;
}

/* ---- figures ---- */

/* FIG_COUNT: no row of a process has one of that name. */
static enum figure process_figure(const char *word)
{
	enum figure f = FIG_FAILED_ALLOCATIONS;

	if (strcmp(word, "failed_allocs") != 0)
		f = figure_named(word);
	return f < FIG_COUNT && figure_info[f].scope & SCOPE_PROCESS ? f : FIG_COUNT;
}

static int no_figure(struct parser *parser)
{
	struct near near = near_of(parser->token, parser->length);
	char question[NEAR_TEXT];

	figures_near(SCOPE_PROCESS, &near);
	if (near.best)
		return wrong(parser, "there is no figure '%.*s'%s", (int)parser->length,
			     parser->token, near_question(&near, "", question));
	return wrong(parser,
		     "there is no figure '%.*s'; 'fragscope help figures' lists them",
		     (int)parser->length, parser->token);
}

static int parse_figure(struct parser *parser, enum figure *f)
{
	char word[WORD];

	if (!parser->length || !is_word(*parser->token))
		return expected(parser, "a figure");
	*f = copy_word(parser, word) ? process_figure(word) : FIG_COUNT;
	if (*f == FIG_COUNT)
		return no_figure(parser);
	advance(parser);
	return 0;
}

static int parse_difference(struct parser *parser, struct quantity *quantity)
{
	const char *token;
	size_t length;
	int error;

	advance(parser);
	token = parser->token;
	length = parser->length;
	error = parse_figure(parser, &quantity->b);
	if (error || figure_info[quantity->b].unit == quantity->unit)
		return error;
	parser->token = token;
	parser->length = length;
	return wrong(parser, "'%.*s' has another unit than %s", (int)length, token,
		     figure_info[quantity->a].name);
}

static int parse_quantity(struct parser *parser, struct quantity *quantity)
{
	int error;

	*quantity = (struct quantity){.kind = QUANTITY_LIMIT, .unit = UNIT_RATIO};
	if (take_word(parser, "limit"))
		return 0;
	quantity->kind = QUANTITY_FIGURE;
	error = parse_figure(parser, &quantity->a);
	if (error)
		return error;
	quantity->unit = figure_info[quantity->a].unit;
	if (at_word(parser, "-")) {
		quantity->kind = QUANTITY_DIFFERENCE;
		return parse_difference(parser, quantity);
	}
	if (take_word(parser, "/")) {
		quantity->kind = QUANTITY_RATIO;
		quantity->unit = UNIT_RATIO;
		return parse_figure(parser, &quantity->b);
	}
	return 0;
}

/* ---- values ---- */

/* A plain number without sign, the whole of WORD. */
static bool plain_number(const char *word, double *value)
{
	char *end;

	if (!*word || word[strspn(word, "0123456789.")])
		return false;
	*value = strtod(word, &end);
	return !*end && isfinite(*value);
}

static bool number_in(const char *word, enum figure_unit unit, double *value)
{
	uint64_t whole = 0;
	int64_t ns = 0;
	bool good = false;

	switch (unit) {
	case UNIT_BYTES:
		good = !units_parse_bytes(word, &whole);
		*value = (double)whole;
		break;
	case UNIT_COUNT:
		good = !units_parse_count(word, &whole);
		*value = (double)whole;
		break;
	case UNIT_NS:
		good = !units_parse_ns(word, &ns);
		*value = (double)ns;
		break;
	case UNIT_RATIO:
		good = plain_number(word, value);
		break;
	}
	return good;
}

static bool share_in(char *word, double *value)
{
	size_t length = strlen(word);

	if (!length || word[length - 1] != '%')
		return false;
	word[length - 1] = '\0';
	if (!plain_number(word, value))
		return false;
	*value /= 100;
	return true;
}

static bool value_in(char *word, enum figure_unit unit, bool allow_share,
		     struct term *term)
{
	term->is_share = allow_share && share_in(word, &term->value);
	return term->is_share || number_in(word, unit, &term->value);
}

/* The present word with that of NEXT right behind it: units may stand apart, as in "10
 * MB". False: too long to be anything. */
static bool join_words(const struct parser *parser, const struct parser *next,
		       char word[WORD])
{
	if (!next->length || parser->length + next->length >= WORD)
		return false;
	memcpy(word, parser->token, parser->length);
	memcpy(word + parser->length, next->token, next->length);
	word[parser->length + next->length] = '\0';
	return true;
}

static int no_value(const struct parser *parser, enum figure_unit unit, bool allow_share)
{
	static const char *const names[] = {
		[UNIT_BYTES] = "a size (512K, 64M)",
		[UNIT_COUNT] = "a whole number",
		[UNIT_RATIO] = "a number",
		[UNIT_NS] = "a time (5ms)",
	};
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "%s%s", names[unit],
		 allow_share ? " or a share (50%)" : "");
	return expected(parser, wanted);
}

static int parse_value(struct parser *parser, enum figure_unit unit, bool allow_share,
		       struct term *term)
{
	struct parser next = *parser;
	char word[WORD];

	advance(&next);
	if (join_words(parser, &next, word) && value_in(word, unit, allow_share, term)) {
		advance(&next);
	} else if (!copy_word(parser, word) || !value_in(word, unit, allow_share, term)) {
		return no_value(parser, unit, allow_share);
	} else if (allow_share && unit == UNIT_BYTES && term->value > 0 &&
		   !word[strspn(word, "0123456789")] && !term->is_share) {
		return wrong(parser, "'%s': %s%% or %sM? Give a unit (B for bytes)", word,
			     word, word);
	}
	*parser = next;
	return 0;
}

static bool is_time(const char *word, int64_t *ns)
{
	return !units_parse_ns(word, ns) && *ns;
}

static int parse_time(struct parser *parser, int64_t *ns)
{
	struct parser next = *parser;
	char word[WORD];

	advance(&next);
	if (join_words(parser, &next, word) && is_time(word, ns))
		advance(&next);
	else if (!copy_word(parser, word) || !is_time(word, ns))
		return expected(parser, "a time, such as 30s, 5m or 2h");
	if (*ns > RULE_WINDOW_MAX_NS)
		return wrong(parser, "'%s' is longer than 24h", word);
	*parser = next;
	return 0;
}

/* ---- what can hold at all ---- */

/* Between which values QUANTITY always is. */
static void range_of(const struct quantity *quantity, double *low, double *high)
{
	bool is_share =
		quantity->kind == QUANTITY_LIMIT ||
		(quantity->kind == QUANTITY_FIGURE && figure_info[quantity->a].is_share);

	*low = quantity->kind == QUANTITY_DIFFERENCE ? -HUGE_VAL : 0;
	*high = is_share ? 1 : HUGE_VAL;
}

/* AT is the value that is wrong. */
static int out_of_range(const struct parser *at, const struct term *term, const char *so)
{
	char name[FAULT_TEXT / 4], hint[32] = "";
	struct text text;
	double low, high;

	range_of(&term->quantity, &low, &high);
	text_init(&text, name, sizeof(name));
	quantity_name(&text, &term->quantity);
	if (high > 1)
		return wrong(at, "%s is never below 0: %s", name, so);
	if (!term->is_share && term->value > 1 && term->value <= 100)
		snprintf(hint, sizeof(hint), ". Is it %g%%?", term->value);
	return wrong(at, "%s is between 0 and 1: %s%s", name, so, hint);
}

static int check_comparison(const struct parser *at, const struct term *term)
{
	double low, high;
	bool low_holds, inside;

	range_of(&term->quantity, &low, &high);
	inside = term->value >= low && term->value <= high;
	low_holds = comparison_holds(term->comparison, low, term->value);
	if (low_holds != comparison_holds(term->comparison, high, term->value))
		return 0;
	if (term->comparison >= COMPARE_EQUAL && inside)
		return 0;
	return out_of_range(at, term,
			    low_holds ? "this always holds" : "this never holds");
}

/* A move of TERM's quantity by its value. */
static int check_move(const struct parser *at, const struct term *term)
{
	double low, high;

	range_of(&term->quantity, &low, &high);
	if (term->is_share && term->kind == TERM_DROPS && term->value > 1 && low >= 0)
		return wrong(at, "nothing drops by more than 100%%");
	if (!term->is_share && term->value > high - low)
		return out_of_range(at, term, "it cannot move so far");
	return 0;
}

/* ---- terms ---- */

static int parse_comparison(struct parser *parser, struct term *term)
{
	bool is_ratio = term->quantity.unit == UNIT_RATIO;
	struct parser at;
	int error;

	advance(parser);
	at = *parser;
	error = parse_value(parser, term->quantity.unit, is_ratio, term);
	if (!error)
		error = check_comparison(&at, term);
	/* A share of nothing in particular: of 1. */
	term->is_share = false;
	return error;
}

/* A value, and whether the quantity can move by it. */
static int parse_move(struct parser *parser, struct term *term)
{
	struct parser at = *parser;
	int error = parse_value(parser, term->quantity.unit, true, term);

	return error ? error : check_move(&at, term);
}

static int parse_change(struct parser *parser, struct term *term)
{
	struct parser at;
	int error;

	advance(parser);
	at = *parser;
	error = parse_move(parser, term);
	if (!error && term->value == 0)
		return wrong(&at, "a change by 0 is none: say how much counts");
	if (error)
		return error;
	if (!take_word(parser, "in"))
		return expected(parser, "'in' and a time");
	return parse_time(parser, &term->window_ns);
}

static int parse_significance(struct parser *parser, struct term *term)
{
	char word[WORD];

	if (!copy_word(parser, word) || !share_in(word, &term->significance) ||
	    term->significance <= 0 || term->significance >= 0.5)
		return expected(parser, "a share between 0% and 50%");
	advance(parser);
	return 0;
}

/* "TIME [by VALUE] [at SHARE]"; flat without a time has that of the trend before. */
static int parse_trend(struct parser *parser, struct term *term)
{
	bool has_time;
	int error = 0;

	advance(parser);
	term->value = USUAL_MOVE;
	term->is_share = true;
	term->significance = USUAL_SIGNIFICANCE;
	has_time = parser->length && *parser->token >= '0' && *parser->token <= '9';
	term->window_ns = parser->window_ns;
	if (has_time || term->kind != TERM_FLAT || !parser->window_ns)
		error = parse_time(parser, &term->window_ns);
	parser->window_ns = term->window_ns;
	if (!error && take_word(parser, "by"))
		error = parse_move(parser, term);
	if (!error && take_word(parser, "at"))
		error = parse_significance(parser, term);
	return error;
}

static const struct {
	const char *word;
	enum term_kind kind;
	enum comparison comparison;
	int (*parse)(struct parser *parser, struct term *term);
} predicates[] = {
	{"<", TERM_COMPARE, COMPARE_LESS, parse_comparison},
	{"<=", TERM_COMPARE, COMPARE_AT_MOST, parse_comparison},
	{">", TERM_COMPARE, COMPARE_MORE, parse_comparison},
	{">=", TERM_COMPARE, COMPARE_AT_LEAST, parse_comparison},
	{"==", TERM_COMPARE, COMPARE_EQUAL, parse_comparison},
	{"!=", TERM_COMPARE, COMPARE_OTHER, parse_comparison},
	{"drops", TERM_DROPS, 0, parse_change},
	{"rises", TERM_RISES, 0, parse_change},
	{"rising", TERM_RISING, 0, parse_trend},
	{"falling", TERM_FALLING, 0, parse_trend},
	{"flat", TERM_FLAT, 0, parse_trend},
};

static int parse_predicate(struct parser *parser, struct term *term)
{
	for (size_t i = 0; i < sizeof(predicates) / sizeof(predicates[0]); i++) {
		if (!at_word(parser, predicates[i].word))
			continue;
		term->kind = predicates[i].kind;
		term->comparison = predicates[i].comparison;
		return predicates[i].parse(parser, term);
	}
	return expected(parser, "a comparison, drops, rises, rising, falling or flat");
}

static int add_step(struct parser *parser, struct condition *condition,
		    enum step_kind kind, unsigned term)
{
	if (condition->count == RULE_STEPS)
		return wrong(parser,
			     "the condition is too long: %d terms and operators "
			     "at most",
			     RULE_STEPS);
	condition->step[condition->count++] = (struct step){kind, term};
	return 0;
}

static int parse_comparable(struct parser *parser, struct condition *condition)
{
	struct rule *rule = parser->rule;
	struct term *term = &rule->term[rule->term_count];
	int error;

	if (rule->term_count == RULE_TERMS)
		return wrong(parser, "the rule is too long: %d terms at most",
			     RULE_TERMS);
	*term = (struct term){0};
	error = parse_quantity(parser, &term->quantity);
	if (!error)
		error = parse_predicate(parser, term);
	if (error)
		return error;
	return add_step(parser, condition, STEP_TERM, rule->term_count++);
}

/* ---- conditions ---- */

static int parse_condition(struct parser *parser, struct condition *condition);

static int parse_group(struct parser *parser, struct condition *condition)
{
	int error;

	if (parser->depth == NESTING)
		return wrong(parser, "nested too deeply: %d at most", NESTING);
	parser->depth++;
	advance(parser);
	error = parse_condition(parser, condition);
	parser->depth--;
	if (error)
		return error;
	return take_word(parser, ")") ? 0 : expected(parser, "')'");
}

static int parse_term(struct parser *parser, struct condition *condition)
{
	bool negated = take_word(parser, "not");
	int error = at_word(parser, "(") ? parse_group(parser, condition)
					 : parse_comparable(parser, condition);

	if (error || !negated)
		return error;
	return add_step(parser, condition, STEP_NOT, 0);
}

static int parse_joint(struct parser *parser, struct condition *condition)
{
	int error = parse_term(parser, condition);

	while (!error && (take_word(parser, "and") || take_word(parser, "while"))) {
		error = parse_term(parser, condition);
		if (!error)
			error = add_step(parser, condition, STEP_AND, 0);
	}
	return error;
}

static int parse_condition(struct parser *parser, struct condition *condition)
{
	int error = parse_joint(parser, condition);

	while (!error && take_word(parser, "or")) {
		error = parse_joint(parser, condition);
		if (!error)
			error = add_step(parser, condition, STEP_OR, 0);
	}
	return error;
}

/* ---- clauses ---- */

static int parse_for(struct parser *parser)
{
	if (parser->rule->has_for)
		return wrong(parser, "a second 'for'");
	parser->rule->has_for = true;
	return parse_time(parser, &parser->rule->for_ns);
}

static int parse_until(struct parser *parser)
{
	if (parser->rule->until.count)
		return wrong(parser, "a second 'until'");
	return parse_condition(parser, &parser->rule->until);
}

static int parse_severity(struct parser *parser)
{
	if (parser->rule->has_severity)
		return wrong(parser, "a second 'severity'");
	for (enum severity s = SEVERITY_NOTE; s <= SEVERITY_CRITICAL; s++) {
		if (!take_word(parser, severity_name(s)))
			continue;
		parser->rule->severity = s;
		parser->rule->has_severity = true;
		return 0;
	}
	return expected(parser, "note, warning or critical");
}

static int parse_when(struct parser *parser)
{
	if (parser->rule->when.count)
		return wrong(parser, "a second 'when'");
	return parse_condition(parser, &parser->rule->when);
}

/* "when" is a key of files only: elsewhere the condition comes first. */
static const struct {
	const char *word;
	int (*parse)(struct parser *parser);
} clauses[] = {
	{"for", parse_for},
	{"until", parse_until},
	{"severity", parse_severity},
	{"when", parse_when},
};

enum { CLAUSES = sizeof(clauses) / sizeof(clauses[0]), INLINE_CLAUSES = CLAUSES - 1 };

static int parse_clauses(struct parser *parser)
{
	int error = 0;

	while (!error && parser->length) {
		unsigned i = 0;

		while (i < INLINE_CLAUSES && !take_word(parser, clauses[i].word))
			i++;
		if (i == INLINE_CLAUSES)
			return expected(parser, "and, or, while, for, until or severity");
		error = clauses[i].parse(parser);
	}
	return error;
}

/* ---- rules ---- */

static bool is_name_char(char c)
{
	return (is_word(c) && c != '.') || c == '-';
}

static size_t name_length(const char *at, const char *end)
{
	size_t length = 0;

	while (at + length < end && is_name_char(at[length]))
		length++;
	return length;
}

static int name_rule(struct parser *parser, const struct rules *rules, size_t length)
{
	struct rule *rule = parser->rule;

	if (!length || length >= RULE_NAME)
		return wrong(parser, "a name has 1 to %d letters, digits, '-' and '_'",
			     RULE_NAME - 1);
	memcpy(rule->name, parser->token, length);
	rule->name[length] = '\0';
	for (unsigned i = 0; i < rules->count; i++)
		if (!strcmp(rules->rule[i].name, rule->name))
			return wrong(parser, "a second rule '%s'", rule->name);
	return 0;
}

/* Appends [FROM, TO) with LEAD before it, any spaces in it as one and none at its ends.
 * False: it does not fit. */
static bool append_text(struct rule *rule, const char *lead, const char *from,
			const char *to)
{
	struct text text = {.buf = rule->text,
			    .capacity = sizeof(rule->text),
			    .length = strlen(rule->text)};

	text_string(&text, lead);
	while (from < to && is_space(*from))
		from++;
	while (from < to && is_space(to[-1]))
		to--;
	for (; from < to; from++)
		if (!is_space(*from))
			text_char(&text, *from);
		else if (!is_space(from[-1]))
			text_char(&text, ' ');
	return !text.overflow;
}

static struct rule *next_rule(struct rules *rules)
{
	struct rule *rule = &rules->rule[rules->count];

	*rule = (struct rule){.severity = SEVERITY_WARNING};
	return rule;
}

static int too_many(const struct parser *parser)
{
	return wrong(parser, "too many rules: %d at most", RULES_MAX);
}

static int parse_rule(struct parser *parser, const struct rules *rules)
{
	size_t length = name_length(parser->token, parser->end);
	const char *colon = parser->token + length;
	int error = 0;

	while (colon < parser->end && is_space(*colon))
		colon++;
	if (colon < parser->end && *colon == ':') {
		error = name_rule(parser, rules, length);
		parser->token = colon;
		parser->length = 1;
		advance(parser);
	} else {
		snprintf(parser->rule->name, RULE_NAME, "rule-%u", rules->count + 1);
	}
	if (error)
		return error;
	if (!append_text(parser->rule, "", parser->token, parser->end))
		return wrong(parser, "the rule is too long: %d characters at most",
			     RULE_TEXT - 1);
	error = parse_condition(parser, &parser->rule->when);
	return error ? error : parse_clauses(parser);
}

int rules_add(struct rules *rules, const char *text, struct fault *fault)
{
	struct parser parser = {.fault = fault};
	int error;

	begin(&parser, text, text + strlen(text));
	if (rules->count == RULES_MAX)
		return too_many(&parser);
	parser.rule = next_rule(rules);
	error = parse_rule(&parser, rules);
	if (!error)
		rules->count++;
	return error;
}

/* ---- files ---- */

/* The rule that ends here must say when. */
static int end_section(struct parser *parser, struct rules *rules)
{
	if (!parser->rule)
		return 0;
	if (!parser->rule->when.count)
		return wrong(parser, "the rule '%s' before this has no 'when'",
			     parser->rule->name);
	rules->count++;
	parser->rule = NULL;
	return 0;
}

static int parse_section(struct parser *parser, struct rules *rules)
{
	size_t length;
	int error = end_section(parser, rules);

	if (error)
		return error;
	if (rules->count == RULES_MAX)
		return too_many(parser);
	parser->rule = next_rule(rules);
	parser->window_ns = 0;
	advance(parser);
	length = name_length(parser->token, parser->end);
	error = name_rule(parser, rules, length);
	if (error)
		return error;
	parser->length = length;
	advance(parser);
	if (!take_word(parser, "]"))
		return expected(parser, "']'");
	return parser->length ? expected(parser, "the line's end") : 0;
}

/* As it would be written on one line. */
static bool append_key(struct parser *parser, const char *word)
{
	struct rule *rule = parser->rule;
	const char *lead = *rule->text ? " " : "";

	if (strcmp(word, "when") != 0) {
		if (!append_text(rule, lead, word, word + strlen(word)))
			return false;
		lead = " ";
	}
	return append_text(rule, lead, parser->token, parser->end);
}

/* KEY = what follows the same word in a rule on one line. */
static int parse_key(struct parser *parser)
{
	unsigned i = 0;
	int error;

	if (!parser->rule)
		return expected(parser, "[NAME], which begins a rule,");
	while (i < CLAUSES && !at_word(parser, clauses[i].word))
		i++;
	if (i == CLAUSES)
		return expected(parser, "when, for, until or severity");
	advance(parser);
	if (!take_word(parser, "="))
		return expected(parser, "'='");
	if (!append_key(parser, clauses[i].word))
		return wrong(parser, "the rule is too long: %d characters at most",
			     RULE_TEXT - 1);
	error = clauses[i].parse(parser);
	if (!error && clauses[i].parse == parse_when)
		error = parse_clauses(parser);
	if (!error && parser->length)
		error = expected(parser, "the line's end");
	return error;
}

static int parse_line(struct parser *parser, struct rules *rules)
{
	if (!parser->length || *parser->token == '#' || *parser->token == ';')
		return 0;
	if (*parser->token == '[')
		return parse_section(parser, rules);
	return parse_key(parser);
}

/* Where the line at TEXT ends, with those behind it that go on with it: they begin with a
 * space and are not empty. LINES is how many that were. */
static const char *whole_line(const char *text, unsigned *lines)
{
	for (*lines = 1;; ++*lines) {
		const char *end = text + strcspn(text, "\n");
		const char *next = end + 1;

		if (!*end || (*next != ' ' && *next != '\t') ||
		    !next[strspn(next, " \t\r")] || next[strspn(next, " \t\r")] == '\n')
			return end;
		text = next;
	}
}

/* All behind a NUL would be lost. */
static int refuse_nul(struct parser *parser, const char *text, size_t length)
{
	const char *nul = memchr(text, '\0', length);

	if (!nul)
		return 0;
	begin(parser, text, text + length);
	parser->token = nul;
	return wrong(parser, "a NUL byte: this is no text file");
}

int rules_add_file(struct rules *rules, const char *file, const char *text, size_t length,
		   struct fault *fault)
{
	struct parser parser = {.file = file, .line = 1, .fault = fault};
	unsigned before = rules->count, lines;
	int error = refuse_nul(&parser, text, length);

	while (!error && *text) {
		const char *end = whole_line(text, &lines);

		begin(&parser, text, end);
		error = parse_line(&parser, rules);
		parser.line += lines;
		text = end + (*end == '\n');
	}
	if (error)
		return error;
	begin(&parser, text, text);
	error = end_section(&parser, rules);
	if (!error && rules->count == before)
		return wrong(&parser, "there is no rule in this file");
	return error;
}
