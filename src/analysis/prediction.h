/* prediction.h: what a trim would do, told from a reading. */
#ifndef FRAGSCOPE_PREDICTION_H
#define FRAGSCOPE_PREDICTION_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

struct prediction {
	uint64_t bytes;	 /* that would be given back */
	uint64_t faults; /* to take them back, at most */
};

/* What malloc_trim(0), or what another allocator has in its place, would do to the
 * process of SAMPLE. False: SAMPLE does not tell. */
bool predict_trim(const struct sample *sample, struct prediction *prediction);

/* How many of BYTES that a trim gives back are at least also other processes' since a
 * fork, and free on the host only when all of them have returned them: of the anonymous
 * memory so are FORKED_BYTES, and PRIVATE_BYTES are not. */
uint64_t predict_forked(uint64_t bytes, uint64_t forked_bytes, uint64_t private_bytes);

#endif
