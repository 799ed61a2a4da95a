/* plugin.c: a library that a program loads late; NAME is its own function's. With ALIGNED
 * it asks for memory by posix_memalign. */
#include <stdlib.h>

void NAME(size_t size);
void entry(size_t size);

static void *volatile sink;

__attribute__((noinline, noclone)) void NAME(size_t size)
{
#ifdef ALIGNED
	void *block;

	sink = posix_memalign(&block, ALIGNED, size) ? NULL : block;
#else
	sink = malloc(size);
#endif
	__asm__ volatile("" ::: "memory");
}

void entry(size_t size)
{
	NAME(size);
	__asm__ volatile("" ::: "memory");
}
