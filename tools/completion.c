/* completion.c: completions for bash, zsh and fish, from the tables of options. */
#include "help.h"

#include <string.h>

/* What may follow an option, or stand as an operand. */
enum offer {
	OFFER_NOTHING, /* a value of which no words are known */
	OFFER_CHOICES,
	OFFER_FILES,
	OFFER_NAMES,
	OFFER_PIDS,
	OFFER_COMMANDS,
};

static enum offer offer_of(const struct option_spec *spec)
{
	static const enum offer offers[] = {
		[OPTION_CHOICE] = OFFER_CHOICES, [OPTION_FILE] = OFFER_FILES,
		[OPTION_FILES] = OFFER_FILES,	 [OPTION_NAMES] = OFFER_NAMES,
		[OPTION_PIDS] = OFFER_PIDS,	 [OPTION_GONE] = OFFER_NOTHING,
	};

	/* --arena N, --size LOW-HIGH: read as text, no file. */
	if (spec->kind == OPTION_FILE && strcmp(spec->value, "FILE") != 0)
		return strcmp(spec->value, "COMMAND") ? OFFER_NOTHING : OFFER_COMMANDS;
	return offers[spec->kind];
}

static bool has_value(const struct option_spec *spec)
{
	return spec->value || spec->choices;
}

/* STRING between single quotes, in which ESCAPED stands for each of them; BRACKETS are
 * escaped by a backslash. */
static void quoted(FILE *out, const char *string, const char *escaped,
		   const char *brackets)
{
	for (; *string; string++) {
		if (*string == '\'') {
			fputs(escaped, out);
			continue;
		}
		if (strchr(brackets, *string))
			fputc('\\', out);
		fputc(*string, out);
	}
}

static void choices(FILE *out, const struct option_spec *spec)
{
	for (unsigned i = 0; spec->choices[i]; i++)
		fprintf(out, "%s%s", i ? " " : "", spec->choices[i]);
}

/* What `help` takes: verbs, "figures", figures. */
static void topics(FILE *out, const struct command *const *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s ", commands[i]->name);
	fputs("figures", out);
	for (unsigned f = 0; f < FIG_COUNT; f++)
		fprintf(out, " %s", figure_info[f].name);
}

/* ---- bash ---- */

static void bash_offer(FILE *out, enum offer offer)
{
	static const char *const kinds[] = {
		[OFFER_NOTHING] = "words=''",
		[OFFER_FILES] = "kind=file",
		[OFFER_NAMES] = "words=$(cat /proc/[0-9]*/comm 2>/dev/null)",
		[OFFER_PIDS] = "words=$(cd /proc && printf '%s\\n' [0-9]*)",
		[OFFER_COMMANDS] = "kind=command",
	};

	fputs(kinds[offer], out);
}

/* No case where the next word is not the option's value. */
static void bash_option(FILE *out, const struct command *command,
			const struct option_spec *spec)
{
	if (!has_value(spec) || spec->fallback)
		return;
	fprintf(out, "\t%s:--%s", command->name, spec->name);
	if (spec->letter)
		fprintf(out, " | %s:-%c", command->name, spec->letter);
	fputs(") ", out);
	if (spec->choices) {
		fputs("words='", out);
		choices(out, spec);
		fputc('\'', out);
	} else {
		bash_offer(out, offer_of(spec));
	}
	fputs(" ;;\n", out);
}

static void bash_command(FILE *out, const struct command *command)
{
	for (unsigned i = 0; i < command->option_count; i++)
		bash_option(out, command, &command->options[i]);
	if (command->takes_pid || command->takes_command) {
		fprintf(out, "\t%s:*) if [[ $cur != -* ]]; then ", command->name);
		bash_offer(out, command->takes_pid ? OFFER_PIDS : OFFER_COMMANDS);
		fputs("; else words='", out);
	} else {
		fprintf(out, "\t%s:*) words='", command->name);
	}
	for (unsigned i = 0; i < command->option_count; i++)
		if (command->options[i].kind != OPTION_GONE)
			fprintf(out, "%s--%s", i ? " " : "", command->options[i].name);
	fputs(command->takes_pid || command->takes_command ? "'; fi ;;\n" : "' ;;\n",
	      out);
}

