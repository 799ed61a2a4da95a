/* missing.c: what could not be had of a reading. */
#include "glibc/parts.h"

#include <stdarg.h>
#include <stdio.h>

void heap_miss(struct heap *heap, const char *format, ...)
{
	va_list args;

	if (heap->missing[0])
		return;
	va_start(args, format);
	vsnprintf(heap->missing, sizeof(heap->missing), format, args);
	va_end(args);
}
