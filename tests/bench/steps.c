/* steps.c: how many instructions a malloc and free of 48 bytes take in a program with
 * what is preloaded into this one: a child is stepped through a few hundred pairs, and
 * the least of some such rows is printed, a pair. Other load on the machine makes no
 * difference. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 3, PAIRS = 200, WARM = 10000 };

static void pairs(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		/* Volatile: a pair that nothing uses would be left out. */
		void *volatile block = malloc(48);

		free(block);
	}
}

static void run_child(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	pairs(WARM);
	for (unsigned row = 0; row < ROWS; row++) {
		raise(SIGUSR1);
		pairs(PAIRS);
	}
	raise(SIGUSR1);
	_exit(0);
}

/* From one signal of the child to the next; 0: it has ended. */
static unsigned long steps_of_row(pid_t child)
{
	unsigned long steps = 0;
	int status;

	do {
		steps++;
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) ||
		    waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
			return 0;
	} while (WSTOPSIG(status) == SIGTRAP);
	return steps;
}

int main(void)
{
	unsigned long least = 0, steps;
	pid_t child = fork();
	int status;

	if (child == 0)
		run_child();
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return 1;
	while ((steps = steps_of_row(child)))
		if (!least || steps < least)
			least = steps;
	if (!least)
		return 1;
	printf("%.1f\n", (double)least / PAIRS);
	return 0;
}
