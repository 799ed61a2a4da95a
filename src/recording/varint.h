/* varint.h: numbers as bytes: seven bits each, the lowest first, the highest bit set in
 * all but the last. For the files of this directory only. */
#ifndef FRAGSCOPE_VARINT_H
#define FRAGSCOPE_VARINT_H

#include <stdbool.h>
#include <stdint.h>

enum { VARINT_MAX = 10 };

/* What is still to be read; once BAD is set nothing more is. */
struct varint_input {
	const unsigned char *at, *end;
	bool bad;
};

static inline uint64_t varint_zigzag(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

static inline uint64_t varint_unzigzag(uint64_t code)
{
	return code >> 1 ^ (0 - (code & 1));
}

/* Where the next one goes. AT has room for VARINT_MAX. */
static inline unsigned char *varint_put(unsigned char *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (unsigned char)(value | 0x80);
	*at++ = (unsigned char)value;
	return at;
}

static inline uint64_t varint_get(struct varint_input *in)
{
	uint64_t value = 0;
	unsigned char byte;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (in->at == in->end)
			break;
		byte = *in->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	in->bad = true;
	in->at = in->end;
	return 0;
}

#endif
