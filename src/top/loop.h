/* loop.h: the loop of the screen: waits for keys, readings, events and signals, and draws
 * what has changed as often as it may. */
#ifndef FRAGSCOPE_TOP_LOOP_H
#define FRAGSCOPE_TOP_LOOP_H

#include "top/top.h"

#include <signal.h>

/* What handlers of signals ask for. */
struct top_signals {
	volatile sig_atomic_t stop, suspend, refresh;
};

/* Runs until it is quit, a signal asks for the end, or the terminal is gone. MASK lets
 * the signals in, which are blocked otherwise. */
void top_loop(struct top *top, struct top_signals *signals, const sigset_t *mask);

#endif
