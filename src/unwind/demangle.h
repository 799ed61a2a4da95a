/* demangle.h: C++ names for people, within bounds: a name of some hundred bytes can stand
 * for a text of gigabytes, and names come from the files of other people's programs. */
#ifndef FRAGSCOPE_DEMANGLE_H
#define FRAGSCOPE_DEMANGLE_H

/* What MANGLED, a symbol or the name of a type, means; the caller frees it. Null: it
 * means nothing, stands for too much, or there is no memory. */
char *demangle(const char *mangled);

#endif
