/* pool.c: blocks of powers of two, halved when too large, joined again with their other
 * half when both are free. */
#include "recording/pool.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	LEAST_SHIFT = 6, /* blocks of 64 bytes */
	ORDERS = 26,
	IS_FREE = 0x80,
	ORDER = 0x7f,
};

struct block {
	struct block *next, *before;
};

/* SQLite asks for its memory through functions without a context. STATE[I] is of the
 * block that begins at the Ith 64 bytes. */
static struct {
	unsigned char *memory;
	unsigned char *state;
	unsigned top_order; /* of the whole */
	struct block *free[ORDERS];
} pool;

static size_t place_of(const void *block)
{
	return (size_t)((const unsigned char *)block - pool.memory) >> LEAST_SHIFT;
}

static struct block *block_at(size_t place)
{
	return (struct block *)(void *)(pool.memory + (place << LEAST_SHIFT));
}

static void list_add(struct block *block, unsigned order)
{
	pool.state[place_of(block)] = (unsigned char)(IS_FREE | order);
	block->before = NULL;
	block->next = pool.free[order];
	if (block->next)
		block->next->before = block;
	pool.free[order] = block;
}

static void list_remove(struct block *block, unsigned order)
{
	if (block->before)
		block->before->next = block->next;
	else
		pool.free[order] = block->next;
	if (block->next)
		block->next->before = block->before;
}

static unsigned order_of(size_t bytes)
{
	unsigned order = 0;

	while (order < ORDERS && (size_t)1 << (order + LEAST_SHIFT) < bytes)
		order++;
	return order;
}

static size_t order_bytes(unsigned order)
{
	return (size_t)1 << (order + LEAST_SHIFT);
}

static void *pool_malloc(int bytes)
{
	unsigned order = order_of((size_t)bytes), from = order;
	struct block *block;

	while (from <= pool.top_order && !pool.free[from])
		from++;
	if (from > pool.top_order)
		return NULL;
	block = pool.free[from];
	list_remove(block, from);
	while (from > order) {
		from--;
		list_add(block_at(place_of(block) + ((size_t)1 << from)), from);
	}
	pool.state[place_of(block)] = (unsigned char)order;
	return block;
}

static void pool_free(void *memory)
{
	size_t place = place_of(memory), other;
	unsigned order = pool.state[place] & ORDER;

	for (; order < pool.top_order; order++) {
		other = place ^ (size_t)1 << order;
		if (pool.state[other] != (IS_FREE | order))
			break;
		list_remove(block_at(other), order);
		pool.state[place] = pool.state[other] = ORDER;
		place = place < other ? place : other;
	}
	list_add(block_at(place), order);
}

static int pool_size(void *memory)
{
	return (int)order_bytes(pool.state[place_of(memory)] & ORDER);
}

static void *pool_realloc(void *memory, int bytes)
{
	size_t old = (size_t)pool_size(memory);
	void *larger;

	if ((size_t)bytes <= old)
		return memory;
	larger = pool_malloc(bytes);
	if (!larger)
		return NULL;
	memcpy(larger, memory, old);
	pool_free(memory);
	return larger;
}

static int pool_roundup(int bytes)
{
	return (int)order_bytes(order_of((size_t)bytes));
}

static int pool_start(void *context)
{
	(void)context;
	return SQLITE_OK;
}

static void pool_stop(void *context)
{
	(void)context;
}

static int pool_take(size_t pool_bytes)
{
	unsigned order = order_of(pool_bytes);

	if (order >= ORDERS || order_bytes(order) != pool_bytes)
		return -EINVAL;
	pool.memory = alloc_touched(pool_bytes);
	pool.state = alloc_touched(pool_bytes >> LEAST_SHIFT);
	if (!pool.memory || !pool.state)
		return -ENOMEM;
	pool.top_order = order;
	list_add(block_at(0), order);
	return 0;
}

int recorder_pool_use(size_t pool_bytes)
{
	static const sqlite3_mem_methods methods = {
		.xMalloc = pool_malloc,
		.xFree = pool_free,
		.xRealloc = pool_realloc,
		.xSize = pool_size,
		.xRoundup = pool_roundup,
		.xInit = pool_start,
		.xShutdown = pool_stop,
	};
	int error;

	if (pool.memory)
		return 0;
	error = pool_take(pool_bytes);
	if (!error && sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
		error = -EINVAL;
	return error;
}
