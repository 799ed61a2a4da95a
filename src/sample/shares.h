/* shares.h: of blocks that a program holds, the share that each has in what pins free
 * memory. Free bytes on a page that chunks in use lie on as well are pinned by these, by
 * each to the same part: so the shares of all chunks add up. */
#ifndef FRAGSCOPE_SHARES_H
#define FRAGSCOPE_SHARES_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

struct pin_share {
	uint64_t block; /* as malloc gave it out */
	uint64_t bytes; /* that were asked for */
	bool is_found;	/* a chunk in use of the heap begins there, and holds as many */
	double pinned_bytes;
};

struct pin_shares {
	struct pin_share *share; /* in order of address */
	unsigned count;
	enum sample_status status;
	char missing[SAMPLE_TEXT]; /* empty unless STATUS_PARTIAL */
	uint64_t in_doubt_bytes;
	uint64_t pinned_bytes; /* of the whole heap */
};

#endif
