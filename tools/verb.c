#include "verb.h"

#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Lock-free, as a signal handler needs it. */
static atomic_bool stop_asked;

__attribute__((format(printf, 2, 0))) static void tell(const char *verb,
						       const char *format, va_list args)
{
	char raw[FAULT_TEXT + 128], line[4 * sizeof(raw)];
	struct text text;

	vsnprintf(raw, sizeof(raw), format, args);
	text_init(&text, line, sizeof(line));
	text_printable(&text, raw, SIZE_MAX);
	fprintf(stderr, "fragscope%s%s: %s\n", *verb ? " " : "", verb, line);
}

void verb_tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell("", format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void tell_of(const char *verb,
							  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(verb, format, args);
	va_end(args);
}

int verb_failed(const struct command *command, const struct fault *fault)
{
	tell_of(fault->status == EXIT_USAGE ? command->name : "", "%s", fault->text);
	return fault->status;
}

/* Whether ONE and OTHER differ in their digits at most: the sizes that they tell of
 * change with every row. */
static bool same_words(const char *one, const char *other)
{
	static const char digits[] = "0123456789";

	for (;; one++, other++) {
		one += strspn(one, digits);
		other += strspn(other, digits);
		if (*one != *other || !*one)
			return *one == *other;
	}
}

void verb_tell_missing(const struct sample *sample, char told[SAMPLE_TEXT])
{
	if (!*sample->missing || same_words(told, sample->missing))
		return;
	memcpy(told, sample->missing, SAMPLE_TEXT);
	verb_tell("process %d (%s): the rows are partial: %s", sample->pid, sample->comm,
		  sample->missing);
}

static void ask_stop(int signal)
{
	(void)signal;
	atomic_store(&stop_asked, true);
}

void verb_catch_stop(sigset_t *before)
{
	struct sigaction action = {.sa_handler = ask_stop, .sa_flags = (int)SA_RESETHAND};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	pthread_sigmask(SIG_BLOCK, &action.sa_mask, before);
}

bool verb_stop_asked(void)
{
	return atomic_load(&stop_asked);
}

const atomic_bool *verb_stop_flag(void)
{
	return &stop_asked;
}
