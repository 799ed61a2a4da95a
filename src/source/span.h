/* span.h: a span of a recording, as it is written behind the file's name:
 * FILE@10:00-11:00.
 */
#ifndef FRAGSCOPE_SPAN_H
#define FRAGSCOPE_SPAN_H

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

enum { SPAN_FILE = 256 };

/* TEXT (null: the whole file) says FROM_NS and TO_NS once a time near it is known. */
struct time_span {
	char file[SPAN_FILE];
	const char *text;
	bool is_known;
	int64_t from_ns, to_ns; /* [FROM_NS, TO_NS) */
};

/* Takes WHAT apart, which stays the caller's. A file that has such a name is no span. 0,
 * or -errno and FAULT. */
int span_split(const char *what, struct time_span *span, struct fault *fault);

/* Works out when it is: "10:00-11:30" or "10:00:00-" on the day of NEAR_NS, local time,
 * or "2026-11-29T10:00..2026-11-30T02:00". Either end may be left out. 0, or -EINVAL and
 * FAULT. */
int span_resolve(struct time_span *span, int64_t near_ns, struct fault *fault);

#endif
