#include "analysis/verdict.h"

#include "analysis/judge.h"

#include <stdio.h>

/* What of RSS may stay untold without a word of it: a part in so many, or so few bytes.
 */
enum { UNTOLD_PARTS = 20, UNTOLD_BYTES = 1 << 20 };

/* clang-format off */
const struct verdict_info verdict_info[VERDICT_KINDS] = {
[VERDICT_FAILURES] = {"failed_allocations", "Allocations fail"},
[VERDICT_LIMIT] = {"near_limit", "Near a limit"},
[VERDICT_LEAK] = {"leak", "A leak, or a cache that fills"},
[VERDICT_ALLOCATOR] = {"other_allocator", "Not malloc's memory"},
[VERDICT_NOT_MALLOC] = {"not_malloc", "Not malloc's memory"},
[VERDICT_PINNED_TAIL] = {"pinned_tail", "A pinned tail"},
[VERDICT_ARENAS] = {"arenas", "Too many arenas"},
[VERDICT_FRAGMENTATION] = {"fragmentation", "Fragmentation"},
[VERDICT_BREAKING] = {"breaking_up", "The heap is breaking up"},
[VERDICT_MMAP_THRESHOLD] = {"mmap_threshold", "The mmap threshold has risen"},
[VERDICT_TRIM_THRESHOLD] = {"trim_threshold", "The trim threshold is high"},
[VERDICT_CACHE] = {"cache", "Free memory that a trim would return"},
[VERDICT_RETURNED] = {"returned", "Free memory that costs nothing"},
[VERDICT_HUGE_PAGES] = {"huge_pages", "Huge pages keep what was freed"},
[VERDICT_GROWTH] = {"growth", "The process grows"},
[VERDICT_FAST_TAIL] = {"fastbin_tail", "Fastbins hold the ends of heaps"},
};
/* clang-format on */

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {"note", "warning", "critical"};

	return names[severity];
}

const char *verdict_title(const struct verdict *verdict)
{
	static const char *const perhaps[VERDICT_KINDS] = {
		[VERDICT_ARENAS] = "Perhaps too many arenas",
		[VERDICT_FAST_TAIL] = "Perhaps fastbins held the ends of heaps",
	};

	return verdict->is_possible && perhaps[verdict->kind]
		       ? perhaps[verdict->kind]
		       : verdict_info[verdict->kind].answer;
}

/* What is told first: what breaks things, then what holds memory, then what may, and mere
 * notes. */
static unsigned rank_of(const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_FAILURES)
		return 0;
	if (verdict->kind == VERDICT_LIMIT)
		return 1;
	if (verdict->is_possible)
		return 3;
	return verdict->severity == SEVERITY_NOTE ? 4 : 2;
}

static bool comes_before(const struct verdict *one, const struct verdict *other)
{
	unsigned rank = rank_of(one), other_rank = rank_of(other);

	if (rank != other_rank)
		return rank < other_rank;
	return one->stake_bytes > other->stake_bytes;
}

static void sort(struct verdict *verdict, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct verdict moved = verdict[i];
		unsigned at = i;

		for (; at && comes_before(&moved, &verdict[at - 1]); at--)
			verdict[at] = verdict[at - 1];
		verdict[at] = moved;
	}
}

static struct verdict *find(struct verdict *verdict, unsigned count,
			    enum verdict_kind kind)
{
	for (unsigned i = 0; i < count; i++)
		if (verdict[i].kind == kind)
			return &verdict[i];
	return NULL;
}

/* A cause is told before its effect: where one of these explains half of what a trim
 * would give back, that comes after it. */
static void put_causes_first(struct verdict *verdict, unsigned count)
{
	static const enum verdict_kind causes[] = {
		VERDICT_HUGE_PAGES,	VERDICT_PINNED_TAIL,	VERDICT_ARENAS,
		VERDICT_MMAP_THRESHOLD, VERDICT_TRIM_THRESHOLD,
	};
	struct verdict *cache = find(verdict, count, VERDICT_CACHE);

	for (size_t i = 0; cache && i < sizeof(causes) / sizeof(*causes); i++) {
		const struct verdict *cause = find(verdict, count, causes[i]);

		if (cause && !cause->is_possible &&
		    cause->stake_bytes >= cache->stake_bytes / 2 &&
		    cause->stake_bytes <= cache->stake_bytes)
			cache->stake_bytes = cause->stake_bytes - 1;
	}
}

/* Moves what was estimated of FIG to one end of its interval; what is live goes the other
 * way, as what is free is the rest of it. */
static void move_to_end(struct figures *fig, bool high)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		bool of_live = f == FIG_LIVE_BYTES || f == FIG_LIVE_RESIDENT_BYTES ||
			       f == FIG_OTHER_RESIDENT_BYTES;
		double ends[2];

		if (!figure_has(fig, f) || !figure_range(fig, f, &ends[0], &ends[1]))
			continue;
		if (figure_info[f].unit == UNIT_RATIO)
			fig->v[f].d = ends[high != of_live];
		else
			fig->v[f].u = (uint64_t)(ends[high != of_live] + 0.5);
	}
}

/* Whether verdict KIND stands at both ends of what INPUT's sample estimates. */
static bool stands_at_ends(const struct verdict_input *input, enum verdict_kind kind)
{
	for (int high = 0; high < 2; high++) {
		struct sample sample = *input->sample;
		struct verdict_input moved = *input;
		struct verdict verdict = {.kind = kind, .severity = SEVERITY_WARNING};

		move_to_end(&sample.fig, high);
		moved.sample = &sample;
		if (!judge[kind](&moved, &verdict))
			return false;
	}
	return true;
}

