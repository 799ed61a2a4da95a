/* tail.c: a pinned tail.
 *
 * The story: a program reads a large document into 64 MB of small blocks, notes one line
 * about it in its log, which it keeps, and frees the document. free gives memory back to
 * the kernel only from the end of the heap, and at the end lies the line: 60 bytes hold
 * 64 MB. Had it written the line before it read the document, or had it called
 * malloc_trim(0) after, the memory would be gone.
 *
 * What fragscope says: a pinned tail, of how many chunks and bytes, and where they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 16384, BLOCK = 4080, LINE = 60, SECONDS = 600 };

static void *document[BLOCKS];
static char *log_line;

int main(void)
{
	alarm(SECONDS);
	/* So that this is the main arena's: standard output has its buffer now. */
	printf("reading\n");
	fflush(stdout);
	for (int i = 0; i < BLOCKS; i++) {
		document[i] = malloc(BLOCK);
		if (!document[i])
			return 1;
		memset(document[i], 'x', BLOCK);
	}
	log_line = malloc(LINE);
	if (!log_line)
		return 1;
	snprintf(log_line, LINE, "a document of %d blocks was read", BLOCKS);
	for (int i = 0; i < BLOCKS; i++)
		free(document[i]);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
