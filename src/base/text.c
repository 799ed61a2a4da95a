#include "base/text.h"

#include <math.h>
#include <string.h>

enum {
	U64_DIGITS = 20,
	ESCAPE_COLUMNS = 4, /* \xNN */
};

void text_init(struct text *text, char *buf, size_t capacity)
{
	text->buf = buf;
	text->capacity = capacity;
	text_clear(text);
}

void text_clear(struct text *text)
{
	text->length = 0;
	text->overflow = false;
	text->buf[0] = '\0';
}

/* Room for COUNT more bytes and the NUL; once refused, all is refused, so that the text
 * never has a gap in it. */
static bool has_room(struct text *text, size_t count)
{
	if (count >= text->capacity - text->length)
		text->overflow = true;
	return !text->overflow;
}

void text_bytes(struct text *text, const char *bytes, size_t length)
{
	if (!has_room(text, length))
		return;
	memcpy(text->buf + text->length, bytes, length);
	text->length += length;
	text->buf[text->length] = '\0';
}

void text_char(struct text *text, char c)
{
	text_bytes(text, &c, 1);
}

void text_string(struct text *text, const char *string)
{
	text_bytes(text, string, strlen(string));
}

void text_repeat(struct text *text, char c, size_t count)
{
	if (!has_room(text, count))
		return;
	memset(text->buf + text->length, c, count);
	text->length += count;
	text->buf[text->length] = '\0';
}

static void number(struct text *text, uint64_t value, unsigned base, unsigned min_digits)
{
	char digits[U64_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (min_digits > sizeof(digits) - at)
		text_repeat(text, '0', min_digits - (sizeof(digits) - at));
	text_bytes(text, digits + at, sizeof(digits) - at);
}

void text_u64(struct text *text, uint64_t value)
{
	number(text, value, 10, 1);
}

void text_i64(struct text *text, int64_t value)
{
	if (value < 0)
		text_char(text, '-');
	number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 1);
}

void text_hex(struct text *text, uint64_t value)
{
	text_string(text, "0x");
	number(text, value, 16, 1);
}

void text_digits(struct text *text, uint64_t value, unsigned digits)
{
	number(text, value, 10, digits);
}

void text_fixed(struct text *text, double value, unsigned decimals)
{
	const double limit = 18446744073709549568.0; /* the last double below 2^64 */
	uint64_t scale = 1;
	double magnitude;
	uint64_t scaled;

	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	magnitude = fabs(value) * (double)scale + 0.5;
	if (isnan(value)) {
		text_string(text, "nan");
		return;
	}
	if (value < 0 && magnitude >= 1)
		text_char(text, '-');
	if (magnitude > limit) {
		text_string(text, "inf");
		return;
	}
	scaled = (uint64_t)magnitude;
	text_u64(text, scaled / scale);
	if (decimals) {
		text_char(text, '.');
		text_digits(text, scaled % scale, decimals);
	}
}

void text_align_right(struct text *text, size_t from, size_t width)
{
	size_t length = text->length - from;
	size_t pad = width > length ? width - length : 0;

	if (!pad || !has_room(text, pad))
		return;
	memmove(text->buf + from + pad, text->buf + from, length + 1);
	memset(text->buf + from, ' ', pad);
	text->length += pad;
}

void text_align_left(struct text *text, size_t from, size_t width)
{
	size_t length = text->length - from;

	if (width > length)
		text_repeat(text, ' ', width - length);
}

/* The shortest form only, no surrogates, nothing above U+10FFFF: the second byte's range
 * depends on the first (Unicode, table 3-7). */
size_t text_utf8_length(const char *string)
{
	static const struct {
		unsigned char first, last, low, high, length;
	} forms[] = {
		{0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const unsigned char *s = (const unsigned char *)string;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		n = forms[i].length;
		if (n > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
	}
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

uint32_t text_code(const char *string, size_t length)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = (unsigned char)string[0] & first_bits[length];

	for (size_t i = 1; i < length; i++)
		code = code << 6 | ((unsigned char)string[i] & 0x3f);
	return code;
}

/* Control characters, what ends lines, and what turns the direction of writing, so that
 * the text behind it reads otherwise than it is. */
static bool is_plain(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x00, 0x1f},	  {0x7f, 0x9f},	    {0x061c, 0x061c},
		{0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return false;
	return true;
}

size_t text_next(const char *string, bool *plain)
{
	size_t length = text_utf8_length(string);

	*plain = length && is_plain(text_code(string, length));
	return length ? length : 1;
}

void text_escape(struct text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		text_string(text, "\\x");
		number(text, (unsigned char)bytes[i], 16, 2);
	}
}

/* The value of the two hexadecimal digits at STRING; 0 when there are none. */
static unsigned hex_byte(const char *string)
{
	static const char digits[] = "0123456789abcdef";
	const char *high = *string ? strchr(digits, string[0]) : NULL;
	const char *low = high && string[1] ? strchr(digits, string[1]) : NULL;

	return low ? (unsigned)((high - digits) << 4 | (low - digits)) : 0;
}

void text_unescape(char *string)
{
	char *to = string;

	while (*string) {
		unsigned byte =
			string[0] == '\\' && string[1] == 'x' ? hex_byte(string + 2) : 0;

		if (byte) {
			*to++ = (char)byte;
			string += ESCAPE_COLUMNS;
		} else {
			string += string[0] == '\\' && string[1] == '\\';
			*to++ = *string++;
		}
	}
	*to = '\0';
}

/* The columns of what STRING begins with, and how many bytes that is. */
static size_t next_columns(const char *string, size_t *length, bool *plain)
{
	*length = text_next(string, plain);
	return *plain ? 1 : ESCAPE_COLUMNS * *length;
}

size_t text_printable(struct text *text, const char *string, size_t max_columns)
{
	size_t columns = 0, length;
	bool plain;

	for (; *string; string += length) {
		size_t more = next_columns(string, &length, &plain);

		if (more > max_columns - columns)
			break;
		if (plain)
			text_bytes(text, string, length);
		else
			text_escape(text, string, length);
		columns += more;
	}
	return columns;
}

size_t text_columns(const char *string)
{
	size_t columns = 0, length;
	bool plain;

	for (; *string; string += length)
		columns += next_columns(string, &length, &plain);
	return columns;
}
