/* none.c: on other machines than x86-64 and arm64 no call is made in a running process:
 * how a signal frame looks, and which system calls are made again, differs with each. */
#include "inject/inject.h"

#include <errno.h>

int inject(const struct process *process, const struct inject_request *request,
	   const sigset_t *waiting, const atomic_bool *stop, struct inject_result *result,
	   struct fault *fault)
{
	(void)request;
	(void)waiting;
	(void)stop;
	*result = (struct inject_result){0};
	return fault_set(
		fault, EXIT_NO_SOURCE, -ENOTSUP,
		"cannot make a call in process %d (%s): this is known for x86-64 "
		"and arm64 only",
		process->pid, process->comm);
}
