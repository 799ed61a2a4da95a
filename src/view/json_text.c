#include "view/json_text.h"

#include "base/clock.h"

#include <string.h>

enum { ESCAPE_BYTES = 6 }; /* the longest that stands for one character: \uXXXX */

/* The letter that stands for C behind a backslash; 0: there is none. */
static char letter_of(char c)
{
	static const char letters[] = "\"\"\\\\\nn\rr\tt\bb\ff"; /* c, its letter */

	for (size_t i = 0; letters[i]; i += 2)
		if (c == letters[i])
			return letters[i + 1];
	return '\0';
}

static void escaped(struct text *text, uint32_t code)
{
	text_string(text, "\\u");
	for (unsigned shift = 16; shift; shift -= 4)
		text_char(text, "0123456789abcdef"[code >> (shift - 4) & 15]);
}

/* Appends the character that VALUE begins with; returns how many bytes of VALUE that was.
 * Of those that are not plain all have four digits. */
static size_t character(struct text *text, const char *value)
{
	bool plain;
	size_t length = text_next(value, &plain);
	char letter = letter_of(*value);

	if (letter) {
		text_char(text, '\\');
		text_char(text, letter);
	} else if (plain) {
		text_bytes(text, value, length);
	} else {
		escaped(text,
			text_utf8_length(value) ? text_code(value, length) : 0xfffd);
	}
	return length;
}

void json_string(struct text *text, const char *value)
{
	text_char(text, '"');
	while (*value)
		value += character(text, value);
	text_char(text, '"');
}

/* How many bytes of VALUE fit into MAX_BYTES of JSON. */
static size_t fitting(const char *value, size_t max_bytes)
{
	char buf[ESCAPE_BYTES + 1];
	struct text one;
	size_t fit = 0, used = 0;

	text_init(&one, buf, sizeof(buf));
	while (value[fit]) {
		size_t taken;

		text_clear(&one);
		taken = character(&one, value + fit);
		used += one.length;
		if (used > max_bytes)
			break;
		fit += taken;
	}
	return fit;
}

void json_string_cut(struct text *text, const char *value, size_t max_bytes)
{
	static const char dots[] = "...";
	const char *end = value + fitting(value, max_bytes);

	if (!*end) {
		json_string(text, value);
		return;
	}
	end = value + fitting(value, max_bytes - strlen(dots));
	text_char(text, '"');
	while (value < end)
		value += character(text, value);
	text_string(text, dots);
	text_char(text, '"');
}

/* The comma between members is due unless the object was opened just now. */
void json_key(struct text *text, const char *name, size_t length)
{
	if (text->length && text->buf[text->length - 1] != '{')
		text_char(text, ',');
	text_char(text, '"');
	text_bytes(text, name, length);
	text_string(text, "\":");
}

void json_member_string(struct text *text, const char *name, const char *value)
{
	json_key(text, name, strlen(name));
	json_string(text, value);
}

void json_member_u64(struct text *text, const char *name, uint64_t value)
{
	json_key(text, name, strlen(name));
	text_u64(text, value);
}

void json_member_i64(struct text *text, const char *name, int64_t value)
{
	json_key(text, name, strlen(name));
	text_i64(text, value);
}

void json_member_bool(struct text *text, const char *name, bool value)
{
	json_key(text, name, strlen(name));
	text_string(text, value ? "true" : "false");
}

void json_member_addr(struct text *text, const char *name, uint64_t value)
{
	json_key(text, name, strlen(name));
	text_char(text, '"');
	text_hex(text, value);
	text_char(text, '"');
}

void json_member_object(struct text *text, const char *name)
{
	json_key(text, name, strlen(name));
	text_char(text, '{');
}

void json_element(struct text *text)
{
	if (text->length && text->buf[text->length - 1] != '[')
		text_char(text, ',');
	text_char(text, '{');
}

void json_member_time(struct text *text, const char *name, int64_t realtime_ns)
{
	json_key(text, name, strlen(name));
	text_char(text, '"');
	clock_rfc3339(text, realtime_ns);
	text_char(text, '"');
}

void json_origin(struct text *text, const struct origin *origin)
{
	if (*origin->host)
		json_member_string(text, "host", origin->host);
	if (origin->started_ns)
		json_member_time(text, "started", origin->started_ns);
}
