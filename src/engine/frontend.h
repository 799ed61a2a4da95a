/* frontend.h: what an engine needs of the verb that runs it: where messages go, whether
 * the user wants an end, and the signal masks to read and to wait with. */
#ifndef FRAGSCOPE_FRONTEND_H
#define FRAGSCOPE_FRONTEND_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* All of it may be zero, and a pointer to it null: then nobody reads messages and nothing
 * stops the engine from outside. */
struct frontend {
	void (*message)(const char *line);
	const atomic_bool *stop;		  /* set when an end is asked for */
	void (*at_second_stop)(void (*fn)(void)); /* what is done then, in a handler */
	sigset_t before;	   /* of the verb: what commands are given */
	sigset_t reading, waiting; /* both let the stop signals in */
};

/* One line for the user. Names of processes may be in it, and these hold anything. */
__attribute__((format(printf, 2, 3))) void
frontend_message(const struct frontend *frontend, const char *format, ...);

/* Whether the user wants an end. */
bool frontend_stops(const struct frontend *frontend);

/* The flag itself, or null: for source_options.hurry. */
const atomic_bool *frontend_stop_flag(const struct frontend *frontend);

#endif
