/* report_text.c: a report for people, in 80 columns. */
#include "analysis/trend.h"
#include "base/fault.h"
#include "view/callers.h"
#include "view/owners.h"
#include "view/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WAITED 0.1 /* percent: less is not worth a line */

enum {
	WIDTH = 79,
	BAR = 20,
	IDENTITY_CHARACTERS = 29,
	BEST_SHOWN = 3,
	NAMES_SHOWN = 3,
	STACKS_SHOWN = 3,
	ARENAS_SHOWN = 4,
	NOTABLE = 100, /* what is less than this part of the resident memory is not */
	LARGE = 10,
	EVIDENCE_SHOWN = 2,
};

/* The word at STRING, LENGTH bytes, with escapes for what is not plain. */
static void put_word(struct text *text, const char *string, size_t length)
{
	bool plain;

	for (size_t at = 0, more; at < length; at += more) {
		more = text_next(string + at, &plain);
		if (plain)
			text_bytes(text, string + at, more);
		else
			text_escape(text, string + at, more);
	}
}

static size_t columns_of(const char *word, size_t length)
{
	size_t columns = 0;

	for (size_t i = 0; i < length; i++)
		columns += ((unsigned char)word[i] & 0xc0) != 0x80;
	return columns;
}

/* STRING's words in lines of WIDTH, the first from COLUMN on, where the line stands, the
 * others behind INDENT spaces. A word that is longer than a line has one for itself. */
static void wrap_on(struct report_out *out, size_t column, size_t indent,
		    const char *string)
{
	bool begins = true;

	while (*string) {
		size_t length = strcspn(string, " ");
		size_t columns = columns_of(string, length);

		if (!begins && column + 1 + columns > WIDTH) {
			text_char(&out->text, '\n');
			text_repeat(&out->text, ' ', indent);
			column = indent;
			begins = true;
		}
		if (!begins)
			text_char(&out->text, ' ');
		put_word(&out->text, string, length);
		column += columns + !begins;
		begins = false;
		string += length + strspn(string + length, " ");
	}
	text_char(&out->text, '\n');
	report_flush(out);
}

/* The same, the first line behind FIRST spaces. */
static void wrapped(struct report_out *out, size_t first, size_t indent,
		    const char *string)
{
	text_repeat(&out->text, ' ', first);
	wrap_on(out, first, indent, string);
}

static void title(struct report_out *out, const char *words)
{
	report_print(out, "\n%s\n", words);
}

/* ---- the head ---- */

/* The source's own line without its beginning, which the line above says. */
static const char *without_name(const struct report *report)
{
	char name[2 * SAMPLE_TEXT];
	int length = snprintf(name, sizeof(name), "process %d (%s), ",
			      report->sample->pid, report->sample->comm);

	return strncmp(report->describe, name, (size_t)length) == 0
		       ? report->describe + length
		       : report->describe;
}

static void head(struct report_out *out, const struct report *report)
{
	char line[512], clean[1024], identity[8 * SAMPLE_TEXT];
	struct text text;

	if (report->readings == 1)
		snprintf(line, sizeof(line), "%s; one reading", without_name(report));
	else
		snprintf(line, sizeof(line), "%s; %llu readings in %s",
			 without_name(report), (unsigned long long)report->readings,
			 SPAN(report->watched_s));
	text_init(&text, clean, sizeof(clean));
	text_string(&text, "# ");
	text_printable(&text, line, SIZE_MAX);
	text_init(&text, identity, sizeof(identity));
	text_string(&text, "# ");
	report_identity(report->sample, identity + 2, sizeof(identity) - 2);
	wrapped(out, 0, 2, identity);
	wrapped(out, 0, 2, clean);
	text_char(&out->text, '\n');
	wrapped(out, 0, 0, report->answer);
	if (report->sample->status == STATUS_COMPLETE)
		return;
	snprintf(line, sizeof(line), "The last reading is %s%s%s.",
		 sample_status_name(report->sample->status),
		 *report->sample->missing ? ": " : "", report->sample->missing);
	wrapped(out, 0, 0, line);
}

