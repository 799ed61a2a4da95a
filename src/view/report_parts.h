/* report_parts.h: what the forms of a report share, and pages; for files of this
 * directory only. */
#ifndef FRAGSCOPE_REPORT_PARTS_H
#define FRAGSCOPE_REPORT_PARTS_H

#include "base/text.h"
#include "base/units.h"
#include "view/report.h"

enum {
	REPORT_BUFFER = 96 << 10,
	REPORT_ARENAS = 8,
	REPORT_OWNERS = 3,
	REPORT_OWNER = 1024, /* bytes of a path */
};

/* Where a report goes: TEXT is written out when it is half full. Lines are never longer
 * than that half, but for rows of JSON, which fit in what is left. */
struct report_out {
	int fd;
	int error; /* the first; nothing is written after it */
	struct text text;
	char buf[REPORT_BUFFER];
};

/* Takes memory, which report_finish gives back. Null: there is none. */
struct report_out *report_begin(int fd);

/* Writes out what is more than half a buffer. */
void report_flush(struct report_out *out);

/* Writes the rest. 0 or -errno. */
int report_finish(struct report_out *out);

__attribute__((format(printf, 2, 3))) void report_print(struct report_out *out,
							const char *format, ...);

/* One part of what is resident. */
struct report_share {
	uint64_t bytes;
	const char *words;
	const char *class; /* of its colour in HTML */
};

enum { REPORT_PARTS = 8 };

/* The parts of the resident memory that FIG tells, into OUT; how many. */
unsigned report_parts(const struct figures *fig, struct report_share out[REPORT_PARTS]);

/* The positions in sample->arena of the MAX arenas with most free and resident, the most
 * first; how many. */
unsigned report_arenas(const struct sample *sample, unsigned *out, unsigned max);

/* Figure F of FIG for people: bytes, counts and ratios scaled, "-" when it is absent. */
struct units_text report_figure(const struct figures *fig, enum figure f);

/* Whether TREND rises and its last value is above its first, or falls and it is below: of
 * a saw's teeth most of each one rises, and the last may end below the first. */
bool report_goes_as_it_ended(const struct verdict_trend *trend);

/* How SERIES moves, in words: "rising 1.20M a second", "up by 15.0M, but not steadily".
 */
void report_trend(const struct report_series *series, char *text, size_t size);

/* When a limit is reached, in words; "-" when that is not known. */
void report_when(const struct headroom_reach *reach, char *text, size_t size);

/* How much of SAMPLE's memory is free, and in what pieces; "" when that is not known. */
void report_free(const struct sample *sample, char *text, size_t size);

/* That growths may be missing from OF, and why; "" where none are. */
void report_skipped(const struct report_growth *of, char *text, size_t size);

/* For which requests how much of SAMPLE's free memory is useless, as a sentence; "" when
 * that is not known. */
void report_unusable(const struct sample *sample, char *text, size_t size);

enum { REPORT_OOM_LINE = 1024 };

/* Line I of what is said of the kernel's OOM killer; false: there is none. */
bool report_oom(const struct report *report, unsigned i, char line[REPORT_OOM_LINE]);

/* That the kernel counts the cgroup as full, or nearly, where a quarter of that is file
 * cache; the rows of limits leave that out. False: it is not so. */
bool report_cgroup_cache(const struct report *report, char *text, size_t size);

/* The last line: what the report cost. */
void report_cost(const struct report *report, char *text, size_t size);

/* Which process this is and when it was looked at, as a line: "sessiond[4711] on web1,
 * 2026-11-29 14:30:00, started 2026-11-28 03:00:12". */
void report_identity(const struct sample *sample, char *text, size_t size);

/* Drawings of a page, as inline SVG, or a word that there is nothing to draw. */
void report_svg_parts(struct report_out *out, const struct figures *fig);
void report_svg_series(struct report_out *out, const struct report_series *series);
void report_svg_map(struct report_out *out, const struct heap_map *map);
void report_svg_sizes(struct report_out *out, const struct sample *sample);

#define BYTES(value)	     units_bytes_text(value).s
#define COUNT(value)	     units_count_text(value).s
#define SHARE(value)	     units_share_text(value).s
#define COUNTED(value, noun) units_counted_text(value, noun).s
#define SPAN(value)	     units_span_text(value).s

/* What stands where there is no verdict. */
const char *report_nothing(const struct report *report);

#endif
