#include "base/json_scan.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>

enum { DEPTH = 64 };

void json_scan_init(struct json_scan *scan, const char *text)
{
	*scan = (struct json_scan){.at = text};
}

static void skip_space(struct json_scan *scan)
{
	scan->at += strspn(scan->at, " \t\r\n");
}

char json_scan_peek(struct json_scan *scan)
{
	char c;

	if (scan->failed)
		return '\0';
	skip_space(scan);
	c = *scan->at;
	if (c == '-' || (c >= '0' && c <= '9'))
		return '0';
	return c && strchr("{[\"tfn", c) ? c : '\0';
}

/* Takes C if it is next. */
static bool take_if(struct json_scan *scan, char c)
{
	if (scan->failed)
		return false;
	skip_space(scan);
	if (*scan->at != c)
		return false;
	scan->at++;
	return true;
}

static void expect(struct json_scan *scan, char c)
{
	if (!take_if(scan, c))
		scan->failed = true;
}

bool json_scan_next(struct json_scan *scan, char open, bool *inside)
{
	char close = open == '{' ? '}' : ']';

	if (!*inside) {
		expect(scan, open);
		*inside = true;
		return !take_if(scan, close) && !scan->failed;
	}
	if (take_if(scan, close))
		return false;
	expect(scan, ',');
	return !scan->failed;
}

/* The value of C as a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *place = c ? strchr(digits, c) : NULL;

	return place ? (int)((place - digits) % 16) : -1;
}

/* The four digits at AT, or 0. */
static uint32_t hex_four(const char *at)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return 0;
		value = value * 16 + (uint32_t)digit;
	}
	return value;
}

static void append_utf8(struct text *out, uint32_t c)
{
	if (c < 0x80) {
		text_char(out, (char)c);
	} else if (c < 0x800) {
		text_char(out, (char)(0xc0 | c >> 6));
		text_char(out, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		text_char(out, (char)(0xe0 | c >> 12));
		text_char(out, (char)(0x80 | (c >> 6 & 63)));
		text_char(out, (char)(0x80 | (c & 63)));
	} else {
		text_char(out, (char)(0xf0 | c >> 18));
		text_char(out, (char)(0x80 | (c >> 12 & 63)));
		text_char(out, (char)(0x80 | (c >> 6 & 63)));
		text_char(out, (char)(0x80 | (c & 63)));
	}
}

/* What follows "\u"; a pair of surrogates is one character. */
static void take_code(struct json_scan *scan, struct text *out)
{
	uint32_t c = hex_four(scan->at), low;

	if (!c || (c >= 0xdc00 && c < 0xe000)) {
		scan->failed = true;
		return;
	}
	scan->at += 4;
	if (c == 0xfffd) {
		text_char(out, '\xff');
		return;
	}
	if (c >= 0xd800 && c < 0xdc00) {
		low = scan->at[0] == '\\' && scan->at[1] == 'u' ? hex_four(scan->at + 2)
								: 0;
		if (low < 0xdc00 || low >= 0xe000) {
			scan->failed = true;
			return;
		}
		scan->at += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	append_utf8(out, c);
}

static void take_escape(struct json_scan *scan, struct text *out)
{
	static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t"; /* letter, character */
	char letter = *scan->at;

	if (letter == 'u') {
		scan->at++;
		take_code(scan, out);
		return;
	}
	for (size_t i = 0; letter && letters[i]; i += 2) {
		if (letter != letters[i])
			continue;
		text_char(out, letters[i + 1]);
		scan->at++;
		return;
	}
	scan->failed = true;
}

/* What is no UTF-8 passes: names of processes need not be. */
void json_scan_string(struct json_scan *scan, char *out, size_t size)
{
	struct text text;

	text_init(&text, out, size);
	expect(scan, '"');
	while (!scan->failed && *scan->at != '"') {
		unsigned char c = (unsigned char)*scan->at;

		if (c < 0x20) {
			scan->failed = true;
		} else {
			scan->at++;
			if (c == '\\')
				take_escape(scan, &text);
			else
				text_char(&text, (char)c);
		}
	}
	expect(scan, '"');
	scan->too_long |= text.overflow;
	scan->failed |= text.overflow;
}

void json_scan_key(struct json_scan *scan, char *out, size_t size)
{
	json_scan_string(scan, out, size);
	expect(scan, ':');
}

static const char *digits_from(const char *at)
{
	return at + strspn(at, "0123456789");
}

/* The end of the number that AT begins with, or null. */
static const char *number_end(const char *at)
{
	const char *end;

	at += *at == '-';
	end = digits_from(at);
	if (end == at || (*at == '0' && end > at + 1))
		return NULL;
	if (*end == '.') {
		at = end + 1;
		end = digits_from(at);
		if (end == at)
			return NULL;
	}
	if (*end == 'e' || *end == 'E') {
		at = end + 1;
		at += *at == '+' || *at == '-';
		end = digits_from(at);
		if (end == at)
			return NULL;
	}
	return end;
}

void json_scan_number(struct json_scan *scan, char *out, size_t size)
{
	const char *end;
	size_t length;

	out[0] = '\0';
	if (json_scan_peek(scan) != '0' || !(end = number_end(scan->at))) {
		scan->failed = true;
		return;
	}
	length = (size_t)(end - scan->at);
	if (length >= size) {
		scan->failed = scan->too_long = true;
		return;
	}
	memcpy(out, scan->at, length);
	out[length] = '\0';
	scan->at = end;
}

static void take_word(struct json_scan *scan)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);

		if (strncmp(scan->at, words[i], length) != 0)
			continue;
		scan->at += length;
		return;
	}
	scan->failed = true;
}

/* A string that nobody wants may be of any length. */
static void skip_string(struct json_scan *scan)
{
	expect(scan, '"');
	while (!scan->failed && *scan->at != '"') {
		if ((unsigned char)*scan->at < 0x20 ||
		    (*scan->at == '\\' && !*++scan->at))
			scan->failed = true;
		else
			scan->at++;
	}
	expect(scan, '"');
}

static void skip_scalar(struct json_scan *scan)
{
	const char *end;

	switch (json_scan_peek(scan)) {
	case '"':
		skip_string(scan);
		break;
	case '0':
		end = number_end(scan->at);
		scan->failed |= !end;
		scan->at = end ? end : scan->at;
		break;
	default:
		take_word(scan);
	}
}

/* The objects and arrays that are open are on a stack of its own: their number is
 * bounded, whoever wrote the text. */
void json_scan_skip(struct json_scan *scan)
{
	char open[DEPTH] = {0};
	bool inside[DEPTH] = {0};
	size_t depth = 0;

	do {
		char c = json_scan_peek(scan);

		if (c == '{' || c == '[') {
			if (depth == DEPTH) {
				scan->failed = true;
				return;
			}
			open[depth] = c;
			inside[depth++] = false;
		} else {
			skip_scalar(scan);
		}
		while (depth &&
		       !json_scan_next(scan, open[depth - 1], &inside[depth - 1]))
			depth--;
		if (depth && open[depth - 1] == '{') {
			skip_string(scan);
			expect(scan, ':');
		}
	} while (depth && !scan->failed);
}

bool json_scan_ends(struct json_scan *scan)
{
	if (scan->failed)
		return false;
	skip_space(scan);
	return !*scan->at;
}
