#include "engine/verb.h"

#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Lock-free, as a signal handler needs it. */
static atomic_bool stop_asked;
static void (*_Atomic last_act)(void);

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

void verb_tell_as(const char *verb, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(verb, format, args);
	va_end(args);
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

/* The second signal ends the program as if nothing caught it: once this has returned,
 * which is when it is let in. */
static void ask_stop(int signal)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	void (*last)(void) = atomic_load(&last_act);

	if (!atomic_exchange(&stop_asked, true))
		return;
	if (last)
		last();
	sigaction(signal, &plain, NULL);
	raise(signal);
}

void verb_at_second_stop(void (*fn)(void))
{
	atomic_store(&last_act, fn);
}

void verb_catch_stop(sigset_t *before)
{
	struct sigaction action = {.sa_handler = ask_stop};
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
