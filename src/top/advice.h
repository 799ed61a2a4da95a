/* advice.h: what ails a process that is watched, out of what is known of it. */
#ifndef FRAGSCOPE_TOP_ADVICE_H
#define FRAGSCOPE_TOP_ADVICE_H

#include "analysis/headroom.h"
#include "analysis/trend.h"
#include "analysis/verdict.h"
#include "sample/blockers.h"
#include "top/feed.h"
#include "top/targets.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADVICE_POINTS = 256 };

/* KNOWN: there was a sample to judge. The trends take some ms: they are those up to the
 * sample of TIME_NS of TARGET. The rest is room to work in. */
struct advice {
	bool known;
	int64_t time_ns;
	const struct top_target *target;
	struct verdict_trend live, rss, other, pinned, chunks, largest;
	struct headroom_reach reach[HEADROOM_KINDS];
	unsigned count;
	struct verdict verdict[VERDICT_KINDS];
	char answer[512];
	struct trend_scratch scratch;
	double time_s[ADVICE_POINTS + 1], value[ADVICE_POINTS + 1];
};

/* What is judged: SAMPLE (null: there is none yet) of TARGET, which IS_PAST or its
 * latest; with what was seen at the same time of its pins and mappings (null: not known).
 * HAS_EVENTS: failed allocations would be known. */
struct advice_input {
	const struct top_target *target;
	const struct sample *sample;
	bool is_past, has_events;
	const struct blockers *blockers;
	const struct inspection_result *around;
};

void advice_judge(struct advice *advice, const struct advice_input *in);

#endif