unsigned verdicts_of(const struct verdict_input *input, struct verdict *out, unsigned max)
{
	bool is_estimated = input->sample->fig.estimated != 0;
	unsigned count = 0;

	for (unsigned kind = 0; kind < VERDICT_KINDS && count < max; kind++) {
		struct verdict *verdict = &out[count];

		*verdict = (struct verdict){.kind = (enum verdict_kind)kind,
					    .severity = SEVERITY_WARNING};
		count +=
			judge[kind](input, verdict) &&
			(!is_estimated || stands_at_ends(input, (enum verdict_kind)kind));
	}
	put_causes_first(out, count);
	sort(out, count);
	return count;
}

/* What of RSS is in none of the parts that are told. */
static uint64_t untold_bytes(const struct figures *fig, uint64_t rss)
{
	static const enum figure parts[] = {
		FIG_LIVE_RESIDENT_BYTES, FIG_FREE_RESIDENT_BYTES,
		FIG_MMAPPED_RESIDENT_BYTES, FIG_ALLOCATOR_RESIDENT_BYTES,
		FIG_OTHER_RESIDENT_BYTES};
	uint64_t sum = 0, part;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (judge_figure(fig, parts[i], &part))
			sum += part;
	return rss > sum ? rss - sum : 0;
}

/* "Nothing wrong" must not stand over a large part of the memory that nobody knows. */
static bool is_large(uint64_t untold, uint64_t rss)
{
	return untold >= UNTOLD_BYTES && untold >= rss / UNTOLD_PARTS;
}

static void say_unknown(const struct verdict_input *input, char *text, unsigned size)
{
	const char *missing = input->sample->missing;
	uint64_t rss;

	if (*missing && judge_figure(&input->sample->fig, FIG_RSS_BYTES, &rss))
		snprintf(text, size,
			 "How much of %s resident is malloc's could not be read: %s.",
			 units_bytes_text(rss).s, missing);
	else
		snprintf(text, size,
			 "No known problem was found, but where the resident memory is "
			 "could not be read.");
}

/* Of another allocator, which tells what is held and nothing of single pages. */
static bool say_by_its_own_figures(const struct verdict_input *input, char *text,
				   unsigned size)
{
	const struct figures *fig = &input->sample->fig;
	uint64_t rss, live;

	if (!judge_has_own_figures(input) || !judge_figure(fig, FIG_RSS_BYTES, &rss) ||
	    !judge_figure(fig, FIG_LIVE_BYTES, &live))
		return false;
	snprintf(text, size,
		 "No known problem: %s is resident, and by the allocator's own figures "
		 "(%s) the program holds %s.",
		 units_bytes_text(rss).s, input->sample->allocator,
		 units_bytes_text(live).s);
	return true;
}

/* False: glibc's malloc has something. */
static bool say_no_heap(const struct verdict_input *input, char *text, unsigned size)
{
	char whose[128];
	uint64_t rss;

	if (!judge_has_no_heap(input) ||
	    !judge_figure(&input->sample->fig, FIG_RSS_BYTES, &rss))
		return false;
	judge_say_whose(input->non_malloc, whose, sizeof(whose));
	snprintf(text, size,
		 "No known problem: %s is resident, none of it glibc malloc's%s.",
		 units_bytes_text(rss).s, whose);
	return true;
}

/* Where the memory is, when nothing is the matter with it. */
static void say_healthy(const struct verdict_input *input, char *text, unsigned size)
{
	const struct figures *fig = &input->sample->fig;
	const char *missing = input->sample->missing;
	const char *more = judge_by_malloc(input);
	uint64_t rss, live, free_bytes, other, untold;

	if (say_by_its_own_figures(input, text, size) || say_no_heap(input, text, size))
		return;
	if (!judge_figure(fig, FIG_RSS_BYTES, &rss) ||
	    !judge_figure(fig, FIG_LIVE_RESIDENT_BYTES, &live) ||
	    !judge_figure(fig, FIG_FREE_RESIDENT_BYTES, &free_bytes)) {
		say_unknown(input, text, size);
		return;
	}
	untold = untold_bytes(fig, rss);
	if (verdict_cached(fig, &other)) {
		live -= other;
		free_bytes += other;
	}
	if (judge_figure(fig, FIG_MMAPPED_RESIDENT_BYTES, &other))
		live += other;
	if (is_large(untold, rss)) {
		snprintf(text, size,
			 "Of %s resident %s could not be attributed%s%s; of the rest the "
			 "program holds %s and %s is free, with no known problem.",
			 units_bytes_text(rss).s, units_bytes_text(untold).s,
			 *missing ? ": " : "", missing, units_bytes_text(live).s,
			 units_bytes_text(free_bytes).s);
		return;
	}
	snprintf(text, size,
		 "No known problem: of %s resident the program holds %s, and %s is "
		 "free.%s%s%s",
		 units_bytes_text(rss).s, units_bytes_text(live).s,
		 units_bytes_text(free_bytes).s,
		 input->live.is_known ? ""
				      : " Whether it grows takes longer to find out.",
		 *more && live > rss / 2 ? " " : "", live > rss / 2 ? more : "");
}

void verdict_answer(const struct verdict_input *input, const struct verdict *verdict,
		    unsigned count, char *text, unsigned size)
{
	if (!count || rank_of(verdict) == 4)
		say_healthy(input, text, size);
	else
		snprintf(text, size, "%s: %s.", verdict_title(verdict),
			 verdict->headline);
}
