/* strings.h: numbers out of an allocator's report, without libc. */
#ifndef FRAGSCOPE_PRELOAD_STRINGS_H
#define FRAGSCOPE_PRELOAD_STRINGS_H

#include <stdbool.h>
#include <stdint.h>

/* The text after WORD in LINE, or null. */
const char *words_after(const char *line, const char *word);

/* Reads a number at *AT, behind blanks, and moves *AT behind it; false: there is none. */
bool words_number(const char **at, uint64_t *value);

#endif
