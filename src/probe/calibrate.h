/* calibrate.h: what a probe costs here and now: a child of ours runs an instruction of
 * the probed kind in a loop, without and with the probe. No process but the child is
 * probed.
 */
#ifndef FRAGSCOPE_CALIBRATE_H
#define FRAGSCOPE_CALIBRATE_H

#include "base/fault.h"
#include "probe/prologue.h"

#include <stdint.h>
#include <sys/types.h>

/* What the child gives as its first argument: a size to be seen by the probe. */
enum { CALIBRATE_SIZE = 100 };

/* The probe to be measured. */
struct calibrated {
	/* Attaches to OFFSET of the file PATH in the process PID. 0, or -errno and
	 * nothing is attached. */
	int (*attach)(void *context, pid_t pid, const char *path, uint64_t offset);
	void (*detach)(void *context);
	/* The calls seen so far: 0 or -errno. */
	int (*hits)(void *context, uint64_t *hits);
	void *context;
};

/* Medians over a few bursts. The pauses are those for which the thread stood still while
 * the probe came or went, but for lack of a processor; 0: none of a millisecond or more.
 */
struct calibration {
	double hit_ns;	       /* that one hit adds to the thread's own processor time */
	uint64_t effective_ns; /* for how long calls are hit: it takes the kernel time to
				  remove a probe */
	uint64_t attach_ns;
	uint64_t detach_ns;
	uint64_t pause_ns;	 /* both together */
	uint64_t worst_pause_ns; /* one: no median */
	uint64_t hits;
};

/* Takes some 0.4 s, longer on a busy machine, LENGTH_NS (of one burst) being 20 ms. The
 * child is reaped, and ends with us whatever ends us. 0, or -errno: -EAGAIN when the
 * machine was too busy to measure anything. WHAT says what could not be done. */
int calibrate(struct calibration *calibration, enum prologue_kind kind, int64_t length_ns,
	      const struct calibrated *probe, const char **what);

#endif
