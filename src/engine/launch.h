/* launch.h: starts a command and stands between it and who started this program without
 * being noticed: signals that are sent to this one are the command's. */
#ifndef FRAGSCOPE_LAUNCH_H
#define FRAGSCOPE_LAUNCH_H

#include "base/fault.h"

#include <signal.h>
#include <stdint.h>

struct launch {
	int pid;
	sigset_t signals; /* that this process takes for the command, and SIGCHLD */
};

/* Starts WORDS, found by PATH, with the signals as they were. 0, or -errno and FAULT,
 * whose status is that of shells, and nothing is left. */
int launch_start(struct launch *launch, char **words, struct fault *fault);

/* Lets go of all files but standard error and KEEP_FD (or -1): whoever waits for the
 * command to close a pipe must not wait for this process. */
void launch_let_go(int keep_fd);

/* Waits for the command's end, passing signals on; until DUE_NS of the monotonic clock,
 * unless that is 0. 1: it has ended, and *STATUS is as shells give it; 0: not yet. */
int launch_wait(const struct launch *launch, int64_t due_ns, int *status);

#endif
