/* hold.h: every thread of a process stopped by ptrace, by the calling process alone. When
 * that ends, for any reason, the kernel lets all of them go. Nothing is allocated. */
#ifndef FRAGSCOPE_HOLD_H
#define FRAGSCOPE_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HOLD_THREADS = 1 << 16 };

enum held_state {
	HELD_ASKED, /* seized and asked to stop */
	HELD_STOPPED,
	HELD_GONE,
};

struct held_thread {
	pid_t tid;
	enum held_state state;
	int signal;	  /* met on its way to a stop: delivered when it goes on */
	bool is_of_group; /* the whole process is stopped, as by SIGSTOP */
};

/* Called with a thread. */
typedef void hold_fn(const struct held_thread *thread, void *context);

/* All but PID, FOR_NS and ASKED with its CONTEXT is zero at first. */
struct hold {
	int pid;
	int64_t for_ns;	  /* that their stops are waited for at most, from the first on */
	int64_t since_ns; /* CLOCK_MONOTONIC, when the first was asked to stop; 0: none */
	hold_fn *asked;	  /* called just before a thread is asked to stop; or null */
	void *context;
	unsigned count;
	struct held_thread thread[HOLD_THREADS];
};

/* Stops every thread, those too that are made meanwhile. 0 when all stand still;
 * -ETIMEDOUT; or -errno. Then, too, some may stand. */
int hold_all(struct hold *hold);

/* How long the process has stood since the last call of that. */
int64_t hold_stood_ns(const struct hold *hold);

/* Lets go of all threads that stand, each after FN, which may be null. One that has not
 * stopped yet cannot be let go: it is kept until it does, which the next call looks for.
 */
void hold_let_go(struct hold *hold, hold_fn *fn, void *context);

#endif
