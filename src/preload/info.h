/* info.h: reads the text of malloc_info as it comes, in pieces of any length, and keeps
 * nothing but its sums. */
#ifndef FRAGSCOPE_PRELOAD_INFO_H
#define FRAGSCOPE_PRELOAD_INFO_H

#include "ipc/ring.h"

enum { INFO_LINE = 256 };

/* One arena while its lines come. RAW bytes hold a flag bit for every chunk. */
struct info_arena {
	uint64_t index;
	uint64_t binned_chunks, binned_raw_bytes;
	uint64_t rest_chunks, rest_raw_bytes; /* bins and the top */
	uint64_t fast_chunks, fast_bytes;
	uint64_t hole_bytes;
	uint64_t system_bytes;
};

struct info {
	struct ring_sample *sample;
	struct info_arena arena;
	uint64_t arenas;
	bool inside; /* of an arena */
	bool ended;  /* the last line has come */
	bool broken;
	unsigned length;
	char line[INFO_LINE];
};

/* SAMPLE's arenas, and the figures of the process that only they have, are filled by what
 * comes; those beyond RING_ARENAS are in the process's figures alone. */
void info_begin(struct info *info, struct ring_sample *sample);
void info_feed(struct info *info, const char *text, size_t bytes);

/* Whether all of it came and made sense; otherwise SAMPLE is as if it had not. */
bool info_end(struct info *info);

#endif
