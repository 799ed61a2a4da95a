#include "options.h"

#include "base/near.h"
#include "base/units.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the parser is in the command line. */
struct cursor {
	const struct command *command;
	int argc;
	char **argv;
	int next; /* the word after the one being read */
	void *values;
	struct parsed *parsed;
	struct fault *fault;
};

int usage_fault(struct fault *fault, const struct command *command, const char *format,
		...)
{
	char what[FAULT_TEXT / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return fault_set(fault, EXIT_USAGE, -EINVAL, "%s%s 'fragscope %s --help'", what,
			 what[strlen(what) - 1] == '?' ? " See" : "; see", command->name);
}

const char *const source_choices[] = {"heap", "proc", "preload", NULL};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* Each kind's reader takes VALUE, null when the kind has none, into FIELD: 0, or -EINVAL
 * or -ERANGE when it is not what the kind is called, or -ENOMEM. */
static int take_nothing(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	(void)value;
	(void)field;
	return 0;
}

static int take_flag(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	(void)value;
	*(bool *)field = true;
	return 0;
}

static int take_bytes(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return units_parse_bytes(value, field);
}

static int take_time(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return units_parse_ns(value, field);
}

static int take_count(const struct option_spec *spec, const char *value, void *field)
{
	uint64_t *count = field;
	int error = units_parse_count(value, count);

	if (!error && (*count < 1 || *count > spec->limit))
		error = -ERANGE;
	return error;
}

static int take_choice(const struct option_spec *spec, const char *value, void *field)
{
	for (unsigned i = 0; spec->choices[i]; i++) {
		if (strcmp(spec->choices[i], value) != 0)
			continue;
		*(unsigned *)field = i;
		return 0;
	}
	return -EINVAL;
}

static int take_file(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	*(const char **)field = value;
	return *value ? 0 : -EINVAL;
}

static int take_text(const struct option_spec *spec, const char *value, void *field)
{
	(void)spec;
	return *value ? name_list_add(field, value, strlen(value)) : -EINVAL;
}

/* What parts the words of a list: blanks too, as pidof(1) prints them. */
#define SEPARATORS ", \t\n"

static int take_names(const struct option_spec *spec, const char *value, void *field)
{
	int error;

	(void)spec;
	for (;;) {
		size_t length = strcspn(value, ",");

		error = length ? name_list_add(field, value, length) : -EINVAL;
		if (error || !value[length])
			return error;
		value += length + 1;
	}
}

static int take_pid(const char *value, size_t length, struct pid_list *list)
{
	char word[16];
	uint64_t pid;

	if (length >= sizeof(word))
		return -EINVAL;
	memcpy(word, value, length);
	word[length] = '\0';
	if (units_parse_count(word, &pid) || !pid || pid > INT_MAX)
		return -EINVAL;
	return pid_list_add(list, (int)pid);
}

static int take_pids(const struct option_spec *spec, const char *value, void *field)
{
	int error = -EINVAL;

	(void)spec;
	value += strspn(value, SEPARATORS + 1);
	while (*value) {
		size_t length = strcspn(value, SEPARATORS);

		error = take_pid(value, length, field);
		value += length;
		value += strspn(value, SEPARATORS + 1);
		if (error || !*value)
			return error;
		if (*value == ',' && !*++value)
			return -EINVAL;
		value += strspn(value, SEPARATORS + 1);
	}
	return error;
}

static const struct {
	int (*take)(const struct option_spec *spec, const char *value, void *field);
	bool bare;	  /* it has no value */
	const char *what; /* a wrong value is not this */
} kinds[] = {
	[OPTION_HELP] = {take_nothing, true, NULL},
	[OPTION_FLAG] = {take_flag, true, NULL},
	[OPTION_BYTES] = {take_bytes, false,
			  "a size: bytes, or a whole number with K, M, G or T"},
	[OPTION_TIME] = {take_time, false,
			 "a time: seconds, or a number with ns, us, ms, s, m or h"},
	[OPTION_COUNT] = {take_count, false, NULL},
	[OPTION_CHOICE] = {take_choice, false, NULL},
	[OPTION_FILE] = {take_file, false, "a file name"},
	[OPTION_NAMES] = {take_names, false, "a name"},
	[OPTION_FILES] = {take_text, false, "a file name"},
	[OPTION_TEXTS] = {take_text, false, "a text"},
	[OPTION_PIDS] = {take_pids, false, "a list of process IDs, as in 4711,4712"},
	[OPTION_GONE] = {take_nothing, true, NULL},
};

static void join_choices(const struct option_spec *spec, struct text *text)
{
	for (unsigned i = 0; spec->choices[i]; i++) {
		if (i)
			text_string(text, spec->choices[i + 1] ? ", " : " or ");
		text_string(text, spec->choices[i]);
	}
}

/* As after -p $(pidof server) when there is no server. */
static int no_pid(const struct cursor *cursor, const char *value)
{
	if (value && value[strspn(value, SEPARATORS)])
		return usage_fault(cursor->fault, cursor->command,
				   "-p got no PID but '%s': is the program running?",
				   value);
	return usage_fault(cursor->fault, cursor->command,
			   "-p got no PID: is the program running?");
}

static int wrong_value(const struct cursor *cursor, const struct option_spec *spec,
		       const char *value)
{
	char buf[FAULT_TEXT / 4];
	struct text what;

	if (spec->kind == OPTION_PIDS &&
	    (*value == '-' || !value[strspn(value, SEPARATORS)]))
		return no_pid(cursor, value);
	text_init(&what, buf, sizeof(buf));
	if (spec->kind == OPTION_CHOICE) {
		join_choices(spec, &what);
	} else if (spec->kind == OPTION_COUNT) {
		text_string(&what, "a whole number from 1 to ");
		text_u64(&what, spec->limit);
	} else {
		text_string(&what, kinds[spec->kind].what);
	}
	return usage_fault(cursor->fault, cursor->command,
			   "option '--%s': '%s' is not %s", spec->name, value, buf);
}

/* Sets SPEC's field; VALUE is null for a kind that has none. */
static int set(struct cursor *cursor, const struct option_spec *spec, const char *value)
{
	void *field = (char *)cursor->values + spec->offset;
	int error;

	if (spec->kind == OPTION_GONE)
		return usage_fault(cursor->fault, cursor->command, "%s", spec->help);
	error = kinds[spec->kind].take(spec, value, field);
	cursor->parsed->given |= UINT64_C(1) << (spec - cursor->command->options);
	if (spec->kind == OPTION_HELP)
		cursor->parsed->help = true;
	if (error == -ENOMEM)
		return no_memory(cursor->fault);
	return error ? wrong_value(cursor, spec, value) : 0;
}

/* The value of SPEC when none is attached to it: the fallback, or the next word. */
static int set_detached(struct cursor *cursor, const struct option_spec *spec)
{
	const char *value = spec->fallback;

	if (!value && cursor->next == cursor->argc && spec->kind == OPTION_PIDS)
		return no_pid(cursor, NULL);
	if (!value && cursor->next == cursor->argc)
		return usage_fault(cursor->fault, cursor->command,
				   "option '--%s' needs a value", spec->name);
	if (!value)
		value = cursor->argv[cursor->next++];
	return set(cursor, spec, value);
}

static int unknown_option(struct cursor *cursor, const char *word, size_t length)
{
	struct near near = near_of(word, length);
	char question[NEAR_TEXT];

	for (unsigned i = 0; i < cursor->command->option_count; i++)
		if (cursor->command->options[i].kind != OPTION_GONE)
			near_offer(&near, cursor->command->options[i].name);
	return usage_fault(cursor->fault, cursor->command, "unknown option '--%.*s'%s",
			   (int)length, word, near_question(&near, "--", question));
}

static int long_option(struct cursor *cursor, const char *word)
{
	size_t length = strcspn(word, "=");
	const struct option_spec *spec = NULL;

	for (unsigned i = 0; i < cursor->command->option_count && !spec; i++) {
		const struct option_spec *s = &cursor->command->options[i];

		if (strlen(s->name) == length && !memcmp(s->name, word, length))
			spec = s;
	}
	if (!spec)
		return unknown_option(cursor, word, length);
	if (!kinds[spec->kind].bare)
		return word[length] ? set(cursor, spec, word + length + 1)
				    : set_detached(cursor, spec);
	if (word[length])
		return usage_fault(cursor->fault, cursor->command,
				   "option '--%s' takes no value", spec->name);
	return set(cursor, spec, NULL);
}

/* A cluster: letters without a value, the last one with one or not, as in -ab or -ovalue.
 */
static int short_options(struct cursor *cursor, const char *letters)
{
	int error = 0;

	for (; *letters && !error && !cursor->parsed->help; letters++) {
		const struct option_spec *spec = cursor->command->options;
		const struct option_spec *end = spec + cursor->command->option_count;

		while (spec < end && spec->letter != *letters)
			spec++;
		if (spec == end)
			return usage_fault(cursor->fault, cursor->command,
					   "unknown option '-%c'", *letters);
		if (!kinds[spec->kind].bare)
			return letters[1] ? set(cursor, spec, letters + 1)
					  : set_detached(cursor, spec);
		error = set(cursor, spec, NULL);
	}
	return error;
}

static bool is_number(const char *word)
{
	return *word && !word[strspn(word, "0123456789")];
}

static int operand(struct cursor *cursor, const char *word)
{
	const struct command *command = cursor->command;
	struct parsed *parsed = cursor->parsed;

	if (command->takes_command) {
		parsed->words = cursor->argv + cursor->next - 1;
		return 0;
	}
	if (!command->max_operands && is_number(word))
		return usage_fault(cursor->fault, command,
				   "unexpected argument '%s': did you mean '-p %s'?",
				   word, word);
	if (parsed->operand_count == command->max_operands)
		return usage_fault(cursor->fault, command, "unexpected argument '%s'",
				   word);
	parsed->operand[parsed->operand_count++] = word;
	return 0;
}

int no_process_fault(struct fault *fault, const struct command *command,
		     const struct parsed *parsed)
{
	const char *word = parsed->operand_count ? parsed->operand[0] : NULL;

	if (!word)
		return usage_fault(fault, command,
				   "no process given: use -p PID or -n NAME");
	return usage_fault(fault, command, "no process given: did you mean '-%c %s'?",
			   is_number(word) ? 'p' : 'n', word);
}

int options_parse(const struct command *command, int argc, char **argv, void *values,
		  struct parsed *parsed, struct fault *fault)
{
	struct cursor cursor = {
		.command = command,
		.argc = argc,
		.argv = argv,
		.values = values,
		.parsed = parsed,
		.fault = fault,
	};
	bool ended = false;
	int error = 0;

	*parsed = (struct parsed){0};
	while (!error && !parsed->help && !parsed->words && cursor.next < argc) {
		const char *word = argv[cursor.next++];

		if (ended || word[0] != '-' || !word[1])
			error = operand(&cursor, word);
		else if (word[1] != '-')
			error = short_options(&cursor, word + 1);
		else if (word[2])
			error = long_option(&cursor, word + 2);
		else
			ended = true;
	}
	return error;
}

bool options_given(const struct command *command, const struct parsed *parsed,
		   const char *name)
{
	for (unsigned i = 0; i < command->option_count; i++)
		if (!strcmp(command->options[i].name, name))
			return parsed->given >> i & 1;
	return false;
}

int options_exclude(const struct command *command, const struct parsed *parsed,
		    const char *option, const char *const *others, struct fault *fault)
{
	if (!options_given(command, parsed, option))
		return 0;
	for (; *others; others++)
		if (options_given(command, parsed, *others))
			return usage_fault(fault, command,
					   "--%s and --%s exclude each other", option,
					   *others);
	return 0;
}

int options_interval(const struct command *command, const struct parsed *parsed,
		     int64_t *interval_ns, uint64_t *count, struct fault *fault)
{
	const char *interval = parsed->operand[0], *times = parsed->operand[1];

	if (interval && units_parse_ns(interval, interval_ns))
		return usage_fault(fault, command,
				   "INTERVAL '%s' is not a time: seconds, or a number "
				   "with ns, us, ms, s, m or h",
				   interval);
	if (times && (units_parse_count(times, count) || !*count))
		return usage_fault(fault, command,
				   "COUNT '%s' is not a whole number above 0", times);
	return 0;
}
