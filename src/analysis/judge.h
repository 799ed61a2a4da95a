/* judge.h: the checks behind verdict.h, one a kind; for verdict.c and judge*.c only. */
#ifndef FRAGSCOPE_JUDGE_H
#define FRAGSCOPE_JUDGE_H

#include "analysis/verdict.h"
#include "base/units.h"

/* Whether INPUT has the evidence; then VERDICT, empty but for kind and a severity of
 * warning, is filled. */
typedef bool judge_fn(const struct verdict_input *input, struct verdict *verdict);

extern judge_fn *const judge[VERDICT_KINDS];

/* The checks of what malloc keeps (judge_heap.c). */
judge_fn judge_pinned_tail, judge_arenas, judge_fragmentation, judge_breaking,
	judge_mmap_threshold, judge_trim_threshold, judge_cache, judge_returned,
	judge_fast_tail;

/* Of what is not glibc malloc's (judge_non_malloc.c); whether it has nothing at all;
 * whether the figures are another allocator's own, from the sampler; what tells more of
 * what the runtime holds by malloc, as a sentence, or ""; what has a runtime trim of
 * which no thread can be made to call (false: one can); and whose the greater part of the
 * memory is, for the end of a sentence: ", 12.0M of it mapped files", or "". */
judge_fn judge_allocator, judge_not_malloc;
bool judge_has_no_heap(const struct verdict_input *input);
bool judge_has_own_figures(const struct verdict_input *input);
const char *judge_by_malloc(const struct verdict_input *input);
bool judge_say_trims(const struct verdict_input *input, char *text, size_t size);
void judge_say_whose(const struct verdict_non_malloc *non_malloc, char *text,
		     size_t size);

/* Of huge pages (judge_huge.c); and, for a verdict whose remedy is a trim of BYTES, a
 * sentence that it does not last, with a space before it, or "". */
judge_fn judge_huge_pages;
void judge_say_refill(const struct verdict_input *input, uint64_t bytes, char *text,
		      size_t size);

/* Figure F of FIG, or of INPUT's sample, if it is there. */
bool judge_figure(const struct figures *fig, enum figure f, uint64_t *value);
bool judge_get(const struct verdict_input *input, enum figure f, uint64_t *value);

/* Adds a figure to the evidence for machines, as far as there is room. */
void judge_fact(struct verdict *verdict, const char *name, enum figure_unit unit,
		uint64_t value);
void judge_fact_share(struct verdict *verdict, const char *name, double value);
void judge_fact_figure(const struct verdict_input *input, struct verdict *verdict,
		       enum figure f);

/* PART of WHOLE; 0 of nothing. */
double judge_share(uint64_t part, uint64_t whole);

/* What rose between the first and the last reading; 0 when it is no sure rise. */
double judge_risen(const struct verdict_trend *trend);

/* A rise that is worth a word, and that the process grew by: what only moves between free
 * and live does not make it larger. */
bool judge_has_grown(const struct verdict_trend *trend, const struct verdict_trend *rss);

/* All that contributes to a rise, for the end of a sentence; "" when it is one alone. */
void judge_say_contributors(const struct verdict_input *input, char *text, size_t size);

/* A size in a sentence, where a small one needs its unit. */
struct units_text judge_size(uint64_t bytes);

#define JUDGE_M (UINT64_C(1) << 20)

/* What is not worth a word, however large its share. */
#define JUDGE_LEAST_BYTES (16 * JUDGE_M)

/* From where on bytes are worth a word: from SHARE of the whole on, or from MANY_BYTES
 * and half of SHARE on. */
struct judge_scale {
	double share;
	uint64_t many_bytes;
};

/* Of the resident memory; of the pages of the heap, of which some free bytes always share
 * some with what is in use. */
extern const struct judge_scale judge_of_rss, judge_of_heap;

/* Whether BYTES of WHOLE are worth a word by SCALE; or because they are a thirty-second
 * of all memory that the process can have. */
bool judge_weighs(const struct verdict_input *input, uint64_t bytes, uint64_t whole,
		  const struct judge_scale *scale);

#define BYTES(value) judge_size(value).s
#define COUNT(value) units_count_text(value).s
#define SHARE(value) units_share_text(value).s
#define SPAN(value)  units_span_text(value).s

#define SAY(where, ...) snprintf(verdict->where, sizeof(verdict->where), __VA_ARGS__)

#endif
