/* report.h: a report on one process, as plain data, and its three forms: text for 80
 * columns, one JSON object, and one self-contained HTML page. */
#ifndef FRAGSCOPE_REPORT_H
#define FRAGSCOPE_REPORT_H

#include "analysis/headroom.h"
#include "analysis/verdict.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "sample/mappings.h"
#include "sample/oom.h"
#include "sample/owners.h"
#include "series/track.h"
#include "view/fold.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How one figure moved, and its points, for a graph. */
struct report_series {
	enum figure f;
	bool is_estimated; /* some readings had it from a random sample of the heap */
	struct verdict_trend trend;
	const struct track_point *point;
	size_t points;
};

/* Who made the heap grow. MISSING says why that is not known; null: it is. */
struct report_growth {
	const char *missing;
	const struct fold_row *row;
	unsigned rows;
	uint64_t growths, bytes, failures;
	uint64_t
		skipped; /* see struct probe_counts: above 0 there may be more of these */
};

/* What the report cost. */
struct report_cost {
	uint64_t read_ns, longest_ns; /* of the readings, all and the longest */
	uint64_t survey_ns;	      /* of the looks at single chunks and mappings */
	uint64_t cpu_ns;	      /* of this program, with all that it did */
	uint64_t events;	      /* that probes told, with stack */
};

/* Pointers may be null: then that part could not be had, and WHY_NO_... says why. */
struct report {
	const char *describe;	     /* the source's own line */
	const struct sample *sample; /* the latest; never null */
	uint64_t readings;
	double watched_s;
	bool is_recorded;
	const char *answer;
	const struct verdict *verdict;
	unsigned verdicts;
	const struct report_series *series;
	unsigned series_count;
	const struct bounds *bounds;
	const struct headroom *headroom;
	const struct headroom_reach *reach;
	const struct oom_rank *oom;
	const char *why_no_limits;
	const struct smaps *smaps;
	uint64_t other_anon_bytes; /* with SMAPS: anonymous, and not malloc's */
	const struct blockers *blockers;
	const char *const
		*identity; /* of blockers->best, null where there is none; or null */
	const char *why_no_blockers;
	const struct owners *owners; /* null: not looked for, or WHY_NO_OWNERS */
	const char *why_no_owners;
	const struct heap_map *map;
	struct report_growth growth;
	struct report_cost cost;
};

/* Each writes REPORT to FD. 0 or -errno of the write. */
int report_text(const struct report *report, int fd);
int report_json(const struct report *report, int fd);
int report_html(const struct report *report, int fd);

#endif
