/* json.c: one object a line (RFC 8259). */
#include "base/clock.h"
#include "view/emitter.h"

#include <string.h>

static void escaped(struct text *text, unsigned char c)
{
	static const char letters[] =
		"\"\"\\\\\nn\rr\tt\bb\ff"; /* character, its escape */

	for (size_t i = 0; letters[i]; i += 2) {
		if (c != (unsigned char)letters[i])
			continue;
		text_char(text, '\\');
		text_char(text, letters[i + 1]);
		return;
	}
	if (c >= 0x20 && c != 0x7f) {
		text_char(text, (char)c);
		return;
	}
	text_string(text, "\\u00");
	text_char(text, "0123456789abcdef"[c >> 4]);
	text_char(text, "0123456789abcdef"[c & 15]);
}

static void string(struct text *text, const char *value)
{
	size_t length;

	text_char(text, '"');
	for (; *value; value += length ? length : 1) {
		length = text_utf8_length(value);
		if (length == 1)
			escaped(text, (unsigned char)*value);
		else if (length)
			text_bytes(text, value, length);
		else
			text_string(text, "\\ufffd");
	}
	text_char(text, '"');
}

/* The comma between members is due unless the object was opened just now. */
static void key(struct text *text, const char *name, size_t length)
{
	if (text->length && text->buf[text->length - 1] != '{')
		text_char(text, ',');
	text_char(text, '"');
	text_bytes(text, name, length);
	text_string(text, "\":");
}

static void member_string(struct text *text, const char *name, const char *value)
{
	key(text, name, strlen(name));
	string(text, value);
}

static void member_number(struct text *text, const char *name, uint64_t value)
{
	key(text, name, strlen(name));
	text_u64(text, value);
}

static void identity(struct text *text, const struct row *row)
{
	const struct sample *sample = row->sample;

	text_string(text, "\"time\":\"");
	clock_rfc3339(text, sample->time_ns);
	text_char(text, '"');
	member_number(text, "pid", (uint64_t)sample->pid);
	member_string(text, "comm", sample->comm);
	member_string(text, "allocator", sample->allocator);
	member_string(text, "source", sample_source_name(sample->source));
	member_string(text, "status", sample_status_name(row->status));
	if (row->status == STATUS_PARTIAL)
		member_string(text, "missing", sample->missing);
	if (!row->arena)
		return;
	member_number(text, "arena", row->arena->index);
	text_string(text, ",\"arena_addr\":\"");
	text_hex(text, row->arena->addr);
	text_char(text, '"');
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
			key(text, name, prefix);
			text_char(text, '{');
			open = name;
			open_length = prefix;
		}
		name += dot ? prefix + 1 : 0;
		key(text, name, strlen(name));
		row_number(text, row, f);
	}
	if (open)
		text_char(text, '}');
}

/* Opens the next element of an array of objects. */
static void element(struct text *text)
{
	if (text->buf[text->length - 1] != '[')
		text_char(text, ',');
	text_char(text, '{');
}

static void bin_members(struct text *text, const struct bin_total *bin)
{
	member_number(text, "from", bin->from_bytes);
	member_number(text, "to", bin->to_bytes);
	member_number(text, "total", bin->total_bytes);
	member_number(text, "count", bin->count);
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
		element(text);
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
		element(text);
		member_number(text, "bin", i + 1);
		bin_members(text, &bins->bins[i]);
	}
	text_string(text, "]}");
}

static void json_row(struct view *view, const struct row *row)
{
	struct text *text = &view->text;

	text_char(text, '{');
	identity(text, row);
	figures(text, row);
	if (row->arena && row->arena->bins)
		bins(text, row->arena->bins);
	text_string(text, "}\n");
}

const struct emitter emitter_json = {NULL, json_row};
