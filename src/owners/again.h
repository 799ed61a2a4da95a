/* again.h: the second look: whether the pointers that the ways to chunks go through are
 * there still, after the memory was looked through. */
#ifndef FRAGSCOPE_AGAIN_H
#define FRAGSCOPE_AGAIN_H

#include "owners/reach.h"

/* CHUNK was asked for; IS_THERE: so is the pointer to it, or there never was one. */
typedef void again_fn(uint32_t chunk, bool is_there, void *context);

/* Reads the last place on the way to every chunk that was asked for once more, in order
 * of address, and calls FN with each such chunk. 0 or -errno. */
int again_all(const struct reach *reach, again_fn *fn, void *context);

#endif
