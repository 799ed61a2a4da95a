/* json_scan.h: takes JSON (RFC 8259) apart, piece by piece, in place: no tree, nothing
 * allocated. The first thing that is wrong is remembered and nothing is taken after it,
 * so that a caller checks once, at the end. */
#ifndef FRAGSCOPE_JSON_SCAN_H
#define FRAGSCOPE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* AT walks through a NUL-terminated text, which stays the caller's. */
struct json_scan {
	const char *at;
	bool failed;   /* what is at AT is no JSON, or not what was asked for */
	bool too_long; /* it failed because a string or number did not fit */
};

void json_scan_init(struct json_scan *scan, const char *text);

/* What comes next: '{', '[', '"', '0' (a number), 't', 'f', 'n' (null), or NUL: neither.
 */
char json_scan_peek(struct json_scan *scan);

/* Whether there is a further member or element. OPEN is '{' or '['; *INSIDE is false at
 * first and kept between calls: the first takes the bracket, the last its counterpart. */
bool json_scan_next(struct json_scan *scan, char open, bool *inside);

/* The next string, unescaped, into OUT of SIZE bytes. "\ufffd" becomes the byte 0xff: it
 * is what json_string writes for a byte that is no UTF-8. "\u0000" is refused. */
void json_scan_string(struct json_scan *scan, char *out, size_t size);

/* The key of the next member, with its colon. */
void json_scan_key(struct json_scan *scan, char *out, size_t size);

/* The next number, as it is written. */
void json_scan_number(struct json_scan *scan, char *out, size_t size);

/* Passes over the next value, whatever it is, null included. */
void json_scan_skip(struct json_scan *scan);

/* Whether nothing but space is left, and nothing failed. */
bool json_scan_ends(struct json_scan *scan);

#endif
