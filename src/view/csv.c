/* csv.c: the same columns in every row: what names the row, then every figure. */
#include "base/clock.h"
#include "view/emitter.h"

#include <string.h>

/* A field as RFC 4180 quotes it. What is not plain is escaped, and so that the escapes
 * can be told from what is there, a backslash is doubled. */
static void field(struct text *text, const char *value)
{
	bool quoted = value[strcspn(value, ",\"")] || *value == ' ', plain;
	size_t length;

	if (quoted)
		text_char(text, '"');
	for (; *value; value += length) {
		length = text_next(value, &plain);
		if (*value == '"' || *value == '\\')
			text_char(text, *value);
		if (plain)
			text_bytes(text, value, length);
		else
			text_escape(text, value, length);
	}
	if (quoted)
		text_char(text, '"');
}

static void csv_header(struct view *view)
{
	struct text *text = &view->text;

	text_string(text,
		    "time,pid,comm,allocator,source,status,missing,arena,arena_addr");
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		text_char(text, ',');
		text_string(text, figure_info[f].name);
	}
	text_string(text, ",host,started");
	for (unsigned f = 0; view->options.intervals && f < FIG_COUNT; f++) {
		if (!figure_can_be_estimated(f))
			continue;
		text_char(text, ',');
		text_string(text, figure_info[f].name);
		text_string(text, "_low,");
		text_string(text, figure_info[f].name);
		text_string(text, "_high");
	}
	text_char(text, '\n');
}

static void identity(struct text *text, const struct row *row)
{
	const struct sample *sample = row->sample;

	clock_rfc3339(text, sample->time_ns);
	text_char(text, ',');
	text_i64(text, sample->pid);
	text_char(text, ',');
	field(text, sample->comm);
	text_char(text, ',');
	field(text, sample->allocator);
	text_char(text, ',');
	text_string(text, sample_source_name(sample->source));
	text_char(text, ',');
	text_string(text, sample_status_name(row->status));
	text_char(text, ',');
	if (row->status == STATUS_PARTIAL)
		field(text, sample->missing);
}

/* Behind the figures, where columns are added; of the process, not of its arenas. */
static void origin(struct text *text, const struct row *row)
{
	const struct origin *of = &row->sample->origin;

	text_char(text, ',');
	if (!row->arena)
		field(text, of->host);
	text_char(text, ',');
	if (!row->arena && of->started_ns)
		clock_rfc3339(text, of->started_ns);
}

static void intervals(struct text *text, const struct row *row)
{
	double low, high;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		bool has = figure_can_be_estimated(f) && row_range(row, f, &low, &high);

		if (!figure_can_be_estimated(f))
			continue;
		text_char(text, ',');
		if (has)
			row_bound(text, f, low);
		text_char(text, ',');
		if (has)
			row_bound(text, f, high);
	}
}

static void csv_row(struct view *view, const struct row *row)
{
	struct text *text = &view->text;

	identity(text, row);
	text_char(text, ',');
	if (row->arena)
		text_u64(text, row->arena->index);
	text_char(text, ',');
	if (row->arena && row->arena->addr)
		text_hex(text, row->arena->addr);
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		text_char(text, ',');
		if (row_has(row, f))
			row_number(text, row, f);
	}
	origin(text, row);
	if (view->options.intervals)
		intervals(text, row);
	text_char(text, '\n');
}

const struct emitter emitter_csv = {csv_header, csv_row};
