/* file.h: small files, such as those of /proc and /sys, read whole into a caller's
 * buffer. Nothing is allocated. */
#ifndef FRAGSCOPE_FILE_H
#define FRAGSCOPE_FILE_H

#include <stddef.h>
#include <stdint.h>

/* The beginning of FILE, of which ROOM bytes with the NUL are kept. 0 or -errno;
 * TEXT is a string in any case. */
int file_text(const char *file, char *text, size_t room);

/* The same of a file that may hold NULs: *LENGTH is how many bytes were kept. */
int file_bytes(const char *file, char *text, size_t room, size_t *length);

/* The whole number that FILE begins with. 0 or -errno, -EPROTO when it begins with
 * none. */
int file_number(const char *file, uint64_t *value);

/* The number that follows KEY at the beginning of a line of TEXT: "KEY: N", "KEY N". 0,
 * or -EPROTO when there is no such line or no number in it. */
int file_field(const char *text, const char *key, uint64_t *value);

#endif
