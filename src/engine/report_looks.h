/* report_looks.h: the closer looks at a process that a report takes once, in the end:
 * what pins its free memory and who holds that, a map of the heap, and its mappings. */
#ifndef FRAGSCOPE_REPORT_LOOKS_H
#define FRAGSCOPE_REPORT_LOOKS_H

#include "analysis/non_malloc.h"
#include "base/fault.h"
#include "source/source.h"
#include "view/report.h"

#include <stdbool.h>
#include <stdint.h>

enum { REPORT_MAP_CELLS = 960 };

/* Zero before. NO_BLOCKERS says why single chunks are not looked at, before or after;
 * empty: they are. */
struct report_looks {
	struct source *source;
	const struct sample *sample;
	bool no_heap; /* glibc's malloc has nothing */
	char no_blockers[FAULT_TEXT], no_owners[FAULT_TEXT];
	struct blockers blockers;
	struct owners owners;
	bool has_owners;
	struct heap_map *map;
	struct smaps smaps;
	struct verdict_non_malloc non_malloc;
	struct verdict_huge huge;
	char identity_text[BLOCKERS_BEST][CHUNK_IDENTITY];
	const char *identity[BLOCKERS_BEST];
	uint64_t survey_ns;
};

/* At the process that SOURCE reads, by SAMPLE, its last reading. */
void report_looks_take(struct report_looks *looks, struct source *source,
		       const struct sample *sample);

/* Fills in REPORT's part. */
void report_looks_fill(const struct report_looks *looks, struct report *report);

void report_looks_release(struct report_looks *looks);

#endif