/* ---- where it is ---- */

static void part(struct report_out *out, const struct report_share *part, uint64_t rss)
{
	double of = rss ? (double)part->bytes / (double)rss : 0;

	report_print(out, "  %-32s %6s %5s", part->words, BYTES(part->bytes), SHARE(of));
	if (of * BAR >= 0.5)
		text_string(&out->text, "  ");
	for (double drawn = 0.5; drawn <= of * BAR && drawn < BAR; drawn++)
		text_char(&out->text, '#');
	text_char(&out->text, '\n');
}

static bool is_small(const struct report_share *share, uint64_t rss)
{
	return share->bytes < rss / NOTABLE;
}

/* Parts that are not notable share a line. */
static void small_parts(struct report_out *out, const struct report_share *share,
			unsigned shares, uint64_t rss)
{
	char line[512];
	struct text text;
	unsigned count = 0;

	text_init(&text, line, sizeof(line));
	for (unsigned i = 0; i < shares; i++) {
		if (!is_small(&share[i], rss))
			continue;
		text_string(&text, count++ ? ", " : "below 1%: ");
		text_bytes(&text, share[i].words, strcspn(share[i].words, ":,"));
		text_char(&text, ' ');
		text_string(&text, BYTES(share[i].bytes));
	}
	if (count)
		wrapped(out, 2, 4, line);
}

/* Since one was forked from the other. */
static void forked(struct report_out *out, const struct smaps *smaps, uint64_t rss)
{
	if (smaps && smaps->forked_bytes > rss / NOTABLE)
		report_print(out, "  %-32s %6s %5s\n", "of all that, shared since a fork",
			     BYTES(smaps->forked_bytes),
			     SHARE((double)smaps->forked_bytes / (double)rss));
}

/* What is no part of the sum above. */
static void besides(struct report_out *out, const struct figures *fig, uint64_t rss)
{
	uint64_t away = 0;

	if (figure_has(fig, FIG_ANON_HUGE_BYTES) && fig->v[FIG_ANON_HUGE_BYTES].u)
		report_print(out, "  %-32s %6s %5s\n", "of all that, in huge pages",
			     BYTES(fig->v[FIG_ANON_HUGE_BYTES].u),
			     SHARE((double)fig->v[FIG_ANON_HUGE_BYTES].u / (double)rss));
	if (figure_has(fig, FIG_FREE_BYTES) && figure_has(fig, FIG_FREE_RESIDENT_BYTES) &&
	    fig->v[FIG_FREE_BYTES].u > fig->v[FIG_FREE_RESIDENT_BYTES].u)
		away = fig->v[FIG_FREE_BYTES].u - fig->v[FIG_FREE_RESIDENT_BYTES].u;
	if (away > rss / NOTABLE)
		report_print(out, "  %-32s %6s  costs nothing\n",
			     "free, but not resident", BYTES(away));
	if (figure_has(fig, FIG_SWAP_BYTES) && fig->v[FIG_SWAP_BYTES].u)
		report_print(out, "  %-32s %6s\n", "in swap",
			     BYTES(fig->v[FIG_SWAP_BYTES].u));
}

static void where(struct report_out *out, const struct report *report)
{
	const struct figures *fig = &report->sample->fig;
	struct report_share share[REPORT_PARTS];
	unsigned shares = report_parts(fig, share);
	uint64_t rss;

	if (!figure_has(fig, FIG_RSS_BYTES))
		return;
	rss = fig->v[FIG_RSS_BYTES].u;
	title(out, "Where the resident memory is");
	report_print(out, "  %-32s %6s\n", "resident, in all", BYTES(rss));
	for (unsigned i = 0; i < shares; i++)
		if (!is_small(&share[i], rss))
			part(out, &share[i], rss);
	small_parts(out, share, shares, rss);
	forked(out, report->smaps, rss);
	besides(out, fig, rss);
}

