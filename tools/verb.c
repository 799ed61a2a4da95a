#include "verb.h"

#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

static volatile sig_atomic_t stop_asked;

__attribute__((format(printf, 2, 0))) static void tell(const char *verb,
						       const char *format, va_list args)
{
	char raw[FAULT_TEXT + 128], line[sizeof(raw)];
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

static void ask_stop(int signal)
{
	(void)signal;
	stop_asked = 1;
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
	return stop_asked;
}
