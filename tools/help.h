/* help.h: what the tables say, printed: a verb's help, the figures, the completions. */
#ifndef FRAGSCOPE_HELP_H
#define FRAGSCOPE_HELP_H

#include "base/text.h"
#include "options.h"
#include "sample/sample.h"

#include <stdio.h>

/* `fragscope VERB --help`. */
void help_command(FILE *out, const struct command *command);

/* `fragscope help figures`: name, unit, scope and meaning of each. */
void help_figures(FILE *out);

/* Those of F, and what it is called where there is less room. */
void help_figure(FILE *out, enum figure f);

/* The figure that TOPIC names, also by the heading of its column; FIG_COUNT: none. */
enum figure help_figure_of(const char *topic);

/* One option as the help spells it, e.g. "-p, --pid PID[,PID...]", into TEXT. */
void help_option_spelling(struct text *text, const struct option_spec *spec);

/* The completion for the COUNT verbs COMMANDS, in the language of SHELL: bash, zsh or
 * fish. False, and nothing printed: it is none of these. */
bool completion_print(FILE *out, const char *shell, const struct command *const *commands,
		      size_t count);

#endif
