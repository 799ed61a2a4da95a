/* near.h: which word of several one was meant, when what was typed is none of them. */
#ifndef FRAGSCOPE_NEAR_H
#define FRAGSCOPE_NEAR_H

#include <stddef.h>

struct near {
	const char *word;
	size_t length;	  /* of WORD */
	const char *best; /* the nearest that was offered; null: none is near */
	unsigned distance;
};

/* Looks for WORD, of which LENGTH bytes count. It stays the caller's. */
struct near near_of(const char *word, size_t length);

/* Offers CANDIDATE, which stays the caller's. It is near when WORD is the beginning of
 * it, or becomes it by few letters that are wrong, missing, too many or swapped. */
void near_offer(struct near *near, const char *candidate);

/* The same, for who may leave out what follows LENGTH bytes of CANDIDATE. */
void near_offer_part(struct near *near, const char *candidate, size_t length);

/* For messages: ": did you mean 'PREFIX''BEST'?", or nothing. BUF is of NEAR_TEXT. */
enum { NEAR_TEXT = 96 };
const char *near_question(const struct near *near, const char *prefix,
			  char buf[NEAR_TEXT]);

#endif
