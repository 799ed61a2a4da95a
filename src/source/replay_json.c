/* replay_json.c: recordings in JSON, one object a line. */
#include "base/json_scan.h"
#include "base/units.h"
#include "source/recording.h"

#include <stdio.h>
#include <string.h>

enum {
	VALUE = 1024, /* the longest text of a value */
	CHUNK_UNIT_SHIFT = 4,
	FAST_FIRST = 2, /* fastbin 0 holds chunks of 2 units */
};

/* A row while it is read. */
struct reading {
	struct json_scan scan;
	struct recorded *row;
	struct passed_over *passed;
	const struct place *place;
	unsigned hint;
};

static int no_json(const struct reading *reading)
{
	return place_fault(reading->place, "%s",
			   reading->scan.too_long ? "a string in it is too long"
						  : "it is no object of JSON");
}

/* The value of the field called NAME; null is as absent as no key at all. */
static int read_field(struct reading *reading, const char *name)
{
	unsigned field = field_find(name, reading->hint);
	char kind = json_scan_peek(&reading->scan);
	char value[VALUE];

	if (field == FIELD_UNKNOWN)
		passed_over_add(reading->passed, name);
	if (field == FIELD_UNKNOWN || kind == 'n') {
		json_scan_skip(&reading->scan);
		return 0;
	}
	reading->hint = field + 1;
	if (kind != (field_is_string(field) ? '"' : '0')) {
		/* What is no JSON at all is told as that. */
		json_scan_skip(&reading->scan);
		return reading->scan.failed
			       ? 0
			       : place_fault(reading->place, "'%s' is no %s", name,
					     field_is_string(field) ? "string"
								    : "number");
	}
	if (kind == '"')
		json_scan_string(&reading->scan, value, sizeof(value));
	else
		json_scan_number(&reading->scan, value, sizeof(value));
	return reading->scan.failed
		       ? 0
		       : field_set(reading->row, field, value, reading->place);
}

/* ---- bins ---- */

static const struct {
	const char *name;
	size_t offset;
} bin_keys[] = {
	{"from", offsetof(struct bin_total, from_bytes)},
	{"to", offsetof(struct bin_total, to_bytes)},
	{"total", offsetof(struct bin_total, total_bytes)},
	{"count", offsetof(struct bin_total, count)},
};

static uint64_t *bin_member(struct bin_total *bin, uint64_t *number, const char *key)
{
	for (size_t i = 0; i < sizeof(bin_keys) / sizeof(bin_keys[0]); i++)
		if (!strcmp(key, bin_keys[i].name))
			return (uint64_t *)(void *)((char *)bin + bin_keys[i].offset);
	return strcmp(key, "bin") ? NULL : number;
}

/* One bin's object, with its NUMBER when it has one. */
static int read_bin(struct reading *reading, struct bin_total *bin, uint64_t *number)
{
	char key[RECORDING_NAME], value[32];
	bool inside = false;

	while (json_scan_next(&reading->scan, '{', &inside)) {
		uint64_t *member;

		json_scan_key(&reading->scan, key, sizeof(key));
		if (reading->scan.failed)
			break;
		member = bin_member(bin, number, key);
		if (!member) {
			passed_over_add(reading->passed, key);
			json_scan_skip(&reading->scan);
			continue;
		}
		json_scan_number(&reading->scan, value, sizeof(value));
		if (!reading->scan.failed && units_parse_count(value, member))
			return place_fault(reading->place, "'%s' of a bin cannot be '%s'",
					   key, value);
	}
	return 0;
}

static int place_twice(const struct reading *reading)
{
	return place_fault(reading->place,
			   "a bin is there twice, or is none of malloc's");
}

/* Fastbins have no numbers: the size of its chunks tells which one it is. */
static struct bin_total *fast_of(struct arena_bins *bins, const struct bin_total *bin)
{
	uint64_t unit = bin->from_bytes >> CHUNK_UNIT_SHIFT;

