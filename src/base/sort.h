/* sort.h: sorts addresses, and the order of anything, in place, without memory of its own
 * and without a bad case. */
#ifndef FRAGSCOPE_SORT_H
#define FRAGSCOPE_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts COUNT values in ascending order. */
void sort_addresses(uint64_t *value, size_t count);

/* Removes repeated values of a sorted array; returns how many are left. */
size_t sort_unique(uint64_t *value, size_t count);

/* The index of the first value of a sorted array that is not below KEY, or COUNT. */
size_t sort_lower_bound(const uint64_t *value, size_t count, uint64_t key);

/* Whether position A comes before position B. */
typedef bool sort_before_fn(unsigned a, unsigned b, const void *context);

/* Sorts COUNT positions so that none comes before an earlier one. */
void sort_order(unsigned *order, size_t count, sort_before_fn *before,
		const void *context);

#endif
