#include "base/units.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS	  (60 * MINUTE_NS)
#define DAY_NS	  (24 * HOUR_NS)

/* VALUE / UNIT with three significant digits, or four from 1000 on; UNIT > 0. */
static void three_digits(struct text *text, uint64_t value, uint64_t unit)
{
	double scaled = (double)value / (double)unit;

	text_fixed(text, scaled, scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0);
}

/* The largest power of STEP at or below VALUE's, with the letter that stands for it. What
 * would round up to a full STEP takes the next letter. */
static void scaled(struct text *text, uint64_t value, uint64_t step, const char *letters)
{
	uint64_t unit = step;

	while (letters[1] && (double)value >= ((double)step - 0.5) * (double)unit) {
		unit *= step;
		letters++;
	}
	three_digits(text, value, unit);
	text_char(text, *letters);
}

void units_bytes(struct text *text, uint64_t bytes)
{
	if (bytes < 1024)
		text_u64(text, bytes);
	else
		scaled(text, bytes, 1024, "KMGTPE");
}

void units_count(struct text *text, uint64_t count)
{
	if (count < 100000)
		text_u64(text, count);
	else
		scaled(text, count, 1000, "kmgtpe");
}

void units_ns(struct text *text, uint64_t ns)
{
	static const struct {
		uint64_t below_ns, unit_ns;
		const char *name;
	} steps[] = {
		{UINT64_C(999500), 1000, "us"},
		{UINT64_C(999500000), 1000000, "ms"},
		{UINT64_MAX, 1000000000, "s"},
	};
	size_t i = 0;

	if (ns < 1000) {
		text_u64(text, ns);
		text_string(text, "ns");
		return;
	}
	while (ns >= steps[i].below_ns && steps[i].below_ns != UINT64_MAX)
		i++;
	three_digits(text, ns, steps[i].unit_ns);
	text_string(text, steps[i].name);
}

void units_ratio(struct text *text, double ratio)
{
	unsigned decimals = 3;

	for (double limit = 9.9995; decimals && ratio >= limit; limit *= 10)
		decimals--;
	text_fixed(text, ratio, decimals);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

struct units_text units_bytes_text(uint64_t bytes)
{
	struct units_text out = {""};
	struct text text;

	text_init(&text, out.s, sizeof(out.s));
	units_bytes(&text, bytes);
	return out;
}

struct units_text units_count_text(uint64_t count)
{
	struct units_text out = {""};
	struct text text;

	text_init(&text, out.s, sizeof(out.s));
	units_count(&text, count);
	return out;
}

struct units_text units_ns_text(uint64_t ns)
{
	struct units_text out = {""};
	struct text text;

	text_init(&text, out.s, sizeof(out.s));
	units_ns(&text, ns);
	return out;
}

/* "process" and "branch" take "es", "entry" becomes "entries". */
struct units_words units_counted_text(uint64_t count, const char *noun)
{
	struct units_words out = {""};
	size_t length = strlen(noun);
	struct text text;
	char last = length ? noun[length - 1] : '\0';
	bool ies = last == 'y' && length > 1 && !strchr("aeiou", noun[length - 2]);

	text_init(&text, out.s, sizeof(out.s));
	units_count(&text, count);
	text_char(&text, ' ');
	text_bytes(&text, noun, count != 1 && ies ? length - 1 : length);
	if (count == 1)
		return out;
	if (ies)
		text_string(&text, "ies");
	else
		text_string(&text, last && strchr("shx", last) ? "es" : "s");
	return out;
}

struct units_text units_ordinal_text(uint64_t number)
{
	static const char *const endings[] = {"th", "st", "nd", "rd"};
	bool is_teen = number / 10 % 10 == 1;
	struct units_text out = {""};
	struct text text;

	text_init(&text, out.s, sizeof(out.s));
	text_u64(&text, number);
	text_string(&text, endings[is_teen || number % 10 > 3 ? 0 : number % 10]);
	return out;
}

struct units_text units_share_text(double share)
{
	double percent = share * 100;
	bool needs_decimal =
		(percent > 0.05 && percent < 1) || (percent > 99 && percent < 99.95);
	struct units_text out = {""};
	struct text text;

	text_init(&text, out.s, sizeof(out.s));
	text_fixed(&text, percent, needs_decimal);
	text_char(&text, '%');
	return out;
}

uint64_t units_whole(double value)
{
	double rounded = value + 0.5;

	if (!(rounded >= 1))
		return 0;
	return rounded < 0x1p64 ? (uint64_t)rounded : UINT64_MAX;
}

struct units_text units_span_text(double seconds)
{
	static const struct {
		double below_s, unit_s;
		const char *name;
	} steps[] = {
		{100, 1, " s"},
		{6000, 60, " min"},
		{48 * 3600, 3600, " hours"},
		{800 * 86400.0, 86400, " days"},
		{0, 365.25 * 86400, " years"},
	};
	struct units_text out = {""};
	struct text text;
	size_t i = 0;

	while (i + 1 < sizeof(steps) / sizeof(*steps) && seconds >= steps[i].below_s)
		i++;
	seconds /= steps[i].unit_s;
	text_init(&text, out.s, sizeof(out.s));
	if (seconds >= 1000)
		text_string(&text, "over 1000");
	else
		text_fixed(&text, seconds, seconds < 9.95);
	/* "over 1000 years" is 15 bytes: it just fits. */
	text_string(&text, steps[i].name);
	return out;
}

/* Takes the digits at *STRING, one at least. */
static int take_number(const char **string, uint64_t *value)
{
	const char *s = *string;

	if (!is_digit(*s))
		return -EINVAL;
	for (*value = 0; is_digit(*s); s++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*s - '0'), value))
			return -ERANGE;
	*string = s;
	return 0;
}

