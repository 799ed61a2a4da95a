/* text.h: builds text in a caller's buffer: no allocation, no locale, no stdio.
 * What does not fit is left out and remembered, so that a caller checks once, at the end.
 */
#ifndef FRAGSCOPE_TEXT_H
#define FRAGSCOPE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* BUF always holds LENGTH bytes and a terminating NUL. Once OVERFLOW is set nothing more
 * is appended: the text is a prefix of what was wanted. */
struct text {
	char *buf;
	size_t capacity; /* of BUF, the NUL included */
	size_t length;
	bool overflow;
};

/* Makes TEXT empty over BUF, which holds CAPACITY bytes, 1 at least. */
void text_init(struct text *text, char *buf, size_t capacity);
void text_clear(struct text *text);

void text_char(struct text *text, char c);
void text_string(struct text *text, const char *string);
void text_bytes(struct text *text, const char *bytes, size_t length);
void text_repeat(struct text *text, char c, size_t count);
void text_u64(struct text *text, uint64_t value);
void text_i64(struct text *text, int64_t value);
void text_hex(struct text *text, uint64_t value); /* lower case, "0x" before it */

/* VALUE with leading zeros, DIGITS wide at least. */
void text_digits(struct text *text, uint64_t value, unsigned digits);

/* VALUE with DECIMALS (0 to 9) places, halves rounded away from zero; "nan" or "inf" when
 * no such number can be written. */
void text_fixed(struct text *text, double value, unsigned decimals);

/* Pads what was appended since the text was FROM bytes long to WIDTH columns, with spaces
 * before it (right) or after it (left). Bytes are taken for columns. */
void text_align_right(struct text *text, size_t from, size_t width);
void text_align_left(struct text *text, size_t from, size_t width);

/* ---- texts of others ---- */

/* Names, paths, symbols and guesses come from other people's processes and files:
 * whatever shows one goes through these functions. */

/* The length in bytes of what STRING, which is not empty, begins with; *PLAIN: a
 * character that may be shown as it is. Else it is a control character, ends a line,
 * turns the direction of writing, or is a byte that is no UTF-8. */
size_t text_next(const char *string, bool *plain);

/* Appends each of the LENGTH bytes as \xNN: what is not plain is shown so. */
void text_escape(struct text *text, const char *bytes, size_t length);

/* Turns \xNN and \\ back into what they stand for, in place; a NUL stays as it is. */
void text_unescape(char *string);

/* STRING for people, MAX_COLUMNS of it at most, with escapes for what is not plain.
 * Returns how many columns that were. */
size_t text_printable(struct text *text, const char *string, size_t max_columns);

/* How many columns text_printable makes of the whole. */
size_t text_columns(const char *string);

/* The length in bytes, 1 to 4, of the UTF-8 character that STRING begins with, or 0 when
 * its first byte begins no valid one. STRING must be NUL terminated and not empty. */
size_t text_utf8_length(const char *string);

/* The code point of the valid UTF-8 character at STRING, LENGTH bytes. */
uint32_t text_code(const char *string, size_t length);

#endif
