/* fault.h: why something could not be done, as one sentence for the user, with the exit
 * status that a verb ends with. Functions fill it and return -errno; only verbs print. */
#ifndef FRAGSCOPE_FAULT_H
#define FRAGSCOPE_FAULT_H

/* The exit statuses of every verb; released, never changed. */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_ALERT = 2,
	EXIT_USAGE = 64,
	EXIT_NO_SOURCE = 69,
	EXIT_NOT_PERMITTED = 77,
	/* Of a verb that runs a command, as shells give them. */
	EXIT_NOT_RUNNABLE = 126,
	EXIT_NOT_FOUND = 127,
};

enum { FAULT_TEXT = 512 };

struct fault {
	enum exit_status status;
	char text[FAULT_TEXT];
};

/* Fills FAULT and returns ERROR, a negative errno, so that a function can end with
 * `return fault_set(fault, EXIT_FAILED, -ESRCH, "...", ...)`. The text is cut at
 * FAULT_TEXT. FAULT may be null. */
__attribute__((format(printf, 4, 5))) int fault_set(struct fault *fault,
						    enum exit_status status, int error,
						    const char *format, ...);

#endif
