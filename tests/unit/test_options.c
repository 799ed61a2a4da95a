/* test_options.c: the option parser, driven by a table of its own: values, and messages
 * to the letter. */
#include "options.h"

#include "base/text.h"
#include "help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 16 };

struct values {
	bool all, brief;
	uint64_t size, threads;
	int64_t pause_ns;
	unsigned source;
	const char *output;
	struct name_list names, rules;
	struct pid_list pids;
};

static const char *const count_words[] = {"many", NULL};
static const char *const choices[] = {"heap", "proc", "both", NULL};

#define FIELD(name) offsetof(struct values, name)

/* clang-format off */
static const struct option_spec specs[] = {
	{.name = "all", .letter = 'a', .kind = OPTION_FLAG, .offset = FIELD(all)},
	{.name = "brief", .letter = 'b', .kind = OPTION_FLAG, .offset = FIELD(brief)},
	{.name = "size", .kind = OPTION_BYTES, .value = "SIZE", .offset = FIELD(size)},
	{.name = "threads", .letter = 't', .kind = OPTION_COUNT, .value = "N", .limit = 64,
	 .choices = count_words, .offset = FIELD(threads)},
	{.name = "pause", .kind = OPTION_TIME, .value = "TIME", .fallback = "100ms",
	 .offset = FIELD(pause_ns)},
	{.name = "source", .kind = OPTION_CHOICE, .choices = choices, .offset = FIELD(source)},
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output)},
	{.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME",
	 .offset = FIELD(names)},
	{.name = "pid", .letter = 'p', .kind = OPTION_PIDS, .value = "PID[,PID...]",
	 .offset = FIELD(pids)},
	{.name = "rule", .kind = OPTION_TEXTS, .value = "RULE", .offset = FIELD(rules)},
	{.name = "old", .letter = 'O', .kind = OPTION_GONE, .help = "--old is --size now"},
	{.name = "help", .letter = 'h', .kind = OPTION_HELP},
};
/* clang-format on */

static const struct command command = {
	.name = "verb",
	.options = specs,
	.option_count = sizeof(specs) / sizeof(specs[0]),
	.max_operands = 2,
};

static struct values values;
static struct parsed parsed;
static struct fault fault;

static void forget(void)
{
	name_list_free(&values.names);
	name_list_free(&values.rules);
	free(values.pids.pid);
	memset(&values, 0, sizeof(values));
}

static int teardown(void **state)
{
	(void)state;
	forget();
	return 0;
}

static const struct command command_of_words = {
	.name = "verb",
	.options = specs,
	.option_count = sizeof(specs) / sizeof(specs[0]),
	.takes_command = true,
};

/* Parses LINE, cut at its spaces, as COMMAND's; the words stay in a static buffer. */
static int parse_of(const struct command *of, const char *line)
{
	static char words[256];
	static char *argv[WORDS_MAX];
	char *save, *word;
	int argc = 0;

	forget();
	assert_true(strlen(line) < sizeof(words));
	strcpy(words, line);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(of, argc, argv, &values, &parsed, &fault);
}

static int parse(const char *line)
{
	return parse_of(&command, line);
}

static void long_forms(void **state)
{
	(void)state;
	assert_int_equal(parse("--all --size=64K --threads 8 --source=proc --output f"),
			 0);
	assert_true(values.all && !values.brief);
	assert_int_equal(values.size, 65536);
	assert_int_equal(values.threads, 8);
	assert_int_equal(values.source, 1);
	assert_string_equal(values.output, "f");
	assert_true(options_given(&command, &parsed, "size"));
	assert_false(options_given(&command, &parsed, "pause"));
}

static void a_word_in_place_of_a_count(void **state)
{
	(void)state;
	assert_int_equal(parse("--threads 8 --threads many"), 0);
	assert_int_equal(values.threads, 0);
	assert_true(options_given(&command, &parsed, "threads"));
}

static void short_forms(void **state)
{
	(void)state;
	assert_int_equal(parse("-abofile -t 8"), 0);
	assert_true(values.all && values.brief);
	assert_string_equal(values.output, "file");
	assert_int_equal(values.threads, 8);
	assert_int_equal(parse("-ba -t8 -o -b"), 0);
	assert_int_equal(values.threads, 8);
	assert_string_equal(values.output, "-b");
}