static void non_malloc(struct report_out *out, const struct report *report)
{
	const struct figures *fig = &report->sample->fig;
	const struct smaps *smaps = report->smaps;

	if (!smaps ||
	    (figure_has(fig, FIG_OTHER_RESIDENT_BYTES) &&
	     fig->v[FIG_OTHER_RESIDENT_BYTES].u < fig->v[FIG_RSS_BYTES].u / LARGE))
		return;
	report_print(out, "  %s: anonymous %s, shared %s, files %s, the stack %s.\n",
		     figure_has(fig, FIG_OTHER_RESIDENT_BYTES) ? "Not malloc's"
							       : "By mappings",
		     BYTES(report->other_anon_bytes),
		     BYTES(smaps->rss_bytes[SMAPS_SHARED]),
		     BYTES(smaps->rss_bytes[SMAPS_FILE]),
		     BYTES(smaps->rss_bytes[SMAPS_STACK]));
	for (unsigned i = 0; i < smaps->count && i < NAMES_SHOWN; i++) {
		const struct smaps_name *of = &smaps->name[i];
		char name[4 * SMAPS_NAME];
		struct text text;

		if (of->rss_bytes < (UINT64_C(1) << 20))
			break;
		text_init(&text, name, sizeof(name));
		text_printable(&text, of->name, 60);
		report_print(out, "    %6s  %s\n", BYTES(of->rss_bytes), name);
	}
}

/* ---- how broken it is ---- */

static const struct {
	enum figure f;
	int columns;
} arena_figure[] = {
	{FIG_LIVE_BYTES, 6},	      {FIG_FREE_BYTES, 6},
	{FIG_FREE_RESIDENT_BYTES, 8}, {FIG_TRIMMABLE_BYTES, 6},
	{FIG_PINNED_BYTES, 6},	      {FIG_TOP_BYTES, 6},
	{FIG_FREE_CHUNKS, 6},	      {FIG_LARGEST_HOLE_BYTES, 6},
	{FIG_ATTACHED_THREADS, 6},    {FIG_FRAG, 6},
};

enum { ARENA_FIGURES = sizeof(arena_figure) / sizeof(*arena_figure) };

static void arena(struct report_out *out, const struct arena_row *row)
{
	report_print(out, "  %5u", row->index);
	for (unsigned i = 0; i < ARENA_FIGURES; i++)
		report_print(out, " %*s", arena_figure[i].columns,
			     report_figure(&row->fig, arena_figure[i].f).s);
	text_char(&out->text, '\n');
}

static bool has_much_free(const struct figures *fig)
{
	return !figure_has(fig, FIG_RSS_BYTES) ||
	       !figure_has(fig, FIG_FREE_RESIDENT_BYTES) ||
	       fig->v[FIG_FREE_RESIDENT_BYTES].u >= fig->v[FIG_RSS_BYTES].u / LARGE;
}

static void arenas(struct report_out *out, const struct sample *sample)
{
	unsigned order[REPORT_ARENAS];
	unsigned count = report_arenas(sample, order, ARENAS_SHOWN);

	/* The figures of a single one stand above; little free memory is no matter. */
	if (sample->arena_count < 2 || !count || !has_much_free(&sample->fig))
		return;
	report_print(out, "  arena");
	for (unsigned i = 0; i < ARENA_FIGURES; i++)
		report_print(out, " %*s", arena_figure[i].columns,
			     figure_heading(arena_figure[i].f,
					    (size_t)arena_figure[i].columns));
	text_char(&out->text, '\n');
	for (unsigned i = 0; i < count; i++)
		arena(out, &sample->arena[order[i]]);
	if (count < sample->arena_count)
		report_print(out, "  and %s with less free\n",
			     COUNTED(sample->arena_count - count, "more arena"));
}

static void broken(struct report_out *out, const struct sample *sample)
{
	char free_memory[256], unusable[256];

	report_free(sample, free_memory, sizeof(free_memory));
	if (!*free_memory)
		return;
	title(out, "How fragmented the free memory is");
	wrapped(out, 2, 2, free_memory);
	report_unusable(sample, unusable, sizeof(unusable));
	if (*unusable)
		wrapped(out, 2, 2, unusable);
	arenas(out, sample);
}

