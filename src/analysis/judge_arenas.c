/* judge_arenas.c: whether many arenas keep memory that fewer would have used again. What
 * they keep does not tell: arenas whose threads all need their memory at the same time
 * keep as much, and fewer arenas would need as much. Their course does, where it was
 * seen.
 */
#include "analysis/judge.h"

#include <stdio.h>

enum { MANY_ARENAS = 8 };

/* Of the arenas beside the main one. SPARE is what of their free and resident memory is
 * not pinned: fewer arenas would pin it all the same. */
struct secondaries {
	uint64_t spare, free_resident, live, top;
};

static bool sum_secondaries(const struct sample *sample, struct secondaries *sum)
{
	uint64_t free_resident, pinned, value;

	*sum = (struct secondaries){0};
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *row = &sample->arena[i];

		if (row->index == 0)
			continue;
		if (!judge_figure(&row->fig, FIG_FREE_RESIDENT_BYTES, &free_resident) ||
		    !judge_figure(&row->fig, FIG_PINNED_BYTES, &pinned))
			return false;
		sum->free_resident += free_resident;
		sum->spare += free_resident > pinned ? free_resident - pinned : 0;
		if (judge_figure(&row->fig, FIG_LIVE_BYTES, &value))
			sum->live += value;
		if (judge_figure(&row->fig, FIG_TOP_BYTES, &value))
			sum->top += value;
	}
	return sample->arena_count > 0;
}

/* The most that one arena for all could have done with less: while some were at their
 * peaks, others were not. Arenas that did not move while it was watched add nothing. */
static uint64_t in_turn_bytes(const struct arena_peaks *peaks)
{
	return peaks->is_known ? peaks->peaks_bytes - peaks->peak_bytes : 0;
}

static void say_in_turn(const struct verdict_input *input, struct verdict *verdict,
			const struct secondaries *sum, uint64_t rss, uint64_t count)
{
	const struct arena_peaks *peaks = &input->arenas;

	SAY(headline,
	    "up to %s of %s resident is free memory in %s arenas beside the main one "
	    "that fewer arenas would have reused",
	    BYTES(verdict->stake_bytes), BYTES(rss), COUNT(count - 1));
	SAY(evidence,
	    "In %s their threads needed memory in turn: the arenas' peaks add up to %s, "
	    "but at no reading did they hold more than %s together. Now %s is live and "
	    "%s free.",
	    SPAN(input->watched_s), BYTES(peaks->peaks_bytes), BYTES(peaks->peak_bytes),
	    BYTES(sum->live), BYTES(sum->free_resident));
	SAY(remedy,
	    "Start it with MALLOC_ARENA_MAX=2 (or "
	    "GLIBC_TUNABLES=glibc.malloc.arena_max=2): 2 arenas instead of %s, and more "
	    "waiting between threads. It saves that much only if they needed memory "
	    "in turn from the start, and also between the readings.",
	    COUNT(count));
}

static void say_perhaps(const struct verdict_input *input, struct verdict *verdict,
			const struct secondaries *sum, uint64_t rss, uint64_t count)
{
	char seen[64] = "one reading cannot show it";

	verdict->severity = SEVERITY_NOTE;
	verdict->is_possible = true;
	SAY(headline,
	    "%s of %s resident is free memory in %s arenas beside the main one; fewer "
	    "arenas help only if the threads' peaks do not coincide",
	    BYTES(verdict->stake_bytes), BYTES(rss), COUNT(count - 1));
	if (input->arenas.is_known)
		snprintf(seen, sizeof(seen), "in %s what they hold moved by only %s",
			 SPAN(input->watched_s), BYTES(input->arenas.swing_bytes));
	else if (input->watched_s > 0)
		snprintf(seen, sizeof(seen), "there are no two complete readings");
	SAY(evidence,
	    "They hold %s live and %s free, %s of it in their tops or on pages with "
	    "nothing in use. Whether their threads needed it at the same time is not "
	    "known: %s.",
	    BYTES(sum->live), BYTES(sum->free_resident), BYTES(sum->spare), seen);
	SAY(remedy,
	    "Watch it under load ('fragscope report -p %d --for 1m') to find out. If its "
	    "threads need memory in turn, starting it with MALLOC_ARENA_MAX=2 (or "
	    "GLIBC_TUNABLES=glibc.malloc.arena_max=2) saves most of it.",
	    input->sample->pid);
}

bool judge_arenas(const struct verdict_input *input, struct verdict *verdict)
{
	const struct arena_peaks *peaks = &input->arenas;
	uint64_t rss, count, threads = 0, in_turn = in_turn_bytes(peaks);
	struct secondaries sum;

	if (!judge_get(input, FIG_ARENAS, &count) || count < MANY_ARENAS ||
	    !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !sum_secondaries(input->sample, &sum) ||
	    !judge_weighs(input, sum.spare, rss, &judge_of_rss))
		return false;
	verdict->stake_bytes = in_turn < sum.spare ? in_turn : sum.spare;
	if (judge_weighs(input, verdict->stake_bytes, rss, &judge_of_rss)) {
		say_in_turn(input, verdict, &sum, rss, count);
	} else if (peaks->is_known && peaks->swing_bytes >= sum.spare / 2) {
		return false; /* they were seen to move, and at the same time */
	} else {
		verdict->stake_bytes = sum.spare;
		say_perhaps(input, verdict, &sum, rss, count);
	}
	judge_get(input, FIG_ATTACHED_THREADS, &threads);
	judge_fact(verdict, "arenas", UNIT_COUNT, count);
	judge_fact(verdict, "secondary_spare_bytes", UNIT_BYTES, sum.spare);
	judge_fact(verdict, "secondary_free_resident_bytes", UNIT_BYTES,
		   sum.free_resident);
	judge_fact(verdict, "secondary_live_bytes", UNIT_BYTES, sum.live);
	judge_fact(verdict, "secondary_top_bytes", UNIT_BYTES, sum.top);
	if (peaks->is_known) {
		judge_fact(verdict, "arena_peaks_bytes", UNIT_BYTES, peaks->peaks_bytes);
		judge_fact(verdict, "peak_of_arenas_bytes", UNIT_BYTES,
			   peaks->peak_bytes);
	}
	judge_fact(verdict, "attached_threads", UNIT_COUNT, threads);
	return true;
}
