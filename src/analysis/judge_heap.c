/* judge_heap.c: the checks of what malloc keeps: its arenas, thresholds and free memory.
 */
#include "analysis/judge.h"
#include "analysis/prediction.h"
#include "base/machine.h"
#include "sample/blockers.h"

#include <stdio.h>

#define DEFAULT (UINT64_C(128) << 10) /* of both of glibc's thresholds */

enum { FEW_CHUNKS = 64 };

/* The first step that frees enough with few chunks gone; null: there is none. */
static const struct blockers_step *few_for_much(const struct verdict_input *input,
						uint64_t rss)
{
	const struct blockers *blockers = input->blockers;

	for (unsigned i = 0; i < blockers->step_count; i++) {
		const struct blockers_step *step = &blockers->step[i];

		if (step->chunks <= FEW_CHUNKS &&
		    judge_weighs(input, step->hole_resident_bytes, rss, &judge_of_rss) &&
		    judge_share(step->bytes, step->hole_resident_bytes) < 0.05)
			return step;
	}
	return NULL;
}

bool judge_pinned_tail(const struct verdict_input *input, struct verdict *verdict)
{
	const struct blockers_step *step;
	const struct blocker *first;
	uint64_t rss;

	if (!judge_get(input, FIG_RSS_BYTES, &rss) || !input->blockers ||
	    !input->blockers->tail_count)
		return false;
	step = few_for_much(input, rss);
	if (!step)
		return false;
	first = &input->blockers->tail[0];
	verdict->stake_bytes = step->hole_resident_bytes;
	SAY(headline,
	    "%s chunk%s of %s near the end of arena %u keep%s %s of free memory "
	    "from going back by itself",
	    COUNT(step->chunks), step->chunks == 1 ? "" : "s", BYTES(step->bytes),
	    input->blockers->tail_arena, step->chunks == 1 ? "s" : "",
	    BYTES(step->hole_resident_bytes));
	SAY(evidence,
	    "free() returns memory only from the end of the heap, where %s lie%s, the "
	    "last at 0x%llx (%s).",
	    step->chunks == 1 ? "one chunk" : "these chunks",
	    step->chunks == 1 ? "s" : "", (unsigned long long)first->addr,
	    BYTES(first->bytes));
	SAY(remedy,
	    "malloc_trim(0) returns the whole pages below. To prevent it, allocate "
	    "long-lived blocks before the large load, or after it is freed.");
	judge_fact(verdict, "tail_chunks", UNIT_COUNT, step->chunks);
	judge_fact(verdict, "tail_bytes", UNIT_BYTES, step->bytes);
	judge_fact(verdict, "hole_bytes", UNIT_BYTES, step->hole_bytes);
	judge_fact(verdict, "hole_resident_bytes", UNIT_BYTES, step->hole_resident_bytes);
	judge_fact(verdict, "arena", UNIT_COUNT, input->blockers->tail_arena);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* What fastbins keep at the ends of heaps beside the main arena's, where a trim returns
 * nothing of a top (malloc.c, mtrim): BEHIND them, before the top; and what is in tops
 * that free() would have returned, from the trim threshold on (heap_trim), had they not
 * been MERGED by a trim or by malloc. */
struct fast_tail {
	uint64_t behind, merged;
	unsigned arenas;
};

static void add_fast_tail(struct fast_tail *tail, const struct arena_row *arena,
			  uint64_t trim_bytes)
{
	uint64_t retained, top, behind, merged;

	if (!arena->index || !judge_figure(&arena->fig, FIG_RETAINED_BYTES, &retained) ||
	    !judge_figure(&arena->fig, FIG_TOP_BYTES, &top))
		return;
	behind = retained > top ? retained - top : 0;
	merged = top >= trim_bytes ? retained - behind : 0;
	tail->behind += behind;
	tail->merged += merged;
	tail->arenas += behind + merged >= JUDGE_M;
}

static void say_fast_tail(struct verdict *verdict, uint64_t rss, uint64_t fast,
			  unsigned arenas)
{
	SAY(headline,
	    "%s of %s resident is free at the ends of heaps, in %u arena%s, and kept "
	    "there by small chunks that %s in fastbins",
	    BYTES(verdict->stake_bytes), BYTES(rss), arenas, arenas == 1 ? "" : "s",
	    verdict->is_possible ? "were" : "are");
	SAY(evidence,
	    "free() returns the end of a heap, but chunks in fastbins (%s now) are free "
	    "and not merged with it until a larger block is taken or freed. "
	    "malloc_trim(0) merges them, and returns no end of a heap beside the main "
	    "one: that goes back when a larger block is freed there.%s",
	    COUNT(fast),
	    verdict->is_possible ? " M_TOP_PAD, if it was raised, keeps as much." : "");
	SAY(remedy,
	    "Start it with GLIBC_TUNABLES=glibc.malloc.mxfast=0 (or call "
	    "mallopt(M_MXFAST, 0)): small chunks are then merged when they are freed, "
	    "and the ends of heaps go back by themselves, or by malloc_trim(0) where "
	    "chunks in use lie there.");
}

/* glibc 2.43 and later have none. */
static bool has_fastbins(const struct sample *sample)
{
	unsigned minor;

	return sscanf(sample->allocator, "glibc-2.%u", &minor) != 1 || minor < 43;
}

bool judge_fast_tail(const struct verdict_input *input, struct verdict *verdict)
{
	const struct sample *sample = input->sample;
	uint64_t rss, retained, fast, trim_bytes, sum;
	struct fast_tail tail = {0};

	if (!has_fastbins(sample) || !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_get(input, FIG_RETAINED_BYTES, &retained) ||
	    !judge_get(input, FIG_FAST_CHUNKS, &fast) ||
	    !judge_get(input, FIG_TRIM_THRESHOLD_BYTES, &trim_bytes))
		return false;
	for (unsigned i = 0; i < sample->arena_count; i++)
		add_fast_tail(&tail, &sample->arena[i], trim_bytes);
	sum = tail.behind + tail.merged;
	sum = sum < retained ? sum : retained;
	if (!tail.arenas || !judge_weighs(input, sum, rss, &judge_of_rss))
		return false;
	verdict->stake_bytes = sum;
	verdict->is_possible = !fast || tail.merged > tail.behind;
	if (verdict->is_possible)
		verdict->severity = SEVERITY_NOTE;
	say_fast_tail(verdict, rss, fast, tail.arenas);
	judge_fact(verdict, "arenas", UNIT_COUNT, tail.arenas);
	judge_fact_figure(input, verdict, FIG_RETAINED_BYTES);
	judge_fact_figure(input, verdict, FIG_FAST_CHUNKS);
	judge_fact_figure(input, verdict, FIG_TRIM_THRESHOLD_BYTES);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
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

static void say_pinning(const struct blockers *blockers, char *text, size_t size)
{
	*text = '\0';
	if (blockers && blockers->pinning_chunks)
		snprintf(text, size, " %s chunks in use (%s) hold these pages.",
			 COUNT(blockers->pinning_chunks), BYTES(blockers->pinning_bytes));
}

static void say_growing(const struct verdict_trend *trend, char *text, size_t size)
{
	*text = '\0';
	if (judge_risen(trend) >= (double)JUDGE_M)
		snprintf(text, size, " It grows by %s a second.",
			 BYTES((uint64_t)trend->per_s));
}

/* What would be resident if the program were started anew and came to hold the same: all
 * that is resident now but FREE_BYTES of it. */
static bool without(const struct verdict_input *input, uint64_t free_bytes,
		    uint64_t *bytes)
{
	uint64_t rss;

	if (!judge_get(input, FIG_RSS_BYTES, &rss))
		return false;
	*bytes = rss > free_bytes ? rss - free_bytes : 0;
	return *bytes > 0;
}

/* Thread caches are free, too. */
static bool after_restart(const struct verdict_input *input, uint64_t *bytes)
{
	uint64_t free_resident, cached = 0;

	if (!judge_get(input, FIG_FREE_RESIDENT_BYTES, &free_resident))
		return false;
	judge_get(input, FIG_TCACHE_BYTES, &cached);
	return without(input, free_resident + cached, bytes);
}

static void say_restart(const struct verdict_input *input, uint64_t bytes, char *text,
			size_t size)
{
	uint64_t rss = 0;

	judge_get(input, FIG_RSS_BYTES, &rss);
	snprintf(text, size,
		 " After a restart, holding as much again, it would have about %s "
		 "resident instead of %s.",
		 BYTES(bytes), BYTES(rss));
}

/* By what an allocator of size classes says of itself: its pages are taken by objects of
 * one size each, and stay while one of them is live. */
static bool sparse_pages(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t active, live, sparse, left, dirty = 0;
	char restart[192] = "";

	if (!judge_get(input, FIG_ACTIVE_BYTES, &active) ||
	    !judge_get(input, FIG_LIVE_BYTES, &live) || active <= live)
		return false;
	sparse = active - live;
	if (!judge_weighs(input, sparse, active, &judge_of_heap))
		return false;
	judge_get(input, FIG_DIRTY_BYTES, &dirty);
	verdict->stake_bytes = sparse;
	judge_fact_figure(input, verdict, FIG_ACTIVE_BYTES);
	judge_fact_figure(input, verdict, FIG_LIVE_BYTES);
	if (without(input, sparse + dirty, &left)) {
		judge_fact(verdict, "after_restart_bytes", UNIT_BYTES, left);
		say_restart(input, left, restart, sizeof(restart));
	}
	SAY(headline,
	    "%s of the %s in pages with live objects is free, and is released only with "
	    "them",
	    BYTES(sparse), BYTES(active));
	SAY(evidence,
	    "By the allocator's own figures (%s) the program holds %s; %s of the pages "
	    "in use is free.",
	    input->sample->allocator, BYTES(live), SHARE(judge_share(sparse, active)));
	SAY(remedy,
	    "It is released when the objects beside it are freed. Keep long-lived "
	    "objects apart from short-lived ones of the same size, in a pool of their "
	    "own (examples/pool.c).%s",
	    restart);
	return true;
}

/* Tried with jemalloc: where blocks of all sizes are left at random it keeps as much. */
static const char no_cure[] = " Another allocator does not help where few blocks of each "
			      "size are left: each keeps its page there, too.";

static bool is_fragmented(const struct verdict_input *input, uint64_t pinned,
			  uint64_t live)
{
	return judge_weighs(input, pinned, pinned + live, &judge_of_heap);
}

static void fragmentation_facts(const struct verdict_input *input,
				struct verdict *verdict)
{
	uint64_t left;

	judge_fact_figure(input, verdict, FIG_PINNED_BYTES);
	judge_fact_figure(input, verdict, FIG_LIVE_RESIDENT_BYTES);
	judge_fact_figure(input, verdict, FIG_FREE_CHUNKS);
	judge_fact_figure(input, verdict, FIG_LARGEST_HOLE_BYTES);
	judge_fact_figure(input, verdict, FIG_FREE_BYTES);
	if (input->blockers && input->blockers->pinning_chunks) {
		judge_fact(verdict, "pinning_chunks", UNIT_COUNT,
			   input->blockers->pinning_chunks);
		judge_fact(verdict, "pinning_bytes", UNIT_BYTES,
			   input->blockers->pinning_bytes);
	}
	if (after_restart(input, &left))
		judge_fact(verdict, "after_restart_bytes", UNIT_BYTES, left);
}

bool judge_fragmentation(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t pinned, live, left, chunks = 0, hole = 0, cached = 0;
	char unusable[96], pinning[128], growing[64], restart[192] = "";

	if (!judge_get(input, FIG_PINNED_BYTES, &pinned))
		return sparse_pages(input, verdict);
	if (!judge_get(input, FIG_LIVE_RESIDENT_BYTES, &live) ||
	    !is_fragmented(input, pinned, live))
		return false;
	judge_get(input, FIG_FREE_CHUNKS, &chunks);
	judge_get(input, FIG_LARGEST_HOLE_BYTES, &hole);
	if (!verdict_cached(&input->sample->fig, &cached))
		cached = 0;
	say_unusable(&input->sample->fig, unusable, sizeof(unusable));
	say_pinning(input->blockers, pinning, sizeof(pinning));
	say_growing(&input->pinned, growing, sizeof(growing));
	if (after_restart(input, &left))
		say_restart(input, left, restart, sizeof(restart));
	verdict->stake_bytes = pinned;
	SAY(headline,
	    "%s of free memory shares its pages with %s that the program holds, "
	    "and no trim gives it back",
	    BYTES(pinned), BYTES(live - cached));
	SAY(evidence,
	    "%s free chunks, the largest below the top %s; %s of the heap's "
	    "resident bytes are pinned.%s%s%s",
	    COUNT(chunks), BYTES(hole), SHARE(judge_share(pinned, pinned + live)),
	    unusable, pinning, growing);
	SAY(remedy,
	    "It is released when the chunks beside it are freed: 'fragscope owners -p "
	    "%d' shows who holds them. Keep long-lived blocks apart from short-lived "
	    "ones, in a pool of their own (examples/pool.c).%s%s",
	    input->sample->pid, restart, *restart && pinned > live ? no_cure : "");
	fragmentation_facts(input, verdict);
	return true;
}

/* By a tenth at least, and by no chance. */
static bool has_multiplied(const struct verdict_trend *chunks)
{
	return judge_risen(chunks) > chunks->first / 10;
}

static bool has_shrunk(const struct verdict_trend *largest)
{
	return largest->is_known && largest->is_falling &&
	       largest->first - largest->last > largest->first / 10;
}

/* Whether pinned memory rises by what is worth a word, and by more than a heap that only
 * grows would: of what comes, a quarter at least is pinned. */
static bool breaks_up(const struct verdict_input *input, uint64_t heap)
{
	double risen = judge_risen(&input->pinned);

	return risen >= (double)JUDGE_M &&
	       (risen >= (double)heap / 100 || risen >= (double)JUDGE_LEAST_BYTES) &&
	       risen >= judge_risen(&input->live) / 3 &&
	       input->pinned.per_s * 3600 >= (double)JUDGE_LEAST_BYTES &&
	       (has_multiplied(&input->chunks) || has_shrunk(&input->largest));
}

static void say_pieces(const struct verdict_input *input, char *text, size_t size)
{
	const struct verdict_trend *chunks = &input->chunks, *largest = &input->largest;
	int used = 0;

	*text = '\0';
	if (has_multiplied(chunks))
		used = snprintf(text, size, ", the free chunks from %s to %s",
				COUNT((uint64_t)chunks->first),
				COUNT((uint64_t)chunks->last));
	if (has_shrunk(largest) && used >= 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used,
			 "; the largest fell from %s to %s",
			 BYTES((uint64_t)largest->first), BYTES((uint64_t)largest->last));
}

/* Where much is pinned already, judge_fragmentation says so, and that it grows. */
bool judge_breaking(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_trend *rise = &input->pinned;
	uint64_t pinned, live;
	char pieces[160];

	if (!judge_get(input, FIG_PINNED_BYTES, &pinned) ||
	    !judge_get(input, FIG_LIVE_RESIDENT_BYTES, &live) ||
	    is_fragmented(input, pinned, live) || !breaks_up(input, pinned + live))
		return false;
	say_pieces(input, pieces, sizeof(pieces));
	verdict->stake_bytes = (uint64_t)(rise->per_s * 3600);
	SAY(headline, "pinned memory rises %s a second, to %s now",
	    BYTES((uint64_t)rise->per_s), BYTES(pinned));
	SAY(evidence,
	    "In %s free memory on pages with chunks in use rose from %s to %s%s.",
	    SPAN(input->watched_s), BYTES((uint64_t)rise->first),
	    BYTES((uint64_t)rise->last), pieces);
	SAY(remedy,
	    "Keep long-lived blocks apart from short-lived ones, in a pool of their own "
	    "(examples/pool.c). 'fragscope owners -p %d' shows who holds what pins it.",
	    input->sample->pid);
	judge_fact(verdict, "pinned_first_bytes", UNIT_BYTES, (uint64_t)rise->first);
	judge_fact(verdict, "pinned_last_bytes", UNIT_BYTES, (uint64_t)rise->last);
	judge_fact(verdict, "pinned_bytes_per_s", UNIT_BYTES, (uint64_t)rise->per_s);
	judge_fact_figure(input, verdict, FIG_FREE_CHUNKS);
	judge_fact_figure(input, verdict, FIG_LARGEST_FREE_BYTES);
	judge_fact_figure(input, verdict, FIG_LIVE_RESIDENT_BYTES);
	return true;
}

static bool has_bins(const struct arena_row *row)
{
	return row->bins && (row->bins->split || row->bins->sized);
}

/* What BIN has for sure in chunks of the threshold and more: of one that spans it, as the
 * unsorted one does, no more than the largest. */
static uint64_t large_bytes(const struct bin_total *bin)
{
	if (!bin->count || bin->to_bytes < DEFAULT)
		return 0;
	return bin->from_bytes < DEFAULT ? bin->to_bytes : bin->total_bytes;
}

/* Free bytes in chunks of the sizes that glibc would have mapped had its threshold not
 * moved: by their sizes where they are known, else the one largest. *TOP_BYTES of them
 * are in tops. */
static uint64_t large_free_bytes(const struct sample *sample, uint64_t *top_bytes)
{
	uint64_t sum = 0, largest = 0;

	*top_bytes = 0;
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];
		uint64_t top = 0;

		judge_figure(&row->fig, FIG_TOP_BYTES, &top);
		*top_bytes += top >= DEFAULT ? top : 0;
		for (unsigned bin = 0; has_bins(row) && bin < SAMPLE_BINS; bin++)
			sum += large_bytes(&row->bins->bins[bin]);
	}
	sum += *top_bytes;
	judge_figure(&sample->fig, FIG_LARGEST_FREE_BYTES, &largest);
	return sum > largest ? sum : largest;
}

