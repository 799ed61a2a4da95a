/* owners.h: who holds chunks, in one of four formats: text, JSON, a graph for dot(1), and
 * folded paths for a flame graph. */
#ifndef FRAGSCOPE_VIEW_OWNERS_H
#define FRAGSCOPE_VIEW_OWNERS_H

#include "sample/owners.h"

enum owners_format {
	OWNERS_TEXT,
	OWNERS_JSON,
	OWNERS_DOT,
	OWNERS_FOLDED,
};

/* What is written beside OWNERS. */
struct owners_about {
	int pid;
	const char *comm;
	const char *describe;
	bool live;    /* all live chunks were asked about, not those that pin */
	unsigned top; /* answers to write */
};

/* Writes OWNERS to FD. 0 or -errno. */
int owners_write(const struct owners *owners, const struct owners_about *about,
		 enum owners_format format, int fd);

#endif
