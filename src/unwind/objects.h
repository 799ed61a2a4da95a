/* objects.h: the data of the files that a process has mapped, by address: what is called
 * so in the file, and the bytes that the file has there. Nothing of the target is read.
 */
#ifndef FRAGSCOPE_OBJECTS_H
#define FRAGSCOPE_OBJECTS_H

#include "target/process.h"

#include <stddef.h>
#include <stdint.h>

/* The data object that covers ADDR, by the symbols of the file mapped there, demangled
 * ("vtable for shop::Basket<int>"), cut at SIZE, into NAME. Allocates for the time of the
 * call. 0; -ENOENT when there is no such file or symbol; -errno. */
int object_name(const struct process *process, uint64_t addr, char *name, size_t size);

/* What a type is called that RTTI calls MANGLED ("N4shop6BasketIiEE"). 0, or -ENOENT when
 * that is no name of a class. */
int object_class(const char *mangled, char *name, size_t size);

/* BYTES of the file mapped at ADDR into TO: what the memory holds, where neither the
 * program nor its loader has written to it. 0, -ENOENT or -errno. */
int object_bytes(const struct process *process, uint64_t addr, void *to, size_t bytes);

/* The name that a symbol table has as RAW, for people: demangled, cut at SIZE. */
void object_readable(const char *raw, char *name, size_t size);

#endif