/* ---- where it is heading ---- */

/* How long to watch it, where the time had no room for enough readings. */
static void too_few(struct report_out *out, const struct report *report)
{
	double of_s = (double)report->cost.longest_ns / 1e9;
	char line[256];
	int used;

	used = snprintf(line, sizeof(line),
			"Not known: that takes %d readings, and this is of %llu.",
			TREND_MIN, (unsigned long long)report->readings);
	if (report->readings > 1 && !report->is_recorded)
		snprintf(line + used, sizeof(line) - (size_t)used,
			 " One takes %s at the longest: --for %.0fs has room for them.",
			 units_ns_text(report->cost.longest_ns).s,
			 ceil(of_s * TREND_MIN * 1.5) + 1);
	wrapped(out, 2, 2, line);
}

/* Whether it is worth a section: not while it is less than what is notable. */
static bool has_growth(const struct report *report)
{
	const struct report_growth *of = &report->growth;
	const struct figures *fig = &report->sample->fig;
	uint64_t rss = figure_has(fig, FIG_RSS_BYTES) ? fig->v[FIG_RSS_BYTES].u : 0;

	return of->missing || of->failures || of->bytes > rss / NOTABLE;
}

static void skipped(struct report_out *out, const struct report_growth *of)
{
	char line[128];

	report_skipped(of, line, sizeof(line));
	if (*line)
		wrapped(out, 2, 2, line);
}

static bool is_elsewhere(const struct report *report)
{
	for (unsigned i = 0; i < report->verdicts; i++)
		if (report->verdict[i].kind == VERDICT_ALLOCATOR)
			return true;
	return *report->sample->allocator &&
	       strncmp(report->sample->allocator, "glibc", 5) != 0;
}

/* Of another allocator the probes see no more than what it does as glibc's does. */
static void seen_growth(struct report_out *out, const struct report_growth *of)
{
	char line[160];

	if (of->growths)
		snprintf(line, sizeof(line),
			 "The probes, which know glibc's malloc, saw %s, of %s, and no "
			 "failure.",
			 COUNTED(of->growths, "growth"), BYTES(of->bytes));
	else
		snprintf(line, sizeof(line),
			 "The probes, which know glibc's malloc, saw no growth and no "
			 "failure.");
	wrapped(out, 2, 2, line);
}

static void little_growth(struct report_out *out, const struct report *report)
{
	const struct report_growth *of = &report->growth;

	if (is_elsewhere(report))
		seen_growth(out, of);
	else if (!of->growths)
		report_print(out, "  The heap %s, and no allocation failed.\n",
			     of->skipped ? "was not seen to grow" : "did not grow");
	else
		report_print(out, "  The heap grew %s, by %s; no allocation failed.\n",
			     COUNTED(of->growths, "time"), BYTES(of->bytes));
	skipped(out, of);
}

static bool is_still(const struct report_series *series)
{
	char words[64];

	report_trend(series, words, sizeof(words));
	return !strcmp(words, "still") || !strcmp(words, "hardly moves");
}

/* The value of F at one end of a course. */
static void end_of_course(enum figure f, double value, bool is_estimated, char *text,
			  size_t size)
{
	struct figures fig = {0};

	figure_set(&fig, f, (uint64_t)value);
	snprintf(text, size, "%s%s", is_estimated ? "~" : "", report_figure(&fig, f).s);
}

/* What the last reading had is marked by itself: it may be of all the heap. */
static void one_course(struct report_out *out, const struct report_series *series,
		       bool is_last_estimated)
{
	char words[64], first[24], last[24];

	end_of_course(series->f, series->trend.first, series->is_estimated, first,
		      sizeof(first));
	end_of_course(series->f, series->trend.last, is_last_estimated, last,
		      sizeof(last));
	report_trend(series, words, sizeof(words));
	report_print(out, "  %-22s %6s -> %6s  %s\n", figure_info[series->f].name, first,
		     last, words);
}

