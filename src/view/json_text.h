/* json_text.h: pieces of JSON (RFC 8259), appended to a text: commas are put where they
 * are due. */
#ifndef FRAGSCOPE_JSON_TEXT_H
#define FRAGSCOPE_JSON_TEXT_H

#include "base/text.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* VALUE as a string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_string(struct text *text, const char *value);

/* The same, in MAX_BYTES between the quotes at most: when VALUE takes more, it ends
 * in "...". MAX_BYTES is 3 at least. */
void json_string_cut(struct text *text, const char *value, size_t max_bytes);

/* The key of the next member of an object; NAME of LENGTH bytes needs no escape. */
void json_key(struct text *text, const char *name, size_t length);

void json_member_string(struct text *text, const char *name, const char *value);
void json_member_u64(struct text *text, const char *name, uint64_t value);
void json_member_i64(struct text *text, const char *name, int64_t value);
void json_member_bool(struct text *text, const char *name, bool value);

/* An address, as a string: "0x7f00dead0030". */
void json_member_addr(struct text *text, const char *name, uint64_t value);

/* An instant, as RFC 3339 in UTC. */
void json_member_time(struct text *text, const char *name, int64_t realtime_ns);

/* The members "host" and "started", as far as ORIGIN has them. */
void json_origin(struct text *text, const struct origin *origin);

/* Opens a member that is an object, or the next element of an array of objects; '}' is
 * the caller's to append. */
void json_member_object(struct text *text, const char *name);
void json_element(struct text *text);

#endif
