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

/* STRING for a terminal, MAX_CHARACTERS of it at most: what is a control character or no
 * UTF-8 becomes '?', since names of other people's processes are printed with it. Returns
 * how many characters that were. */
size_t text_printable(struct text *text, const char *string, size_t max_characters);

/* The length in bytes, 1 to 4, of the UTF-8 character that STRING begins with, or 0 when
 * its first byte begins no valid one. STRING must be NUL terminated and not empty. */
size_t text_utf8_length(const char *string);

#endif
