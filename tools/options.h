/* options.h: a verb's options as a table, and the parser that it drives. The help, the
 * completions and the check of the man pages come from the same tables. */
#ifndef FRAGSCOPE_OPTIONS_H
#define FRAGSCOPE_OPTIONS_H

#include "base/fault.h"
#include "engine/targets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an option takes, and the type of the field that holds it. */
enum option_kind {
	OPTION_HELP,   /* no value; parsing ends */
	OPTION_FLAG,   /* no value; bool */
	OPTION_BYTES,  /* uint64_t */
	OPTION_TIME,   /* int64_t, nanoseconds */
	OPTION_COUNT,  /* uint64_t, 1 to LIMIT; 0: the first of CHOICES, if any */
	OPTION_CHOICE, /* unsigned: an index in CHOICES */
	OPTION_FILE,   /* const char *, of argv */
	OPTION_NAMES,  /* struct name_list; adds all, parted by commas */
	OPTION_FILES,  /* struct name_list; adds one each time */
	OPTION_TEXTS,  /* the same, of any text */
	OPTION_PIDS,   /* struct pid_list; adds all, each once */
	OPTION_GONE,   /* no longer there: HELP says what to use; in no list of options */
};

struct option_spec {
	const char *name; /* without the dashes */
	char letter;	  /* the short form, or 0 */
	enum option_kind kind;
	const char *value;	    /* what the help calls the value; null for CHOICES */
	const char *fallback;	    /* the value when none is given: then it needs '=' */
	const char *const *choices; /* ends with null */
	uint64_t limit;		    /* of a count */
	size_t offset;		    /* of the field in the verb's values */
	const char *help;
};

/* A verb. */
struct command {
	const char *name;
	const char *synopsis; /* what follows the name on the command line */
	const char *summary;
	const char *description;
	const struct option_spec *options;
	unsigned option_count; /* 64 at most */
	unsigned max_operands; /* OPERANDS_MAX at most */
	bool takes_command;    /* the first operand and all behind it are a command's */
	bool takes_pid;	       /* the operand is a process: for completions */
	int (*run)(const struct command *command, int argc, char **argv);
};

enum { OPERANDS_MAX = 2 };

/* ---- rows that several verbs have: FIELD(name) is the offset of a verb's field ---- */

#define ROW_PIDS(does)                                             \
	{                                                          \
		.name = "pid", .letter = 'p', .kind = OPTION_PIDS, \
		.value = "PID[,PID...]", .offset = FIELD(pids),    \
		.help = does " these processes; may be repeated."  \
	}

#define ROW_NAMES(does)                                                              \
	{                                                                            \
		.name = "name", .letter = 'n', .kind = OPTION_NAMES,                 \
		.value = "NAME[,NAME...]", .offset = FIELD(names),                   \
		.help = does                                                         \
			" every process whose name or program file is NAME; may be " \
			"repeated."                                                  \
	}

/* Of a verb for one process. */
#define ROW_PID(does)                                                              \
	{                                                                          \
		.name = "pid", .letter = 'p', .kind = OPTION_PIDS, .value = "PID", \
		.offset = FIELD(pids), .help = does " this process."               \
	}

#define ROW_NAME(does)                                                                \
	{                                                                             \
		.name = "name", .letter = 'n', .kind = OPTION_NAMES, .value = "NAME", \
		.offset = FIELD(names),                                               \
		.help = does " the one process whose name or program file is NAME."   \
	}

/* The field is an index of source_choices. */
#define ROW_SOURCE(field, by_default)                                                   \
	{                                                                               \
		.name = "source", .kind = OPTION_CHOICE, .choices = source_choices,     \
		.offset = FIELD(field),                                                 \
		.help = "Where figures come from: the heap itself, /proc alone, which " \
			"works "                                                        \
			"for any process, or the sampler of 'fragscope run'. Unless "   \
			"given: " by_default                                            \
	}

#define SOURCE_BY_DEFAULT \
	"the heap, or the sampler where that is there and the heap cannot be read."

#define ROW_SWAP_IN(field, when)                                                    \
	{                                                                           \
		.name = "swap-in", .kind = OPTION_FLAG, .offset = FIELD(field),     \
		.help = "If the pages with malloc's records are swapped out, swap " \
			"them in: a few pages" when                                 \
	}

/* WHOM: what the rest of the sentence is about. */
#define ROW_BUDGET(field, whom)                                                         \
	{                                                                               \
		.name = "budget", .kind = OPTION_TIME, .value = "TIME",                 \
		.offset = FIELD(field),                                                 \
		.help = "Read a heap within TIME of processor time. " whom              \
			" is estimated from a random sample, each figure with its 95% " \
			"interval."                                                     \
	}

#define ROW_UNUSABLE                                                                 \
	{                                                                            \
		.name = "unusable", .kind = OPTION_BYTES, .value = "SIZE",           \
		.offset = FIELD(unusable_for_bytes),                                 \
		.help = "The request size that the figure 'unusable' is about (64K " \
			"unless "                                                    \
			"given)."                                                    \
	}

#define ROW_CSV(does)                                                                    \
	{                                                                                \
		.name = "csv", .kind = OPTION_FLAG, .offset = FIELD(csv), .help = (does) \
	}

#define ROW_JSON(does)                                                      \
	{                                                                   \
		.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json), \
		.help = (does)                                              \
	}

#define ROW_HELP                                                    \
	{                                                           \
		.name = "help", .letter = 'h', .kind = OPTION_HELP, \
		.help = "Print this help."                          \
	}

/* Of ROW_SOURCE; in the order of enum sample_source. */
extern const char *const source_choices[];

/* What a command line said besides the values. */
struct parsed {
	bool help;
	uint64_t given; /* a bit an option of the table */
	unsigned operand_count;
	const char *operand[OPERANDS_MAX];
	char **words; /* of a verb that takes a command: its words, in argv */
};

/* Reads ARGV (without the verb) into VALUES, the struct that the table's offsets are of.
 * Options and operands may mix; "--" ends the options; short options cluster. 0, or
 * -errno and FAULT. The strings stay argv's; the lists are the caller's to free. */
int options_parse(const struct command *command, int argc, char **argv, void *values,
		  struct parsed *parsed, struct fault *fault);

/* Whether the option NAME, which must be in the table, was given. */
bool options_given(const struct command *command, const struct parsed *parsed,
		   const char *name);

/* An error when OPTION was given together with any of OTHERS, which end with null. 0 or
 * -EINVAL and FAULT. */
int options_exclude(const struct command *command, const struct parsed *parsed,
		    const char *option, const char *const *others, struct fault *fault);

/* Reads the operands [INTERVAL [COUNT]] of a verb; what is not there stays as it is. 0 or
 * -EINVAL and FAULT. */
int options_interval(const struct command *command, const struct parsed *parsed,
		     int64_t *interval_ns, uint64_t *count, struct fault *fault);

/* The usage error that no process was given; if an operand looks like one, it says how to
 * give it. */
int no_process_fault(struct fault *fault, const struct command *command,
		     const struct parsed *parsed);

/* A usage error: fills FAULT with what is wrong, adds where to look, returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int
usage_fault(struct fault *fault, const struct command *command, const char *format, ...);

/* For a verb that acts on one process, which may be given without -p, too: there is one
 * in PIDS then. 0, or -errno and FAULT. */
int options_take_pid(const struct command *command, const struct parsed *parsed,
		     struct pid_list *pids, struct fault *fault);

#endif
