#include "help.h"

#include "sample/sample.h"

#include <string.h>

enum { LINE_WIDTH = 79, OPTION_INDENT = 28, MEANING_INDENT = 8 };

/* Prints STRING in lines of LINE_WIDTH, each behind INDENT spaces; COLUMN is where the
 * output stands now. */
static void wrapped(FILE *out, const char *string, int indent, int column)
{
	while (*string) {
		int length = (int)strcspn(string, " ");

		if (column > indent && column + 1 + length > LINE_WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column < indent)
			column += fprintf(out, "%*s", indent - column, "");
		else if (column > indent)
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", length, string);
		string += length;
		string += strspn(string, " ");
	}
	fputc('\n', out);
}

static void value_spelling(struct text *text, const struct option_spec *spec)
{
	text_string(text, spec->fallback ? "[=" : " ");
	if (spec->value)
		text_string(text, spec->value);
	for (unsigned i = 0; !spec->value && spec->choices[i]; i++) {
		if (i)
			text_char(text, '|');
		text_string(text, spec->choices[i]);
	}
	if (spec->fallback)
		text_char(text, ']');
}

void help_option_spelling(struct text *text, const struct option_spec *spec)
{
	if (spec->letter) {
		text_char(text, '-');
		text_char(text, spec->letter);
		text_string(text, ", ");
	} else {
		text_string(text, "    ");
	}
	text_string(text, "--");
	text_string(text, spec->name);
	if (spec->value || spec->choices)
		value_spelling(text, spec);
}

static void option(FILE *out, const struct option_spec *spec)
{
	char buf[128];
	struct text text;
	int column;

	text_init(&text, buf, sizeof(buf));
	help_option_spelling(&text, spec);
	column = fprintf(out, "  %s", buf);
	if (column + 1 > OPTION_INDENT) {
		fputc('\n', out);
		column = 0;
	}
	wrapped(out, spec->help, OPTION_INDENT, column);
}

void help_command(FILE *out, const struct command *command)
{
	fprintf(out, "Usage: fragscope %s %s\n\n", command->name, command->synopsis);
	wrapped(out, command->description, 0, 0);
	fputs("\nOptions:\n", out);
	for (unsigned i = 0; i < command->option_count; i++)
		if (command->options[i].kind != OPTION_GONE)
			option(out, &command->options[i]);
}

static void figure(FILE *out, enum figure f)
{
	static const char *const units[] = {
		[UNIT_BYTES] = "bytes",
		[UNIT_COUNT] = "count",
		[UNIT_RATIO] = "ratio",
		[UNIT_NS] = "nanoseconds",
	};
	static const char *const scopes[] = {
		[SCOPE_PROCESS] = "process",
		[SCOPE_ARENA] = "arena",
		[SCOPE_BOTH] = "process and arena",
	};
	const struct figure_info *info = &figure_info[f];

	fprintf(out, "%s (%s; %s)\n", info->name, units[info->unit], scopes[info->scope]);
	wrapped(out, info->meaning, MEANING_INDENT, 0);
}

void help_figures(FILE *out)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		figure(out, f);
}

void help_figure(FILE *out, enum figure f)
{
	const struct figure_info *info = &figure_info[f];

	figure(out, f);
	if (info->heading)
		fprintf(out, "%*sIn rows of text: %s; in top and reports: %s.\n",
			MEANING_INDENT, "", info->heading, figure_label(f));
}

enum figure help_figure_of(const char *topic)
{
	enum figure f = figure_named(topic);

	for (unsigned g = 0; g < FIG_COUNT && f == FIG_COUNT; g++)
		if (figure_info[g].heading && !strcmp(figure_info[g].heading, topic))
			f = g;
	return f;
}
