/* next.h: what a function is called by without this library: the first of its name in the
 * objects that the loader asks after this one. Not by dlsym, which takes memory where it
 * finds nothing, and which is in a library of its own before glibc 2.34. */
#ifndef FRAGSCOPE_PRELOAD_NEXT_H
#define FRAGSCOPE_PRELOAD_NEXT_H

#include <stdbool.h>
#include <stdint.h>

/* A function, and where the program header of its object is, which is its alone. */
struct next {
	void *function; /* null: there is none */
	uintptr_t object;
};

struct next next_find(const char *name);

/* Whether FUNCTION is one of this library. */
bool next_is_here(const void *function);

#endif
