#include "help.h"

/* The words that may follow an option which takes a value, in shell; null: none known. */
static const char *value_words(const struct option_spec *spec)
{
	static const char *const words[] = {
		[OPTION_PIDS] = "$(cd /proc && printf '%s\\n' [0-9]*)",
		[OPTION_NAMES] = "$(cat /proc/[0-9]*/comm 2>/dev/null)",
		[OPTION_FILE] = "$(compgen -f -- \"$cur\")",
	};

	return spec->kind < sizeof(words) / sizeof(words[0]) ? words[spec->kind] : NULL;
}

/* One case of the shell's: after this option, these words. No case where the next word
 * is not the option's value. */
static void option_case(FILE *out, const struct command *command,
			const struct option_spec *spec)
{
	const char *words = value_words(spec);
	bool detached = !spec->fallback && (spec->value || spec->choices);

	if (!detached)
		return;
	fprintf(out, "\t%s:--%s", command->name, spec->name);
	if (spec->letter)
		fprintf(out, " | %s:-%c", command->name, spec->letter);
	fputs(") words=", out);
	if (words)
		fprintf(out, "%s", words);
	for (unsigned i = 0; spec->choices && spec->choices[i]; i++)
		fprintf(out, "%s%s", i ? " " : "'", spec->choices[i]);
	fputs(spec->choices ? "' ;;\n" : " ;;\n", out);
}

static void command_cases(FILE *out, const struct command *command)
{
	for (unsigned i = 0; i < command->option_count; i++)
		option_case(out, command, &command->options[i]);
	fprintf(out, "\t%s:*) words='", command->name);
	for (unsigned i = 0; i < command->option_count; i++)
		fprintf(out, "%s--%s", i ? " " : "", command->options[i].name);
	fputs("' ;;\n", out);
}

static void verbs(FILE *out, const struct command *const *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s ", commands[i]->name);
}

/* Bash makes '=' a word of its own: --source=h is three words. */
void completion_print(FILE *out, const struct command *const *commands, size_t count)
{
	fputs("# bash completion for fragscope; printed by `fragscope --completion`\n"
	      "_fragscope()\n"
	      "{\n"
	      "\tlocal words='' cur=${COMP_WORDS[COMP_CWORD]}\n"
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
	verbs(out, commands, count);
	fputs("help --help --version --completion' ;;\n\thelp:*) words='", out);
	verbs(out, commands, count);
	fputs("figures' ;;\n", out);
	for (size_t i = 0; i < count; i++)
		command_cases(out, commands[i]);
	fputs("\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	      "}\n"
	      "complete -F _fragscope fragscope\n",
	      out);
}
