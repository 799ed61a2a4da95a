/* metrics.h: the exposition formats of Prometheus: OpenMetrics 1.0 and text 0.0.4. Names
 * of families and labels are ours; values of labels come from anybody. */
#ifndef FRAGSCOPE_METRICS_H
#define FRAGSCOPE_METRICS_H

#include "base/text.h"
#include "sample/sample.h"

#include <stdint.h>

enum metrics_format {
	METRICS_OPENMETRICS,
	METRICS_PROMETHEUS,
	METRICS_FORMATS,
};

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER, /* of OpenMetrics: the samples' names end with _total */
};

/* NAME without the prefix and without _total; UNIT null: none, else NAME ends with it. */
struct metric_family {
	const char *name;
	enum metric_type type;
	const char *unit;
	const char *help;
};

/* What a label's value takes at most, escapes included; the rest is cut. */
enum { METRIC_LABEL_BYTES = 160 };

/* The family's lines before its samples. */
void metrics_family(struct text *text, enum metrics_format format,
		    const struct metric_family *family);

/* One sample: its name with an opening brace, then labels, then the value, which ends the
 * line. */
void metrics_begin(struct text *text, const struct metric_family *family);
void metrics_label(struct text *text, const char *name, const char *value);
void metrics_u64(struct text *text, uint64_t value);
void metrics_double(struct text *text, double value, unsigned decimals);

/* What a label shows of VALUE, before escapes, as far as SIZE bytes hold it: values for
 * which that is the same make the same label. */
void metrics_shown(const char *value, char *shown, size_t size);

/* The family of F, which has a metric: TAIL is behind its meaning, in HELP, of which
 * SIZE bytes are used. */
struct metric_family metrics_of_figure(enum figure f, const char *tail, char *help,
				       size_t size);

/* The value of F: times in seconds. */
void metrics_figure(struct text *text, const struct figures *fig, enum figure f);

/* What ends an exposition. */
void metrics_end(struct text *text, enum metrics_format format);

/* The media type. */
const char *metrics_type(enum metrics_format format);

#endif
