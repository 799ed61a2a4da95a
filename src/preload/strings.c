#include "preload/strings.h"

#include <stddef.h>

const char *words_after(const char *line, const char *word)
{
	for (; *line; line++) {
		const char *a = line, *b = word;

		while (*b && *a == *b) {
			a++;
			b++;
		}
		if (!*b)
			return a;
	}
	return NULL;
}

bool words_number(const char **at, uint64_t *value)
{
	const char *digit = *at;

	while (*digit == ' ')
		digit++;
	if (*digit < '0' || *digit > '9')
		return false;
	*value = 0;
	for (; *digit >= '0' && *digit <= '9'; digit++)
		*value = *value * 10 + (uint64_t)(*digit - '0');
	*at = digit;
	return true;
}
