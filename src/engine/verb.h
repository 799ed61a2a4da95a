/* verb.h: what every verb does the same way: speak on standard error, end with a fault's
 * status, stop on a signal. */
#ifndef FRAGSCOPE_VERB_H
#define FRAGSCOPE_VERB_H

#include "base/fault.h"
#include "sample/sample.h"

#include <signal.h>
#include <stdatomic.h>

/* One line on standard error behind the program's name. Names of processes may be in it,
 * and these hold anything. */
__attribute__((format(printf, 1, 2))) void verb_tell(const char *format, ...);

/* Tells what SAMPLE misses, unless TOLD, which is empty at first, says it in the same
 * words: numbers in it may change with every row. */
void verb_tell_missing(const struct sample *sample, char told[SAMPLE_TEXT]);

/* The same, with the name of VERB, or "", behind the program's. */
__attribute__((format(printf, 2, 3))) void verb_tell_as(const char *verb,
							const char *format, ...);

/* Blocks SIGINT and SIGTERM and catches them. *BEFORE, the mask that was, lets them in: a
 * verb waits with it, and threads that it starts never take a signal in its place. The
 * first signal asks for an end after what is being made; the second ends the program at
 * once, should that never get out. SIGPIPE is ignored: a write says what it says. */
void verb_catch_stop(sigset_t *before);
bool verb_stop_asked(void);

/* Set from the first signal on: for source_options.hurry. */
const atomic_bool *verb_stop_flag(void);

/* FN is what a second such signal does before it ends the program: from a handler. */
void verb_at_second_stop(void (*fn)(void));

#endif