/* Bash makes '=' a word of its own: --source=h is three words. */
static void print_bash(FILE *out, const struct command *const *commands, size_t count)
{
	fputs("# bash completion for fragscope; printed by `fragscope --completion "
	      "bash`\n"
	      "_fragscope()\n"
	      "{\n"
	      "\tlocal words='' kind='' cur=${COMP_WORDS[COMP_CWORD]}\n"
	      "\tlocal prev=${COMP_WORDS[COMP_CWORD - 1]}\n\n"
	      "\tif [[ $cur == '=' ]]; then\n"
	      "\t\tcur=''\n"
	      "\telif [[ $prev == '=' ]]; then\n"
	      "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	      "\tfi\n"
	      "\t((COMP_CWORD > 1)) || prev=''\n"
	      "\tcase ${COMP_WORDS[1]}:$prev in\n"
	      "\t*:) words='",
	      out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s ", commands[i]->name);
	fputs("help version --help --version --completion' ;;\n"
	      "\t--completion:*) words='bash zsh fish' ;;\n"
	      "\thelp:*) words='",
	      out);
	topics(out, commands, count);
	fputs("' ;;\n", out);
	for (size_t i = 0; i < count; i++)
		bash_command(out, commands[i]);
	fputs("\tesac\n"
	      "\tcase $kind in\n"
	      "\tfile)\n"
	      "\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	      "\tcommand) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n"
	      "\t*) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -F _fragscope fragscope\n",
	      out);
}

/* ---- zsh ---- */

static void zsh_offer(FILE *out, enum offer offer)
{
	static const char *const actions[] = {
		[OFFER_NOTHING] = " ",
		[OFFER_FILES] = "_files",
		[OFFER_NAMES] = "_fragscope_names",
		[OFFER_PIDS] = "_pids",
		[OFFER_COMMANDS] = "_command_names -e",
	};

	fputs(actions[offer], out);
}

static void zsh_option(FILE *out, const struct option_spec *spec)
{
	bool repeats = spec->kind == OPTION_PIDS || spec->kind == OPTION_NAMES ||
		       spec->kind == OPTION_FILES || spec->kind == OPTION_TEXTS;
	const char *assigns = !has_value(spec) ? "" : spec->fallback ? "=-" : "=";

	fprintf(out, " \\\n\t\t\t%s", repeats ? "'*'" : "");
	if (spec->letter)
		fprintf(out, "{-%c%s,--%s%s}'[", spec->letter, has_value(spec) ? "+" : "",
			spec->name, assigns);
	else
		fprintf(out, "'--%s%s[", spec->name, assigns);
	quoted(out, spec->help, "'\\''", "[]\\");
	fputc(']', out);
	if (has_value(spec)) {
		fprintf(out, "%s%s:", spec->fallback ? "::" : ":",
			spec->value ? spec->value : spec->name);
		if (spec->choices) {
			fputc('(', out);
			choices(out, spec);
			fputc(')', out);
		} else {
			zsh_offer(out, offer_of(spec));
		}
	}
	fputc('\'', out);
}

static void zsh_command(FILE *out, const struct command *command)
{
	fprintf(out, "\t(%s)\n\t\t_arguments -s", command->name);
	for (unsigned i = 0; i < command->option_count; i++)
		if (command->options[i].kind != OPTION_GONE)
			zsh_option(out, &command->options[i]);
	if (command->takes_pid)
		fputs(" \\\n\t\t\t':PID:_pids'", out);
	if (command->takes_command)
		fputs(" \\\n\t\t\t'*::command:_normal'", out);
	fputs(" ;;\n", out);
}

