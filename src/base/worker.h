/* worker.h: a thread that makes the calls which may never return: such as read what a
 * stranger can keep from being read. Who waits for one can give it up. */
#ifndef FRAGSCOPE_WORKER_H
#define FRAGSCOPE_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

/* A call may make no headway for PATIENCE_NS; for less after one had to be given up.
 * BEATS counts what other threads do for a call: as long as it moves, the call makes
 * headway, as it does while the thread itself runs. HURRY: once set, a call without
 * headway is soon given up. Both may be null. 0 or -errno. */
int worker_new(struct worker **worker, int64_t patience_ns, const atomic_ulong *beats,
	       const atomic_bool *hurry);

/* From now on a call may make no headway for PATIENCE_NS. */
void worker_set_patience(struct worker *worker, int64_t patience_ns);

/* Has the thread run FN(CONTEXT), and waits for it. 0 when that has returned. -ETIMEDOUT:
 * it was given up, and goes on with CONTEXT, perhaps for ever. -EBUSY: one that was given
 * up goes on still, and FN was not begun. */
int worker_run(struct worker *worker, void (*fn)(void *context), void *context);

/* Whether a call that was given up goes on still. */
bool worker_is_busy(struct worker *worker);

/* Has the thread run LAST(CONTEXT) and ends it: at once, or when the call that was given
 * up returns. Nobody waits for that. */
void worker_end(struct worker *worker, void (*last)(void *context), void *context);

/* What the thread has taken of a processor. */
int64_t worker_cpu_ns(const struct worker *worker);

#endif
