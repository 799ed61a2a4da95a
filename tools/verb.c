#include "verb.h"

#include "base/text.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

/* Lock-free, as a signal handler needs it. */
static atomic_bool stop_asked;
static void (*_Atomic last_act)(void);

/* What stands in LINE may come from a process. */
static void print(const char *verb, const char *line)
{
	char printable[4 * (FAULT_TEXT + 128)];
	struct text text;

	text_init(&text, printable, sizeof(printable));
	text_printable(&text, line, SIZE_MAX);
	fprintf(stderr, "fragscope%s%s: %s\n", *verb ? " " : "", verb, printable);
}

void verb_message(const char *line)
{
	print("", line);
}

int verb_failed(const struct command *command, const struct fault *fault)
{
	print(fault->status == EXIT_USAGE ? command->name : "", fault->text);
	return fault->status;
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

static void set_last_act(void (*fn)(void))
{
	atomic_store(&last_act, fn);
}

const struct frontend *verb_frontend(void)
{
	static struct frontend frontend = {
		.message = verb_message,
		.stop = &stop_asked,
		.at_second_stop = set_last_act,
	};
	struct sigaction action = {.sa_handler = ask_stop};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	pthread_sigmask(SIG_BLOCK, &action.sa_mask, &frontend.before);
	frontend.reading = frontend.waiting = frontend.before;
	return &frontend;
}

void verb_catch(struct frontend *frontend, int signal, void (*handler)(int signal))
{
	struct sigaction caught = {.sa_handler = handler, .sa_flags = SA_NOCLDSTOP};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signal);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	sigaction(signal, &caught, NULL);
	sigaddset(&frontend->reading, signal);
	sigdelset(&frontend->waiting, signal);
}