static void print_zsh(FILE *out, const struct command *const *commands, size_t count)
{
	fputs("#compdef fragscope\n"
	      "# zsh completion for fragscope; printed by `fragscope --completion zsh`\n"
	      "_fragscope_names() { compadd -- ${(f)\"$(cat /proc/[0-9]*/comm "
	      "2>/dev/null)\"} }\n\n"
	      "_fragscope() {\n"
	      "\tlocal -a verbs=(\n",
	      out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "\t\t'%s:", commands[i]->name);
		quoted(out, commands[i]->summary, "'\\''", "\\");
		fputs("'\n", out);
	}
	fputs("\t\t'help:help on a verb or a figure'\n"
	      "\t\t'version:the version, and what was built in'\n"
	      "\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe verb verbs\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n"
	      "\t(help) compadd -- ",
	      out);
	topics(out, commands, count);
	fputs(" ;;\n\t(--completion) compadd -- bash zsh fish ;;\n", out);
	for (size_t i = 0; i < count; i++)
		zsh_command(out, commands[i]);
	fputs("\tesac\n"
	      "}\n\n"
	      "if [ \"$funcstack[1]\" = _fragscope ]; then\n"
	      "\t_fragscope \"$@\"\n"
	      "else\n"
	      "\tcompdef _fragscope fragscope\n"
	      "fi\n",
	      out);
}

/* ---- fish ---- */

static void fish_offer(FILE *out, enum offer offer)
{
	static const char *const offers[] = {
		[OFFER_NOTHING] = " -x",
		[OFFER_FILES] = " -rF",
		[OFFER_NAMES] = " -xa '(cat /proc/[0-9]*/comm 2>/dev/null)'",
		[OFFER_PIDS] = " -xa '(__fish_complete_pids)'",
		[OFFER_COMMANDS] = " -xa '(__fish_complete_command)'",
	};

	fputs(offers[offer], out);
}

static void fish_option(FILE *out, const struct command *command,
			const struct option_spec *spec)
{
	fprintf(out, "complete -c fragscope -n '__fish_seen_subcommand_from %s'",
		command->name);
	if (spec->letter)
		fprintf(out, " -s %c", spec->letter);
	fprintf(out, " -l %s", spec->name);
	if (spec->choices) {
		fputs(" -xa '", out);
		choices(out, spec);
		fputc('\'', out);
	} else if (has_value(spec) && !spec->fallback) {
		fish_offer(out, offer_of(spec));
	}
	fputs(" -d '", out);
	quoted(out, spec->help, "\\'", "\\");
	fputs("'\n", out);
}

static void fish_command(FILE *out, const struct command *command)
{
	fprintf(out, "complete -c fragscope -n __fish_use_subcommand -a %s -d '",
		command->name);
	quoted(out, command->summary, "\\'", "\\");
	fputs("'\n", out);
	for (unsigned i = 0; i < command->option_count; i++)
		if (command->options[i].kind != OPTION_GONE)
			fish_option(out, command, &command->options[i]);
	if (command->takes_pid || command->takes_command)
		fprintf(out,
			"complete -c fragscope -n '__fish_seen_subcommand_from %s' -xa "
			"'(%s)'\n",
			command->name,
			command->takes_pid ? "__fish_complete_pids"
					   : "__fish_complete_subcommand --fcs-skip=2");
}

static void print_fish(FILE *out, const struct command *const *commands, size_t count)
{
	fputs("# fish completion for fragscope; printed by `fragscope --completion "
	      "fish`\n"
	      "complete -c fragscope -f\n"
	      "complete -c fragscope -n __fish_use_subcommand -a 'help version'\n"
	      "complete -c fragscope -n __fish_use_subcommand -l completion -xa "
	      "'bash zsh fish'\n"
	      "complete -c fragscope -n '__fish_seen_subcommand_from help' -a '",
	      out);
	topics(out, commands, count);
	fputs("'\n", out);
	for (size_t i = 0; i < count; i++)
		fish_command(out, commands[i]);
}

bool completion_print(FILE *out, const char *shell, const struct command *const *commands,
		      size_t count)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *out, const struct command *const *commands,
			      size_t count);
	} shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		if (strcmp(shells[i].shell, shell) != 0)
			continue;
		shells[i].print(out, commands, count);
		return true;
	}
	return false;
}
