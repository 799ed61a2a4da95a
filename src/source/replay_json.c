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
struct json_row {
	struct json_scan scan;
	struct recorded *row;
	struct passed_over *passed;
	const struct recording_place *place;
	unsigned hint;
};

static int no_json(const struct json_row *reading)
{
	return place_fault(reading->place, "%s",
			   reading->scan.too_long ? "a string in it is too long"
						  : "it is not a JSON object");
}

/* The value of the field called NAME; null is as absent as no key at all. */
static int read_field(struct json_row *reading, const char *name)
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

/* ---- objects of numbers ---- */

/* A key, and where its number lies in what it is a part of. */
struct number_key {
	const char *name;
	size_t offset;
};

enum { NUMBER_KEYS = 5 };

/* One bin's object; fastbins and the unsorted list have no number. */
struct numbered_bin {
	struct bin_total total;
	uint64_t number;
};

static const struct number_key bin_keys[NUMBER_KEYS] = {
	{"from", offsetof(struct numbered_bin, total.from_bytes)},
	{"to", offsetof(struct numbered_bin, total.to_bytes)},
	{"total", offsetof(struct numbered_bin, total.total_bytes)},
	{"count", offsetof(struct numbered_bin, total.count)},
	{"bin", offsetof(struct numbered_bin, number)},
};

static const struct number_key class_keys[NUMBER_KEYS] = {
	{"region", offsetof(struct region_class, region_bytes)},
	{"free", offsetof(struct region_class, free)},
	{"used", offsetof(struct region_class, used)},
	{"slabs", offsetof(struct region_class, slabs)},
};

/* The place of NAME in KEYS, or NUMBER_KEYS. */
static unsigned find_key(const struct number_key *keys, const char *name)
{
	unsigned i = 0;

	while (i < NUMBER_KEYS && (!keys[i].name || strcmp(keys[i].name, name) != 0))
		i++;
	return i;
}

/* The numbers of an object into INTO, which is empty before; *SEEN has a bit for each of
 * KEYS that it has. */
static int read_numbers(struct json_row *reading, const struct number_key *keys,
			void *into, unsigned *seen)
{
	char name[RECORDING_NAME], value[32];
	bool inside = false;

	*seen = 0;
	while (json_scan_next(&reading->scan, '{', &inside)) {
		unsigned key;

		json_scan_key(&reading->scan, name, sizeof(name));
		if (reading->scan.failed)
			break;
		key = find_key(keys, name);
		if (key == NUMBER_KEYS) {
			passed_over_add(reading->passed, name);
			json_scan_skip(&reading->scan);
			continue;
		}
		*seen |= 1U << key;
		json_scan_number(&reading->scan, value, sizeof(value));
		if (!reading->scan.failed &&
		    units_parse_count(
			    value, (uint64_t *)(void *)((char *)into + keys[key].offset)))
			return place_fault(reading->place,
					   "'%s' of a bin or class cannot be '%s'", name,
					   value);
	}
	return 0;
}

/* ---- bins ---- */

static int place_twice(const struct json_row *reading)
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

static int read_bin_list(struct json_row *reading, bool fast)
{
	struct arena_bins *bins = &reading->row->bins;
	bool inside = false;
	unsigned seen;

	while (json_scan_next(&reading->scan, '[', &inside)) {
		struct numbered_bin bin = {0};
		struct bin_total *slot = NULL;
		int error = read_numbers(reading, bin_keys, &bin, &seen);

		if (error || reading->scan.failed)
			return error;
		if (fast)
			slot = fast_of(bins, &bin.total);
		else if (bin.number > 1 && bin.number <= SAMPLE_BINS)
			slot = &bins->bins[bin.number - 1];
		if (!slot || slot->count || !bin.total.count)
			return place_twice(reading);
		*slot = bin.total;
	}
	return 0;
}

static int read_unsorted(struct json_row *reading)
{
	struct bin_total *unsorted = &reading->row->bins.bins[0];
	struct numbered_bin bin = {0};
	unsigned seen;
	int error = unsorted->count ? place_twice(reading)
				    : read_numbers(reading, bin_keys, &bin, &seen);

	if (!error)
		*unsorted = bin.total;
	return error;
}

static int read_bins_member(struct json_row *reading, const char *key)
{
	if (!strcmp(key, "fast"))
		return read_bin_list(reading, true);
	if (!strcmp(key, "sorted"))
		return read_bin_list(reading, false);
	if (!strcmp(key, "unsorted"))
		return read_unsorted(reading);
	passed_over_add(reading->passed, key);
	json_scan_skip(&reading->scan);
	return 0;
}

/* null: they could not be split. */
static int read_bins(struct json_row *reading)
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

/* ---- size classes ---- */

static int read_classes(struct json_row *reading)
{
	struct size_classes *classes = &reading->row->classes;
	bool inside = false;
	unsigned seen;

	if (classes->count)
		return place_fault(reading->place, "'classes' is there twice");
	classes->has_slabs = false;
	while (json_scan_next(&reading->scan, '[', &inside)) {
		struct region_class class = {0};
		int error = read_numbers(reading, class_keys, &class, &seen);

		if (error || reading->scan.failed)
			return error;
		if (classes->count == SAMPLE_CLASSES)
			return place_fault(reading->place, "it has more than %d classes",
					   SAMPLE_CLASSES);
		classes->has_slabs |= seen >> find_key(class_keys, "slabs") & 1;
		classes->class[classes->count++] = class;
	}
	return 0;
}

/* ---- intervals ---- */

/* [LOW, HIGH] of the figure called NAME. */
static int read_range(struct json_row *reading, const char *name)
{
	unsigned ends = 0;
	bool inside = false;
	int error = 0;

	while (!error && json_scan_next(&reading->scan, '[', &inside)) {
		unsigned field = field_of_range(name, strlen(name), ends > 0);
		char value[VALUE];

		json_scan_number(&reading->scan, value, sizeof(value));
		if (reading->scan.failed)
			break;
		if (field == FIELD_UNKNOWN || ends++ > 1)
			passed_over_add(reading->passed, name);
		else
			error = field_set(reading->row, field, value, reading->place);
	}
	return error;
}

static int read_estimate(struct json_row *reading)
{
	char name[RECORDING_NAME];
	bool inside = false;
	int error = 0;

	while (!error && json_scan_next(&reading->scan, '{', &inside)) {
		json_scan_key(&reading->scan, name, sizeof(name));
		if (reading->scan.failed)
			break;
		error = read_range(reading, name);
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
static int read_object(struct json_row *reading, const char *object)
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

static int read_member(struct json_row *reading, const char *key)
{
	if (!strcmp(key, "bins"))
		return read_bins(reading);
	if (!strcmp(key, "classes"))
		return read_classes(reading);
	if (!strcmp(key, "estimate"))
		return read_estimate(reading);
	if (json_scan_peek(&reading->scan) == '{' && is_object_of_figures(key))
		return read_object(reading, key);
	return read_field(reading, key);
}

int json_read_row(const char *line, struct recorded *row, struct passed_over *passed,
		  const struct recording_place *place)
{
	struct json_row reading = {.row = row, .passed = passed, .place = place};
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
