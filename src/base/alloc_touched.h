/* alloc_touched.h: memory that is there when it is needed: taken at the start, and
 * touched, so that later the host may have none left. */
#ifndef FRAGSCOPE_ALLOC_TOUCHED_H
#define FRAGSCOPE_ALLOC_TOUCHED_H

#include <stddef.h>

/* BYTES of zeroes, every page of them touched; free() gives them back. Null: there is no
 * memory. */
void *alloc_touched(size_t bytes);

#endif
