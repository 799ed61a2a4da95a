/* sort.h: sorts addresses in place, without memory of its own and without a bad case. */
#ifndef FRAGSCOPE_SORT_H
#define FRAGSCOPE_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Sorts COUNT values in ascending order. */
void sort_addresses(uint64_t *value, size_t count);

/* Removes repeated values of a sorted array; returns how many are left. */
size_t sort_unique(uint64_t *value, size_t count);

/* The index of the first value of a sorted array that is not below KEY, or COUNT. */
size_t sort_lower_bound(const uint64_t *value, size_t count, uint64_t key);

#endif