/* glibc raises both together, the one to twice the other: what was set by hand is not so.
 */
static bool has_drifted(uint64_t mmap_bytes, uint64_t trim_bytes)
{
	return mmap_bytes > DEFAULT && trim_bytes == 2 * mmap_bytes;
}

static void say_kept(struct verdict *verdict, uint64_t mmap_bytes, uint64_t trim_bytes,
		     uint64_t rss)
{
	SAY(headline,
	    "it is %s instead of 128K, and the trim threshold %s, so that the heap keeps "
	    "%s of %s resident free",
	    BYTES(mmap_bytes), BYTES(trim_bytes), BYTES(verdict->stake_bytes),
	    BYTES(rss));
	SAY(remedy, "Start it with MALLOC_MMAP_THRESHOLD_=131072 (or call "
		    "mallopt(M_MMAP_THRESHOLD, 131072)): large blocks are then returned "
		    "to the kernel when they are freed, and cost page faults each time.");
}

/* Small blocks that were freed side by side make large chunks as well. */
static void say_perhaps(struct verdict *verdict, uint64_t mmap_bytes, uint64_t rss,
			int pid)
{
	verdict->severity = SEVERITY_NOTE;
	verdict->is_possible = true;
	SAY(headline,
	    "it is %s instead of 128K, so that blocks between the two come from the "
	    "heap; up to %s of %s resident is what they left free there",
	    BYTES(mmap_bytes), BYTES(verdict->stake_bytes), BYTES(rss));
	SAY(remedy,
	    "'fragscope trace --bursts -p %d' shows by size what the program asks malloc "
	    "for, but not calloc and realloc. If that is blocks of 128K and more, start "
	    "it with "
	    "MALLOC_MMAP_THRESHOLD_=131072 (or call mallopt(M_MMAP_THRESHOLD, 131072)): "
	    "they are then returned to the "
	    "kernel when they are freed, and cost page faults each time.",
	    pid);
}

