#include "unwind/demangle.h"

#include <ctype.h>
#include <stddef.h>

/* The C++ runtime's, which has no header for C. */
char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

/* A name refers back to its own parts (Itanium C++ ABI, 5.1.10: S_, S0_, T_, T0_); each
 * doubling of the text takes two references at least, so that so many make it a million
 * times as long at most. */
enum { REFERENCES_MAX = 40 };

char *demangle(const char *mangled)
{
	unsigned references = 0;

	for (const char *at = mangled; *at; at++)
		if ((*at == 'S' || *at == 'T') &&
		    (at[1] == '_' || isdigit((unsigned char)at[1]) ||
		     isupper((unsigned char)at[1])))
			references++;
	return references > REFERENCES_MAX ? NULL
					   : __cxa_demangle(mangled, NULL, NULL, NULL);
}
