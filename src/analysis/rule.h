/* rule.h: rules over figures: what the language (fragscope-rules(5)) says, and its
 * parser. Pure: texts in, tables out; nothing is read or allocated. */
#ifndef FRAGSCOPE_RULE_H
#define FRAGSCOPE_RULE_H

#include "analysis/verdict.h"
#include "base/fault.h"
#include "base/text.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RULES_MAX = 32,
	RULE_TERMS = 12,
	RULE_STEPS = 32,
	RULE_NAME = 32,
	RULE_TEXT = 320,
};

#define RULE_WINDOW_MAX_NS INT64_C(86400000000000)

/* What a term is about. LIMIT is the share of the nearest limit on the process's memory
 * that is left; it has no figures. */
enum quantity_kind {
	QUANTITY_FIGURE,
	QUANTITY_DIFFERENCE, /* a - b */
	QUANTITY_RATIO,	     /* a / b; unknown while b is 0 */
	QUANTITY_LIMIT,
};

struct quantity {
	enum quantity_kind kind;
	enum figure a, b;
	enum figure_unit unit;
};

enum term_kind {
	TERM_COMPARE,
	TERM_DROPS,
	TERM_RISES,
	TERM_RISING,
	TERM_FALLING,
	TERM_FLAT,
};

enum comparison {
	COMPARE_LESS,
	COMPARE_AT_MOST,
	COMPARE_MORE,
	COMPARE_AT_LEAST,
	COMPARE_EQUAL,
	COMPARE_OTHER,
};

/* VALUE is in QUANTITY's unit, or, IS_SHARE, a share of what the quantity was: of its
 * extreme in the window for drops and rises, of its median there for trends. A trend
 * counts when its p is below SIGNIFICANCE and it moves by VALUE over the window. */
struct term {
	enum term_kind kind;
	struct quantity quantity;
	enum comparison comparison;
	double value;
	bool is_share;
	int64_t window_ns; /* 0 of a comparison */
	double significance;
};

enum step_kind {
	STEP_TERM,
	STEP_AND,
	STEP_OR,
	STEP_NOT,
};

/* A condition in postfix order. */
struct step {
	enum step_kind kind;
	unsigned term;
};

struct condition {
	unsigned count; /* 0: there is none */
	struct step step[RULE_STEPS];
};

/* One rule. TEXT is what it says, as it was written, on one line. */
struct rule {
	char name[RULE_NAME];
	char text[RULE_TEXT];
	enum severity severity;
	bool has_severity, has_for;
	int64_t for_ns;
	struct condition when, until;
	unsigned term_count;
	struct term term[RULE_TERMS];
};

struct rules {
	unsigned count;
	struct rule rule[RULES_MAX];
};

/* Adds the rule that TEXT says, "[NAME:] CONDITION [CLAUSE...]"; without a name it is
 * called "rule-N". 0, or -EINVAL and FAULT with the column: RULES is as it was. */
int rules_add(struct rules *rules, const char *text, struct fault *fault);

/* Adds the rules of an ini file whose content is TEXT, LENGTH bytes with a NUL behind;
 * FILE is only for messages. 0, or -EINVAL and FAULT with line and column: what RULES
 * holds means nothing then. */
int rules_add_file(struct rules *rules, const char *file, const char *text, size_t length,
		   struct fault *fault);

/* Adds the rules that hold where none are given, for readings every INTERVAL_NS: their
 * windows are those of one second's readings, or as many intervals. */
void rules_add_defaults(struct rules *rules, int64_t interval_ns);

/* Whether every trend can be told from readings every INTERVAL_NS. 0, or -EINVAL and
 * FAULT: a window is too short for them, or longer than a day. */
int rules_fit(const struct rules *rules, int64_t interval_ns, struct fault *fault);

/* Whether any rule is about F, or about the nearest limit. */
bool rules_need(const struct rules *rules, enum figure f);
bool rules_need_limit(const struct rules *rules);

bool comparison_holds(enum comparison comparison, double value, double other);

/* "largest_free_bytes / free_bytes", "limit". */
void quantity_name(struct text *text, const struct quantity *quantity);

bool quantity_same(const struct quantity *one, const struct quantity *other);

/* Whether the two say the same of the same name, so that one can go on where the other
 * was. */
bool rule_same(const struct rule *one, const struct rule *other);

#endif
