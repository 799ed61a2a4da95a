/* judge.c: what breaks things and what grows; and the table of all checks. */
#include "analysis/judge.h"

#include <stdio.h>

#define G (UINT64_C(1) << 30)

enum { SOON_S = 3600, VERY_SOON_S = 600, FEW_MAPPINGS = 8192 };

/* ---- what breaks things ---- */

static bool failures(const struct verdict_input *input, struct verdict *verdict)
{
	if (!input->has_failures || !input->failures)
		return false;
	verdict->severity = SEVERITY_CRITICAL;
	SAY(headline, "the kernel refused malloc memory %s times in %s",
	    COUNT(input->failures), SPAN(input->watched_s));
	SAY(evidence, "malloc returned NULL %s times while the process was watched.",
	    COUNT(input->failures));
	SAY(remedy,
	    "'fragscope trace -p %d --failures' shows the limit that each one met and "
	    "its caller.",
	    input->sample->pid);
	judge_fact(verdict, "failed_allocations", UNIT_COUNT, input->failures);
	return true;
}

static bool is_soon(const struct headroom_reach *reach, double seconds)
{
	return reach && reach->when == HEADROOM_WHEN_IN && reach->in_s < seconds;
}

/* Whether so little is left, by share and by bytes, or so soon nothing. */
static bool is_near(const struct headroom_row *row, const struct headroom_info *info,
		    const struct headroom_reach *reach)
{
	uint64_t little = info->is_count ? (uint64_t)FEW_MAPPINGS : 2 * G;

	if (row->left_share < 0.1 && row->left < little)
		return true;
	return row->left_share < 0.5 && is_soon(reach, SOON_S);
}

static void say_reach(const struct headroom_reach *reach, char *text, size_t size)
{
	static const char *const words[] = {
		[HEADROOM_WHEN_UNKNOWN] = "",
		[HEADROOM_WHEN_NEVER] = "At the present rate it is not reached.",
		[HEADROOM_WHEN_REACHED] = "It is reached.",
	};

	if (reach && reach->when == HEADROOM_WHEN_IN)
		snprintf(text, size, "At the present rate it is reached in %s.",
			 SPAN(reach->in_s));
	else
		snprintf(text, size, "%s", reach ? words[reach->when] : "");
}

static const char *limit_remedy(enum headroom_kind kind)
{
	static const char *const of[HEADROOM_KINDS] = {
		[HEADROOM_ADDRESS_SPACE] =
			"Raise it (ulimit -v, LimitAS=, prlimit --as). Each arena "
			"reserves 64M of it: MALLOC_ARENA_MAX=2 saves some.",
		[HEADROOM_DATA] = "Raise it (ulimit -d, LimitDATA=, prlimit --data).",
		[HEADROOM_STACK] = "Look for endless recursion.",
		[HEADROOM_MAPPINGS] =
			"Raise it (sysctl vm.max_map_count), or make malloc "
			"map less: raise MALLOC_MMAP_THRESHOLD_.",
		[HEADROOM_COMMIT] = "Find what else on the host reserves so much memory.",
		[HEADROOM_CGROUP_MAX] = "Raise memory.max.",
		[HEADROOM_CGROUP_HIGH] = "Find what else in the cgroup takes memory.",
		[HEADROOM_HOST] = "Find what else on the host takes memory.",
	};

	return of[kind];
}