bool judge_mmap_threshold(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t mmap_bytes, trim_bytes, rss, free_resident, large, stake, tops;

	if (!judge_get(input, FIG_MMAP_THRESHOLD_BYTES, &mmap_bytes) ||
	    !judge_get(input, FIG_TRIM_THRESHOLD_BYTES, &trim_bytes) ||
	    !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_get(input, FIG_FREE_RESIDENT_BYTES, &free_resident) ||
	    !has_drifted(mmap_bytes, trim_bytes) || mmap_bytes < 4 * DEFAULT)
		return false;
	large = large_free_bytes(input->sample, &tops);
	stake = large < free_resident ? large : free_resident;
	if (!judge_weighs(input, stake, rss, &judge_of_rss))
		return false;
	verdict->stake_bytes = stake;
	/* A top is kept by the trim threshold, whatever was freed there. */
	if (tops >= stake / 2)
		say_kept(verdict, mmap_bytes, trim_bytes, rss);
	else
		say_perhaps(verdict, mmap_bytes, rss, input->sample->pid);
	SAY(evidence,
	    "Freeing a block of %s raised it, and the trim threshold to %s. Free chunks "
	    "of 128K and more add up to %s, %s of it in tops.",
	    BYTES(mmap_bytes), BYTES(trim_bytes), BYTES(large), BYTES(tops));
	judge_fact_figure(input, verdict, FIG_MMAP_THRESHOLD_BYTES);
	judge_fact_figure(input, verdict, FIG_TRIM_THRESHOLD_BYTES);
	judge_fact(verdict, "large_free_bytes", UNIT_BYTES, large);
	judge_fact(verdict, "large_top_bytes", UNIT_BYTES, tops);
	judge_fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

bool judge_trim_threshold(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t top, trim_bytes, mmap_bytes = 0, rss, trimmable, stake;

	if (!judge_get(input, FIG_MALLINFO2_KEEPCOST, &top) ||
	    !judge_get(input, FIG_TRIM_THRESHOLD_BYTES, &trim_bytes) ||
	    !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_get(input, FIG_TRIMMABLE_BYTES, &trimmable))
		return false;
	judge_get(input, FIG_MMAP_THRESHOLD_BYTES, &mmap_bytes);
	/* A top may be free without being resident. */
	stake = top < trimmable ? top : trimmable;
	if (!judge_weighs(input, stake, rss, &judge_of_rss) || trim_bytes <= DEFAULT ||
	    top >= trim_bytes)
		return false;
	verdict->stake_bytes = stake;
	SAY(headline,
	    "the main arena's top has %s free, and returns none by itself below %s",
	    BYTES(top), BYTES(trim_bytes));
	SAY(evidence,
	    "The trim threshold is %s instead of 128K%s; the top is %s of the "
	    "resident memory.",
	    BYTES(trim_bytes),
	    has_drifted(mmap_bytes, trim_bytes) ? ", raised when a large block was freed"
						: "",
	    SHARE(judge_share(stake, rss)));
	SAY(remedy, "Start it with MALLOC_TRIM_THRESHOLD_=131072 (or call "
		    "mallopt(M_TRIM_THRESHOLD, 131072)): free() then returns the top. "
		    "malloc_trim(0) does it once.");
	judge_fact_figure(input, verdict, FIG_MALLINFO2_KEEPCOST);
	judge_fact_figure(input, verdict, FIG_TRIM_THRESHOLD_BYTES);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* By what an allocator says of itself: free pages that it keeps. */
static bool free_pages(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t dirty, rss;

	if (!judge_get(input, FIG_DIRTY_BYTES, &dirty) ||
	    !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_weighs(input, dirty, rss, &judge_of_rss))
		return false;
	verdict->stake_bytes = dirty;
	SAY(headline, "the allocator keeps %s of free pages, of %s resident",
	    BYTES(dirty), BYTES(rss));
	SAY(evidence, "By its own figures (%s) that is %s of the resident memory.",
	    input->sample->allocator, SHARE(judge_share(dirty, rss)));
	SAY(remedy,
	    "'fragscope trim %d' makes it return them, and shows whether they are needed "
	    "again. How long it keeps them is a setting (dirty_decay_ms in MALLOC_CONF "
	    "for jemalloc, TCMALLOC_RELEASE_RATE for tcmalloc).",
	    input->sample->pid);
	judge_fact_figure(input, verdict, FIG_DIRTY_BYTES);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

/* What of BYTES that a trim returns other processes have as well, at least; 0: little. */
static uint64_t forked_bytes(const struct verdict_input *input, uint64_t bytes)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;
	uint64_t forked;

	if (!non_malloc || !non_malloc->is_known)
		return 0;
	forked = predict_forked(bytes, non_malloc->forked_bytes,
				non_malloc->private_bytes);
	return judge_share(forked, bytes) < 0.25 ? 0 : forked;
}

static void say_forked(uint64_t forked, char *text, size_t size)
{
	*text = '\0';
	if (forked)
		snprintf(text, size,
			 "; since a fork other processes have at least %s of it as well",
			 BYTES(forked));
}

static bool is_static(const struct verdict_input *input)
{
	return input->non_malloc && input->non_malloc->is_known &&
	       input->non_malloc->is_static;
}

/* What makes a process that runs return BYTES, as the rest of a sentence. */
static void say_trimmer(const struct verdict_input *input, uint64_t bytes, char *text,
			size_t size)
{
	if (is_static(input))
		snprintf(text, size,
			 "malloc_trim(0) gives back %s. As the program is linked "
			 "statically, only its own code can call that",
			 BYTES(bytes));
	else
		snprintf(text, size,
			 "'fragscope trim%s %d' gives back %s%s, and shows whether the "
			 "memory is needed again",
			 machine_can_attach() ? " --attach" : "", input->sample->pid,
			 BYTES(bytes),
			 machine_can_attach() ? ", stops the process for some ms"
					      : " in a program under 'fragscope run'");
}

/* What would return BYTES of the process, once. */
static void say_trim(const struct verdict_input *input, struct verdict *verdict,
		     uint64_t bytes, uint64_t forked)
{
	const char *first =
		forked ? "Call malloc_trim(0) before the fork, for what is free by "
			 "then. The host has the shared part back only when all of "
			 "these processes have trimmed;"
		       : "Call malloc_trim(0) when the load is over;";
	char trims[192];

	if (judge_say_trims(input, trims, sizeof(trims))) {
		SAY(remedy,
		    "When the load is over, %s has it call malloc_trim(0), and gives "
		    "back %s. If the load returns soon, leave it.",
		    trims, BYTES(bytes));
		return;
	}
	say_trimmer(input, bytes, trims, sizeof(trims));
	SAY(remedy, "%s %s. If the load returns soon, leave it.", first, trims);
}

bool judge_cache(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t trimmable, rss, forked, free_resident = 0;
	char refill[192], shared[96];

	if (!judge_get(input, FIG_TRIMMABLE_BYTES, &trimmable))
		return free_pages(input, verdict);
	if (!judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_weighs(input, trimmable, rss, &judge_of_rss))
		return false;
	judge_get(input, FIG_FREE_RESIDENT_BYTES, &free_resident);
	judge_say_refill(input, trimmable, refill, sizeof(refill));
	verdict->stake_bytes = trimmable;
	forked = forked_bytes(input, trimmable);
	say_forked(forked, shared, sizeof(shared));
	SAY(headline, "malloc_trim(0) would return %s of %s resident%s", BYTES(trimmable),
	    BYTES(rss), shared);
	SAY(evidence,
	    "%s is free and resident; by glibc's rule a trim returns %s (%llu bytes), %s "
	    "of the resident memory. Needing it all again costs %s page faults.%s",
	    BYTES(free_resident), BYTES(trimmable), (unsigned long long)trimmable,
	    SHARE(judge_share(trimmable, rss)), COUNT(trimmable / machine_page_bytes()),
	    refill);
	say_trim(input, verdict, trimmable, forked);
	if (forked)
		judge_fact(verdict, "forked_least_bytes", UNIT_BYTES, forked);
	judge_fact_figure(input, verdict, FIG_TRIMMABLE_BYTES);
	judge_fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}

bool judge_returned(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t free_bytes, free_resident, gone;

	if (!judge_get(input, FIG_FREE_BYTES, &free_bytes) ||
	    !judge_get(input, FIG_FREE_RESIDENT_BYTES, &free_resident) ||
	    free_bytes <= free_resident)
		return false;
	gone = free_bytes - free_resident;
	if (gone < 64 * JUDGE_M || judge_share(gone, free_bytes) < 0.5)
		return false;
	verdict->severity = SEVERITY_NOTE;
	verdict->stake_bytes = gone;
	SAY(headline, "%s of the %s that malloc counts as free is not resident",
	    BYTES(gone), BYTES(free_bytes));
	SAY(evidence, "mallinfo2's fordblks says %s; %s of it lies on resident pages.",
	    BYTES(free_bytes), BYTES(free_resident));
	SAY(remedy, "Nothing to do: it was returned to the kernel or never touched, and "
		    "costs address space only.");
	judge_fact_figure(input, verdict, FIG_FREE_BYTES);
	judge_fact_figure(input, verdict, FIG_FREE_RESIDENT_BYTES);
	return true;
}
