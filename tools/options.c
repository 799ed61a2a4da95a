#include "options.h"

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
	return fault_set(fault, EXIT_USAGE, -EINVAL, "%s; see 'fragscope %s --help'",
			 what, command->name);
}

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

static int take_name(const struct option_spec *spec, const char *value, void *field)
{
	struct name_list *list = field;
	const char **grown;

	(void)spec;
	if (!*value)
		return -EINVAL;
	grown = reallocarray(list->name, list->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->name = grown;
	list->name[list->count++] = value;
	return 0;
}

static int take_pids(const struct option_spec *spec, const char *value, void *field)
{
	char word[16];
	uint64_t pid;
	int error;

	(void)spec;
	for (;;) {
		size_t length = strcspn(value, ",");

		if (length >= sizeof(word))
			return -EINVAL;
		memcpy(word, value, length);
		word[length] = '\0';
		error = units_parse_count(word, &pid);
		if (error || !pid || pid > INT_MAX)
			return -EINVAL;
		error = pid_list_add(field, (int)pid);
		if (error || !value[length])
			return error;
		value += length + 1;
	}
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
	[OPTION_NAMES] = {take_name, false, "a name"},
	[OPTION_PIDS] = {take_pids, false, "a list of process IDs, as in 4711,4712"},
};

static void join_choices(const struct option_spec *spec, struct text *text)
{
	for (unsigned i = 0; spec->choices[i]; i++) {
		if (i)
			text_string(text, spec->choices[i + 1] ? ", " : " or ");
		text_string(text, spec->choices[i]);
	}
}

static int wrong_value(const struct cursor *cursor, const struct option_spec *spec,
		       const char *value)
{
	char buf[FAULT_TEXT / 4];
	struct text what;

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
	int error = kinds[spec->kind].take(spec, value, field);

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

	if (!value && cursor->next == cursor->argc)
		return usage_fault(cursor->fault, cursor->command,
				   "option '--%s' needs a value", spec->name);
	if (!value)
		value = cursor->argv[cursor->next++];
	return set(cursor, spec, value);
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
		return usage_fault(cursor->fault, cursor->command,
				   "unknown option '--%.*s'", (int)length, word);
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

static int operand(struct cursor *cursor, const char *word)
{
	struct parsed *parsed = cursor->parsed;

	if (cursor->command->takes_command) {
		parsed->words = cursor->argv + cursor->next - 1;
		return 0;
	}
	if (parsed->operand_count == cursor->command->max_operands)
		return usage_fault(cursor->fault, cursor->command,
				   "unexpected argument '%s'", word);
	parsed->operand[parsed->operand_count++] = word;
	return 0;
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