static bool limit(const struct verdict_input *input, struct verdict *verdict)
{
	const struct headroom *headroom = input->headroom;
	const struct headroom_reach *reach;
	const struct headroom_info *info;
	const struct headroom_row *row;
	char when[96];
	enum figure_unit unit;

	if (!headroom || headroom->nearest < 0)
		return false;
	row = &headroom->row[headroom->nearest];
	info = &headroom_info[headroom->nearest];
	reach = input->reach ? &input->reach[headroom->nearest] : NULL;
	if (!is_near(row, info, reach))
		return false;
	if (headroom->nearest != HEADROOM_CGROUP_HIGH &&
	    (row->left_share < 0.05 || is_soon(reach, VERY_SOON_S)))
		verdict->severity = SEVERITY_CRITICAL;
	unit = info->is_count ? UNIT_COUNT : UNIT_BYTES;
	verdict->stake_bytes = info->is_count ? 0 : row->limit;
	say_reach(reach, when, sizeof(when));
	SAY(headline, "%s of %s is left of the %s",
	    info->is_count ? COUNT(row->left) : BYTES(row->left),
	    info->is_count ? COUNT(row->limit) : BYTES(row->limit), info->limit);
	SAY(evidence, "%s is used, %s of the limit is left. Beyond it %s. %s",
	    info->is_count ? COUNT(row->used) : BYTES(row->used), SHARE(row->left_share),
	    info->outcome, when);
	SAY(remedy, "%s", limit_remedy((enum headroom_kind)headroom->nearest));
	judge_fact(verdict, "limit", unit, row->limit);
	judge_fact(verdict, "used", unit, row->used);
	judge_fact(verdict, "left", unit, row->left);
	judge_fact_share(verdict, "left_share", row->left_share);
	return true;
}

/* ---- what grows, and whose it is ---- */

static void leak_facts(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_trend *held = &input->live;

	/* The older names of what is held_..., from when it was called live memory. */
	judge_fact(verdict, "live_first_bytes", UNIT_BYTES, (uint64_t)held->first);
	judge_fact(verdict, "live_last_bytes", UNIT_BYTES, (uint64_t)held->last);
	judge_fact(verdict, "live_bytes_per_s", UNIT_BYTES, (uint64_t)held->per_s);
	judge_fact(verdict, "held_first_bytes", UNIT_BYTES, (uint64_t)held->first);
	judge_fact(verdict, "held_last_bytes", UNIT_BYTES, (uint64_t)held->last);
	judge_fact(verdict, "held_bytes_per_s", UNIT_BYTES, (uint64_t)held->per_s);
	judge_fact(verdict, "rss_first_bytes", UNIT_BYTES, (uint64_t)input->rss.first);
	judge_fact(verdict, "rss_last_bytes", UNIT_BYTES, (uint64_t)input->rss.last);
	judge_fact(verdict, "rss_bytes_per_s", UNIT_BYTES, (uint64_t)input->rss.per_s);
	if (input->other.is_known)
		judge_fact(verdict, "other_bytes_per_s", UNIT_BYTES,
			   (uint64_t)(judge_risen(&input->other) > 0 ? input->other.per_s
								     : 0));
}

/* Owners and survivors are told of glibc's heaps alone. */
static void say_who_holds(const struct verdict_input *input, struct verdict *verdict,
			  const char *more)
{
	char owners[256] = "";
	int pid = input->sample->pid;

	if (!judge_has_own_figures(input))
		snprintf(owners, sizeof(owners),
			 "'fragscope owners -p %d --live' shows who holds it now, and "
			 "what is no longer referenced; 'fragscope trace -p %d "
			 "--survivors --for 1m' shows which function allocates what "
			 "stays. ",
			 pid, pid);
	SAY(remedy,
	    "%s'valgrind --leak-check=full COMMAND' and 'heaptrack COMMAND' show each "
	    "block, but need a restart. A cache that fills looks the same until it is "
	    "full: watch longer (--for 10m).%s%s",
	    owners, *more ? " " : "", more);
}

