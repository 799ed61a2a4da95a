#include "base/alloc_touched.h"

#include <stdlib.h>
#include <unistd.h>

void *alloc_touched(size_t bytes)
{
	volatile char *memory = calloc(1, bytes);
	size_t page_bytes = sysconf(_SC_PAGESIZE);

	/* calloc's pages are promises; a write, even of zero, makes the kernel keep them.
	 * (malloc and memset would not do: compilers make calloc of them.) */
	for (size_t i = 0; memory && i < bytes; i += page_bytes)
		memory[i] = 0;
	if (memory && bytes)
		memory[bytes - 1] = 0;
	return (void *)memory;
}