static void optional_value(void **state)
{
	(void)state;
	assert_int_equal(parse("--pause 5"), 0);
	assert_int_equal(values.pause_ns, 100000000);
	assert_int_equal(parsed.operand_count, 1);
	assert_int_equal(parse("--pause=5ms"), 0);
	assert_int_equal(values.pause_ns, 5000000);
	assert_int_equal(parsed.operand_count, 0);
}

static void operands_mix_with_options(void **state)
{
	(void)state;
	assert_int_equal(parse("1 -a 10"), 0);
	assert_true(values.all);
	assert_int_equal(parsed.operand_count, 2);
	assert_string_equal(parsed.operand[0], "1");
	assert_string_equal(parsed.operand[1], "10");
	assert_int_equal(parse("-a -- -b --brief"), 0);
	assert_false(values.brief);
	assert_string_equal(parsed.operand[0], "-b");
	assert_string_equal(parsed.operand[1], "--brief");
	assert_int_equal(parse("-"), 0);
	assert_string_equal(parsed.operand[0], "-");
}

/* From the first operand on, everything is the command's. */
static void commands(void **state)
{
	static const struct {
		const char *line, *first, *second;
	} cases[] = {
		{"-a cat -b", "cat", "-b"},
		{"-a -- cat --", "cat", "--"},
		{"-a -- -cat --all", "-cat", "--all"},
		{"-a - --help", "-", "--help"},
		{"-a cat", "cat", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse_of(&command_of_words, cases[i].line), 0);
		assert_true(values.all && !values.brief && !parsed.help);
		assert_int_equal(parsed.operand_count, 0);
		assert_string_equal(parsed.words[0], cases[i].first);
		if (cases[i].second)
			assert_string_equal(parsed.words[1], cases[i].second);
		else
			assert_null(parsed.words[1]);
	}
	assert_int_equal(parse_of(&command_of_words, "-a --"), 0);
	assert_null(parsed.words);
}

static void lists(void **state)
{
	(void)state;
	assert_int_equal(parse("-p 12,7 --pid=12,3 -n a -nb"), 0);
	assert_int_equal(values.pids.count, 3);
	assert_int_equal(values.pids.pid[0], 12);
	assert_int_equal(values.pids.pid[1], 7);
	assert_int_equal(values.pids.pid[2], 3);
	assert_int_equal(values.names.count, 2);
	assert_string_equal(values.names.name[0], "a");
	assert_string_equal(values.names.name[1], "b");
	assert_int_equal(parse("-n a,bc -nd --rule a,b"), 0);
	assert_int_equal(values.names.count, 3);
	assert_string_equal(values.names.name[0], "a");
	assert_string_equal(values.names.name[1], "bc");
	assert_string_equal(values.names.name[2], "d");
	assert_int_equal(values.rules.count, 1);
	assert_string_equal(values.rules.name[0], "a,b");
}

/* As pidof(1) and pgrep(1) print them. */
static void pids_of_pidof(void **state)
{
	static char list[] = "12 7\n 3, 4\n", option[] = "-p";
	char *argv[] = {option, list, NULL};

	(void)state;
	forget();
	assert_int_equal(options_parse(&command, 2, argv, &values, &parsed, &fault), 0);
	assert_int_equal(values.pids.count, 4);
	assert_int_equal(values.pids.pid[1], 7);
	assert_int_equal(values.pids.pid[3], 4);
}

/* Help is help, whatever follows it. */
static void help_ends_parsing(void **state)
{
	(void)state;
	assert_int_equal(parse("-ah --nonsense"), 0);
	assert_true(parsed.help);
	assert_int_equal(parse("--help=x"), -EINVAL);
}