	if (unit < FAST_FIRST || unit - FAST_FIRST >= SAMPLE_FASTBINS)
		return NULL;
	return &bins->fast[unit - FAST_FIRST];
}

static int read_bin_list(struct reading *reading, bool fast)
{
	struct arena_bins *bins = &reading->row->bins;
	bool inside = false;
	int error = 0;

	while (!error && json_scan_next(&reading->scan, '[', &inside)) {
		struct bin_total bin = {0}, *slot;
		uint64_t number = 0;

		error = read_bin(reading, &bin, &number);
		if (error || reading->scan.failed)
			break;
		slot = fast				     ? fast_of(bins, &bin)
		       : number > 1 && number <= SAMPLE_BINS ? &bins->bins[number - 1]
							     : NULL;
		if (!slot || slot->count || !bin.count)
			return place_twice(reading);
		*slot = bin;
	}
	return error;
}

static int read_bins_member(struct reading *reading, const char *key)
{
	struct bin_total *unsorted = &reading->row->bins.bins[0];
	uint64_t none = 0;

	if (!strcmp(key, "fast"))
		return read_bin_list(reading, true);
	if (!strcmp(key, "sorted"))
		return read_bin_list(reading, false);
	if (!strcmp(key, "unsorted"))
		return unsorted->count ? place_twice(reading)
				       : read_bin(reading, unsorted, &none);
	passed_over_add(reading->passed, key);
	json_scan_skip(&reading->scan);
	return 0;
}

/* null: they could not be split. */
static int read_bins(struct reading *reading)
{
	char key[RECORDING_NAME];
	bool inside = false;
	int error = 0;

	if (reading->row->has_bins)
		return place_fault(reading->place, "'bins' is there twice");
	reading->row->has_bins = true;
	if (json_scan_peek(&reading->scan) == 'n') {
		json_scan_skip(&reading->scan);
		return 0;
	}
	reading->row->bins.split = true;
	while (!error && json_scan_next(&reading->scan, '{', &inside)) {
		json_scan_key(&reading->scan, key, sizeof(key));
		if (reading->scan.failed)
			break;
		error = read_bins_member(reading, key);
	}
	return error;
}

/* ---- rows ---- */

/* Whether a figure is called "OBJECT.something". */
static bool is_object_of_figures(const char *object)
{
	size_t length = strlen(object);

	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (!strncmp(figure_info[f].name, object, length) &&
		    figure_info[f].name[length] == '.')
			return true;
	return false;
}

/* The members of OBJECT are figures called "OBJECT.KEY". */
static int read_object(struct reading *reading, const char *object)
{
	char key[RECORDING_NAME], name[2 * RECORDING_NAME];
	bool inside = false;
	int error = 0;

	while (!error && json_scan_next(&reading->scan, '{', &inside)) {
		json_scan_key(&reading->scan, key, sizeof(key));
		if (reading->scan.failed)
			break;
		snprintf(name, sizeof(name), "%s.%s", object, key);
		error = read_field(reading, name);
	}
	return error;
}

static int read_member(struct reading *reading, const char *key)
{
	if (!strcmp(key, "bins"))
		return read_bins(reading);
	if (json_scan_peek(&reading->scan) == '{' && is_object_of_figures(key))
		return read_object(reading, key);
	return read_field(reading, key);
}

int json_read_row(const char *line, struct recorded *row, struct passed_over *passed,
		  const struct place *place)
{
	struct reading reading = {.row = row, .passed = passed, .place = place};
	char key[RECORDING_NAME];
	bool inside = false;
	int error = 0;

	json_scan_init(&reading.scan, line);
	while (!error && json_scan_next(&reading.scan, '{', &inside)) {
		json_scan_key(&reading.scan, key, sizeof(key));
		if (reading.scan.failed)
			break;
		error = read_member(&reading, key);
	}
	if (error)
		return error;
	return json_scan_ends(&reading.scan) ? row_check(row, place) : no_json(&reading);
}
