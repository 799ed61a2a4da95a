/* replay_fields.c: the fields of a recorded row, whatever the format: their names, and
 * their values from text. */
#include "base/units.h"
#include "source/recording.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)

enum {
	SHOWN = 40,	   /* characters of a wrong value in a message */
	RATIO_DIGITS = 18, /* of a ratio are read; the others only count */
	RATIO_EXPONENT =
		22 /* 10 to the 22nd is the last power that a double has exactly */
};

static const struct {
	const char *name;
	bool is_string;	 /* in JSON */
	bool is_present; /* in every row */
} fields[FIELD_FIGURES] = {
	[FIELD_TIME] = {"time", true, true},
	[FIELD_PID] = {"pid", false, true},
	[FIELD_COMM] = {"comm", true, false},
	[FIELD_ALLOCATOR] = {"allocator", true, false},
	[FIELD_SOURCE] = {"source", true, true},
	[FIELD_STATUS] = {"status", true, true},
	[FIELD_MISSING] = {"missing", true, false},
	[FIELD_ARENA] = {"arena", false, false},
	[FIELD_ARENA_ADDR] = {"arena_addr", true, false},
	[FIELD_HOST] = {"host", true, false},
	[FIELD_STARTED] = {"started", true, false},
};

void passed_over_init(struct passed_over *passed)
{
	passed->count = 0;
	text_init(&passed->names, passed->buf, sizeof(passed->buf));
}

/* Whether NAME is in the list "one, other". */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list) {
		size_t span = strcspn(list, ",");

		if (span == length && !strncmp(list, name, length))
			return true;
		list += span;
		list += strspn(list, ", ");
	}
	return false;
}

void passed_over_add(struct passed_over *passed, const char *name)
{
	size_t before = passed->names.length;

	/* Beyond a full list names cannot be told from those before: they are not
	 * counted. */
	if (passed->names.overflow || is_listed(passed->buf, name))
		return;
	passed->count++;
	if (before)
		text_string(&passed->names, ", ");
	text_printable(&passed->names, name, SIZE_MAX);
	if (!passed->names.overflow)
		return;
	/* A name that does not fit is not left in halves. */
	passed->names.length = before;
	passed->buf[before] = '\0';
}

int place_fault(const struct recording_place *place, const char *format, ...)
{
	char text[FAULT_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return fault_set(place->fault, EXIT_FAILED, -EPROTO,
			 "recording '%s', line %llu: %s", place->file,
			 (unsigned long long)place->line, text);
}

const char *field_name(unsigned field)
{
	if (field < FIELD_FIGURES)
		return fields[field].name;
	return figure_info[(field - FIELD_FIGURES) % FIG_COUNT].name;
}

bool field_is_string(unsigned field)
{
	return field < FIELD_FIGURES && fields[field].is_string;
}

unsigned field_of_range(const char *name, size_t length, bool high)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_can_be_estimated(f) && strlen(figure_info[f].name) == length &&
		    !strncmp(figure_info[f].name, name, length))
			return (high ? FIELD_HIGHS : FIELD_LOWS) + f;
	return FIELD_UNKNOWN;
}

/* Whether NAME ends with SUFFIX; then *LENGTH is that of what is before it. */
static bool ends_with(const char *name, const char *suffix, size_t *length)
{
	size_t all = strlen(name), part = strlen(suffix);

	*length = all > part ? all - part : 0;
	return *length && !strcmp(name + *length, suffix);
}

/* Rows have their fields in the catalogue's order, so the hint mostly holds. */
unsigned field_find(const char *name, unsigned hint)
{
	size_t length;

	if (hint < FIELD_LOWS && !strcmp(field_name(hint), name))
		return hint;
	for (unsigned field = 0; field < FIELD_LOWS; field++)
		if (!strcmp(field_name(field), name))
			return field;
	if (ends_with(name, "_low", &length))
		return field_of_range(name, length, false);
	if (ends_with(name, "_high", &length))
		return field_of_range(name, length, true);
	return FIELD_UNKNOWN;
}

/* ---- values ---- */

