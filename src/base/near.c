#include "base/near.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LETTERS = 32 }; /* longer words are compared by their beginnings only */

struct near near_of(const char *word, size_t length)
{
	return (struct near){.word = word, .length = length, .distance = UINT32_MAX};
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be changed, added, left out, or swapped with their neighbour
 * (optimal string alignment). Both are LETTERS long at most. */
static unsigned distance_of(const char *a, size_t a_length, const char *b,
			    size_t b_length)
{
	unsigned row[3][LETTERS + 1];

	for (unsigned j = 0; j <= b_length; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			now[j] = least(least(last[j], now[j - 1]) + 1,
				       last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[a_length % 3][b_length];
}

void near_offer(struct near *near, const char *candidate)
{
	near_offer_part(near, candidate, strlen(candidate));
}

void near_offer_part(struct near *near, const char *candidate, size_t length)
{
	unsigned distance = UINT32_MAX;

	if (near->length > 1 && length > near->length &&
	    !memcmp(candidate, near->word, near->length))
		distance = 1;
	else if (near->length <= LETTERS && length <= LETTERS)
		distance = distance_of(near->word, near->length, candidate, length);
	if (distance > (near->length + 1) / 3 || distance >= near->distance)
		return;
	near->best = candidate;
	near->distance = distance;
}

const char *near_question(const struct near *near, const char *prefix,
			  char buf[NEAR_TEXT])
{
	*buf = '\0';
	if (near->best)
		snprintf(buf, NEAR_TEXT, ": did you mean '%s%s'?", prefix, near->best);
	return buf;
}
