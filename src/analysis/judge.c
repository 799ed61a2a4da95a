#include "analysis/judge.h"

#include "sample/pins.h"

#include <stdio.h>
#include <string.h>

#define M	(UINT64_C(1) << 20)
#define G	(UINT64_C(1) << 30)
#define DEFAULT (UINT64_C(128) << 10) /* of both of glibc's thresholds */

/* What is not worth a word, however large its share. */
#define LEAST_BYTES (16 * M)

enum {
	MANY_ARENAS = 8,
	FEW_CHUNKS = 64,
	SOON_S = 3600,
	VERY_SOON_S = 600,
	FEW_MAPPINGS = 8192
};

#define BYTES(value) size_in_words(value).s
#define COUNT(value) units_count_text(value).s
#define SHARE(value) units_share_text(value).s
#define SPAN(value)  units_span_text(value).s

/* In a sentence a small size needs its unit. */
static struct units_text size_in_words(uint64_t bytes)
{
	struct units_text out = units_bytes_text(bytes);
	struct text text;

	if (bytes && bytes < 1024) {
		text_init(&text, out.s, sizeof(out.s));
		text_u64(&text, bytes);
		text_string(&text, " bytes");
	}
	return out;
}

bool judge_figure(const struct figures *fig, enum figure f, uint64_t *value)
{
	if (!figure_has(fig, f))
		return false;
	*value = fig->v[f].u;
	return true;
}

static bool get(const struct verdict_input *input, enum figure f, uint64_t *value)
{
	return judge_figure(&input->sample->fig, f, value);
}

static void fact(struct verdict *verdict, const char *name, enum figure_unit unit,
		 uint64_t value)
{
	if (verdict->fact_count == VERDICT_FACTS)
		return;
	verdict->fact[verdict->fact_count++] =
		(struct verdict_fact){.name = name, .unit = unit, .value.u = value};
}

static void fact_share(struct verdict *verdict, const char *name, double value)
{
	if (verdict->fact_count == VERDICT_FACTS)
		return;
	verdict->fact[verdict->fact_count++] =
		(struct verdict_fact){.name = name, .unit = UNIT_RATIO, .value.d = value};
}

static void fact_figure(const struct verdict_input *input, struct verdict *verdict,
			enum figure f)
{
	uint64_t value;

