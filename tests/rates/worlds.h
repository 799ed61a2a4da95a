/* worlds.h: programs that do not exist: their figures second by second, healthy or ill,
 * with the truth about each. Seeded: the same seed gives the same world. */
#ifndef FRAGSCOPE_TESTS_WORLDS_H
#define FRAGSCOPE_TESTS_WORLDS_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum { WORLD_VALUES = 8 };

struct world {
	const struct world_kind *kind;
	uint64_t random;
	int64_t second;
	int64_t ill_from_s; /* of the ill: when it begins */
	int pid;
	double red[WORLD_VALUES];  /* noise that follows itself */
	double keep[WORLD_VALUES]; /* what the kind remembers */
	/* What the step before gave, and the next changes. */
	double live, largest, crumbs, chunk_bytes;
};

struct world_kind {
	const char *name, *story;
	bool is_ill;
	bool (*step)(struct world *world); /* false: no reading in this second */
};

extern const struct world_kind world_kinds[];
extern const unsigned world_kind_count;

const struct world_kind *world_kind(const char *name);
void world_begin(struct world *world, const struct world_kind *kind, uint64_t seed);

/* The next second's SAMPLE; false: there is none of it. */
bool world_next(struct world *world, struct sample *sample);

#endif