/* Figures that move have a line each; those that do not share one. */
static void heading(struct report_out *out, const struct report *report)
{
	bool has_estimates = false;
	char line[1024];
	struct text still;
	unsigned stills = 0;

	title(out, "Where it is heading");
	if (!has_growth(report))
		little_growth(out, report);
	if (!report->series_count || !report->series[0].trend.is_known) {
		too_few(out, report);
		return;
	}
	text_init(&still, line, sizeof(line));
	text_string(&still, "Still, or nearly:");
	for (unsigned i = 0; i < report->series_count; i++) {
		const struct report_series *series = &report->series[i];

		if (!series->trend.is_known)
			continue;
		if (!is_still(series)) {
			one_course(out, series,
				   figure_is_estimated(&report->sample->fig, series->f));
			has_estimates |= series->is_estimated;
			continue;
		}
		text_string(&still, stills++ ? ", " : " ");
		text_string(&still, figure_info[series->f].name);
	}
	text_char(&still, '.');
	if (has_estimates)
		report_print(
			out,
			"  ~ marks what some readings estimated from a random sample "
			"of the heap.\n");
	if (stills)
		wrapped(out, 2, 2, line);
}

/* ---- who did it ---- */

static void not_known(struct report_out *out, const char *why)
{
	char line[2 * FAULT_TEXT];
	struct text text;

	text_init(&text, line, sizeof(line));
	text_string(&text, "Not known: ");
	text_printable(&text, why, SIZE_MAX);
	wrapped(out, 2, 2, line);
}

static void stacks(struct report_out *out, const struct report_growth *of)
{
	unsigned count = of->rows < STACKS_SHOWN ? of->rows : STACKS_SHOWN;
	unsigned shared = callers_shared(of->row, count);
	char line[2048];
	struct text text;

	text_init(&text, line, sizeof(line));
	text_string(&text, "By whom, the innermost function first");
	if (shared) {
		text_string(&text, "; all below ");
		callers_last_shared(&text, of->row[0].stack, shared);
	}
	text_char(&text, ':');
	wrapped(out, 2, 4, line);
	for (unsigned i = 0; i < count; i++) {
		const struct fold_row *row = &of->row[i];

		text_init(&text, line, sizeof(line));
		text_string(&text, BYTES(row->bytes));
		text_string(&text, " in ");
		text_string(&text, COUNT(row->growths));
		if (row->failures) {
			text_string(&text, ", failed ");
			text_string(&text, COUNT(row->failures));
		}
		text_string(&text, ": ");
		callers_text(&text, row->stack, shared);
		wrapped(out, 4, 6, line);
	}
}

/* Little or none is told where the memory is heading. */
static void growth(struct report_out *out, const struct report *report)
{
	const struct report_growth *of = &report->growth;

	if (!has_growth(report))
		return;
	title(out, "Who made it grow");
	if (of->missing) {
		not_known(out, of->missing);
		return;
	}
	report_print(out, "  The heap grew %s, by %s; %s failed.\n",
		     COUNTED(of->growths, "time"), BYTES(of->bytes),
		     COUNTED(of->failures, "allocation"));
	skipped(out, of);
	if (!of->rows)
		return;
	stacks(out, of);
	wrapped(out, 2, 2, fold_caveat);
}

/* ---- limits ---- */

/* Whether a limit is near enough for a line: the nearest is, and what is half used up or
 * will be reached. */
static bool is_near(const struct report *report, unsigned kind)
{
	const struct headroom_row *row = &report->headroom->row[kind];

	if (report->reach && (report->reach[kind].when == HEADROOM_WHEN_IN ||
			      report->reach[kind].when == HEADROOM_WHEN_REACHED))
		return true;
	return report->headroom->nearest == (int)kind || row->left_share < 0.5;
}

static void limit(struct report_out *out, const struct report *report,
		  enum headroom_kind kind)
{
	const struct headroom_row *row = &report->headroom->row[kind];
	bool is_count = headroom_info[kind].is_count;
	char when[96];

