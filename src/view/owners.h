/* owners.h: who holds chunks, in one of four formats: text, JSON, a graph for dot(1), and
 * folded paths for a flame graph. */
#ifndef FRAGSCOPE_VIEW_OWNERS_H
#define FRAGSCOPE_VIEW_OWNERS_H

#include "base/text.h"
#include "base/units.h"
#include "sample/owners.h"

#include <stddef.h>

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
	int64_t time_ns; /* of a recording: when it was; 0: now */
	bool live;	 /* all live chunks were asked about, not those that pin */
	unsigned top;	 /* answers to write */
};

/* The path of OWNER on one line: "sessions (sessiond+0x4040) -> 1 chunk of 512K -> ...".
 */
void owners_line(const struct owner *owner, char *line, size_t size);

/* What would come back without OWNER, one of OWNERS; of a random sample, in which that is
 * not known, the share of the chunks that it holds. */
struct units_text owners_weight(const struct owners *owners, const struct owner *owner);

/* The member "owners" of a JSON object: the first COUNT. */
void owners_member(struct text *text, const struct owners *owners, unsigned count);

/* Writes OWNERS to FD. 0 or -errno. */
int owners_write(const struct owners *owners, const struct owners_about *about,
		 enum owners_format format, int fd);

#endif