static bool leak(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_trend *live = &input->live;
	const char *more = judge_by_malloc(input);
	char parts[128];

	if (!judge_has_grown(live, &input->rss))
		return false;
	judge_say_contributors(input, parts, sizeof(parts));
	verdict->stake_bytes = (uint64_t)(live->per_s * 3600);
	SAY(headline, "what the program holds grows by %s a second, and the process %s%s",
	    BYTES((uint64_t)live->per_s), *parts ? "by more" : "with it", parts);
	SAY(evidence,
	    "In %s live_bytes and mmapped_bytes together rose from %s to %s (%s to %s a "
	    "second, 95%% confidence) and the resident memory from %s to %s.",
	    SPAN(input->watched_s), BYTES((uint64_t)live->first),
	    BYTES((uint64_t)live->last),
	    BYTES((uint64_t)(live->low_per_s > 0 ? live->low_per_s : 0)),
	    BYTES((uint64_t)live->high_per_s), BYTES((uint64_t)input->rss.first),
	    BYTES((uint64_t)input->rss.last));
	say_who_holds(input, verdict, more);
	leak_facts(input, verdict);
	return true;
}

static double rising_per_s(const struct verdict_trend *trend)
{
	return judge_risen(trend) > 0 ? trend->per_s : 0;
}

/* Waves of work, as a garbage collector's, hide what stays for as long as one of them is
 * most of the time. */
static bool growth(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_trend *rss = &input->rss, *held = &input->live;
	double unexplained = rss->per_s - rising_per_s(held) -
			     rising_per_s(&input->other) - rising_per_s(&input->pinned);

	if (!held->is_known || judge_has_grown(held, rss) ||
	    judge_risen(rss) < (double)JUDGE_LEAST_BYTES ||
	    judge_risen(rss) < rss->first / 20 || unexplained < rss->per_s / 2)
		return false;
	verdict->stake_bytes = (uint64_t)(unexplained * 3600);
	SAY(headline,
	    "the resident memory rises by %s a second, from %s to %s; what the program "
	    "holds, and what is not malloc's, are not seen to rise as much",
	    BYTES((uint64_t)rss->per_s), BYTES((uint64_t)rss->first),
	    BYTES((uint64_t)rss->last));
	SAY(evidence,
	    "In %s live_bytes and mmapped_bytes together went from %s to %s. Where a "
	    "garbage collector, or work in waves, moves them by more than stays, their "
	    "rise is not seen.",
	    SPAN(input->watched_s), BYTES((uint64_t)held->first),
	    BYTES((uint64_t)held->last));
	SAY(remedy,
	    "Watch it over many of its waves ('fragscope report -p %d --for 10m'): a "
	    "leak, or a cache that fills, is then seen to rise.",
	    input->sample->pid);
	judge_fact(verdict, "rss_first_bytes", UNIT_BYTES, (uint64_t)rss->first);
	judge_fact(verdict, "rss_last_bytes", UNIT_BYTES, (uint64_t)rss->last);
	judge_fact(verdict, "rss_bytes_per_s", UNIT_BYTES, (uint64_t)rss->per_s);
	judge_fact(verdict, "held_first_bytes", UNIT_BYTES, (uint64_t)held->first);
	judge_fact(verdict, "held_last_bytes", UNIT_BYTES, (uint64_t)held->last);
	return true;
}

judge_fn *const judge[VERDICT_KINDS] = {
	[VERDICT_FAILURES] = failures,
	[VERDICT_LIMIT] = limit,
	[VERDICT_LEAK] = leak,
	[VERDICT_ALLOCATOR] = judge_allocator,
	[VERDICT_NOT_MALLOC] = judge_not_malloc,
	[VERDICT_PINNED_TAIL] = judge_pinned_tail,
	[VERDICT_ARENAS] = judge_arenas,
	[VERDICT_FRAGMENTATION] = judge_fragmentation,
	[VERDICT_BREAKING] = judge_breaking,
	[VERDICT_MMAP_THRESHOLD] = judge_mmap_threshold,
	[VERDICT_TRIM_THRESHOLD] = judge_trim_threshold,
	[VERDICT_CACHE] = judge_cache,
	[VERDICT_RETURNED] = judge_returned,
	[VERDICT_HUGE_PAGES] = judge_huge_pages,
	[VERDICT_GROWTH] = growth,
	[VERDICT_FAST_TAIL] = judge_fast_tail,
};
