/* plugin.c: a library that a program loads late; NAME is its own function's. */
#include <stdlib.h>

void NAME(size_t size);
void entry(size_t size);

static void *volatile sink;

__attribute__((noinline, noclone)) void NAME(size_t size)
{
	sink = malloc(size);
	__asm__ volatile("" ::: "memory");
}

void entry(size_t size)
{
	NAME(size);
	__asm__ volatile("" ::: "memory");
}
