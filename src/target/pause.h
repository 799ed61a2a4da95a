/* pause.h: stops a process for a reading and lets it go on, whatever becomes of us. A
 * helper process holds the target by ptrace; when the helper ends, for any reason, the
 * kernel lets every thread go. The helper ends with its parent, and by itself lets go
 * after the limit. */
#ifndef FRAGSCOPE_PAUSE_H
#define FRAGSCOPE_PAUSE_H

#include "base/fault.h"
#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

struct pause;

/* Starts the helper for PROCESS. 0, or -errno and FAULT. */
int pause_new(struct pause **pause, const struct process *process, struct fault *fault);
void pause_free(struct pause *pause);

/* Stops every thread of the process, for LIMIT_NS at most. 0 when all stand still.
 * -ETIMEDOUT and FAULT when one could not be stopped in that time: then all go on, and
 * *STOOD_NS is how long the others may have stood. Other -errno with FAULT: not permitted
 * (and by what), traced by another, gone. */
int pause_begin(struct pause *pause, int64_t limit_ns, int64_t *stood_ns,
		struct fault *fault);

/* Lets the process go on. *STOOD_NS is how long it stood, from the first thread's stop
 * on; *CUT_SHORT whether the limit came first. 0 or -errno. */
int pause_end(struct pause *pause, int64_t *stood_ns, bool *cut_short);

#endif
