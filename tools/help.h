/* help.h: what the tables say, printed: a verb's help, the figures, the completion. */
#ifndef FRAGSCOPE_HELP_H
#define FRAGSCOPE_HELP_H

#include "base/text.h"
#include "options.h"

#include <stdio.h>

/* `fragscope VERB --help`. */
void help_command(FILE *out, const struct command *command);

/* `fragscope help figures`: name, unit, scope and meaning of each. */
void help_figures(FILE *out);

/* One option as the help spells it, e.g. "-p, --pid PID[,PID...]", into TEXT. */
void help_option_spelling(struct text *text, const struct option_spec *spec);

/* The bash completion for the COUNT verbs COMMANDS. */
void completion_print(FILE *out, const struct command *const *commands, size_t count);

#endif
