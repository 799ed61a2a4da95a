/* targets.h: the processes that are watched, live or replayed, and what is kept of each:
 * readings, events, alerts by the default rules, what was used of its limits. Knows
 * neither where readings come from nor the screen. */
#ifndef FRAGSCOPE_TOP_TARGETS_H
#define FRAGSCOPE_TOP_TARGETS_H

#include "analysis/headroom.h"
#include "analysis/rule.h"
#include "analysis/trend_store.h"
#include "series/history.h"
#include "target/bounds.h"
#include "top/event_row.h"
#include "top/feed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TARGETS_MAX = FEED_TARGETS,
	TARGET_EVENTS = 256, /* kept of each */
};

struct watch;

/* One process. Its index is that of the feed, the events and the replay alike. */
struct top_target {
	int pid;
	unsigned arenas; /* that its history has room for */
	char comm[SAMPLE_TEXT];
	struct history *history;
	struct watch *watch;
	struct trend_store
		*limits; /* what was used of each limit; null: of a recording */
	bool has_room;	 /* of the latest reading */
	struct headroom headroom;
	bool over;
	char why_over[FAULT_TEXT];
	bool reading;
	int64_t interval_ns;
	struct event_row *event; /* a ring of TARGET_EVENTS */
	size_t event_first, event_count;
};

struct targets {
	struct rules rules;
	unsigned count, shown;
	size_t expected; /* as many share the memory for readings */
	uint32_t spans;	 /* of a recording of days: see history_options */
	struct top_target target[TARGETS_MAX];
};

/* All that a target needs later is taken here: room for readings of ARENAS. INDEX is the
 * next free place, or that of a target whose place it takes. LIVE: it has limits. 0, or
 * -ENOMEM: then its place is free of it. */
int targets_add(struct targets *targets, unsigned index, int pid, const char *comm,
		unsigned arenas, bool live);
void targets_close(struct targets *targets);

/* Another time of a recording is looked at: readings and marks of TARGET go, and unless
 * KEEPS_EVENTS its events and alerts, too. 0 or -ENOMEM: it is as it was. */
int target_renew(struct targets *targets, struct top_target *target, bool keeps_events);

/* The one that is shown; null: there is none. */
struct top_target *targets_shown(struct targets *targets);

/* Takes SAMPLE, and the BOUNDS (null: not known) of the same instant, into all that is
 * kept. */
void target_keep(struct top_target *target, const struct sample *sample,
		 const struct bounds *bounds);
void target_keep_event(struct top_target *target, const struct event_row *row);

/* There are no more readings of it for now: its alerts end. */
void target_end_alerts(struct top_target *target);

/* No more readings come: WHY. Its alerts end. */
void target_end(struct top_target *target, const char *why);

/* Its event I, the latest being 0. */
const struct event_row *target_event(const struct top_target *target, size_t i);

/* How many allocations are known to have failed up to UNTIL_NS. */
uint64_t target_failures(const struct top_target *target, int64_t until_ns);

#endif