	report_when(report->reach ? &report->reach[kind] : NULL, when, sizeof(when));
	when[strcspn(when, "(")] = '\0';
	report_print(out, "  %-29s %6s %6s %5s  %s%s\n", headroom_info[kind].limit,
		     is_count ? COUNT(row->used) : BYTES(row->used),
		     is_count ? COUNT(row->limit) : BYTES(row->limit),
		     SHARE(row->left_share), when,
		     report->headroom->nearest == (int)kind ? " (nearest)" : "");
}

static unsigned limits_near(const struct report *report, unsigned *far)
{
	unsigned near = 0;

	*far = 0;
	for (unsigned i = 0; i < HEADROOM_KINDS; i++) {
		if (!report->headroom->row[i].is_set)
			continue;
		near += is_near(report, i);
		*far += !is_near(report, i);
	}
	return near;
}

static bool is_far(const struct report *report, unsigned kind)
{
	return report->headroom->row[kind].left_share >= 0.5 &&
	       (!report->reach || report->reach[kind].when == HEADROOM_WHEN_NEVER ||
		report->reach[kind].when == HEADROOM_WHEN_UNKNOWN);
}

/* The table has what is near; where nothing is, one sentence says so. */
static void limit_table(struct report_out *out, const struct report *report)
{
	int nearest = report->headroom->nearest;
	unsigned far, near = limits_near(report, &far);
	char line[256];

	if (near == 1 && nearest >= 0 && is_far(report, (unsigned)nearest)) {
		const struct headroom_row *row = &report->headroom->row[nearest];
		bool is_count = headroom_info[nearest].is_count;

		snprintf(line, sizeof(line),
			 "No limit is near. Nearest: %s, %s of %s used, %s left.",
			 headroom_info[nearest].limit,
			 is_count ? COUNT(row->used) : BYTES(row->used),
			 is_count ? COUNT(row->limit) : BYTES(row->limit),
			 SHARE(row->left_share));
		wrapped(out, 2, 2, line);
		return;
	}
	report_print(out, "  %-29s %6s %6s %5s  %s\n", "limit", "used", "limit", "left",
		     "reached");
	for (unsigned i = 0; i < HEADROOM_KINDS; i++)
		if (report->headroom->row[i].is_set && is_near(report, i))
			limit(out, report, (enum headroom_kind)i);
	if (far)
		report_print(out, "  Of %s less than half is used.\n",
			     COUNTED(far, "other limit"));
}

static void oom(struct report_out *out, const struct report *report)
{
	char line[REPORT_OOM_LINE];

	for (unsigned i = 0; report_oom(report, i, line); i++)
		wrapped(out, 2, 2, line);
}

static void pressure(struct report_out *out, const struct bounds *bounds)
{
	if (bounds->has & BOUNDS_HAS_CGROUP && bounds->cgroup.has_pressure &&
	    bounds->cgroup.pressure.some_10s >= WAITED)
		report_print(out,
			     "  In its cgroup tasks waited for memory %.1f%% of the "
			     "last 10 s.\n",
			     bounds->cgroup.pressure.some_10s);
	if (bounds->has & BOUNDS_HAS_PRESSURE && bounds->pressure.some_10s >= WAITED)
		report_print(out,
			     "  On the host tasks waited for memory %.1f%% of the last "
			     "10 s.\n",
			     bounds->pressure.some_10s);
}

/* Said where it is not the usual mode, which refuses only single requests above all
 * memory. */
static void overcommit(struct report_out *out, const struct limits *host)
{
	static const char *const modes[] = {
		[OVERCOMMIT_ALWAYS] = "refuses nothing (1)",
		[OVERCOMMIT_NEVER] = "refuses what is above CommitLimit (2)",
	};

	if (host->has & LIMITS_HAS_OVERCOMMIT && host->overcommit != OVERCOMMIT_GUESS)
		report_print(out, "  Overcommit: the host %s.\n",
			     modes[host->overcommit]);
}

