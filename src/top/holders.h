/* holders.h: who holds what pins the memory, on demand: the verb `owners` is run as a
 * child, so that its tables are not in this process and no reading waits for it. */
#ifndef FRAGSCOPE_TOP_HOLDERS_H
#define FRAGSCOPE_TOP_HOLDERS_H

#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HOLDERS_TEXT = 4096 };

struct holders {
	pid_t child; /* 0: there is none */
	int fd;	     /* what it writes; -1 */
	int pid;     /* whom it looks at */
	int64_t begin_ns;
	char said[HOLDERS_TEXT];
	size_t length;
};

void holders_open(struct holders *holders);

/* Ends a child that is still at it. */
void holders_close(struct holders *holders);

/* Begins to look at PID. 0, or -errno. */
int holders_ask(struct holders *holders, int pid);

/* For when FD is readable. True: the child has ended, and TITLE, of SIZE bytes, and TEXT
 * have what it found, or why it found nothing. */
bool holders_take(struct holders *holders, char *title, size_t size, struct text *text);

#endif
