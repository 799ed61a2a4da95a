/* verb.h: what every verb does the same way: write on standard error, end with a fault's
 * status, stop on a signal. */
#ifndef FRAGSCOPE_VERB_H
#define FRAGSCOPE_VERB_H

#include "base/fault.h"
#include "engine/frontend.h"
#include "options.h"

/* Blocks SIGINT and SIGTERM and catches them; what an engine is given. The masks of it
 * let them in: an engine reads and waits with these, and threads that it starts never
 * take a signal in its place. The first signal asks for an end after what is being made;
 * the second ends the program at once, should that never get out. SIGPIPE is ignored: a
 * write says what it says. */
const struct frontend *verb_frontend(void);

/* Has HANDLER called for SIGNAL, which from now on is let in only while FRONTEND, a copy
 * of the above, waits. */
void verb_catch(struct frontend *frontend, int signal, void (*handler)(int signal));

/* One line on standard error behind the program's name. */
void verb_message(const char *line);

/* Prints FAULT, which COMMAND ended with, on standard error; returns the exit status. */
int verb_failed(const struct command *command, const struct fault *fault);

#endif
