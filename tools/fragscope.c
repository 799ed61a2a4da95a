/* fragscope.c: the table of verbs, and what the program does without one. */
#include "base/privilege.h"
#include "help.h"
#include "probe/preflight.h"
#include "verbs.h"

#include <elfutils/version.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line each, in the order of the help. */
/* clang-format off */
static const struct command *const verbs[] = {
	&command_stat,
	&command_top,
	&command_report,
	&command_owners,
	&command_alert,
	&command_trace,
	&command_run,
	&command_trim,
};
/* clang-format on */

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

static const struct command *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static void print_help(void)
{
	fputs("Usage: fragscope VERB [OPTION...] [ARGUMENT...]\n\n"
	      "Tells, from outside, where the resident memory of a live program on "
	      "glibc's\n"
	      "malloc is, and how broken its free memory is.\n\nVerbs:\n",
	      stdout);
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n"
	      "  fragscope VERB --help    a verb's options\n"
	      "  fragscope help figures   what every figure means\n"
	      "  fragscope --version      the version, and what was built in\n"
	      "  fragscope --completion   a completion for bash\n",
	      stdout);
}

static void print_version(void)
{
	printf("fragscope " PACKAGE_VERSION "\n"
	       "libelf %d.%d\n"
	       "libbpf %s\n"
	       "sources: heap (glibc 2.27 and later), preload, proc\n"
	       "probes: %s\n"
	       "formats: text, CSV, JSON lines\n",
	       _ELFUTILS_VERSION / 1000, _ELFUTILS_VERSION % 1000, preflight_library(),
	       preflight_probes());
}

static void print_completion(void)
{
	completion_print(stdout, verbs, VERB_COUNT);
}

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
	va_list args;

	fputs("fragscope: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; see 'fragscope --help'\n", stderr);
	return EXIT_USAGE;
}

static int help(const char *topic)
{
	const struct command *verb = topic ? find_verb(topic) : NULL;

	if (!topic)
		print_help();
	else if (verb)
		help_command(stdout, verb);
	else if (!strcmp(topic, "figures"))
		help_figures(stdout);
	else
		return usage("no help on '%s': it is neither a verb nor 'figures'",
			     topic);
	return EXIT_DONE;
}

/* What is printed on standard output is data: a full disk is no success. */
static int finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "fragscope: cannot write to standard output: %s\n",
		strerror(errno));
	return EXIT_FAILED;
}

/* The options that stand in a verb's place. */
static int global_option(const char *word)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} options[] = {
		{"--help", print_help},
		{"-h", print_help},
		{"--version", print_version},
		{"-V", print_version},
		{"--completion", print_completion},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].name, word) != 0)
			continue;
		options[i].print();
		return EXIT_DONE;
	}
	return usage("unknown option '%s'", word);
}

int main(int argc, char **argv)
{
	const struct command *verb;
	int error = privilege_set_aside();

	if (error) {
		fprintf(stderr, "fragscope: cannot put its privileges aside: %s\n",
			strerror(-error));
		return EXIT_NOT_PERMITTED;
	}
	if (argc < 2)
		return usage("no verb given");
	if (argv[1][0] == '-')
		return finish(argc > 2 ? usage("unexpected argument '%s'", argv[2])
				       : global_option(argv[1]));
	if (!strcmp(argv[1], "help"))
		return finish(argc > 3 ? usage("unexpected argument '%s'", argv[3])
				       : help(argv[2]));
	verb = find_verb(argv[1]);
	if (!verb)
		return usage("unknown verb '%s'", argv[1]);
	return finish(verb->run(verb, argc - 2, argv + 2));
}
