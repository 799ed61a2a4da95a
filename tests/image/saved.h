/* saved.h: the images of tests/images, and what each program said of its own heap when it
 * was saved. */
#ifndef FRAGSCOPE_TEST_SAVED_H
#define FRAGSCOPE_TEST_SAVED_H

#include "image.h"

#include "sample/sample.h"

enum {
	SAVED_MAX = 32,
	SAVED_PATH = 512,
	SAVED_ARENAS = 16,
	SAVED_MALLINFO = 10, /* fields of struct mallinfo2, in their order */
};

struct expected_arena {
	uint64_t system_bytes;
	uint64_t fast_chunks;
	uint64_t fast_bytes;
	uint64_t rest_chunks; /* in bins, and the top */
	uint64_t rest_bytes;
	uint64_t top_bytes;
	struct arena_bins bins; /* fast[I] holds chunks of 32 + 16 * I bytes */
};

struct expected {
	uint64_t mallinfo2[SAVED_MALLINFO];
	unsigned arena_count;
	struct expected_arena arena[SAVED_ARENAS];
	uint64_t trimmed_bytes; /* what malloc_trim(0) gave back afterwards */
};

struct saved {
	char name[64];
	struct image *image;
	struct expected expected;
};

/* Loads all of them into SAVED, of SAVED_MAX entries, in order of name. How many; or
 * -errno with the path that failed, or the line, in WHY of SAVED_PATH bytes. The texts
 * are in the source directory, the images in the build directory, as the environment
 * variables FRAGSCOPE_SRCDIR and FRAGSCOPE_BUILDDIR say. */
int saved_load(struct saved *saved, char *why);
void saved_free(struct saved *saved, int count);

struct saved_all {
	struct saved saved[SAVED_MAX];
	int count;
};

/* What cmocka calls before and after tests of all of them: *STATE is a struct saved_all.
 * 0, or -1 with a message on standard error. */
int saved_setup(void **state);
int saved_teardown(void **state);

#endif
