#include "preload/settings.h"

#define SECOND_NS   INT64_C(1000000000)
#define SHORTEST_NS INT64_C(1000000)
#define LONGEST_NS  (24 * 3600 * SECOND_NS)

enum { PPM = 1000000 };

/* A piece of the variable; nothing is copied. */
struct slice {
	const char *at;
	const char *end;
};

struct unit {
	const char *name;
	int64_t scale;
};

static const struct unit time_units[] = {
	{"", SECOND_NS},	 {"ns", 1},	   {"us", 1000},
	{"ms", 1000000},	 {"s", SECOND_NS}, {"m", 60 * SECOND_NS},
	{"h", 3600 * SECOND_NS}, {NULL, 0},
};

static const struct unit no_units[] = {
	{"", 1},
	{NULL, 0},
};

static const struct unit share_units[] = {
	{"", PPM / 100},
	{"%", PPM / 100},
	{NULL, 0},
};

static bool is(struct slice piece, const char *word)
{
	while (piece.at < piece.end && *word && *piece.at == *word) {
		piece.at++;
		word++;
	}
	return piece.at == piece.end && !*word;
}

static const struct unit *find_unit(struct slice piece, const struct unit *units)
{
	while (units->name && !is(piece, units->name))
		units++;
	return units->name ? units : NULL;
}

/* Digits, perhaps with a fraction, and a unit. What is below one is cut off. */
static bool amount(struct slice piece, const struct unit *units, int64_t *value)
{
	const struct unit *unit;
	int64_t whole = 0, fraction = 0, parts = 1;
	const char *start = piece.at;

	for (; piece.at < piece.end && *piece.at >= '0' && *piece.at <= '9'; piece.at++)
		if (whole < LONGEST_NS)
			whole = whole * 10 + (*piece.at - '0');
	if (piece.at == start)
		return false;
	if (piece.at < piece.end && *piece.at == '.')
		piece.at++;
	for (; piece.at < piece.end && *piece.at >= '0' && *piece.at <= '9'; piece.at++)
		if (parts < PPM) {
			fraction = fraction * 10 + (*piece.at - '0');
			parts *= 10;
		}
	unit = find_unit(piece, units);
	if (!unit || whole > LONGEST_NS / unit->scale)
		return false;
	*value = whole * unit->scale + fraction * unit->scale / parts;
	return true;
}

static void set(struct settings *settings, struct slice name, struct slice value)
{
	int64_t number;

	if (is(name, "children"))
		settings->children = !is(value, "no");
	else if (is(name, "interval") && amount(value, time_units, &number))
		settings->interval_ns = number < SHORTEST_NS ? SHORTEST_NS : number;
	else if (is(name, "detail") && amount(value, time_units, &number))
		settings->detail_ns = number;
	else if (is(name, "max_cost") && amount(value, share_units, &number) &&
		 number > 1)
		settings->max_cost_ppm = number > PPM ? PPM : (uint64_t)number;
	else if (is(name, "stacks") && amount(value, no_units, &number))
		settings->stacks_bytes = (uint64_t)number;
	else if (is(name, "pid") && amount(value, no_units, &number))
		settings->pid = number;
}

/* The words from the last to the first, so that the first counts. */
void settings_read(struct settings *settings, const char *text)
{
	const char *start, *end = text;

	*settings = (struct settings){
		.interval_ns = SECOND_NS, .max_cost_ppm = PPM / 100, .children = true};
	if (!text)
		return;
	while (*end)
		end++;
	for (;;) {
		const char *equals;

		for (start = end; start > text && start[-1] != ','; start--)
			;
		for (equals = start; equals < end && *equals != '='; equals++)
			;
		if (equals < end)
			set(settings, (struct slice){start, equals},
			    (struct slice){equals + 1, end});
		if (start == text)
			return;
		end = start - 1;
	}
}

/* Where text is put, as far as there is room. */
struct out_text {
	char *at, *end;
	bool full;
};

static void put_char(struct out_text *room, char c)
{
	if (room->at < room->end)
		*room->at++ = c;
	else
		room->full = true;
}

static void put_text(struct out_text *room, const char *text)
{
	for (; *text; text++)
		put_char(room, *text);
}

static void put_number(struct out_text *room, int64_t number)
{
	int64_t scale = 1;

	while (number / scale > 9)
		scale *= 10;
	for (; scale; scale /= 10)
		put_char(room, (char)('0' + number / scale % 10));
}

bool settings_mark(char *variable, size_t bytes, const char *text, int64_t pid)
{
	struct out_text room = {.at = variable, .end = variable + bytes};

	put_text(&room, SETTINGS_VARIABLE "=pid=");
	put_number(&room, pid);
	if (text && *text) {
		put_char(&room, ',');
		put_text(&room, text);
	}
	put_char(&room, '\0');
	return !room.full;
}