int units_parse_count(const char *string, uint64_t *count)
{
	int error = take_number(&string, count);

	if (error)
		return error;
	return *string ? -EINVAL : 0;
}

/* How many times 1024 the unit SUFFIX is bytes; -1: there is none of that name. */
static int bytes_power(const char *suffix)
{
	static const char letters[] = "KMGTkmgt";
	const char *letter;

	if (!*suffix || !strcasecmp(suffix, "B"))
		return 0;
	letter = strchr(letters, *suffix);
	suffix++;
	if (!letter || (*suffix && strcasecmp(suffix, "B") && strcasecmp(suffix, "iB")))
		return -1;
	return (int)(letter - letters) % 4 + 1;
}

int units_parse_bytes(const char *string, uint64_t *bytes)
{
	int error = take_number(&string, bytes);
	int power = bytes_power(string);

	if (error)
		return error;
	if (power < 0)
		return -EINVAL;
	if (__builtin_mul_overflow(*bytes, UINT64_C(1) << power * 10, bytes))
		return -ERANGE;
	return 0;
}

/* The nanoseconds of one UNIT, or 0 when there is none of that name. */
static uint64_t unit_ns(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{"", SECOND_NS},	{"s", SECOND_NS},   {"ms", 1000000},
		{"us", 1000},		{"ns", 1},	    {"m", MINUTE_NS},
		{"h", HOUR_NS},		{"sec", SECOND_NS}, {"second", SECOND_NS},
		{"seconds", SECOND_NS}, {"min", MINUTE_NS}, {"minute", MINUTE_NS},
		{"minutes", MINUTE_NS}, {"hour", HOUR_NS},  {"hours", HOUR_NS},
		{"d", DAY_NS},		{"day", DAY_NS},    {"days", DAY_NS},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].name))
			return units[i].ns;
	return 0;
}

/* Takes ".DIGITS" at *STRING, if it is there, as billionths. */
static int take_fraction(const char **string, uint64_t *billionths)
{
	const char *s = *string;
	uint64_t weight = 100000000;

	*billionths = 0;
	if (*s != '.')
		return 0;
	if (!is_digit(*++s))
		return -EINVAL;
	for (; is_digit(*s); s++, weight /= 10)
		*billionths += (uint64_t)(*s - '0') * weight;
	*string = s;
	return 0;
}

int units_parse_ns(const char *string, int64_t *ns)
{
	uint64_t whole = 0, billionths, unit;
	unsigned __int128 total;
	int error = *string == '.' ? 0 : take_number(&string, &whole);

	if (!error)
		error = take_fraction(&string, &billionths);
	if (error)
		return error;
	unit = unit_ns(string);
	if (!unit)
		return -EINVAL;
	total = (unsigned __int128)whole * unit +
		(unsigned __int128)billionths * unit / 1000000000;
	if (total > INT64_MAX)
		return -ERANGE;
	*ns = (int64_t)total;
	return 0;
}
