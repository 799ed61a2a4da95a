/* replay_csv.c: recordings in CSV (RFC 4180). */
#include "source/recording.h"

#include <string.h>

/* Takes the next field from *AT, where its quotes and escapes are undone in place. *AT is
 * null after the last one. False: the quotes are wrong. */
static bool next_field(char **at, const char **value)
{
	char *start = *at, *from = start, *to = start;
	bool quoted = *from == '"';

	*value = start;
	if (!quoted) {
		from += strcspn(from, ",");
	} else {
		for (from++; *from && (*from != '"' || from[1] == '"'); from++) {
			from += *from == '"';
			*to++ = *from;
		}
		if (*from++ != '"' || (*from && *from != ','))
			return false;
	}
	*at = *from ? from + 1 : NULL;
	*(quoted ? to : from) = '\0';
	text_unescape(start);
	return true;
}

static int bad_quotes(const struct recording_place *place)
{
	return place_fault(place, "its quotes are not valid CSV");
}

/* A column that is there twice would leave open which of them counts. */
static int add_column(struct csv_columns *columns, const char *name,
		      struct passed_over *passed, const struct recording_place *place)
{
	unsigned field = field_find(
		name, columns->count ? columns->field[columns->count - 1] + 1 : 0);

	for (unsigned i = 0; field != FIELD_UNKNOWN && i < columns->count; i++)
		if (columns->field[i] == field)
			return place_fault(place, "the column '%s' is there twice",
					   field_name(field));
	if (field == FIELD_UNKNOWN)
		passed_over_add(passed, name);
	columns->field[columns->count++] = field;
	return 0;
}

static bool has_column(const struct csv_columns *columns, unsigned field)
{
	for (unsigned i = 0; i < columns->count; i++)
		if (columns->field[i] == field)
			return true;
	return false;
}

int csv_read_header(char *line, struct csv_columns *columns, struct passed_over *passed,
		    const struct recording_place *place)
{
	const char *name;
	int error = 0;

	columns->count = 0;
	while (!error && line) {
		if (columns->count == RECORDING_COLUMNS)
			return place_fault(place, "it has more than %d columns",
					   RECORDING_COLUMNS);
		if (!next_field(&line, &name))
			return bad_quotes(place);
		error = add_column(columns, name, passed, place);
	}
	if (!error &&
	    (!has_column(columns, FIELD_TIME) || !has_column(columns, FIELD_PID)))
		error = place_fault(place,
				    "it is no recording of fragscope: it begins neither "
				    "with the header of its CSV nor with an object of "
				    "its JSON");
	return error;
}

static void write_columns(struct csv_columns *columns, bool intervals)
{
	columns->count = 0;
	for (unsigned field = FIELD_TIME; field < FIELD_HOST; field++)
		columns->field[columns->count++] = field;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		columns->field[columns->count++] = FIELD_FIGURES + f;
	columns->field[columns->count++] = FIELD_HOST;
	columns->field[columns->count++] = FIELD_STARTED;
	for (unsigned f = 0; intervals && f < FIG_COUNT; f++)
		if (figure_can_be_estimated(f)) {
			columns->field[columns->count++] = FIELD_LOWS + f;
			columns->field[columns->count++] = FIELD_HIGHS + f;
		}
}

/* Of LINE; a comma in quotes ends none. */
static unsigned count_fields(const char *line)
{
	unsigned count = 1;
	bool quoted = false;

	for (; *line; line++) {
		quoted ^= *line == '"';
		count += *line == ',' && !quoted;
	}
	return count;
}

int csv_take_columns(const char *line, struct csv_columns *columns,
		     const struct recording_place *place)
{
	unsigned count = count_fields(line), least;

	write_columns(columns, false);
	least = columns->count;
	if (count == least)
		return 0;
	write_columns(columns, true);
	if (count == columns->count)
		return 0;
	return place_fault(
		place,
		"it is a row of %u fields without a header, and this version "
		"writes %u (%u with --intervals): put the header of the file "
		"that it continues before it, as by (head -n 1 FIRST; cat REST)",
		count, least, columns->count);
}

int csv_read_row(char *line, const struct csv_columns *columns, struct recorded *row,
		 const struct recording_place *place)
{
	const char *value;
	unsigned column = 0;
	int error = 0;

	for (; !error && line; column++) {
		if (!next_field(&line, &value))
			return bad_quotes(place);
		/* An empty field is an absent one. */
		if (column < columns->count && *value &&
		    columns->field[column] != FIELD_UNKNOWN)
			error = field_set(row, columns->field[column], value, place);
	}
	if (!error && column != columns->count)
		error = place_fault(place, "it has %u fields where the header has %u",
				    column, columns->count);
	return error ? error : row_check(row, place);
}
