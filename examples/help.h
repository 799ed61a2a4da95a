/* help.h: what every example does with its arguments: --help prints what it shows, and
 * what it does not know is an error. */
#ifndef FRAGSCOPE_EXAMPLES_HELP_H
#define FRAGSCOPE_EXAMPLES_HELP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints HELP and ends if the first argument is --help or -h. Any other first argument
 * must be one of KNOWN, words with a space on both sides, or the example ends with
 * status 64. */
static inline void example_arguments(int argc, char **argv, const char *help,
				     const char *known)
{
	char word[64];

	if (argc < 2)
		return;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(help, stdout);
		exit(0);
	}
	snprintf(word, sizeof(word), " %s ", argv[1]);
	if (argc == 2 && strstr(known, word))
		return;
	fprintf(stderr, "%s: unknown argument '%s'; see --help\n", argv[0],
		argv[argc > 2 ? 2 : 1]);
	exit(64);
}

#endif
