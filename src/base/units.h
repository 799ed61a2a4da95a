/* units.h: sizes, counts and times as people write and read them. */
#ifndef FRAGSCOPE_UNITS_H
#define FRAGSCOPE_UNITS_H

#include "base/text.h"

#include <stdint.h>

/* Bytes in at most 5 columns, in powers of 1024: "1023", "1.21G", "1023K". */
void units_bytes(struct text *text, uint64_t bytes);

/* A count in at most 5 columns: exact to 99999, then in powers of 1000: "1.21m", "152k".
 * Small letters tell a count from bytes. */
void units_count(struct text *text, uint64_t count);

/* A time in at most 6 columns: "850ns", "1.21ms", "365ms", "90.0s"; seconds at most. */
void units_ns(struct text *text, uint64_t ns);

/* A ratio in at most 5 columns while it is below 100000: "0.950", "12.34", "123.4". */
void units_ratio(struct text *text, double ratio);

/* The same as strings, for formats: units_bytes_text(bytes).s lives as long as the
 * expression that it stands in. */
struct units_text {
	char s[16];
};

struct units_text units_bytes_text(uint64_t bytes);
struct units_text units_count_text(uint64_t count);
struct units_text units_ns_text(uint64_t ns);

/* COUNT things: "1 chunk", "12 chunks", "152k chunks". NOUN
 * is the singular, of 40 bytes at most; its plural is regular. */
struct units_words {
	char s[64];
};

struct units_words units_counted_text(uint64_t count, const char *noun);

/* "1st", "2nd", "11th". */
struct units_text units_ordinal_text(uint64_t number);

/* A share of 0 to 1 in percent: "97%", "0.4%". */
struct units_text units_share_text(double share);

/* A time of seconds up to years, as people say it: "12 s", "3.5 min", "2.1 days". */
struct units_text units_span_text(double seconds);

/* VALUE to the nearest whole number: 0 of what is below 0 or no number, 2^64 - 1 of what
 * is above. */
uint64_t units_whole(double value);

/* A whole number without sign. 0, -EINVAL when STRING is none, -ERANGE when it is above
 * 2^64 - 1. */
int units_parse_count(const char *string, uint64_t *count);

/* A size: a whole number of bytes, or of K, M, G or T (powers of 1024, either case), with
 * or without a B or iB behind. Errors as above. */
int units_parse_bytes(const char *string, uint64_t *bytes);

/* A time: a number, fractions allowed, of seconds or of the unit that follows it: ns, us,
 * ms, s, m, h or d; sec, second, min, minute, hour, day and their plurals are taken as
 * well.
 * Errors as above, -ERANGE beyond INT64_MAX nanoseconds. Digits past the ninth decimal
 * are dropped. */
int units_parse_ns(const char *string, int64_t *ns);

#endif