	if (get(input, f, &value))
		fact(verdict, figure_info[f].name, figure_info[f].unit, value);
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

#define SAY(where, ...) snprintf(verdict->where, sizeof(verdict->where), __VA_ARGS__)

/* ---- what breaks things ---- */

static bool failures(const struct verdict_input *input, struct verdict *verdict)
{
	if (!input->has_failures || !input->failures)
		return false;
	verdict->severity = SEVERITY_CRITICAL;
	SAY(headline, "the kernel refused malloc memory %s times in %s",
	    COUNT(input->failures), SPAN(input->watched_s));
	SAY(evidence, "%s allocations failed while the process was watched.",
	    COUNT(input->failures));
	SAY(remedy,
	    "'fragscope trace -p %d --failures' tells the limit that each met, and who "
	    "asked.",
	    input->sample->pid);
	fact(verdict, "failed_allocations", UNIT_COUNT, input->failures);
	return true;
}

static bool is_soon(const struct room_reach *reach, double seconds)
{
	return reach && reach->when == ROOM_WHEN_IN && reach->in_s < seconds;
}

/* Whether so little is left, by share and by bytes, or so soon nothing. */
static bool is_near(const struct room_row *row, const struct room_info *info,
		    const struct room_reach *reach)
{
	uint64_t little = info->is_count ? (uint64_t)FEW_MAPPINGS : 2 * G;

	if (row->left_share < 0.1 && row->left < little)
		return true;
	return row->left_share < 0.5 && is_soon(reach, SOON_S);
}

static void say_reach(const struct room_reach *reach, char *text, size_t size)
{
	static const char *const words[] = {
		[ROOM_WHEN_UNKNOWN] = "",
		[ROOM_WHEN_NEVER] = "Not to be reached at the present rate.",
		[ROOM_WHEN_REACHED] = "It is reached.",
	};

	if (reach && reach->when == ROOM_WHEN_IN)
		snprintf(text, size, "To be reached in %s at the present rate.",
			 SPAN(reach->in_s));
	else
		snprintf(text, size, "%s", reach ? words[reach->when] : "");
}

static const char *limit_remedy(enum room_kind kind)
{
	static const char *const of[ROOM_KINDS] = {
		[ROOM_ADDRESS_SPACE] =
			"Raise it (ulimit -v, LimitAS=, prlimit --as); each arena "
			"reserves 64M of it, so that MALLOC_ARENA_MAX=2 saves some.",
		[ROOM_DATA] = "Raise it (ulimit -d, LimitDATA=, prlimit --data).",
		[ROOM_STACK] = "Raise it (ulimit -s) before the program starts, or look "
			       "for a recursion without end.",
		[ROOM_MAPPINGS] = "Raise it (sysctl vm.max_map_count), or have malloc "
				  "map less: MALLOC_MMAP_THRESHOLD_ higher.",
		[ROOM_COMMIT] = "Add swap, raise vm.overcommit_ratio, or see who on the "
				"host promises itself so much.",
		[ROOM_CGROUP_MAX] = "Raise memory.max, or free what can be freed first.",
		[ROOM_CGROUP_HIGH] = "Raise memory.high, or free what can be freed.",
		[ROOM_HOST] = "See what else on the host takes memory.",
	};

	return of[kind];
}

static bool limit(const struct verdict_input *input, struct verdict *verdict)
{
	const struct room *room = input->room;
	const struct room_reach *reach;
	const struct room_info *info;
	const struct room_row *row;
	char when[96];
	enum figure_unit unit;

	if (!room || room->nearest < 0)
		return false;
	row = &room->row[room->nearest];
	info = &room_info[room->nearest];
	reach = input->reach ? &input->reach[room->nearest] : NULL;
	if (!is_near(row, info, reach))
		return false;
	if (room->nearest != ROOM_CGROUP_HIGH &&
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
	SAY(remedy, "%s", limit_remedy((enum room_kind)room->nearest));
	fact(verdict, "limit", unit, row->limit);
	fact(verdict, "used", unit, row->used);
	fact(verdict, "left", unit, row->left);
	fact_share(verdict, "left_share", row->left_share);
	return true;
}

/* ---- what grows, and whose it is ---- */

/* What rose between the first and the last reading; 0 when it is no sure rise. */
static double risen(const struct verdict_trend *trend)
{
	if (!trend->is_known || !trend->is_rising || trend->last <= trend->first)
		return 0;
	return trend->last - trend->first;
}

/* A rise that is worth a word, and that the process grew by: what only moves between free
 * and live does not make it larger. */
static bool has_grown(const struct verdict_trend *trend, const struct verdict_trend *rss)
{
	double grown = risen(trend);

	return grown >= (double)M && grown >= trend->first / 100 &&
	       risen(rss) >= grown / 2;
}

static bool leak(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_trend *live = &input->live;

	if (!has_grown(live, &input->rss))
		return false;
	verdict->stake_bytes = (uint64_t)(live->per_s * 3600);
	SAY(headline,
	    "what the program holds grows by %s a second, and the process with "
	    "it",
	    BYTES((uint64_t)live->per_s));
	SAY(evidence,
	    "In %s live memory went from %s to %s (%s to %s a second, 95%% sure) and the "
	    "resident memory from %s to %s.",
	    SPAN(input->watched_s), BYTES((uint64_t)live->first),
	    BYTES((uint64_t)live->last),
	    BYTES((uint64_t)(live->low_per_s > 0 ? live->low_per_s : 0)),
	    BYTES((uint64_t)live->high_per_s), BYTES((uint64_t)input->rss.first),
	    BYTES((uint64_t)input->rss.last));
	SAY(remedy,
	    "No setting of malloc helps: find who allocates with 'fragscope trace -p %d "
	    "--fold --for 1m'. A cache that fills looks the same until it is full: watch "
	    "for longer (--for 10m).",
	    input->sample->pid);
	fact(verdict, "live_first_bytes", UNIT_BYTES, (uint64_t)live->first);
	fact(verdict, "live_last_bytes", UNIT_BYTES, (uint64_t)live->last);
	fact(verdict, "live_bytes_per_s", UNIT_BYTES, (uint64_t)live->per_s);
	fact(verdict, "rss_first_bytes", UNIT_BYTES, (uint64_t)input->rss.first);
	fact(verdict, "rss_last_bytes", UNIT_BYTES, (uint64_t)input->rss.last);
	return true;
}

/* Another allocator is loaded, and anonymous memory that is not malloc's is large. */
static bool is_elsewhere(const struct verdict_input *input)
{
	const struct verdict_others *others = input->others;
	uint64_t rss;

	/* Figures of that very allocator, from the sampler. */
	if (*input->sample->allocator &&
	    strncmp(input->sample->allocator, "glibc", 5) != 0)
		return false;
	return others && others->is_known && *others->allocator &&
	       get(input, FIG_RSS_BYTES, &rss) && others->anon_bytes >= LEAST_BYTES &&
	       share(others->anon_bytes, rss) >= 0.5;
}

static bool allocator(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_others *others = input->others;
	uint64_t rss = 0, system_bytes;
	char glibc[64] = "";

	if (!is_elsewhere(input))
		return false;
	get(input, FIG_RSS_BYTES, &rss);
	if (get(input, FIG_SYSTEM_BYTES, &system_bytes))
		snprintf(glibc, sizeof(glibc), "glibc's malloc has %s from the kernel; ",
			 BYTES(system_bytes));
	verdict->stake_bytes = others->anon_bytes;
	SAY(headline,
	    "%s is loaded, and %s of %s resident is anonymous memory that is "
	    "not glibc malloc's",
	    others->allocator, BYTES(others->anon_bytes), BYTES(rss));
	SAY(evidence, "%s%s of the resident memory is anonymous and not glibc malloc's.",
	    glibc, SHARE(share(others->anon_bytes, rss)));
	SAY(remedy,
	    "Settings of glibc's malloc do nothing here: see those of %s. The "
	    "sampler asks it: 'fragscope run -- COMMAND'.",
	    others->allocator);
	fact(verdict, "anon_not_malloc_bytes", UNIT_BYTES, others->anon_bytes);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	fact_figure(input, verdict, FIG_SYSTEM_BYTES);
	return true;
}

static void say_others(const struct verdict_others *others, char *text, size_t size)
{
	int used;

	*text = '\0';
	if (!others || !others->is_known)
		return;
	used = snprintf(text, size,
			" Anonymous memory of its own %s, shared %s, files %s, the first "
			"thread's stack %s.",
			BYTES(others->anon_bytes), BYTES(others->shared_bytes),
			BYTES(others->file_bytes), BYTES(others->stack_bytes));
	if (*others->largest && used > 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used,
			 " The largest by name: %s (%s).", others->largest,
			 BYTES(others->largest_bytes));
}

/* Whether it is anonymous memory for the greater part. */
static bool is_anonymous(const struct verdict_others *others, uint64_t other_bytes)
{
	return others && others->is_known && others->anon_bytes > other_bytes / 2;
}

static bool not_malloc(const struct verdict_input *input, struct verdict *verdict)
{
	bool grows = has_grown(&input->other, &input->rss);
	uint64_t rss, other;
	char parts[320];

	if (is_elsewhere(input) || !get(input, FIG_RSS_BYTES, &rss) ||
	    !get(input, FIG_OTHER_RESIDENT_BYTES, &other) || other < LEAST_BYTES ||
	    !(grows || (other >= 64 * M && share(other, rss) >= 0.5)))
		return false;
	verdict->stake_bytes = other;
	if (grows)
		SAY(headline,
		    "memory that is not malloc's grows by %s a second, to %s "
		    "now",
		    BYTES((uint64_t)input->other.per_s), BYTES(other));
	else
		SAY(headline, "%s of %s resident is not malloc's", BYTES(other),
		    BYTES(rss));
	say_others(input->others, parts, sizeof(parts));
	SAY(evidence,
	    "%s of the resident memory is neither held through malloc nor kept "
	    "by it.%s",
	    SHARE(share(other, rss)), parts);
	SAY(remedy,
	    "Settings of malloc and trims do nothing here.%s /proc/%d/smaps has each "
	    "mapping; who maps memory is told by 'strace -k -e mmap'.",
	    is_anonymous(input->others, other)
		    ? " Anonymous memory of its own is what a runtime maps (of Python, "
		      "Java, "
		      "Go), a pool of the program's, or stacks of threads."
		    : "",
	    input->sample->pid);
	fact_figure(input, verdict, FIG_OTHER_RESIDENT_BYTES);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* ---- what malloc keeps ---- */

/* The first step that frees enough with few chunks gone; null: there is none. */
static const struct pins_step *few_for_much(const struct pins *pins, uint64_t rss)
{
	for (unsigned i = 0; pins && i < pins->step_count; i++) {
		const struct pins_step *step = &pins->step[i];

		if (step->chunks <= FEW_CHUNKS &&
		    step->hole_resident_bytes >= LEAST_BYTES &&
		    share(step->hole_resident_bytes, rss) >= 0.2 &&
		    share(step->bytes, step->hole_resident_bytes) < 0.05)
			return step;
	}
	return NULL;
}

static bool pinned_tail(const struct verdict_input *input, struct verdict *verdict)
{
	const struct pins_step *step;
	const struct pin *first;
	uint64_t rss;

	if (!get(input, FIG_RSS_BYTES, &rss) || !input->pins || !input->pins->tail_count)
		return false;
	step = few_for_much(input->pins, rss);
	if (!step)
		return false;
	first = &input->pins->tail[0];
	verdict->stake_bytes = step->hole_resident_bytes;
	SAY(headline,
	    "%s chunk%s of %s near the end of arena %u keep%s %s of free memory "
	    "from going back by itself",
	    COUNT(step->chunks), step->chunks == 1 ? "" : "s", BYTES(step->bytes),
	    input->pins->tail_arena, step->chunks == 1 ? "s" : "",
	    BYTES(step->hole_resident_bytes));
	SAY(evidence,
	    "free gives back only what is free up to the end; %s lie%s there, the last "
	    "at 0x%llx (%s).",
	    step->chunks == 1 ? "one chunk" : "these chunks",
	    step->chunks == 1 ? "s" : "", (unsigned long long)first->addr,
	    BYTES(first->bytes));
	SAY(remedy,
	    "malloc_trim(0) gives back the whole pages below them. So that it does not "
	    "come again: allocate what lives long before the large load, or after a "
	    "trim.");
	fact(verdict, "tail_chunks", UNIT_COUNT, step->chunks);
	fact(verdict, "tail_bytes", UNIT_BYTES, step->bytes);
	fact(verdict, "hole_bytes", UNIT_BYTES, step->hole_bytes);
	fact(verdict, "hole_resident_bytes", UNIT_BYTES, step->hole_resident_bytes);
	fact(verdict, "arena", UNIT_COUNT, input->pins->tail_arena);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* The secondary arenas' sums; BEYOND_TWO leaves out the two arenas that have most free.
 */
struct secondaries {
	uint64_t free_resident, live, top, beyond_two;
};

static bool sum_secondaries(const struct sample *sample, struct secondaries *sum)
{
	uint64_t first = 0, second = 0, free_resident, value, all = 0;

	*sum = (struct secondaries){0};
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];

		if (!judge_figure(&row->fig, FIG_FREE_RESIDENT_BYTES, &free_resident))
			return false;
		all += free_resident;
		if (free_resident > first) {
			second = first;
			first = free_resident;
		} else if (free_resident > second) {
			second = free_resident;
		}
		if (row->index == 0)
			continue;
		sum->free_resident += free_resident;
		if (judge_figure(&row->fig, FIG_LIVE_BYTES, &value))
			sum->live += value;
		if (judge_figure(&row->fig, FIG_TOP_BYTES, &value))
			sum->top += value;
	}
	sum->beyond_two = all - first - second;
	return sample->arena_count > 0;
}

static bool arenas(const struct verdict_input *input, struct verdict *verdict)
{
	struct secondaries sum;
	uint64_t rss, count, threads = 0;

	if (!get(input, FIG_ARENAS, &count) || count < MANY_ARENAS ||
	    !get(input, FIG_RSS_BYTES, &rss) || !sum_secondaries(input->sample, &sum) ||
	    sum.free_resident < LEAST_BYTES || share(sum.free_resident, rss) < 0.2)
		return false;
	get(input, FIG_ATTACHED_THREADS, &threads);
	verdict->stake_bytes = sum.free_resident;
	SAY(headline,
	    "%s of %s resident is free memory that %s arenas beside the main "
	    "one keep, each for its own threads",
	    BYTES(sum.free_resident), BYTES(rss), COUNT(count - 1));
	SAY(evidence,
	    "They hold %s live and %s free (%s of it in their tops, which no trim gives "
	    "back), for %s threads; all but the two with most of it have %s.",
	    BYTES(sum.live), BYTES(sum.free_resident), BYTES(sum.top), COUNT(threads),
	    BYTES(sum.beyond_two));
	SAY(remedy,
	    "MALLOC_ARENA_MAX=2 when it is started (or GLIBC_TUNABLES="
	    "glibc.malloc.arena_max=2) makes it 2 arenas instead of %s; threads then "
	    "wait "
	    "for each other more often. Fewer threads, or buffers that stay with one, "
	    "help as well.",
	    COUNT(count));
	fact(verdict, "arenas", UNIT_COUNT, count);
	fact(verdict, "secondary_free_resident_bytes", UNIT_BYTES, sum.free_resident);
	fact(verdict, "secondary_live_bytes", UNIT_BYTES, sum.live);
	fact(verdict, "secondary_top_bytes", UNIT_BYTES, sum.top);
	fact(verdict, "beyond_two_arenas_bytes", UNIT_BYTES, sum.beyond_two);
	fact(verdict, "attached_threads", UNIT_COUNT, threads);
	return true;
}

static void say_unusable(const struct figures *fig, char *text, size_t size)
{
	*text = '\0';
	if (figure_has(fig, FIG_UNUSABLE) && figure_has(fig, FIG_UNUSABLE_FOR_BYTES))
		snprintf(text, size,
			 " For a request of %s, %s of the free memory is useless.",
			 BYTES(fig->v[FIG_UNUSABLE_FOR_BYTES].u),
			 SHARE(fig->v[FIG_UNUSABLE].d));
}

static void say_pinning(const struct pins *pins, char *text, size_t size)
{
	*text = '\0';
	if (pins && pins->pinning_chunks)
		snprintf(text, size, " %s chunks in use (%s) hold these pages.",
			 COUNT(pins->pinning_chunks), BYTES(pins->pinning_bytes));
}

static void say_growing(const struct verdict_trend *trend, char *text, size_t size)
{
	*text = '\0';
	if (risen(trend) >= (double)M)
		snprintf(text, size, " It grows by %s a second.",
			 BYTES((uint64_t)trend->per_s));
}

/* By what an allocator of size classes says of itself: its pages are taken by objects of
 * one size each, and stay while one of them is live. */
static bool sparse_pages(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t active, live, sparse;

	if (!get(input, FIG_ACTIVE_BYTES, &active) ||
	    !get(input, FIG_LIVE_BYTES, &live) || active <= live)
		return false;
	sparse = active - live;
	if (sparse < LEAST_BYTES || share(sparse, active) < 0.25)
		return false;
	verdict->stake_bytes = sparse;
	SAY(headline,
	    "%s of the %s in pages that hold live objects is free, and goes only with "
	    "them",
	    BYTES(sparse), BYTES(active));
	SAY(evidence,
	    "By the allocator's own figures (%s) the program holds %s; %s of its "
	    "pages in use is free.",
	    input->sample->allocator, BYTES(live), SHARE(share(sparse, active)));
	SAY(remedy, "It goes when the objects beside it go: keep objects that live long "
		    "apart from those of the same size that come and go. A purge does "
		    "nothing about it.");
	fact_figure(input, verdict, FIG_ACTIVE_BYTES);
	fact_figure(input, verdict, FIG_LIVE_BYTES);
	return true;
}

static bool fragmentation(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t pinned, live, chunks = 0, hole = 0, free_bytes = 0;
	char unusable[96], pinning[128], growing[64];

	if (!get(input, FIG_PINNED_BYTES, &pinned))
		return sparse_pages(input, verdict);
	if (!get(input, FIG_LIVE_RESIDENT_BYTES, &live) || pinned < LEAST_BYTES ||
	    share(pinned, pinned + live) < 0.25)
		return false;
	get(input, FIG_FREE_CHUNKS, &chunks);
	get(input, FIG_LARGEST_HOLE_BYTES, &hole);
	get(input, FIG_FREE_BYTES, &free_bytes);
	say_unusable(&input->sample->fig, unusable, sizeof(unusable));
	say_pinning(input->pins, pinning, sizeof(pinning));
	say_growing(&input->pinned, growing, sizeof(growing));
	verdict->stake_bytes = pinned;
	SAY(headline,
	    "%s of free memory shares its pages with %s that the program holds, "
	    "and no trim gives it back",
	    BYTES(pinned), BYTES(live));
	SAY(evidence,
	    "%s free chunks, the largest below the top %s; %s of the heap's "
	    "resident bytes are pinned.%s%s%s",
	    COUNT(chunks), BYTES(hole), SHARE(share(pinned, pinned + live)), unusable,
	    pinning, growing);
	SAY(remedy,
	    "It goes when the chunks beside it go: keep blocks that live long apart from "
	    "those that come and go (a pool of their own, examples/pool.c), allocate "
	    "them first, or restart. A trim and MALLOC_ARENA_MAX do nothing about it.");
	fact_figure(input, verdict, FIG_PINNED_BYTES);
	fact_figure(input, verdict, FIG_LIVE_RESIDENT_BYTES);
	fact_figure(input, verdict, FIG_FREE_CHUNKS);
	fact_figure(input, verdict, FIG_LARGEST_HOLE_BYTES);
	fact_figure(input, verdict, FIG_FREE_BYTES);
	if (input->pins && input->pins->pinning_chunks) {
		fact(verdict, "pinning_chunks", UNIT_COUNT, input->pins->pinning_chunks);
		fact(verdict, "pinning_bytes", UNIT_BYTES, input->pins->pinning_bytes);
	}
	return true;
}

/* Free bytes in chunks that glibc would have mapped had its threshold not moved: by the
 * bins where they are known, else the one largest. */
static uint64_t large_free_bytes(const struct sample *sample)
{
	uint64_t sum = 0, largest = 0;

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];
		uint64_t top = 0;

		judge_figure(&row->fig, FIG_TOP_BYTES, &top);
		sum += top >= DEFAULT ? top : 0;
		for (unsigned bin = 0; row->bins && row->bins->split && bin < SAMPLE_BINS;
		     bin++)
			if (row->bins->bins[bin].from_bytes >= DEFAULT)
				sum += row->bins->bins[bin].total_bytes;
	}
	judge_figure(&sample->fig, FIG_LARGEST_FREE_BYTES, &largest);
	return sum > largest ? sum : largest;
}

