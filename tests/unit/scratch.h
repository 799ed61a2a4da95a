/* scratch.h: what unit tests share: a directory that goes with the test, and random
 * numbers that are the same in each run. */
#ifndef FRAGSCOPE_TESTS_SCRATCH_H
#define FRAGSCOPE_TESTS_SCRATCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SCRATCH_NAME = 64 };

/* Makes a new directory, of that name: in memory where that can be, as a disk that is
 * waited for proves nothing. 0 or -1. */
static inline int scratch_make(char directory[SCRATCH_NAME])
{
	snprintf(directory, SCRATCH_NAME, "%s/fragscope-test-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	return mkdtemp(directory) ? 0 : -1;
}

/* Removes it with all that is in it. 0 when that was done. */
static inline int scratch_remove(const char *directory)
{
	char command[SCRATCH_NAME + 16];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

/* The number after STATE, which is not 0, by xorshift. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
