/* codec.h: a sample as bytes: what changed since the sample before it. A figure that did
 * not change costs nothing, one that did one byte and as many as its change needs. */
#ifndef FRAGSCOPE_CODEC_H
#define FRAGSCOPE_CODEC_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CODEC_FIGURES = 256, /* a file can number so many; the catalogue has fewer */
	CODEC_TEXTS = 3,     /* comm, allocator, missing */
};

/* How a file numbers the figures: files of other versions know other ones. A number
 * without a figure here is FIG_COUNT in FIGURE. */
struct codec_numbers {
	unsigned number[FIG_COUNT];
	unsigned figure[CODEC_FIGURES];
	unsigned count;
};

/* One row as it was last, its figures by the file's numbers. */
struct codec_row {
	uint64_t have[CODEC_FIGURES / 64];
	uint64_t value[CODEC_FIGURES]; /* of a ratio: the bits of the double */
	uint64_t index, addr, status;
};

/* The sample that the next one is told against. ROW[0] is the process, ROW[1 + I] the
 * arena in place I. */
struct codec_state {
	char text[CODEC_TEXTS][SAMPLE_TEXT];
	unsigned row_capacity;
	struct codec_row row[];
};

/* Takes a state for samples of ARENAS rows at most. Null: no memory. free() it. */
struct codec_state *codec_new(unsigned arenas);

/* Forgets the sample before: the next one is written whole, and must be read so. */
void codec_reset(struct codec_state *state);

/* How many bytes a sample of ARENAS rows takes at most. */
size_t codec_bound(unsigned arenas);

/* Writes SAMPLE, without bins and classes, to BUF of codec_bound bytes, and makes STATE
 * it. Returns the length; 0: it has more arenas than STATE has room for. */
size_t codec_write(struct codec_state *state, const struct codec_numbers *numbers,
		   const struct sample *sample, unsigned char *buf);

/* Reads what codec_write wrote after the same samples. SAMPLE has its PID and time from
 * the caller; it is cleared before. 0, -EPROTO: it is damaged, or -ENOSPC: SAMPLE or
 * STATE has no room for as many arenas, *ARENAS. */
int codec_read(struct codec_state *state, const struct codec_numbers *numbers,
	       const unsigned char *data, size_t length, struct sample *sample,
	       unsigned *arenas);

#endif
