/* output.h: writes bytes whole. */
#ifndef FRAGSCOPE_OUTPUT_H
#define FRAGSCOPE_OUTPUT_H

#include <stddef.h>

/* Writes LENGTH bytes to FD. A descriptor that someone else made non-blocking is waited
 * for: what is written is never cut but by an error. 0 or -errno. */
int output_write(int fd, const char *bytes, size_t length);

#endif