/* Takes DIGITS digits and the character AFTER from *AT; its value, or -1. */
static int64_t take_digits(const char **at, unsigned digits, char after)
{
	int64_t value = 0;

	for (unsigned i = 0; i < digits; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	return *(*at)++ == after ? value : -1;
}

/* Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the
 * leap day is their last. */
static int64_t days_from_1970(int64_t year, int64_t month, int64_t day)
{
	int64_t era_year = month > 2 ? year : year - 1;
	int64_t month_from_march = (month + 9) % 12;

	return era_year * 365 + era_year / 4 - era_year / 100 + era_year / 400 +
	       (month_from_march * 153 + 2) / 5 + day - 1 - 719468;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
	static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (leap && month == 2);
}

/* The fraction at *AT, with its 'Z', in ns; or -1. Digits past the ninth are dropped. */
static int64_t take_fraction(const char **at)
{
	int64_t value = 0, unit = SECOND_NS;

	if (**at == '.')
		for ((*at)++; **at >= '0' && **at <= '9'; (*at)++) {
			unit /= 10;
			value += unit * (**at - '0');
		}
	return *(*at)++ == 'Z' ? value : -1;
}

/* "2026-11-21T05:17:43.123Z", as clock_rfc3339 writes it. */
static bool parse_time(const char *value, int64_t *time_ns)
{
	int64_t year = take_digits(&value, 4, '-');
	int64_t month = year < 0 ? -1 : take_digits(&value, 2, '-');
	int64_t day = month < 0 ? -1 : take_digits(&value, 2, 'T');
	int64_t hour = day < 0 ? -1 : take_digits(&value, 2, ':');
	int64_t minute = hour < 0 ? -1 : take_digits(&value, 2, ':');
	int64_t second = -1, fraction_ns;

	if (minute < 0 || value[0] < '0' || value[0] > '5' || value[1] < '0' ||
	    value[1] > '9')
		return false;
	second = (value[0] - '0') * 10 + (value[1] - '0');
	value += 2;
	fraction_ns = take_fraction(&value);
	if (fraction_ns < 0 || *value || month < 1 || month > 12 || day < 1 ||
	    day > days_of_month(year, month) || hour > 23 || minute > 59)
		return false;
	second += (days_from_1970(year, month, day) * 24 + hour) * 3600 + minute * 60;
	return !__builtin_mul_overflow(second, SECOND_NS, time_ns) &&
	       !__builtin_add_overflow(*time_ns, fraction_ns, time_ns);
}

static double power_of_ten(int exponent)
{
	double power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

/* The exponent at *AT, "e-5", or 0; beyond what any ratio has it is cut. */
static int take_exponent(const char **at)
{
	int sign = 1, value = 0;

	if (**at != 'e' && **at != 'E')
		return 0;
	(*at)++;
	if (**at == '-')
		sign = -1;
	*at += **at == '-' || **at == '+';
	for (; **at >= '0' && **at <= '9'; (*at)++)
		value = value > RATIO_EXPONENT ? value : value * 10 + (**at - '0');
	return sign * value;
}

/* A number as the formats write it, in any locale. The digits are one whole number, so
 * that the nearest double comes out and prints as it was read. */
static bool parse_ratio(const char *value, double *ratio)
{
	uint64_t mantissa = 0;
	int exponent = 0, digits = 0;
	bool negative = *value == '-', fraction = false;
	const char *at = value + negative;

	for (; (*at >= '0' && *at <= '9') || (*at == '.' && !fraction); at++) {
		if (*at == '.') {
			fraction = true;
			continue;
		}
		if (digits < RATIO_DIGITS) {
			mantissa = mantissa * 10 + (uint64_t)(*at - '0');
			digits += mantissa != 0;
			exponent -= fraction;
		} else {
			exponent += !fraction;
		}
	}
	if (at == value + negative || at[-1] == '.')
		return false;
	exponent += take_exponent(&at);
	if (*at || exponent > RATIO_EXPONENT)
		return false;
	*ratio = exponent < -RATIO_EXPONENT ? 0
		 : exponent < 0		    ? (double)mantissa / power_of_ten(-exponent)
					    : (double)mantissa * power_of_ten(exponent);
	*ratio = negative ? -*ratio : *ratio;
	return true;
}

static bool parse_address(const char *value, uint64_t *address)
{
	static const char digits[] = "0123456789abcdef";

	if (value[0] != '0' || value[1] != 'x' || !value[2] || strlen(value) > 18)
		return false;
	*address = 0;
	for (value += 2; *value; value++) {
		const char *digit = strchr(digits, *value);

		if (!digit)
			return false;
		*address = *address << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

static bool parse_int(const char *value, uint64_t max, uint64_t *number)
{
	return !units_parse_count(value, number) && *number <= max;
}

static bool parse_text(const char *value, char *text)
{
	size_t length = strlen(value);

	if (length >= SAMPLE_TEXT)
		return false;
	memcpy(text, value, length + 1);
	return true;
}

static bool parse_source(const char *value, enum sample_source *source)
{
	static const enum sample_source all[] = {SOURCE_HEAP, SOURCE_PROC,
						 SOURCE_PRELOAD};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*source = all[i];
		if (!strcmp(sample_source_name(all[i]), value))
			return true;
	}
	return false;
}

static bool parse_status(const char *value, enum sample_status *status)
{
	static const enum sample_status all[] = {STATUS_COMPLETE, STATUS_TORN,
						 STATUS_PARTIAL, STATUS_ESTIMATED};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*status = all[i];
		if (!strcmp(sample_status_name(all[i]), value))
			return true;
	}
	return false;
}

static bool parse_figure(const char *value, enum figure f, struct figures *fig)
{
	uint64_t number;
	double ratio;

	if (figure_info[f].unit == UNIT_RATIO) {
		if (!parse_ratio(value, &ratio))
			return false;
		figure_set_ratio(fig, f, ratio);
		return true;
	}
	if (!parse_int(value, UINT64_MAX, &number))
		return false;
	figure_set(fig, f, number);
	return true;
}

/* One end of the interval of a figure that is there already. */
static bool parse_bound(const char *value, unsigned field, struct figures *fig)
{
	enum figure f = (enum figure)((field - FIELD_FIGURES) % FIG_COUNT);
	double low, high, bound = 0;
	uint64_t number = 0;
	bool good = figure_info[f].unit == UNIT_RATIO
			    ? parse_ratio(value, &bound)
			    : parse_int(value, UINT64_MAX, &number);

	if (!good || !figure_has(fig, f))
		return false;
	if (figure_info[f].unit != UNIT_RATIO)
		bound = (double)number;
	figure_range(fig, f, &low, &high);
	if (field < FIELD_HIGHS)
		figure_set_range(fig, f, bound, high);
	else
		figure_set_range(fig, f, low, bound);
	return true;
}

static bool parse_identity(struct recorded *row, enum field field, const char *value)
{
	uint64_t number = 0;
	bool good = false;

	switch (field) {
	case FIELD_TIME:
		return parse_time(value, &row->time_ns);
	case FIELD_PID:
		good = parse_int(value, INT_MAX, &number);
		row->pid = (int)number;
		return good;
	case FIELD_COMM:
		return parse_text(value, row->comm);
	case FIELD_ALLOCATOR:
		return parse_text(value, row->allocator);
	case FIELD_SOURCE:
		return parse_source(value, &row->source);
	case FIELD_STATUS:
		return parse_status(value, &row->status);
	case FIELD_MISSING:
		return parse_text(value, row->missing);
	case FIELD_ARENA:
		good = parse_int(value, UINT_MAX, &number);
		row->arena = (unsigned)number;
		return good;
	case FIELD_ARENA_ADDR:
		return parse_address(value, &row->arena_addr);
	case FIELD_HOST:
		return parse_text(value, row->origin.host);
	case FIELD_STARTED:
		return parse_time(value, &row->origin.started_ns);
	default:
		return false;
	}
}

static int bad_value(unsigned field, const char *value,
		     const struct recording_place *place)
{
	char buf[SHOWN * 4 + 1];
	struct text shown;

	text_init(&shown, buf, sizeof(buf));
	text_printable(&shown, value, SHOWN);
	return place_fault(place, "'%s' cannot be '%s'", field_name(field), buf);
}

int field_set(struct recorded *row, unsigned field, const char *value,
	      const struct recording_place *place)
{
	bool again, good;

	if (field < FIELD_FIGURES) {
		again = row->seen >> field & 1;
		good = parse_identity(row, (enum field)field, value);
		row->seen |= 1U << field;
	} else if (field >= FIELD_LOWS) {
		again = false;
		good = parse_bound(value, field, &row->fig);
	} else {
		enum figure f = (enum figure)(field - FIELD_FIGURES);

		again = figure_has(&row->fig, f);
		good = parse_figure(value, f, &row->fig);
	}
	if (again)
		return place_fault(place, "'%s' is there twice", field_name(field));
	return good ? 0 : bad_value(field, value, place);
}

int row_check(const struct recorded *row, const struct recording_place *place)
{
	for (unsigned field = 0; field < FIELD_FIGURES; field++)
		if (fields[field].is_present && !(row->seen >> field & 1))
			return place_fault(place, "it has no '%s'", field_name(field));
	return 0;
}