/* How sure the instants in the table are. */
static void sureness(struct report_out *out, const struct report *report)
{
	for (unsigned i = 0; i < HEADROOM_KINDS; i++) {
		char when[96], line[256];

		if (report->reach[i].when != HEADROOM_WHEN_IN)
			continue;
		report_when(&report->reach[i], when, sizeof(when));
		snprintf(line, sizeof(line), "%s: %s, 95%% confidence.",
			 headroom_info[i].limit, when);
		wrapped(out, 2, 2, line);
	}
}

static void cgroup_cache(struct report_out *out, const struct report *report)
{
	char line[256];

	if (report_cgroup_cache(report, line, sizeof(line)))
		wrapped(out, 2, 2, line);
}

static void limits(struct report_out *out, const struct report *report)
{
	title(out, "What is about to happen");
	if (!report->headroom) {
		not_known(out, report->why_no_limits);
		return;
	}
	limit_table(out, report);
	cgroup_cache(out, report);
	sureness(out, report);
	overcommit(out, &report->bounds->host);
	pressure(out, report->bounds);
	oom(out, report);
}

/* ---- what pins ---- */

/* One that is too long is cut, and says so; a text keeps its closing quote. */
static void blocker_identity(struct text *text, const char *identity)
{
	size_t length = strlen(identity);
	const char *end = identity[length - 1] == '"' ? "...\"" : "...";

	if (text_columns(identity) <= IDENTITY_CHARACTERS) {
		text_printable(text, identity, IDENTITY_CHARACTERS);
		return;
	}
	text_printable(text, identity, IDENTITY_CHARACTERS - strlen(end));
	text_string(text, end);
}

static void one_blocker(struct report_out *out, const struct blocker *blocker,
			const char *identity)
{
	report_print(out, "  0x%-14llx %5u %7s %6s %8s",
		     (unsigned long long)blocker->addr, blocker->arena,
		     COUNT(blocker->chunks), BYTES(blocker->bytes),
		     BYTES(blocker->unlocked_bytes));
	if (identity && *identity) {
		text_string(&out->text, "  ");
		blocker_identity(&out->text, identity);
	}
	text_char(&out->text, '\n');
	report_flush(out);
}

/* What stands between the top and the free memory below it. */
static void tail(struct report_out *out, const struct blockers *blockers)
{
	if (!blockers->step_count || !blockers->tail_count)
		return;
	report_print(out,
		     "  Below the top of arena %u (%s), the last at 0x%llx:\n  %7s %6s   "
		     "freed: this goes back by itself\n",
		     blockers->tail_arena, BYTES(blockers->tail_top_bytes),
		     (unsigned long long)blockers->tail[0].addr, "chunks", "bytes");
	for (unsigned i = 0; i < blockers->step_count && i < BEST_SHOWN; i++)
		report_print(out, "  %7s %6s   %s\n", COUNT(blockers->step[i].chunks),
			     BYTES(blockers->step[i].bytes),
			     BYTES(blockers->step[i].hole_resident_bytes));
}

static void owners_title(struct report_out *out, const struct owners *owners, int pid)
{
	char line[160];

	if (owners->sampled_chunks)
		snprintf(
			line, sizeof(line),
			"Who holds them, by a random sample of %s, and the share of them "
			"('fragscope owners -p %d' searches more):",
			COUNT(owners->sampled_chunks), pid);
	else
		snprintf(line, sizeof(line),
			 "Who holds them ('fragscope owners -p %d' lists all), and what "
			 "that keeps:",
			 pid);
	wrapped(out, 2, 2, line);
}

/* Who holds the chunks that pin, the first few. */
static void owners(struct report_out *out, const struct report *report)
{
	char line[REPORT_OWNER + 32];

	if (report->why_no_owners) {
		snprintf(line, sizeof(line), "Who holds them is not known: %s.",
			 report->why_no_owners);
		wrapped(out, 2, 2, line);
	}
	if (!report->owners || !report->owners->count)
		return;
	owners_title(out, report->owners, report->sample->pid);
	for (unsigned i = 0; i < report->owners->count && i < REPORT_OWNERS; i++) {
		const struct owner *owner = &report->owners->owner[i];

		report_print(out, "  %-6s ", owners_weight(report->owners, owner).s);
		owners_line(owner, line, REPORT_OWNER);
		wrap_on(out, 9, 9, line);
	}
}

