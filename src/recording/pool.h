/* pool.h: the memory that SQLite works in, taken whole at the start: a recorder must go
 * on when the host has none left. */
#ifndef FRAGSCOPE_POOL_RECORDER_H
#define FRAGSCOPE_POOL_RECORDER_H

#include <stddef.h>

/* Gives SQLite POOL_BYTES, a power of two, and nothing else from now on, in this process.
 * Call it before anything else of SQLite, once. 0 or -errno. */
int recorder_pool_use(size_t pool_bytes);

#endif
