#include "options.h"

#include "base/near.h"
#include "base/units.h"
#include "option_kinds.h"

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

	if (spec->kind == OPTION_PIDS && value &&
	    (*value == '-' || !value[strspn(value, SEPARATORS)]))
		return no_pid(cursor, value);
	text_init(&what, buf, sizeof(buf));
	if (spec->kind == OPTION_CHOICE) {
		join_choices(spec, &what);
	} else if (spec->kind == OPTION_COUNT) {
		text_string(&what, "a whole number from 1 to ");
		text_u64(&what, spec->limit);
		if (spec->choices) {
			text_string(&what, ", or ");
			text_string(&what, spec->choices[0]);
		}
	} else {
		text_string(&what, option_kinds[spec->kind].what);
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
	error = option_kinds[spec->kind].take(spec, value, field);
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
	if (!option_kinds[spec->kind].bare)
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
		if (!option_kinds[spec->kind].bare)
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

int options_take_pid(const struct command *command, const struct parsed *parsed,
		     struct pid_list *pids, struct fault *fault)
{
	uint64_t pid;

	if (parsed->operand_count) {
		if (units_parse_count(parsed->operand[0], &pid) || !pid || pid > INT_MAX)
			return usage_fault(fault, command, "'%s' is not a PID",
					   parsed->operand[0]);
		if (pid_list_add(pids, (int)pid))
			return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	}
	if (!pids->count)
		return usage_fault(fault, command, "no process given: use -p PID");
	if (pids->count > 1)
		return usage_fault(fault, command, "%zu processes: %s acts on one",
				   pids->count, command->name);
	return 0;
}