/* glibc raises both together, the one to twice the other: what was set by hand is not so.
 */
static bool has_drifted(uint64_t mmap_bytes, uint64_t trim_bytes)
{
	return mmap_bytes > DEFAULT && trim_bytes == 2 * mmap_bytes;
}

static bool mmap_threshold(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t mmap_bytes, trim_bytes, rss, free_resident, large, stake;

	if (!get(input, FIG_MMAP_THRESHOLD_BYTES, &mmap_bytes) ||
	    !get(input, FIG_TRIM_THRESHOLD_BYTES, &trim_bytes) ||
	    !get(input, FIG_RSS_BYTES, &rss) ||
	    !get(input, FIG_FREE_RESIDENT_BYTES, &free_resident) ||
	    !has_drifted(mmap_bytes, trim_bytes) || mmap_bytes < 4 * DEFAULT)
		return false;
	large = large_free_bytes(input->sample);
	stake = large < free_resident ? large : free_resident;
	if (stake < LEAST_BYTES || share(stake, rss) < 0.2)
		return false;
	verdict->stake_bytes = stake;
	SAY(headline,
	    "it is %s instead of 128K, so that large blocks came from the heap: "
	    "%s of %s resident is what they left there, free",
	    BYTES(mmap_bytes), BYTES(stake), BYTES(rss));
	SAY(evidence,
	    "A free of a block of %s raised it, and the trim threshold to %s. Free "
	    "chunks "
	    "of 128K and more have %s.",
	    BYTES(mmap_bytes), BYTES(trim_bytes), BYTES(large));
	SAY(remedy,
	    "MALLOC_MMAP_THRESHOLD_=131072 when it is started (or mallopt("
	    "M_MMAP_THRESHOLD, 131072)) keeps it there: large blocks then go back to the "
	    "kernel when they are freed, and cost page faults each time.");
	fact_figure(input, verdict, FIG_MMAP_THRESHOLD_BYTES);
	fact_figure(input, verdict, FIG_TRIM_THRESHOLD_BYTES);
	fact(verdict, "large_free_bytes", UNIT_BYTES, large);
	fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

static bool trim_threshold(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t top, trim_bytes, mmap_bytes = 0, rss, trimmable, stake;

	if (!get(input, FIG_MALLINFO2_KEEPCOST, &top) ||
	    !get(input, FIG_TRIM_THRESHOLD_BYTES, &trim_bytes) ||
	    !get(input, FIG_RSS_BYTES, &rss) ||
	    !get(input, FIG_TRIMMABLE_BYTES, &trimmable))
		return false;
	get(input, FIG_MMAP_THRESHOLD_BYTES, &mmap_bytes);
	/* A top may be free without being resident. */
	stake = top < trimmable ? top : trimmable;
	if (stake < LEAST_BYTES || share(stake, rss) < 0.2 || trim_bytes <= DEFAULT ||
	    top >= trim_bytes)
		return false;
	verdict->stake_bytes = stake;
	SAY(headline,
	    "the main arena's top has %s free, and gives none back by itself "
	    "below %s",
	    BYTES(top), BYTES(trim_bytes));
	SAY(evidence,
	    "The trim threshold is %s instead of 128K%s; the top is %s of the "
	    "resident memory.",
	    BYTES(trim_bytes),
	    has_drifted(mmap_bytes, trim_bytes) ? ", raised by the free of a large block"
						: "",
	    SHARE(share(stake, rss)));
	SAY(remedy,
	    "MALLOC_TRIM_THRESHOLD_=131072 when it is started (or mallopt("
	    "M_TRIM_THRESHOLD, 131072)) has free give the top back; malloc_trim(0) does "
	    "it once.");
	fact_figure(input, verdict, FIG_MALLINFO2_KEEPCOST);
	fact_figure(input, verdict, FIG_TRIM_THRESHOLD_BYTES);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* By what an allocator says of itself: free pages that it keeps. */
static bool free_pages(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t dirty, rss;

	if (!get(input, FIG_DIRTY_BYTES, &dirty) || !get(input, FIG_RSS_BYTES, &rss) ||
	    dirty < LEAST_BYTES || share(dirty, rss) < 0.2)
		return false;
	verdict->stake_bytes = dirty;
	SAY(headline, "the allocator keeps %s of free pages, of %s resident",
	    BYTES(dirty), BYTES(rss));
	SAY(evidence, "By its own figures (%s) that is %s of the resident memory.",
	    input->sample->allocator, SHARE(share(dirty, rss)));
	SAY(remedy,
	    "'fragscope trim %d' has it give them back, and tells whether they are "
	    "wanted again; how long it keeps them is a setting of its own "
	    "(dirty_decay_ms of jemalloc, the release rate of tcmalloc).",
	    input->sample->pid);
	fact_figure(input, verdict, FIG_DIRTY_BYTES);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

static bool cache(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t trimmable, rss, free_resident = 0;

	if (!get(input, FIG_TRIMMABLE_BYTES, &trimmable))
		return free_pages(input, verdict);
	if (!get(input, FIG_RSS_BYTES, &rss) || trimmable < LEAST_BYTES ||
	    share(trimmable, rss) < 0.2)
		return false;
	get(input, FIG_FREE_RESIDENT_BYTES, &free_resident);
	verdict->stake_bytes = trimmable;
	SAY(headline, "malloc_trim(0) would give %s of %s resident back",
	    BYTES(trimmable), BYTES(rss));
	SAY(evidence,
	    "%s is free and resident; by glibc's own rule a trim gives back %s (%llu "
	    "bytes), %s of the resident memory. Taking it all back costs %s page faults.",
	    BYTES(free_resident), BYTES(trimmable), (unsigned long long)trimmable,
	    SHARE(share(trimmable, rss)), COUNT(trimmable / 4096));
	SAY(remedy,
	    "Call malloc_trim(0) when the load is over; 'fragscope trim %d' does it in a "
	    "program under 'fragscope run' and tells whether the memory comes back. If "
	    "the load returns soon, the memory is better left.",
	    input->sample->pid);
	fact_figure(input, verdict, FIG_TRIMMABLE_BYTES);
	fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

static bool returned(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t free_bytes, free_resident, gone;

	if (!get(input, FIG_FREE_BYTES, &free_bytes) ||
	    !get(input, FIG_FREE_RESIDENT_BYTES, &free_resident) ||
	    free_bytes <= free_resident)
		return false;
	gone = free_bytes - free_resident;
	if (gone < 64 * M || share(gone, free_bytes) < 0.5)
		return false;
	verdict->severity = SEVERITY_NOTE;
	verdict->stake_bytes = gone;
	SAY(headline, "%s of the %s that malloc counts as free is not resident",
	    BYTES(gone), BYTES(free_bytes));
	SAY(evidence, "mallinfo2's fordblks says %s; %s of it lies on resident pages.",
	    BYTES(free_bytes), BYTES(free_resident));
	SAY(remedy,
	    "Nothing need be done: it was given back, or never touched, and costs "
	    "address space only.");
	fact_figure(input, verdict, FIG_FREE_BYTES);
	fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	return true;
}

judge_fn *const judge[VERDICT_KINDS] = {
	[VERDICT_FAILURES] = failures,
	[VERDICT_LIMIT] = limit,
	[VERDICT_LEAK] = leak,
	[VERDICT_ALLOCATOR] = allocator,
	[VERDICT_NOT_MALLOC] = not_malloc,
	[VERDICT_PINNED_TAIL] = pinned_tail,
	[VERDICT_ARENAS] = arenas,
	[VERDICT_FRAGMENTATION] = fragmentation,
	[VERDICT_MMAP_THRESHOLD] = mmap_threshold,
	[VERDICT_TRIM_THRESHOLD] = trim_threshold,
	[VERDICT_CACHE] = cache,
	[VERDICT_RETURNED] = returned,
};
