/* tail.c: a pinned tail.
 *
 * The story: a program reads a large document into 64 MB of small blocks, notes one line
 * about it in its log, which it keeps, and frees the document. free gives memory back to
 * the kernel only from the end of the heap, and at the end lies the line: 60 bytes hold
 * 64 MB. Had it written the line before it read the document (--before), or after that
 * was freed (--after), or had it called malloc_trim(0) in the end (--trim), the memory
 * would be gone.
 *
 * What fragscope says: a pinned tail, of how many chunks and bytes, and where they are.
 */
#include "help.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS = 16384, BLOCK = 4080, LINE = 60, SECONDS = 600 };

static void *document[BLOCKS];
static char *log_line;

static void write_line(void)
{
	log_line = malloc(LINE);
	if (!log_line)
		exit(1);
	snprintf(log_line, LINE, "a document of %d blocks was read", BLOCKS);
}

static void read_document(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		document[i] = malloc(BLOCK);
		if (!document[i])
			exit(1);
		memset(document[i], 'x', BLOCK);
	}
}

static const char help[] =
	"usage: tail [--before | --after | --trim]\n"
	"Shows a pinned tail. Reads a document into 64 MB of small blocks, writes a line "
	"of 60\n"
	"bytes to its log, and frees the document: the line is the end of the heap and "
	"keeps all\n"
	"64 MB.\n"
	"  --before   cure: writes the line before it reads the document\n"
	"  --after    cure: writes it after it has freed the document\n"
	"  --trim     cure: calls malloc_trim(0) at the end\n"
	"\n"
	"Prints READY and its PID when the document is freed; ends after 10 minutes.\n"
	"Try:  fragscope report -p PID\n";

int main(int argc, char **argv)
{
	const char *cure = argc > 1 ? argv[1] : "";

	example_arguments(argc, argv, help, " --before --after --trim ");
	alarm(SECONDS);
	/* So that this is the main arena's: standard output has its buffer now. */
	printf("reading\n");
	fflush(stdout);
	if (strcmp(cure, "--before") == 0)
		write_line();
	read_document();
	if (!log_line && strcmp(cure, "--after") != 0)
		write_line();
	for (int i = 0; i < BLOCKS; i++)
		free(document[i]);
	if (!log_line)
		write_line();
	if (strcmp(cure, "--trim") == 0)
		malloc_trim(0);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
