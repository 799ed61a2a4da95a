/* bytes.h: reads words out of bytes that came from elsewhere, at any alignment. */
#ifndef FRAGSCOPE_BYTES_H
#define FRAGSCOPE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t bytes_u64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t bytes_u32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

#endif
