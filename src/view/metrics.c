#include "view/metrics.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "fragscope_"

enum { RATIO_DECIMALS = 6, SECONDS_DECIMALS = 6 };

static const struct {
	const char *unit;
} units[] = {
	[UNIT_BYTES] = {"bytes"},
	[UNIT_COUNT] = {NULL},
	[UNIT_RATIO] = {"ratio"},
	[UNIT_NS] = {"seconds"},
};

/* Of both formats; OpenMetrics escapes quotes of HELP, too. */
static void help_text(struct text *text, enum metrics_format format, const char *help)
{
	for (; *help; help++) {
		if (*help == '\\' || (*help == '"' && format == METRICS_OPENMETRICS))
			text_char(text, '\\');
		text_char(text, *help);
	}
}

static void about(struct text *text, const char *what, const struct metric_family *family,
		  bool has_total)
{
	text_string(text, "# ");
	text_string(text, what);
	text_string(text, " " PREFIX);
	text_string(text, family->name);
	if (has_total)
		text_string(text, "_total");
	text_char(text, ' ');
}

void metrics_family(struct text *text, enum metrics_format format,
		    const struct metric_family *family)
{
	/* The older format knows no families: TYPE is of the sample's name. */
	bool has_total = format == METRICS_PROMETHEUS && family->type == METRIC_COUNTER;

	about(text, "HELP", family, has_total);
	help_text(text, format, family->help);
	text_char(text, '\n');
	about(text, "TYPE", family, has_total);
	text_string(text, family->type == METRIC_COUNTER ? "counter\n" : "gauge\n");
	if (!family->unit || format == METRICS_PROMETHEUS)
		return;
	about(text, "UNIT", family, false);
	text_string(text, family->unit);
	text_char(text, '\n');
}

void metrics_begin(struct text *text, const struct metric_family *family)
{
	text_string(text, PREFIX);
	text_string(text, family->name);
	if (family->type == METRIC_COUNTER)
		text_string(text, "_total");
	text_char(text, '{');
}

/* What is no UTF-8 would make a whole scrape fail: it becomes the replacement character,
 * as control characters do, which no one could type into a query. */
static size_t label_character(const char *at, char out[4])
{
	static const char replacement[3] = {'\xef', '\xbf', '\xbd'};
	bool plain;
	size_t length = text_next(at, &plain);

	if (*at == '"' || *at == '\\' || *at == '\n') {
		out[0] = '\\';
		out[1] = *at == '\n' ? 'n' : *at;
		return 2;
	}
	if (!plain || length > 4) {
		memcpy(out, replacement, sizeof(replacement));
		return sizeof(replacement);
	}
	memcpy(out, at, length);
	return length;
}

void metrics_label(struct text *text, const char *name, const char *value)
{
	size_t used = 0;

	if (text->length && text->buf[text->length - 1] != '{')
		text_char(text, ',');
	text_string(text, name);
	text_string(text, "=\"");
	while (*value) {
		bool plain;
		char out[4];
		size_t length = label_character(value, out);

		if (used + length > METRIC_LABEL_BYTES)
			break;
		text_bytes(text, out, length);
		used += length;
		value += text_next(value, &plain);
	}
	text_char(text, '"');
}

void metrics_shown(const char *value, char *shown, size_t size)
{
	size_t used = 0, kept = 0;

	while (*value) {
		bool plain;
		char out[4];
		size_t length = label_character(value, out);
		bool is_escape = out[0] == '\\';
		size_t bytes = is_escape ? 1 : length;

		used += length;
		if (used > METRIC_LABEL_BYTES || kept + bytes >= size)
			break;
		memcpy(shown + kept, is_escape ? value : out, bytes);
		kept += bytes;
		value += text_next(value, &plain);
	}
	shown[kept] = '\0';
}

/* Without labels the braces go, too: the older format's parsers all take that. */
static void end_labels(struct text *text)
{
	if (text->length && text->buf[text->length - 1] == '{')
		text->buf[--text->length] = '\0';
	else
		text_char(text, '}');
	text_char(text, ' ');
}

void metrics_u64(struct text *text, uint64_t value)
{
	end_labels(text);
	text_u64(text, value);
	text_char(text, '\n');
}

void metrics_double(struct text *text, double value, unsigned decimals)
{
	end_labels(text);
	text_fixed(text, value, decimals);
	text_char(text, '\n');
}

struct metric_family metrics_of_figure(enum figure f, const char *tail, char *help,
				       size_t size)
{
	const struct figure_info *info = &figure_info[f];

	snprintf(help, size, "%s %s", info->meaning, tail);
	return (struct metric_family){
		.name = info->metric,
		.type = METRIC_GAUGE,
		.unit = units[info->unit].unit,
		.help = help,
	};
}

void metrics_figure(struct text *text, const struct figures *fig, enum figure f)
{
	if (figure_info[f].unit == UNIT_NS)
		metrics_double(text, (double)fig->v[f].u / 1e9, SECONDS_DECIMALS);
	else if (figure_info[f].unit == UNIT_RATIO)
		metrics_double(text, fig->v[f].d, RATIO_DECIMALS);
	else
		metrics_u64(text, fig->v[f].u);
}

void metrics_end(struct text *text, enum metrics_format format)
{
	if (format == METRICS_OPENMETRICS)
		text_string(text, "# EOF\n");
}

const char *metrics_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}
