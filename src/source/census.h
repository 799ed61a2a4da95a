/* census.h: the processes of this host, for somebody who is to choose one: who they are,
 * how large, with which malloc, and, asked for one by one, what a reading of them says.
 */
#ifndef FRAGSCOPE_CENSUS_H
#define FRAGSCOPE_CENSUS_H

#include "base/fault.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CENSUS_MAX = 4096 };

/* WHY_NOT is why its heap cannot be read, as far as that is known: before it was probed,
 * only what stands in the way of looking at it at all. FIG has rss_bytes, by the kernel's
 * quick counters; once it was probed, what the reading had. */
struct census_row {
	int pid;
	uint64_t start_ticks;
	char user[32];
	char comm[SAMPLE_TEXT];
	char allocator[SAMPLE_TEXT]; /* empty: not known; "glibc-2.36" once probed */
	bool probed;
	char why_not[FAULT_TEXT]; /* empty: nothing is known to stand in the way */
	struct figures fig;
};

struct census;

/* An empty census with room for CENSUS_MAX processes, some 6 MB. 0 or -ENOMEM. */
int census_new(struct census **census);
void census_free(struct census *census);

/* No more than MAX rows, which are those of the largest processes, from the next scan on;
 * CENSUS_MAX unless this is called. */
void census_limit(struct census *census, size_t max);

/* Looks at /proc: the largest CENSUS_MAX processes that have memory of their own, this
 * one left out; kernel threads and zombies have none. A process that cannot be read has a
 * row that says why. Those that were there before keep what a probe found. 0; or -errno
 * and FAULT when /proc itself cannot be read. Takes some 0.1 ms a process. */
int census_scan(struct census *census, struct fault *fault);

/* How many rows there are, and how many processes have none as there is no room. */
size_t census_count(const struct census *census);
size_t census_left_out(const struct census *census);

/* Row I, the largest process being row 0; valid until the next scan. */
const struct census_row *census_at(const struct census *census, size_t i);

/* Reads the heap of row I, once: whole if the process is not above WHOLE_BYTES resident,
 * else its heads only, which tells neither free_resident_bytes nor frag. What it found,
 * or why it could not, is in the row. Takes 10 ms and more, by the size of the heap, and
 * memory, which it gives back. */
void census_probe(struct census *census, size_t i, uint64_t whole_bytes);

#endif
