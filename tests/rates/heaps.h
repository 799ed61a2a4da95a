/* heaps.h: programs whose heaps are made by chance, each of a kind of its own: what a
 * random sample of a heap has to tell rightly. */
#ifndef FRAGSCOPE_RATES_HEAPS_H
#define FRAGSCOPE_RATES_HEAPS_H

#include <stdint.h>

struct heap_kind {
	const char *name;
	/* Makes the heap of this process, of about MB megabytes, by SEED. */
	void (*make)(uint64_t seed, unsigned mb);
	const char *const *command; /* or a program that is run in its place */
	const char *meaning;
};

extern const struct heap_kind heap_kinds[];
extern const unsigned heap_kind_count;

#endif
