/* json.c: one object a line (RFC 8259). */
#include "base/clock.h"
#include "view/emitter.h"
#include "view/json_text.h"

#include <string.h>

static void identity(struct text *text, const struct row *row)
{
	const struct sample *sample = row->sample;

	text_string(text, "\"time\":\"");
	clock_rfc3339(text, sample->time_ns);
	text_char(text, '"');
	json_member_u64(text, "pid", (uint64_t)sample->pid);
	json_member_string(text, "comm", sample->comm);
	json_member_string(text, "allocator", sample->allocator);
	json_member_string(text, "source", sample_source_name(sample->source));
	json_member_string(text, "status", sample_status_name(row->status));
	if (row->status == STATUS_PARTIAL)
		json_member_string(text, "missing", sample->missing);
	if (!row->arena)
		return;
	json_member_u64(text, "arena", row->arena->index);
	if (row->arena->addr)
		json_member_addr(text, "arena_addr", row->arena->addr);
}

/* Figures named "OBJECT.KEY" stand together in the catalogue: the object is opened at the
 * first that the row has and closed after the last. */
static void figures(struct text *text, const struct row *row)
{
	const char *open = NULL;
	size_t open_length = 0;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		const char *name = figure_info[f].name;
		const char *dot = strchr(name, '.');
		size_t prefix = dot ? (size_t)(dot - name) : 0;

		if (!row_has(row, f))
			continue;
		if (open && (prefix != open_length || strncmp(name, open, prefix) != 0)) {
			text_char(text, '}');
			open = NULL;
		}
		if (dot && !open) {
			json_key(text, name, prefix);
			text_char(text, '{');
			open = name;
			open_length = prefix;
		}
		name += dot ? prefix + 1 : 0;
		json_key(text, name, strlen(name));
		row_number(text, row, f);
	}
	if (open)
		text_char(text, '}');
}

/* The ends of the intervals of what is estimated. */
static void estimate(struct text *text, const struct row *row)
{
	double low, high;

	if (!row->fig->estimated)
		return;
	text_string(text, ",\"estimate\":{");
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!row_range(row, f, &low, &high))
			continue;
		json_key(text, figure_info[f].name, strlen(figure_info[f].name));
		text_char(text, '[');
		row_bound(text, f, low);
		text_char(text, ',');
		row_bound(text, f, high);
		text_char(text, ']');
	}
	text_char(text, '}');
}

static void bin_members(struct text *text, const struct bin_total *bin)
{
	json_member_u64(text, "from", bin->from_bytes);
	json_member_u64(text, "to", bin->to_bytes);
	json_member_u64(text, "total", bin->total_bytes);
	json_member_u64(text, "count", bin->count);
	text_char(text, '}');
}

static void bins(struct text *text, const struct arena_bins *bins)
{
	text_string(text, ",\"bins\":");
	if (!bins->split) {
		text_string(text, "null");
		return;
	}
	text_string(text, "{\"fast\":[");
	for (unsigned i = 0; i < SAMPLE_FASTBINS; i++) {
		if (!bins->fast[i].count)
			continue;
		json_element(text);
		bin_members(text, &bins->fast[i]);
	}
	text_char(text, ']');
	if (bins->bins[0].count) {
		text_string(text, ",\"unsorted\":{");
		bin_members(text, &bins->bins[0]);
	}
	text_string(text, ",\"sorted\":[");
	for (unsigned i = 1; i < SAMPLE_BINS; i++) {
		if (!bins->bins[i].count)
			continue;
		json_element(text);
		json_member_u64(text, "bin", i + 1);
		bin_members(text, &bins->bins[i]);
	}
	text_string(text, "]}");
}

static void size_classes(struct text *text, const struct size_classes *classes)
{
	text_string(text, ",\"classes\":[");
	for (unsigned i = 0; i < classes->count; i++) {
		const struct region_class *class = &classes->class[i];

		json_element(text);
		json_member_u64(text, "region", class->region_bytes);
		json_member_u64(text, "free", class->free);
		if (classes->has_slabs) {
			json_member_u64(text, "used", class->used);
			json_member_u64(text, "slabs", class->slabs);
		}
		text_char(text, '}');
	}
	text_char(text, ']');
}

static void json_row(struct view *view, const struct row *row)
{
	struct text *text = &view->text;

	text_char(text, '{');
	identity(text, row);
	figures(text, row);
	estimate(text, row);
	if (!row->arena)
		json_origin(text, &row->sample->origin);
	if (row->arena && row->arena->bins)
		bins(text, row->arena->bins);
	if (!row->arena && row->sample->classes && row->sample->classes->count)
		size_classes(text, row->sample->classes);
	text_string(text, "}\n");
}

const struct emitter emitter_json = {NULL, json_row};
