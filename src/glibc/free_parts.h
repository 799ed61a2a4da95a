/* free_parts.h: what malloc_trim gives back of a run of free memory, and what it keeps:
 * the rules of mtrim and systrim (malloc.c, glibc 2.27 to 2.44). */
#ifndef FRAGSCOPE_FREE_PARTS_H
#define FRAGSCOPE_FREE_PARTS_H

#include <stdint.h>

/* Whole pages from FROM to TO, which may be none, are given back, if resident. The rest
 * of the run up to SHARED and from TO on is on pages that something else shares, or too
 * small; from SHARED to FROM it is kept all the same. */
struct free_parts {
	uint64_t shared;
	uint64_t from;
	uint64_t to;
};

/* Of a run [START, END) without a top chunk (malloc.c, mtrim); and of one that ends with
 * the top chunk, which is given back in multiples of UNIT_BYTES, 0: never (systrim). */
struct free_parts free_parts_of_run(unsigned page_shift, uint64_t start, uint64_t end);
struct free_parts free_parts_of_top(unsigned page_shift, uint64_t unit_bytes,
				    uint64_t start, uint64_t end);

#endif
