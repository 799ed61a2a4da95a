/* fragscope.c: the table of verbs, and what the program does without one. */
#include "base/near.h"
#include "base/privilege.h"
#include "help.h"
#include "probe/preflight.h"
#include "verbs.h"

#include <elfutils/version.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A line each, in the order of the help. */
/* clang-format off */
static const struct command *const verbs[] = {
	&command_stat,
	&command_top,
	&command_report,
	&command_owners,
	&command_alert,
	&command_record,
	&command_export,
	&command_diff,
	&command_trace,
	&command_run,
	&command_attach,
	&command_detach,
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
	fputs("Usage: fragscope VERB [OPTION...] [ARGUMENT...]\n"
	      "\n"
	      "Shows, from outside, where the resident memory of a live program on "
	      "glibc's\n"
	      "malloc is, and how fragmented its free memory is.\n"
	      "\n"
	      "Verbs:\n",
	      stdout);
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n"
	      "  fragscope VERB --help    a verb's options\n"
	      "  fragscope help figures   what every figure means; help FIGURE: one of "
	      "them\n"
	      "  fragscope version        the version, and what was built in\n"
	      "  fragscope --completion SHELL\n"
	      "                           a completion for bash, zsh or fish\n",
	      stdout);
}

static void print_version(void)
{
	printf("fragscope " PACKAGE_VERSION "\n"
	       "libelf %d.%d\n"
	       "libbpf %s\n"
	       "sources: heap (glibc 2.27 and later), preload, proc\n"
	       "probes: %s\n"
	       "formats: text, CSV, JSON lines, SQLite\n",
	       _ELFUTILS_VERSION / 1000, _ELFUTILS_VERSION % 1000, preflight_library(),
	       preflight_probes());
}

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
	char what[FAULT_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fprintf(stderr, "fragscope: %s%s 'fragscope --help'\n", what,
		what[strlen(what) - 1] == '?' ? " See" : "; see");
	return EXIT_USAGE;
}

static int unknown_verb(const char *word)
{
	struct near near = near_of(word, strlen(word));
	char question[NEAR_TEXT];

	for (size_t i = 0; i < VERB_COUNT; i++)
		near_offer(&near, verbs[i]->name);
	near_offer(&near, "help");
	near_offer(&near, "version");
	return usage("unknown verb '%s'%s", word, near_question(&near, "", question));
}

static int no_help(const char *topic)
{
	struct near near = near_of(topic, strlen(topic));
	char question[NEAR_TEXT];

	near_offer(&near, "figures");
	for (size_t i = 0; i < VERB_COUNT; i++)
		near_offer(&near, verbs[i]->name);
	figures_near(SCOPE_BOTH, &near);
	if (near.best)
		return usage("no help on '%s'%s", topic,
			     near_question(&near, "", question));
	return usage("no help on '%s': it is no verb, no figure, and not 'figures'",
		     topic);
}

static int help(const char *topic)
{
	const struct command *verb = topic ? find_verb(topic) : NULL;
	enum figure f = topic ? help_figure_of(topic) : FIG_COUNT;

	if (!topic)
		print_help();
	else if (verb)
		help_command(stdout, verb);
	else if (!strcmp(topic, "figures"))
		help_figures(stdout);
	else if (f != FIG_COUNT)
		help_figure(stdout, f);
	else
		return no_help(topic);
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

/* ARGV holds a shell's name, or nothing. */
static int completion(char **argv)
{
	const char *shell = *argv ? *argv : "bash";

	if (*argv && argv[1])
		return usage("unexpected argument '%s'", argv[1]);
	if (!completion_print(stdout, shell, verbs, VERB_COUNT))
		return usage(
			"no completion for '%s': there is one for bash, zsh and fish",
			shell);
	return EXIT_DONE;
}

/* What may stand in a verb's place. */
static int in_place_of_verb(const char *word, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} words[] = {
		{"--help", print_help},	      {"-h", print_help},
		{"--version", print_version}, {"-V", print_version},
		{"version", print_version},
	};
	struct near near = near_of(word, strlen(word));
	char question[NEAR_TEXT];

	if (!strcmp(word, "--completion"))
		return completion(argv);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		near_offer(&near, words[i].name);
		if (strcmp(words[i].name, word) != 0)
			continue;
		if (*argv)
			return usage("unexpected argument '%s'", *argv);
		words[i].print();
		return EXIT_DONE;
	}
	near_offer(&near, "--completion");
	return usage("unknown option '%s'%s", word, near_question(&near, "", question));
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
	/* The first local time reads the zone's file, which takes memory: an alert may
	 * come when there is none left. */
	tzset();
	if (argc < 2)
		return usage("no verb given");
	if (argv[1][0] == '-' || !strcmp(argv[1], "version"))
		return finish(in_place_of_verb(argv[1], argv + 2));
	if (!strcmp(argv[1], "help"))
		return finish(argc > 3 ? usage("unexpected argument '%s'", argv[3])
				       : help(argv[2]));
	verb = find_verb(argv[1]);
	return finish(verb ? verb->run(verb, argc - 2, argv + 2) : unknown_verb(argv[1]));
}