static void messages(void **state)
{
#define SEE "; see 'fragscope verb --help'"
#define ASK "? See 'fragscope verb --help'"
	static const struct {
		const char *line, *want;
	} cases[] = {
		{"--foo", "unknown option '--foo'" SEE},
		{"--foo=3", "unknown option '--foo'" SEE},
		{"--al", "unknown option '--al': did you mean '--all'" ASK},
		{"--thraeds=3",
		 "unknown option '--thraeds': did you mean '--threads'" ASK},
		{"--old", "--old is --size now" SEE},
		{"-aO", "--old is --size now" SEE},
		{"--ol", "unknown option '--ol'" SEE},
		{"-p", "-p got no PID: is the program running" ASK},
		{"-p --all", "-p got no PID but '--all': is the program running" ASK},
		{"--pid=", "-p got no PID: is the program running" ASK},
		{"-n a,,b", "option '--name': 'a,,b' is not a name" SEE},
		{"-n a,", "option '--name': 'a,' is not a name" SEE},
		{"--=x", "unknown option '--'" SEE},
		{"-x", "unknown option '-x'" SEE},
		{"-axb", "unknown option '-x'" SEE},
		{"--all=yes", "option '--all' takes no value" SEE},
		{"--size", "option '--size' needs a value" SEE},
		{"-a -t", "option '--threads' needs a value" SEE},
		{"--size=64Q", "option '--size': '64Q' is not a size: bytes, or a whole "
			       "number with K, M, G "
			       "or T" SEE},
		{"--size=",
		 "option '--size': '' is not a size: bytes, or a whole number with K, "
		 "M, G or T" SEE},
		{"--pause=fast",
		 "option '--pause': 'fast' is not a time: seconds, or a number "
		 "with ns, us, ms, s, m or h" SEE},
		{"-t0", "option '--threads': '0' is not a whole number from 1 to 64, or "
			"many" SEE},
		{"-t65", "option '--threads': '65' is not a whole number from 1 to 64, "
			 "or many" SEE},
		{"-tfew", "option '--threads': 'few' is not a whole number from 1 to 64, "
			  "or many" SEE},
		{"--source heaps",
		 "option '--source': 'heaps' is not heap, proc or both" SEE},
		{"--output=", "option '--output': '' is not a file name" SEE},
		{"--name=", "option '--name': '' is not a name" SEE},
		{"-p 1,x", "option '--pid': '1,x' is not a list of process IDs, as in "
			   "4711,4712" SEE},
		{"-p 0",
		 "option '--pid': '0' is not a list of process IDs, as in 4711,4712" SEE},
		{"-p 1,,2", "option '--pid': '1,,2' is not a list of process IDs, as in "
			    "4711,4712" SEE},
		{"-p 99999999999",
		 "option '--pid': '99999999999' is not a list of process IDs, "
		 "as in 4711,4712" SEE},
		{"1 2 3", "unexpected argument '3'" SEE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line), -EINVAL);
		assert_string_equal(fault.text, cases[i].want);
		assert_int_equal(fault.status, EXIT_USAGE);
	}
}

static void processes_that_were_not_given(void **state)
{
	static const struct {
		const char *line, *want;
	} cases[] = {
		{"-a", "no process given: use -p PID or -n NAME" SEE},
		{"5360", "no process given: did you mean '-p 5360'" ASK},
		{"nginx 1", "no process given: did you mean '-n nginx'" ASK},
	};
	struct command bare = command;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line), 0);
		assert_int_equal(no_process_fault(&fault, &command, &parsed), -EINVAL);
		assert_string_equal(fault.text, cases[i].want);
	}
	bare.max_operands = 0;
	assert_int_equal(parse_of(&bare, "5360"), -EINVAL);
	assert_string_equal(fault.text,
			    "unexpected argument '5360': did you mean '-p 5360'" ASK);
}

static void spellings(void **state)
{
	static const char *const want[] = {
		"-a, --all",	     "-b, --brief",	   "    --size SIZE",
		"-t, --threads N",   "    --pause[=TIME]", "    --source heap|proc|both",
		"-o, --output FILE", "-n, --name NAME",	   "-p, --pid PID[,PID...]",
		"    --rule RULE",   "-O, --old",	   "-h, --help",
	};
	char buf[64];
	struct text text;

	(void)state;
	for (unsigned i = 0; i < command.option_count; i++) {
		text_init(&text, buf, sizeof(buf));
		help_option_spelling(&text, &specs[i]);
		assert_string_equal(buf, want[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(long_forms, teardown),
		cmocka_unit_test_teardown(a_word_in_place_of_a_count, teardown),
		cmocka_unit_test_teardown(short_forms, teardown),
		cmocka_unit_test_teardown(optional_value, teardown),
		cmocka_unit_test_teardown(operands_mix_with_options, teardown),
		cmocka_unit_test_teardown(commands, teardown),
		cmocka_unit_test_teardown(lists, teardown),
		cmocka_unit_test_teardown(pids_of_pidof, teardown),
		cmocka_unit_test(processes_that_were_not_given),
		cmocka_unit_test_teardown(help_ends_parsing, teardown),
		cmocka_unit_test_teardown(messages, teardown),
		cmocka_unit_test(spellings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