static bool has_verdict(const struct report *report, enum verdict_kind kind)
{
	for (unsigned i = 0; i < report->verdicts; i++)
		if (report->verdict[i].kind == kind)
			return true;
	return false;
}

/* Single chunks are worth a look where they keep much. */
static bool is_worth_it(const struct report *report)
{
	const struct figures *fig = &report->sample->fig;

	return has_verdict(report, VERDICT_PINNED_TAIL) ||
	       has_verdict(report, VERDICT_FRAGMENTATION) ||
	       has_verdict(report, VERDICT_BREAKING) || !figure_has(fig, FIG_RSS_BYTES) ||
	       report->blockers->pinned_bytes >= fig->v[FIG_RSS_BYTES].u / LARGE;
}

/* Of the tail the verdict says as much. */
static void blockers(struct report_out *out, const struct report *report)
{
	const struct blockers *blockers = report->blockers;

	if (!blockers && !report->why_no_blockers)
		return;
	if (blockers && !is_worth_it(report) && !report->owners)
		return;
	title(out, "What keeps it from going back");
	if (!blockers) {
		not_known(out, report->why_no_blockers);
		return;
	}
	report_print(out, "  %s in use (%s) %s pages with %s of free memory.\n",
		     COUNTED(blockers->pinning_chunks, "chunk"),
		     BYTES(blockers->pinning_bytes),
		     blockers->pinning_chunks == 1 ? "shares" : "share",
		     BYTES(blockers->pinned_bytes));
	if (blockers->best_count)
		report_print(out, "  %-16s %5s %7s %6s  %s\n", "address", "arena",
			     "chunks", "bytes", "would release, if freed");
	for (unsigned i = 0; i < blockers->best_count && i < BEST_SHOWN; i++)
		one_blocker(out, &blockers->best[i],
			    report->identity ? report->identity[i] : NULL);
	if (!has_verdict(report, VERDICT_PINNED_TAIL))
		tail(out, blockers);
	owners(out, report);
}

/* ---- verdicts ---- */

/* The answer above is the first one's headline. Where there are more than two, the
 * evidence of all would fill another page. */
static void verdict(struct report_out *out, const struct report *report, unsigned at)
{
	const struct verdict *of = &report->verdict[at];
	bool is_answer = !at && strstr(report->answer, of->headline);
	char line[VERDICT_REMEDY + 8];

	snprintf(line, sizeof(line), "%u. %s (%s)%s%s.", at + 1, verdict_title(of),
		 severity_name(of->severity), is_answer ? "" : ": ",
		 is_answer ? "" : of->headline);
	wrapped(out, 2, 5, line);
	if (at < (report->verdicts > EVIDENCE_SHOWN ? 1 : EVIDENCE_SHOWN))
		wrapped(out, 5, 5, of->evidence);
	snprintf(line, sizeof(line), "-> %s", of->remedy);
	wrapped(out, 5, 8, line);
}

static void verdicts(struct report_out *out, const struct report *report)
{
	title(out, "What to do");
	if (!report->verdicts)
		wrapped(out, 2, 2, report_nothing(report));
	for (unsigned i = 0; i < report->verdicts; i++)
		verdict(out, report, i);
}

int report_text(const struct report *report, int fd)
{
	struct report_out *out = report_begin(fd);
	char cost[512];

	if (!out)
		return report_finish(out);
	head(out, report);
	where(out, report);
	non_malloc(out, report);
	verdicts(out, report);
	heading(out, report);
	broken(out, report->sample);
	growth(out, report);
	limits(out, report);
	blockers(out, report);
	text_char(&out->text, '\n');
	report_cost(report, cost, sizeof(cost));
	wrapped(out, 0, 0, cost);
	return report_finish(out);
}
