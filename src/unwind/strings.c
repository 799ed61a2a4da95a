/* strings.c: the names that events keep, each once; they outlive modules and what is
 * known of addresses. */
#include "unwind/parts.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *left, const void *right)
{
	return strcmp(left, right);
}

const char *strings_intern(struct unwinder *unwinder, const char *text)
{
	char *const *found = tfind(text, &unwinder->strings, by_text);
	char *copy;

	if (found)
		return *found;
	copy = strdup(text);
	if (copy && tsearch(copy, &unwinder->strings, by_text))
		return copy;
	free(copy);
	return NULL;
}

void strings_free(struct unwinder *unwinder)
{
	tdestroy(unwinder->strings, free);
	unwinder->strings = NULL;
}
